"""docs/troubleshooting.md has a row for each finding of doctor, and for each kind in the log."""

import ast
import re
from collections.abc import Iterator
from typing import Final

import pytest

from lava_s3trigger.cli.doctor import checks
from lava_s3trigger.cli.doctor.registry import CHECKS
from lava_s3trigger.metrics import FAILURES
from tools.local.server import CHECKOUT

from .pages import codes, section, tables

PAGE: Final = CHECKOUT / "docs" / "troubleshooting.md"
PACKAGE: Final = CHECKOUT / "lava_s3trigger"

# Where the function names a kind: the place of the argument, by the name of what is called.
_PLACES: Final = {"UserError": 1, "ObjectError": 1, "Outcome": 1, "end": 1, "fail": 0, "refuse": 0}


def kinds() -> set[str]:
    """Return the kinds that the function's code names."""
    return {
        str(value.value)
        for path in PACKAGE.rglob("*.py")
        if "cli" not in path.parts
        for node in ast.walk(ast.parse(path.read_text()))
        for value in _kinds_of(node)
        # Elsewhere, what is called `fail` takes a text.
        if isinstance(value, ast.Constant) and re.fullmatch("[a-z_]+", str(value.value))
    }


def _kinds_of(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what a node gives as a kind."""
    if isinstance(node, ast.Call):
        yield from (each.value for each in node.keywords if each.arg in {"kind", "refusal"})
        place = _PLACES.get(getattr(node.func, "attr", getattr(node.func, "id", "")))
        if place is not None and place < len(node.args):
            yield node.args[place]
    elif isinstance(node, ast.Assign):
        pairs = [(node.targets[0], node.value)]
        if isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple):
            pairs = list(zip(node.targets[0].elts, node.value.elts, strict=True))
        for target, value in pairs:
            if getattr(target, "attr", getattr(target, "id", "")).endswith("kind"):
                yield value
    elif isinstance(node, ast.FunctionDef):
        defaults = reversed(node.args.defaults)
        names = reversed([each.arg for each in node.args.args])
        yield from (value for name, value in zip(names, defaults, strict=False) if name == "kind")


def rows(heading: str) -> list[list[str]]:
    [found] = tables(section(PAGE, heading))
    assert len({len(row) for row in found}) == 1
    return found


@pytest.mark.parametrize("heading", ["Findings of doctor", "Kinds in the log"])
def test_each_row_says_what_to_do(heading: str) -> None:
    found = rows(heading)

    assert found[0][0]
    assert all(cell for row in found for cell in row[1:])


def test_each_finding_of_doctor_has_a_row() -> None:
    assert checks.__doc__
    named = [name for row in rows("Findings of doctor") for name in codes(row[1])]

    assert sorted(named) == sorted(CHECKS)


def test_each_kind_in_the_log_has_a_row() -> None:
    found = kinds() | {"busy"}  # dedup/protocol.py has it in a pair, with its reason
    named = [name for row in rows("Kinds in the log") for name in codes(row[1])]

    assert found >= set(FAILURES)
    assert sorted(named) == sorted(found)
