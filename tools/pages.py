"""Writes into the docs what the code knows: layers, conditions, rules, checks of `doctor`.

`make docs` runs it. `tests/test_layout.py` fails while a page is out of date.
"""

from __future__ import annotations

import ast
import json
import textwrap
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lava_s3trigger import conditions
from lava_s3trigger.cli.check.rules import catalogue
from lava_s3trigger.cli.doctor import checks  # noqa: F401 - registers the checks
from lava_s3trigger.cli.doctor.registry import CHECKS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CHECKOUT: Final = Path(__file__).resolve().parents[1]
PACKAGE: Final = CHECKOUT / "lava_s3trigger"

GROUND: Final = ("settings", "errors", "log", "units", "sent")
"""Modules of the root that every other module may import. `sent` is one of them because the
shared table of `dedup` keeps its records."""
LAYERS: Final = ("cli", "root", "dedup", "aws", "templates", "ground")
"""Groups of modules, from the top. A group imports only lower ones. Calls to AWS are above
templates, because the time that they keep in reserve depends on how long a rendering takes."""
SHARED: Final = ("decide", "routes", "objects", "entries", "deployed", "output")
"""Folders of the command line that commands share, from the top: each imports only lower ones.
All other folders are commands. No command imports another, except for `COMPOSED`."""
TOP: Final = ("configuration", "errors", "options")
"""Modules of the command line that each of its folders may import."""
COMPOSED: Final[Mapping[str, frozenset[str]]] = {
    "apply": frozenset(["cli.check.public", "cli.plan.public", "cli.testing.public"]),
    "disconnect": frozenset(["cli.connect.session"]),
    "doctor": frozenset(
        ["cli.check.public"]
        + [
            f"cli.connect.{module}"
            for module in ("bucket", "changes", "names", "needs", "plan", "wanted")
        ]
    ),
    "testing": frozenset(["cli.check.public"]),
    "ui": frozenset(
        [
            *("cli.apply.effects", "cli.check.public", "cli.dead_letters.listing"),
            *("cli.explain.run", "cli.plan.public", "cli.testing.public"),
        ]
    ),
}
"""Modules of other commands that a command uses, by command."""
MEANINGS: Final = {
    "cli": "the command line",
    "root": "the function: handler.py, and the steps that it calls",
    "dedup": "duplicates",
    "templates": "rendering",
    "aws": "calls to AWS",
    "ground": f"what every module may import: {'  '.join(GROUND)}",
}
WIDTH: Final = 60
"""Characters of a line of folders in the picture."""


@dataclass(frozen=True)
class Module:
    """A module of the package, and the modules of the package that it imports."""

    name: str
    """Dotted, without the package, such as ``aws.sqs``."""
    imports: frozenset[str]
    """At run time: imports for the type checker only do not count."""
    names: frozenset[str] = frozenset()
    """All that it imports, for the type checker as well."""

    @property
    def group(self) -> str:
        """The folder of the module; of the root, ``ground`` or ``root``."""
        folder, dot, _ = self.name.partition(".")
        if dot:
            return folder
        return "ground" if self.name in GROUND else "root"

    @property
    def room(self) -> str:
        """The folder in `cli`, or the name of a module that is directly in `cli`."""
        _, *inside = self.name.split(".")
        return "" if self.group != "cli" or inside[0] in TOP else inside[0]


@cache
def modules(package: Path = PACKAGE) -> dict[str, Module]:
    """Read the modules of a package, by name. Each package is read once."""
    names = {
        ".".join(path.relative_to(package).with_suffix("").parts): path
        for path in sorted(package.rglob("*.py"))
        if path.name not in ("__init__.py", "__main__.py")
    }
    read = {}
    for name, path in names.items():
        tree = ast.parse(path.read_text())
        folder = [package.name, *name.split(".")[:-1]]
        imports, every = (
            {
                max(_parents(target), key=lambda parent: parent in names)
                for target in _targets(tree, folder, package.name, types=types)
            }
            for types in (False, True)
        )
        read[name] = Module(
            name,
            frozenset(imports & names.keys() - {name}),
            frozenset(every & names.keys() - {name}),
        )
    return read


def _parents(target: str) -> tuple[str, str]:
    """Return a dotted name and what it is in: ``from .errors import X`` names a module, too."""
    return target, target.rpartition(".")[0]


def _targets(node: ast.AST, folder: list[str], package: str, *, types: bool) -> Iterator[str]:
    """Yield the dotted names inside the package that are imported, with or without types."""
    if not types and isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    if isinstance(node, ast.Import):
        whole = [alias.name.partition(f"{package}.") for alias in node.names]
        yield from (name for before, mark, name in whole if mark and not before)
    if isinstance(node, ast.ImportFrom):
        above = folder[: len(folder) + 1 - node.level] if node.level else []
        start = [*above, *(node.module.split(".") if node.module else [])]
        if start[0] == package:
            yield from (".".join([*start[1:], alias.name]) for alias in node.names)
    for child in ast.iter_child_nodes(node):
        yield from _targets(child, folder, package, types=types)


def arrows_up(found: Mapping[str, Module]) -> list[str]:
    """List the imports that lead to a higher layer."""
    height = {group: -n for n, group in enumerate(LAYERS)}
    return [
        f"{module.name} imports {target}"
        for module in found.values()
        for target in sorted(module.imports)
        if height[found[target].group] > height[module.group]
    ]


def across_rooms(found: Mapping[str, Module]) -> list[str]:
    """List the imports from a folder of the command line to one that is not below it.

    Imports inside a function count, and those for the type checker.
    """
    height = {room: -n for n, room in enumerate((*SHARED, ""), start=1)}
    return [
        f"{module.name} imports {target}"
        for module in found.values()
        if module.group == "cli"
        for target in sorted(module.names)
        if found[target].group == "cli"
        and found[target].room != module.room
        and height.get(found[target].room, 0) >= height.get(module.room, 0)
        and target not in COMPOSED.get(module.room, ())
    ]


def circle(found: Mapping[str, Module]) -> list[str]:
    """Return modules that import each other in a circle, also late or only for types."""
    try:
        TopologicalSorter({name: each.names for name, each in found.items()}).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def picture(package: Mapping[str, Module]) -> str:
    """Draw the layers of the package, from the top, with the folders of the command line."""
    rooms = {module.room for module in package.values() if module.group == "cli"}
    folders = [
        *textwrap.wrap("  ".join(sorted(rooms - {*SHARED, ""})), WIDTH, break_on_hyphens=False),
        "shared, from the top:",
        *textwrap.wrap("  ".join(SHARED), WIDTH),
    ]
    layers = []
    for group in LAYERS:
        label = "*.py" if group in ("root", "ground") else f"{group}/"
        lines = [f"{label:<12}{MEANINGS[group]}"]
        lines += [f"{'':<14}{line}" for line in folders if group == "cli"]
        layers.append("\n".join(lines))
    return "```text\n" + "\n  ▼\n".join(layers) + "\n```"


def conditions_table() -> str:
    """Make the table of conditions, from the registry."""
    body = [
        f"| `if_{kind.name}`, `if_not_{kind.name}` | {kind.description} |"
        for kind in conditions.KINDS.values()
    ]
    return "\n".join(["| Condition | `if_` holds if |", "|---|---|", *body])


def doctor_actions() -> list[str]:
    """Return the IAM actions that all checks of `doctor` need."""
    return sorted({action for each in CHECKS.values() for action in each.needs})


def doctor_policy() -> str:
    """Make the policy that allows all checks of `doctor`."""
    statement = {"Effect": "Allow", "Action": doctor_actions(), "Resource": "*"}
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]}, indent=2)
    return f"```json\n{text}\n```"


def doctor_pages() -> str:
    """Make the pages of the checks of `doctor`, from the registry."""
    return "\n\n".join(
        f"### {check.name}\n\n{check.summary} ({check.severity})\n\n{check.why}"
        for check in CHECKS.values()
    )


def pages() -> dict[Path, str]:
    """Return the pages as they should be."""
    blocks = {
        CHECKOUT / "CONTRIBUTING.md": {"picture of the layers": picture(modules())},
        CHECKOUT / "docs" / "triggers.md": {"table of conditions": conditions_table()},
        CHECKOUT / "docs" / "rules.md": {"rules": catalogue.markdown()},
        CHECKOUT / "docs" / "doctor.md": {
            "policy of doctor": doctor_policy(),
            "checks of doctor": doctor_pages(),
        },
    }
    made = {}
    for path, named in blocks.items():
        text = path.read_text()
        for name, block in named.items():
            before, mark, rest = text.partition(f"<!-- {name} -->\n")
            _, end, after = rest.partition(f"<!-- end of {name} -->\n")
            if not mark or not end:
                raise ValueError(f"{path.name} has no marks for the {name}")
            text = f"{before}{mark}\n{block}\n\n{end}{after}"
        made[path] = text
    return made


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text)
