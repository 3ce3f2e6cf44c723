"""Options from a project's configuration file, for which there is no flag and no variable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.units import shown

from .errors import WRONG_USAGE, CommandError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import click

OWN_FILE: Final = "lava-s3trigger.toml"
PROJECT_FILE: Final = "pyproject.toml"
TABLE: Final = "tool.lava-s3trigger"


def find(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """Return the nearest configuration file in a folder or above, and its options.

    That is ``lava-s3trigger.toml``, or a ``pyproject.toml`` that has the table
    ``tool.lava-s3trigger``.

    Raises:
        CommandError: The file cannot be read.
    """
    for above in (folder, *folder.parents):
        own = above / OWN_FILE
        if own.is_file():
            return own, _read(own)
        project = above / PROJECT_FILE
        if project.is_file():
            tools = _read(project).get("tool")
            options = tools.get("lava-s3trigger") if isinstance(tools, dict) else None
            if options is not None:
                if not isinstance(options, dict):
                    raise CommandError(f"{project}: {TABLE} is not a table", WRONG_USAGE)
                return project, options
    return None


def defaults(
    file: Path, options: Mapping[str, Any], commands: Mapping[str, click.Command]
) -> dict[str, Any]:
    """Return the options as click's map of defaults: by command, and by parameter.

    An option at the top is for all commands that know it; a table with a command's name has
    options only for that command. Paths are relative to the file's folder.

    Raises:
        CommandError: No command knows an option, or its value has another type.
    """
    known = {name: _settable(command) for name, command in commands.items()}
    by_command: dict[str, Any] = {name: {} for name in known}
    for option, value in options.items():
        if option in known and isinstance(value, dict):
            for name, setting in value.items():
                if name not in known[option]:
                    raise _unknown(file, f"{option}.{name}", known[option])
                _set(by_command[option], known[option][name], setting, file, f"{option}.{name}")
            continue
        knowing = [name for name in known if option in known[name]]
        if not knowing:
            raise _unknown(
                file, option, {name for parameters in known.values() for name in parameters}
            )
        for name in knowing:
            parameter = known[name][option]
            if parameter.name not in by_command[name]:
                _set(by_command[name], parameter, value, file, option)
    return by_command


def options_of(command: click.Command) -> set[str]:
    """Return the options of a command that a configuration file may set."""
    return set(_settable(command))


def _read(path: Path) -> dict[str, Any]:
    import tomllib  # noqa: PLC0415 - start-up

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}", WRONG_USAGE) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CommandError(f"{path}: not valid TOML: {error}", WRONG_USAGE) from None


def _settable(command: click.Command) -> dict[str, click.Parameter]:
    return {
        flag.removeprefix("--"): parameter
        for parameter in command.params
        if parameter.name not in ("help", "version", "debug")
        for flag in parameter.opts
        if flag.startswith("--")
    }


def _set(
    target: dict[str, Any], parameter: click.Parameter, value: Any, file: Path, option: str
) -> None:
    import click  # noqa: PLC0415 - start-up

    if isinstance(value, dict) or (isinstance(value, list) and not parameter.multiple):
        raise CommandError(f"{file}: {option}: {shown(value)} is not one value", WRONG_USAGE)
    if isinstance(parameter.type, (click.Path, click.File)):
        values = value if isinstance(value, list) else [value]
        resolved = [_resolved(str(path), file.parent) for path in values]
        value = resolved if isinstance(value, list) else resolved[0]
    if parameter.multiple and not isinstance(value, list):
        value = [value]
    target[str(parameter.name)] = value


def _resolved(path: str, folder: Path) -> str:
    """Return a path relative to a folder; standard input and S3 URIs are returned unchanged."""
    return path if path == "-" or path.startswith("s3://") else str(folder / path)


def _unknown(file: Path, option: str, known: Any) -> CommandError:
    from difflib import get_close_matches  # noqa: PLC0415 - only for this error

    close = get_close_matches(option.rpartition(".")[2], sorted(known), n=1)
    hint = (
        f"; did you mean {close[0]!r}?" if close else f"; known options: {', '.join(sorted(known))}"
    )
    return CommandError(f"{file}: unknown option {option!r}{hint}", WRONG_USAGE)
