"""The command line, ``lava-s3trigger``. The function never imports it."""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path
from typing import Any, Final

import click

from . import configuration
from .errors import DEFECT, INTERRUPTED, YES, CommandError
from .terminal import safe

REPORT_TO: Final = "to the maintainers, as CONTRIBUTING.md says"
_COMMANDS: Final = ("demo", "local", "replay", "dead-letters")


class _LazyGroup(click.Group):
    """Imports a command when it is called: each brings libraries of its own."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        module = importlib.import_module(f".{name}", __package__)
        command: click.Command = getattr(module, name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        found = configuration.find(Path.cwd())
        if found and name and command:
            every = {each: self.get_command(ctx, each) for each in self.list_commands(ctx)}
            known = {each: made for each, made in every.items() if made}
            ctx.default_map = configuration.defaults(*found, known)
        return name, command, rest


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lava-s3trigger")
def commands() -> None:
    """Answer questions about lava's S3 triggers, and try them.

    Options are looked up as flag, then in the environment, then in
    lava-s3trigger.toml or in [tool.lava-s3trigger] of pyproject.toml, in the
    current folder or above.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line, and exit.

    A user's mistake is a message of one line, a defect of ours as well; ``--debug`` shows
    its trace.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    sys.exit(_status(arguments))


def _status(arguments: list[str]) -> Any:
    try:
        return commands.main(arguments, prog_name="lava-s3trigger", standalone_mode=False)
    except (click.ClickException, CommandError) as error:
        return _show(error)
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except BrokenPipeError:  # as of `| head`
        sys.stderr.close()
        return YES
    except Exception as error:  # noqa: BLE001 - a defect of ours
        if "--debug" in arguments:
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
    if isinstance(error, click.UsageError) and error.ctx:
        click.echo(error.ctx.get_usage(), err=True)
    click.echo(f"Error: {safe(error.format_message(), keep=chr(10))}", err=True)
    return error.exit_code


def _defect(error: Exception) -> str:
    return (
        f"a defect in lava-s3trigger: {type(error).__name__}: {error}. Please report it"
        f" {REPORT_TO}, with the output of the same command with --debug"
    )
