"""Child processes that run a module of the benchmarks with the function of any checkout."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from .service import ROOT

if TYPE_CHECKING:
    from pathlib import Path

# Once the package is imported, its modules come from its own folder, wherever the
# modules of the benchmarks come from.
_START: Final = """
import runpy, sys
checkout, root, module, *arguments = sys.argv[1:]
sys.path.insert(0, checkout)
import lava_s3trigger
sys.path[0] = root
sys.argv = [module, *arguments]
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


def command(checkout: Path, module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module of these benchmarks.

    Args:
        checkout: Where ``lava_s3trigger`` is imported from.
        module: Name of the module, such as ``benchmarks.growth``.
        arguments: Its command line.
    """
    return [sys.executable, "-c", _START, str(checkout), str(ROOT), module, *arguments]
