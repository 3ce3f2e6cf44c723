"""Find listed words in docs, docstrings, comments and messages, and variables without a name.

tools/prose/words.yaml is the list. Code blocks, and code in backquotes, are not searched.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import math
import re
import sys
import tokenize
from collections import Counter
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from io import StringIO
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ruamel.yaml import YAML

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT: Final = Path(__file__).resolve().parents[1]
WORDS: Final = ROOT / "tools/prose/words.yaml"
FILES: Final = (
    *("*.md", "docs/*.md", "s3trigger.py", "benchmarks/**/*.py", "fuzz/**/*.py"),
    *("lava_s3trigger/**/*.py", "tests/**/*.py", "tools/**/*.py"),
)
_CODE: Final = re.compile(
    r"^( *)```.*?^\1```$|<!--.*?-->|``.+?``|`[^`]+`|\]\([^)]*\)", re.MULTILINE | re.DOTALL
)
_DEFINITIONS: Final = (ast.AsyncFunctionDef, ast.ClassDef, ast.FunctionDef, ast.Module)


class Hit(NamedTuple):
    """A listed word, or a variable without a name."""

    file: str
    line: int
    kind: str
    word: str
    write: str
    find: str = ""
    text: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.kind}: {self.word!r}: write {self.write!r}"


@dataclass(slots=True)
class Place:
    """Where hits may stay: those of one word, or at most so many of a kind."""

    files: str
    kind: str = "*"
    find: str = ""
    line: str = ""
    most: float = math.inf
    hits: int = 0

    def takes(self, hit: Hit) -> bool:
        """Return whether a hit may stay here, and count it."""
        is_here = fnmatchcase(hit.file, self.files) and fnmatchcase(hit.kind, self.kind)
        is_taken = is_here and self.find in ("", hit.find) and self.line in hit.text
        self.hits += is_taken
        return is_taken


@dataclass(slots=True)
class Words:
    """The list: patterns with what to write instead, variables, and places of hits."""

    patterns: dict[str, tuple[re.Pattern[str], str]] = field(default_factory=dict)
    variables: frozenset[str] = frozenset()
    places: list[Place] = field(default_factory=list)

    def hits(self, file: str, source: str) -> Iterator[Hit]:
        """Yield all hits of a file."""
        lines = source.splitlines()
        for first, kind, passage in passages(file, source):
            text = _CODE.sub(lambda code: re.sub(r"[^\n]", "`", code[0]), passage)
            text = re.sub(r"\n +", "\n", text)
            for find, (pattern, write) in self.patterns.items():
                for match in pattern.finditer(text.replace("\n", " ")):
                    line = first + text.count("\n", 0, match.start())
                    yield Hit(file, line, kind, match[0], write, find, lines[line - 1])
        for node in ast.walk(ast.parse(source)) if file.endswith(".py") else ():
            name = node.arg if isinstance(node, ast.arg) else ""
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                name = node.id
            if name in self.variables:
                yield Hit(file, getattr(node, "lineno", 0), "variable", name, "the thing's name")

    def failures(self, hits: Iterable[Hit]) -> Iterator[str]:
        """Yield the hits that no place takes, and the places that need a correction."""
        yield from (str(hit) for hit in hits if not any(place.takes(hit) for place in self.places))
        for place in self.places:
            if place.hits > place.most:
                yield f"{place.files}: {place.hits} hits ({place.kind}), more than {place.most}"
            elif place.find and not place.hits:
                yield f"{place.files}: no hit of {place.find!r}: remove the place from the list"


def read_words(document: Any) -> Words:
    """Read the list."""
    words = Words(variables=frozenset(document["variables"]))
    for entry in document["words"]:
        find = entry["find"]
        words.patterns[find] = re.compile(rf"\b(?:{find})\b", re.IGNORECASE), entry["write"]
        for place in entry.get("allow", ()):
            words.places.append(Place(place["in"], find=find, line=place.get("line", "")))
    for place in document["pending"]:
        words.places.append(Place(place["in"], place.get("kind", "*"), most=place["most"]))
    return words


def passages(file: str, source: str) -> Iterator[tuple[int, str, str]]:
    """Yield the texts of a file that people read: the first line, the kind, and the text."""
    if file.endswith(".md"):
        yield (1, "doc", source)
        return
    tokens = tokenize.generate_tokens(StringIO(source).readline)
    comments = [token for token in tokens if token.type == tokenize.COMMENT]
    # The comments of lines below each other are one text.
    for _, group in groupby(enumerate(comments), lambda item: item[1].start[0] - item[0]):
        block = [token for _, token in group]
        yield (block[0].start[0], "comment", "\n".join(token.string[1:] for token in block))
    nodes = [*ast.walk(ast.parse(source))]
    statements = [part for node in nodes if isinstance(node, _DEFINITIONS) for part in node.body]
    docs = {id(part.value) for part in statements if isinstance(part, ast.Expr)}
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) in docs:
                yield (node.lineno, "docstring", inspect.cleandoc(node.value))
            elif file.startswith("lava_s3trigger/") and " " in node.value:
                yield (node.lineno, "message", node.value.replace("\n", " "))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", action="store_true", help="list also the hits that may stay")
    arguments = parser.parse_args()
    words = read_words(YAML(typ="safe").load(WORDS))
    names = sorted({str(path.relative_to(ROOT)) for of in FILES for path in ROOT.glob(of)})
    hits = [hit for name in names for hit in words.hits(name, (ROOT / name).read_text())]
    failures = list(words.failures(hits))
    if arguments.report:
        counts = Counter(name for hit in hits for name in (hit.file, hit.kind))
        print(*hits, *(f"{name}: {number}" for name, number in counts.items()), sep="\n")
    print(*failures, sep="\n", end="\n" if failures else "", file=sys.stderr)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
