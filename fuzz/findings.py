"""What fuzzing found: cases as data, which tests replay."""

from __future__ import annotations

import json
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

CHECKOUT: Final = Path(__file__).parents[1]
KEPT: Final = CHECKOUT / "tests" / "findings"
_OURS: Final = tuple(f"{CHECKOUT / folder}/" for folder in ("fuzz", "lava_s3trigger"))


def manner(error: BaseException) -> str:
    """Name the manner in which a case failed, the same for cases that fail alike."""
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if _is_ours(frame.filename)
    ]
    # The check that failed, and what asked for it: some checks are asked for by many.
    places = [f"{frame.name.strip('_<>')}-{frame.lineno}" for frame in frames[-2:]]
    return "-".join([type(error).__name__, *places])


def _is_ours(file: str) -> bool:
    return file.startswith(_OURS)


def keep(target: str, name: str, error: str, case: Any) -> Path:
    """Keep a case that failed, as a file of tests/findings.

    Returns:
        The file.
    """
    KEPT.mkdir(parents=True, exist_ok=True)
    file = KEPT / f"{target}-{name}.json"
    finding = {"target": target, "error": error[:1000], "case": case}
    file.write_text(json.dumps(finding, indent=2) + "\n")
    return file


def kept() -> Iterable[tuple[str, dict[str, Any]]]:
    """Give what is kept, by the names of its files."""
    for file in sorted(KEPT.glob("*.json")):
        yield file.stem, json.loads(file.read_text())
