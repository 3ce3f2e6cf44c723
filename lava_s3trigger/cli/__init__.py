"""The command line, ``lava-s3trigger``. The function never imports it."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any, Final

import click

from . import configuration
from .errors import DEFECT, INTERRUPTED, READER_GONE, CommandError
from .output.escaping import safe

REPORT_TO: Final = "to the maintainers, as CONTRIBUTING.md says"
_COMMANDS: Final = {
    "explain": "Show what the function would do with an object or a payload, and why.",
    "check": "Lint the entries of files or of a realm.",
    "test": "Run the cases that entries carry.",
    "plan": "Show what a change of entries would do.",
    "schema": "Print a JSON Schema of entries.",
    "event": "Print a payload for an object, as AWS would hand it to the function.",
    "apply": "Put trigger entries of files into a realm's table.",
    "connect": "Connect a bucket to the function, for what its entries need and no more.",
    "disconnect": "Remove what connect made for a bucket, and nothing else.",
    "doctor": "Look at a deployed realm, and say what will go wrong.",
    "replay": "Hand S3 events for existing objects to the deployed function.",
    "dead-letters": "Show what waits in the dead-letter queues of the function and of its intake.",
    "tail": "Show the function's log.",
    "history": "Show what happened to an object, and what would happen to it now.",
    "ui": "Show entries in a browser: what is where, what a key does, what a draft changes.",
    "compare": "Compare what two functions did with the same events.",
}
"""The commands, each with the first line of its help, so that listing them imports none."""
_SINGLE: Final = ("event", "schema")
"""Commands of one module; the others have a folder each, with a module ``command``."""
_FOLDERS: Final = {"test": "testing"}
"""Commands whose folder has another name, since Python has a module with their name."""


class _ReaderGoneError(Exception):
    """The reader of standard output has ended, like `head` in `| head`."""


class _LazyGroup(click.Group):
    """Imports a command when it is called, since each needs other libraries."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        path = name if name in _SINGLE else f"{_FOLDERS.get(name, name)}.command"
        module = importlib.import_module(f".{path}", __package__)
        command: click.Command = getattr(module, name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # click itself would end with 1, which means no
            raise _ReaderGoneError from None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in _COMMANDS and args[0][0:1] != "-" and not ctx.resilient_parsing:
            from difflib import get_close_matches  # noqa: PLC0415 - only for this error

            close = get_close_matches(args[0], _COMMANDS, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        name, command, rest = super().resolve_command(ctx, args)
        project = configuration.find(Path.cwd())
        if project and name and command:
            ctx.default_map = self._defaults(ctx, *project, name, command)
        return name, command, rest

    def _defaults(
        self,
        ctx: click.Context,
        file: Path,
        options: dict[str, Any],
        name: str,
        command: click.Command,
    ) -> dict[str, Any]:
        """Return the options that a configuration file has for a command.

        The other commands are imported only if it does not know one of the options.
        """
        own = {
            option: value
            for option, value in options.items()
            if option == name or not (option in _COMMANDS and isinstance(value, dict))
        }
        if own.keys() <= configuration.options_of(command) | {name}:
            return configuration.defaults(file, own, {name: command})
        every = {other: self.get_command(ctx, other) for other in self.list_commands(ctx)}
        return configuration.defaults(
            file, options, {other: known for other, known in every.items() if known}
        )


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lava-s3trigger")
def commands() -> None:
    """Answer questions about lava's S3 triggers, and try them.

    Options are looked up as flag, then in the environment, then in
    lava-s3trigger.toml or in [tool.lava-s3trigger] of pyproject.toml, in the
    current folder or above.
    """


def main(
    arguments: list[str] | None = None,
    group: click.Command = commands,
    name: str = "lava-s3trigger",
) -> None:
    """Run the command line, and exit.

    A user's mistake is reported in one line. So is a bug; ``--debug`` shows its trace.

    Args:
        arguments: The arguments; if None, those of the process.
        group: The commands to choose from.
        name: How help and messages call the program.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    _open_streams()
    status = _status(arguments, group, name)
    _close_output()
    sys.exit(status)


def _open_streams() -> None:
    """Open the null device for streams that the caller has closed, as with ``2>&-``.

    Standard output stays closed: its data must not be lost without an error.
    """
    if sys.stdin is None:
        sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 - to the end
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115


def _close_output() -> None:
    """Discard output that cannot be written; else the interpreter would end with a trace."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _status(arguments: list[str], group: click.Command, name: str) -> Any:
    try:
        return group.main(arguments, prog_name=name, standalone_mode=False)
    except (click.ClickException, CommandError) as error:
        return _show(error)
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except _ReaderGoneError:
        return READER_GONE
    except Exception as error:  # noqa: BLE001 - a defect of ours
        if "--debug" in arguments:
            import traceback  # noqa: PLC0415 - start-up

            traceback.print_exc()
        else:
            _show(CommandError(_defect(error)))
        return DEFECT


def _show(error: click.ClickException | CommandError) -> int:
    if isinstance(error, CommandError):
        click.echo(f"Error: {safe(str(error), keep=chr(10))}", err=True)
        return error.status
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return error.exit_code
    text = " ".join(error.format_message().split())
    # The message for a wrong value says what is allowed; the others need the help.
    if isinstance(error, click.UsageError) and error.ctx and type(error) is not click.BadParameter:
        text += f" See {error.ctx.command_path} --help."
    click.echo(f"Error: {safe(text)}", err=True)
    return error.exit_code


def _defect(error: Exception) -> str:
    return (
        f"a defect in lava-s3trigger: {type(error).__name__}: {error}. Please report it"
        f" {REPORT_TO}, with the output of the same command with --debug"
    )
