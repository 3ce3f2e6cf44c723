"""Change the code at random, one place at a time, and report the changes that no test notices.

A change is a mutant. The tests that mirror its module run on it, in a copy of the checkout. If they
pass, the other tests of its area run. The same seed gives the same mutants, and the file of results
has what it takes to make the same mutants again, on a checkout whose tests have changed.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    _Node = ast.expr | ast.stmt

ROOT: Final = Path(__file__).resolve().parents[1]
PACKAGE: Final = "lava_s3trigger"
MODULES: Final = (
    *("decision", "events", "triggers", "conditions", "parking", "sending", "acknowledgement"),
    *("settings", "units", "jobs", "dispatch", "templates/documents", "dedup/protocol", "aws/sqs"),
    *("cli/entries/load", "cli/check/rules/conditions", "cli/plan/compare"),
    *("cli/replay/selection", "cli/objects/inventory", "cli/explain/changes"),
)
KINDS: Final = ("comparison", "constant", "return", "call")
# Of an order, only the border changes: that is what tests miss.
_ONE: Final = (ast.Eq, ast.Is, ast.In, ast.Lt, ast.Gt, ast.And)
_TWO: Final = (ast.NotEq, ast.IsNot, ast.NotIn, ast.LtE, ast.GtE, ast.Or)
_OTHER: Final[dict[Any, Any]] = dict(zip(_ONE + _TWO, _TWO + _ONE, strict=True))
# Functions whose arguments are texts for people, or types.
_TEXTS: Final = re.compile(r"log|LOGGER|warn|echo|debug|print|NewType|TypeVar|cast")
_NOT_CHANGED: Final = ("annotation", "returns", "decorator_list", "bases", "pattern")
_OPTIONS: Final = (
    *("-x", "-q", "-p", "no:cacheprovider", "--tb=no", "-rfE"),
    *("-m", "not slow and not e2e", "--hypothesis-profile=test"),
)
_SECONDS_TO_END: Final = 20


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of the code, and what the tests made of it."""

    module: str
    function: str
    """Its qualified name; empty for statements of the module."""
    kind: str
    before: str = ""
    """The lines that are changed, in full."""
    after: str = ""
    nth: int = 0
    """Which of the places in the function that read like ``before``, from 0."""
    result: str = ""
    """``killed``, ``killed at the limit``, ``survived``, ``gone``; empty if it was not run."""
    by: str = ""
    """The test that killed it."""


def make_mutants(source: str, module: str, count: int, seed: int) -> list[Mutant]:
    """Return this many mutants of a module; fewer if it has fewer places. Kinds take turns."""
    chance = random.Random(f"{seed} {module}")  # noqa: S311 - not for secrets
    places: dict[str, list[tuple[str, _Node, str]]] = {kind: [] for kind in KINDS}
    for function, node in _places(ast.parse(source), ""):
        for kind, text in _changes(node):
            places[kind].append((function, node, text))
    for of_kind in places.values():
        chance.shuffle(of_kind)
    mutants: list[Mutant] = []
    while len(mutants) < count and any(places.values()):
        for kind in [kind for kind in KINDS if places[kind]]:
            function, node, text = places[kind].pop()
            mutants.append(_mutant(source, Mutant(module, function, kind), node, text))
    return mutants[:count]


def apply_mutant(source: str, mutant: Mutant) -> str | None:
    """Return the source with the change; None if its place is not there."""
    lines, before = source.split("\n"), mutant.before.split("\n")
    starts = _starts(source, mutant.function, before)
    if len(starts) <= mutant.nth:
        return None
    start = starts[mutant.nth]
    return "\n".join([*lines[:start], mutant.after, *lines[start + len(before) :]])


def _places(node: ast.AST, function: str) -> Iterator[tuple[str, _Node]]:
    """Walk over what may be changed: not types, decorators, errors and texts for people."""
    match node:
        case ast.JoinedStr() | ast.Raise() | ast.Expr(ast.Constant()):
            return
        case ast.If(test=ast.Name("TYPE_CHECKING")) | ast.Assign(targets=[ast.Name("__all__")]):
            return
        case ast.Call(func=called) if _TEXTS.search(ast.unparse(called)):
            return
        case ast.FunctionDef(name) | ast.ClassDef(name):
            function = f"{function}.{name}".lstrip(".")
    if isinstance(node, (ast.expr, ast.stmt)):
        yield function, node
    for name, value in ast.iter_fields(node):
        if name not in _NOT_CHANGED:
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from _places(child, function)


def _changes(node: _Node) -> Iterator[tuple[str, str]]:  # noqa: C901 - a table
    """Return the possible replacements of a node: the kind of the change, and the text."""
    match node:
        case ast.Compare(left, [operator], right):
            yield (
                "comparison",
                f"({ast.unparse(ast.Compare(left, [_OTHER[type(operator)]()], right))})",
            )
        case ast.BoolOp(operator, values):
            yield "comparison", f"({ast.unparse(ast.BoolOp(_OTHER[type(operator)](), values))})"
        case ast.UnaryOp(ast.Not(), operand):
            yield "comparison", f"({ast.unparse(operand)})"
        case ast.Constant(bool(value)):
            yield "constant", repr(not value)
        case ast.Constant(int(value)):
            yield "constant", repr(value + 1)
        # With a space, it is a text for people.
        case ast.Constant(str(value)) if " " not in value:
            yield "constant", repr(f"{value}x")
        case ast.Return(ast.Compare() | ast.BoolOp() | ast.UnaryOp(ast.Not()) as value):
            yield "return", f"return not ({ast.unparse(value)})"
        # None in place of False, 0 or "" rarely makes a difference.
        case ast.Return(ast.expr() as value) if not isinstance(value, ast.Constant):
            yield "return", "return None"
        case ast.Expr(ast.Call()):
            yield "call", "pass"
        case ast.Call(args=[ast.expr() as first, *_]) if not isinstance(first, ast.Starred):
            yield "call", f"({ast.unparse(first)})"
        case ast.Call(func=ast.Attribute(value)):
            yield "call", f"({ast.unparse(value)})"


def _mutant(source: str, mutant: Mutant, node: _Node, text: str) -> Mutant:
    first, last = node.lineno - 1, (node.end_lineno or 0) - 1
    lines = source.split("\n")
    before = lines[first : last + 1]
    # Columns count bytes.
    head = lines[first].encode()[: node.col_offset].decode()
    tail = lines[last].encode()[node.end_col_offset :].decode()
    nth = _starts(source, mutant.function, before).index(first)
    return replace(mutant, before="\n".join(before), after=f"{head}{text}{tail}", nth=nth)


def _starts(source: str, function: str, before: list[str]) -> list[int]:
    """Return the lines in a function, counted from 0, at which these lines start."""
    lines = source.split("\n")
    spans = [(0, len(lines))] if not function else _spans(ast.parse(source), "", function)
    return [
        start
        for first, last in spans
        for start in range(first, last)
        if lines[start : start + len(before)] == before
    ]


def _spans(node: ast.AST, outer: str, function: str) -> Iterator[tuple[int, int]]:
    for child in ast.iter_child_nodes(node):
        name = outer
        if isinstance(child, (ast.FunctionDef, ast.ClassDef)):
            name = f"{outer}.{child.name}".lstrip(".")
            if name == function:
                yield child.lineno - 1, child.end_lineno or 0
        yield from _spans(child, name, function)


def mirror(root: Path, module: str) -> list[str]:
    """Return the test files that mirror a module, as ``tests/aws/test_sqs.py`` does ``aws/sqs``.

    The command line is tested by folder: ``cli/plan/compare`` by ``tests/cli/test_plan*.py``.
    """
    folder, _, name = module.rpartition("/")
    if folder.startswith("cli/"):
        folder, name = "cli", "_".join(folder.split("/")[1:]) + "*"
    files = (root / "tests" / folder).glob(f"test_{name}.py")
    return sorted(str(path.relative_to(root)) for path in files)


def wider(root: Path, module: str) -> list[str]:
    """Return the other tests of a module's area, without deployed ones.

    For the function: those that import the module, and tests of the whole function. For the
    command line: those that run the command of the module, or import its folder.
    """
    parts = module.split("/")
    uses = rf"^ *(from|import) {PACKAGE}.*\b{parts[-1]}\b"
    folders = ["", "aws", "dedup", "templates", "function"]  # the quick ones first
    if parts[0] == "cli":
        uses, folders = rf'\bcli\.{parts[1]}\b|"{parts[1]}"', ["cli"]
    files = [
        str(path.relative_to(root))
        for folder in folders
        for path in sorted((root / "tests" / folder).glob("test_*.py"))
        if folder == "function" or re.search(uses, path.read_text(), re.MULTILINE)
    ]
    return [file for file in files if file not in mirror(root, module)]


class Copy:
    """A copy of the checkout, in which code is changed and tests run."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root = folder / "checkout"
        linked = [path.name for path in root.glob(".venv*")] + ["build"]
        ignored = shutil.ignore_patterns(*linked, ".git", "dist", "__pycache__", ".*_cache")
        shutil.copytree(root, self.root, ignore=ignored, symlinks=True)
        for name in linked:
            (self.root / name).symlink_to(root / name)
        self._seconds: dict[tuple[str, ...], float] = {}

    def source(self, module: str) -> Path:
        """Return the file of a module."""
        return self.root / PACKAGE / f"{module}.py"

    def judge(self, mutant: Mutant, tests: list[str], spare_seconds: float = 30) -> Mutant:
        """Run tests on a mutant, and return it with the result.

        They may take four times as long as without the change, and the spare seconds.
        """
        path = self.source(mutant.module)
        original = path.read_text()
        changed = apply_mutant(original, mutant)
        if changed is None:
            return replace(mutant, result="gone")
        limit = spare_seconds + 4 * self._unchanged(tests)
        _write(path, changed)
        try:
            status, failed = self._run(tests, limit)
        finally:
            _write(path, original)
        if status is None:
            return replace(mutant, result="killed at the limit")
        if status:
            return replace(mutant, result="killed", by=failed)
        return replace(mutant, result="survived")

    def _unchanged(self, tests: list[str]) -> float:
        """Return the seconds that tests take on the code as it is; they must pass."""
        if tuple(tests) not in self._seconds:
            start = time.monotonic()
            status, failed = self._run(tests, 3600)
            if status != 0:
                raise SystemExit(f"{' '.join(tests)}: fail without a change: {failed}")
            self._seconds[tuple(tests)] = time.monotonic() - start
        return self._seconds[tuple(tests)]

    def _run(self, tests: list[str], limit: float) -> tuple[int | None, str]:
        """Return the status of pytest, None at the limit, and the first test that failed."""
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *_OPTIONS, *tests],
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": str(self.root)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            # SIGINT first, so that fixtures end their servers.
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_SECONDS_TO_END)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return None, ""
        failed = re.search(r"^(?:FAILED|ERROR) (.*?)(?: - .*)?$", output, re.MULTILINE)
        return process.returncode, failed[1] if failed else output[-1000:]


def _write(path: Path, source: str) -> None:
    path.write_text(source)
    # Python compares size and second only, which two mutants may share.
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
        compiled.unlink()


def judge_all(copy: Copy, mutants: list[Mutant], end: float) -> Iterator[list[Mutant]]:
    """Yield the mutants with the results so far, until all are judged or the time has come.

    First on the tests that mirror their modules; then the survivors on the wider tests.
    """
    for number, choose in enumerate((mirror, wider)):
        for index, mutant in enumerate(mutants):
            tests = choose(copy.root, mutant.module)
            if mutant.result == ("survived" if number else "") and tests and time.monotonic() < end:
                mutants[index] = copy.judge(mutant, tests)
                yield mutants


def report(mutants: Sequence[Mutant]) -> str:
    """Return a table of the results by module, and the survivors."""
    lines = [f"{'module':28} killed survived not run"]
    for module in dict.fromkeys(mutant.module for mutant in mutants):
        results = [mutant.result for mutant in mutants if mutant.module == module]
        killed = sum(result.startswith("killed") for result in results)
        survived = results.count("survived")
        lines.append(f"{module:28} {killed:6} {survived:8} {len(results) - killed - survived:7}")
    for mutant in mutants:
        if mutant.result == "survived":
            lines.append(f"\n{mutant.module} {mutant.function}")
            lines += [f"- {line}" for line in mutant.before.split("\n")]
            lines += [f"+ {line}" for line in mutant.after.split("\n")]
    return "\n".join(lines)


def newly_missed(before: Sequence[Mutant], after: Sequence[Mutant]) -> list[Mutant]:
    """Return the mutants that survive, and were killed before."""
    return [
        new
        for old, new in zip(before, after, strict=True)
        if old.result.startswith("killed") and new.result == "survived"
    ]


def main() -> None:
    """Run the command line. Fails where a mutant survives that the run before killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=200, help="how many, in all modules")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=180, help="when to stop")
    parser.add_argument("--again", type=Path, help="the results of a run, to repeat its mutants")
    parser.add_argument("results", type=Path, help="the file to write")
    arguments = parser.parse_args()
    # A script starts jobs with SIGINT ignored, which the tests would inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = Copy(ROOT, Path(folder))
        if arguments.again:
            before = [Mutant(**fields) for fields in json.loads(arguments.again.read_text())]
        else:
            count = -(-arguments.mutants // len(MODULES))
            before = [
                mutant
                for module in MODULES
                for mutant in make_mutants(
                    copy.source(module).read_text(), module, count, arguments.seed
                )
            ][: arguments.mutants]
        after = [replace(mutant, result="", by="") for mutant in before]
        end = time.monotonic() + 60 * arguments.minutes
        for number, results in enumerate(judge_all(copy, after, end), 1):
            print(f"run {number}, of {len(after)} and the survivors", file=sys.stderr)
            arguments.results.write_text(
                json.dumps([asdict(result) for result in results], indent=1)
            )
    print(report(after))
    if missed := newly_missed(before, after):
        sys.exit(f"{len(missed)} mutants survive that were killed before:\n{report(missed)}")


if __name__ == "__main__":
    main()
