"""The streams of commands: data goes to standard output or a file, messages to standard error."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.errors import CommandError

from .escaping import safe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

VERSION: Final = 1
"""Version of the JSON that commands print."""


@contextlib.contextmanager
def opened(output: str | None) -> Iterator[TextIO]:
    """Yield the file for data: standard output, or a file that appears when it is complete.

    An existing device or pipe is written to directly. A symbolic link stays, and the file to
    which it points is replaced.

    Raises:
        CommandError: It cannot be written.
    """
    if output is None or output == "-":
        with naming("standard output"):
            yield from _standard_output()
        return
    with naming(output):
        path = Path(output)
        if path.exists() and not path.is_file():
            # Replacing /dev/null would make it a plain file for the whole machine.
            with path.open("w", encoding="utf-8") as device:
                yield device
        else:
            with replacing(Path(os.path.realpath(path))) as file:
                yield file


@contextlib.contextmanager
def naming(name: str) -> Iterator[None]:
    """Turn errors of the operating system inside the block into one line.

    Args:
        name: The name of the file, with which the line begins.

    Raises:
        CommandError: The file cannot be opened, read or written.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CommandError(f"{safe(name)}: {error.strerror}") from None


def _standard_output() -> Iterator[TextIO]:
    if sys.stdout is None:  # closed, as with `>&-`
        raise CommandError("standard output is closed: name a file with --output")
    if isinstance(sys.stdout, io.TextIOWrapper):
        # The encoding of a terminal or a pipe may lack characters of keys.
        sys.stdout.reconfigure(errors="backslashreplace")
    yield sys.stdout
    sys.stdout.flush()


@contextlib.contextmanager
def replacing(path: Path, encoding: str = "utf-8") -> Iterator[TextIO]:
    """Yield a text file that replaces another one, with its mode, when it is complete.

    Ends of lines are written unchanged.
    """
    import tempfile  # noqa: PLC0415 - start-up

    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    part = Path(name)
    try:
        with os.fdopen(handle, "w", encoding=encoding, newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.chmod(_mode(path))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _mode(path: Path) -> int:
    """Return the permissions of a file, or those of a new file."""
    if path.exists():
        return path.stat().st_mode & 0o7777
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask


def write_json(file: TextIO, value: dict[str, Any], *, indent: int | None = 2) -> None:
    """Write a JSON object, in ASCII, with the version of the format at its top."""
    json.dump({"version": VERSION, **value}, file, indent=indent)
    file.write("\n")


def message(text: str) -> None:
    """Write a message to standard error."""
    sys.stderr.write(safe(text, keep="\n") + "\n")
