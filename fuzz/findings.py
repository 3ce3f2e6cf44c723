"""Findings of the fuzzer: cases as data, which tests replay."""

from __future__ import annotations

import json
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

CHECKOUT: Final = Path(__file__).parents[1]
FINDINGS: Final = CHECKOUT / "tests" / "findings"
_OURS: Final = tuple(f"{CHECKOUT / folder}/" for folder in ("fuzz", "lava_s3trigger"))


def failure_kind(error: BaseException) -> str:
    """Return a name for the kind of failure, the same for cases that fail alike."""
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if _is_ours(frame.filename)
    ]
    # The failed check and its caller, since some checks have several callers.
    places = [f"{frame.name.strip('_<>')}-{frame.lineno}" for frame in frames[-2:]]
    return "-".join([type(error).__name__, *places])


def _is_ours(file: str) -> bool:
    return file.startswith(_OURS)


def save(target: str, name: str, error: str, case: Any) -> Path:
    """Save a failed case as a file in tests/findings.

    Returns:
        The file.
    """
    FINDINGS.mkdir(parents=True, exist_ok=True)
    file = FINDINGS / f"{target}-{name}.json"
    finding = {"target": target, "error": error[:1000], "case": case}
    file.write_text(json.dumps(finding, indent=2) + "\n")
    return file


def load() -> Iterable[tuple[str, dict[str, Any]]]:
    """Yield the findings with the names of their files."""
    for file in sorted(FINDINGS.glob("*.json")):
        yield file.stem, json.loads(file.read_text())
