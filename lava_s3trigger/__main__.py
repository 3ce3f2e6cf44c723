"""Starts the command line, if its libraries are installed: ``python -m lava_s3trigger``."""

from __future__ import annotations

import gc
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # to import typing takes some ms, in which Ctrl-C would show a trace
    from typing import Final

_OF_THE_COMMAND_LINE: Final = ("click", "ruamel")
"""Modules that the extra ``cli`` installs."""

_INTERRUPTED: Final = 130
"""As `cli.errors` has it, which may not be imported yet."""

_COLLECTED_OBJECTS: Final = 200_000
"""Objects after which the garbage collector runs. With Python's default of 700 it runs many times
during start-up and finds nothing. `make bench-cli` measures start-up."""


def main() -> None:
    """Run the command line, or print in one line which extra installs its libraries."""
    gc.set_threshold(_COLLECTED_OBJECTS)
    try:
        from .cli import main as run  # noqa: PLC0415 - it may be missing
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] not in _OF_THE_COMMAND_LINE:
            raise
        sys.exit(
            f"Error: the command line needs {error.name}, which is not installed."
            " Run: pip install 'lava-s3trigger[cli]'"
        )
    run()


if __name__ == "__main__":
    main()
