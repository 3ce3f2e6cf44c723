"""Writes into the docs what the code knows: layout, conditions, rules, checks of `doctor`.

`make docs` runs it. `tests/test_layout.py` fails while a page is out of date.
"""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lava_s3trigger import conditions
from lava_s3trigger.cli.check.rules import catalogue
from lava_s3trigger.cli.doctor import checks  # noqa: F401 - registers the checks
from lava_s3trigger.cli.doctor.registry import CHECKS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

CHECKOUT: Final = Path(__file__).resolve().parents[1]
PACKAGE: Final = CHECKOUT / "lava_s3trigger"

WAY_OF_DATA: Final = (
    "handler",
    "events",
    "s3batch",
    "manifest",
    "parking",
    "triggers",
    "conditions",
    "jobs",
    "decision",
    "dispatch",
    "sending",
    "sent",
    "acknowledgement",
)
"""The order in which the page lists modules of the root; others follow."""
GROUND: Final = ("settings", "errors", "log", "units", "sent")
"""Modules of the root that every other module may import. Of these, `sent` is on the way of
the data; the shared table of `dedup` keeps its records."""
LAYERS: Final = (
    ("cli",),
    ("root",),
    ("dedup",),
    ("aws",),
    ("templates",),
    ("ground",),
)
"""Groups of modules, from the top. A group imports groups of lower layers, never a higher
one and none of its own layer. Calls to AWS are above templates, because the time that they
keep in reserve depends on how long a rendering takes."""
SHARED: Final = ("decide", "routes", "objects", "entries", "deployed", "output")
"""Rooms of the command line that commands share, from the top: each imports only lower ones.
All other rooms are commands, and none imports another command's."""
TOP: Final = ("configuration", "errors", "options")
"""Modules of the command line that each of its rooms may import."""
COMPOSED: Final[Mapping[str, frozenset[str]]] = {
    "apply": frozenset(["cli.check.public", "cli.plan.public", "cli.testing.public"]),
    "disconnect": frozenset(["cli.connect.session"]),
}
"""Modules of other commands that a command is made of, by command."""
MEANINGS: Final = {
    "cli": "the command line",
    "root": "the way of the data",
    "dedup": "duplicates",
    "templates": "rendering",
    "aws": "calls to AWS",
    "ground": "what every module may use",
}


_REFERENCE: Final = re.compile(r" See docs/\S+$")


@dataclass(frozen=True)
class Module:
    """A module of the package, and the modules of the package that it imports."""

    name: str
    """Dotted, without the package, such as ``aws.sqs``."""
    summary: str
    """First line of the docstring."""
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
        """The folder in `cli`, or the name of a module outside of the folders."""
        _, *inside = self.name.split(".")
        return "" if self.group != "cli" or inside[0] in TOP else inside[0]

    @property
    def name_in_group(self) -> str:
        """Name inside its group, such as ``sqs`` or ``rules/files``."""
        _, _, inside = self.name.partition(".")
        return (inside or self.name).replace(".", "/")

    @property
    def path(self) -> str:
        """Path of the file in the package."""
        return f"{self.name.replace('.', '/')}.py"


def modules(package: Path = PACKAGE) -> dict[str, Module]:
    """Read the modules of a package, by name."""
    names = {
        ".".join(path.relative_to(package).with_suffix("").parts): path
        for path in sorted(package.rglob("*.py"))
        if path.name not in ("__init__.py", "__main__.py")
    }
    found = {}
    for name, path in names.items():
        tree = ast.parse(path.read_text())
        summary = (ast.get_docstring(tree) or "").split("\n\n")[0].replace("\n", " ")
        folder = [package.name, *name.split(".")[:-1]]
        imports, every = (
            {
                max(_parents(target), key=lambda each: each in names)
                for target in _targets(tree, folder, package.name, types=types)
            }
            for types in (False, True)
        )
        found[name] = Module(
            name,
            _REFERENCE.sub("", summary).replace("``", "`"),
            frozenset(imports & names.keys() - {name}),
            frozenset(every & names.keys() - {name}),
        )
    return found


def _parents(target: str) -> tuple[str, str]:
    """Return a dotted name and what it is in: ``from .errors import X`` names a module, too."""
    return target, target.rpartition(".")[0]


def _targets(node: ast.AST, folder: list[str], package: str, *, types: bool) -> Iterator[str]:
    """Yield the dotted names inside the package that are imported, with or without types."""
    if not types and isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    if isinstance(node, ast.Import):
        whole = [each.name.partition(f"{package}.") for each in node.names]
        yield from (name for before, mark, name in whole if mark and not before)
    if isinstance(node, ast.ImportFrom):
        above = folder[: len(folder) + 1 - node.level] if node.level else []
        start = [*above, *(node.module.split(".") if node.module else [])]
        if start[0] == package:
            yield from (".".join([*start[1:], each.name]) for each in node.names)
    for child in ast.iter_child_nodes(node):
        yield from _targets(child, folder, package, types=types)


def arrows_up(found: Mapping[str, Module]) -> list[str]:
    """List the imports that lead to a higher layer, or to another group of the same one."""
    height = {group: -n for n, layer in enumerate(LAYERS) for group in layer}
    return [
        f"{module.name} imports {target}"
        for module in found.values()
        for target in sorted(module.imports)
        if found[target].group != module.group
        and height[found[target].group] >= height[module.group]
    ]


def across_rooms(found: Mapping[str, Module]) -> list[str]:
    """List the imports from a room of the command line to one that is not below it.

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


def rows(found: Iterable[Module]) -> list[list[str]]:
    """Arrange the modules of a group in rows, so that each imports only rows below its own.

    Raises:
        graphlib.CycleError: Modules import each other in a circle.
    """
    group = {module.name: module for module in found}
    sorter = TopologicalSorter({name: group[name].imports & group.keys() for name in group})
    sorter.prepare()
    arranged: list[list[str]] = []
    while sorter.is_active():
        ready = sorter.get_ready()
        arranged.insert(0, sorted(group[name].name_in_group for name in ready))
        sorter.done(*ready)
    return arranged


WIDTH: Final = 74


def picture(found: Mapping[str, Module]) -> str:
    """Draw the layers of the package, from the imports."""
    lines = []
    for layer in LAYERS:
        boxes = []
        width = (WIDTH - 3 * (len(layer) - 1)) // len(layer)
        for group in layer:
            title = (
                MEANINGS[group] if group in ("root", "ground") else f"{group}/  {MEANINGS[group]}"
            )
            members = [each for each in found.values() if each.group == group]
            inside = _rooms(members, width - 4) if group == "cli" else _rows(members, width - 4)
            boxes.append((title, inside, width))
        height = max(len(content) for _, content, _ in boxes)
        lines.append(
            "   ".join(f"┌ {title} {'─' * (w - len(title) - 4)}┐" for title, _, w in boxes)
        )
        lines += [
            "   ".join(
                f"│ {(content[n] if n < len(content) else ''):<{width - 4}} │"
                for _, content, width in boxes
            )
            for n in range(height)
        ]
        lines.append("   ".join(f"└{'─' * (w - 2)}┘" for _, _, w in boxes))
    return "```text\n" + "\n".join(lines) + "\n```"


def _rows(members: list[Module], width: int) -> list[str]:
    return _wrapped(rows(members), width)


def _rooms(members: list[Module], width: int) -> list[str]:
    """Return lines of the rooms of the command line: commands, then what they share."""
    by_room: dict[str, list[str]] = {}
    for each in members:
        inside = each.name_in_group.split("/")
        name = inside[-1] if len(inside) <= 2 else f"{inside[1]}/"  # noqa: PLR2004 - room, module
        names = by_room.setdefault(each.room, [])
        if name not in names:
            names.append(name)
    commands = sorted(by_room.keys() - {*SHARED, ""})
    folders = [room for room in commands if by_room[room] != [room]]
    lines = [line for room in folders for line in _room(f"{room}/", by_room[room], width)]
    lines += _room("", [room for room in commands if by_room[room] == [room]], width)
    lines.append("─" * width)
    lines += [line for room in SHARED for line in _room(f"{room}/", by_room[room], width)]
    return lines + _room("", by_room[""], width)


def _room(title: str, names: list[str], width: int) -> list[str]:
    column = 14
    lines = _wrapped([names], width - column)
    return [f"{'' if number else title:<{column}}{line}" for number, line in enumerate(lines)]


def _wrapped(arranged: list[list[str]], width: int) -> list[str]:
    lines = []
    for row in arranged:
        line = ""
        for name in row:
            if line and len(line) + 2 + len(name) > width:
                lines.append(line)
                line = ""
            line += f"  {name}" if line else name
        lines.append(line)
    return lines


def table(found: Mapping[str, Module]) -> str:
    """Make the table of modules, in the order of the way of the data, then by folder."""
    order = [*(name for name in WAY_OF_DATA if name in found)]
    order += sorted(
        name for name, each in found.items() if each.group == "root" and name not in order
    )
    order += [name for name in GROUND if name in found and name not in order]
    for group in ("templates", "dedup", "aws", "cli"):
        order += [name for name, each in found.items() if each.group == group]
    body = [f"| `{found[name].path}` | {found[name].summary} |" for name in order]
    return "\n".join(["| Module | |", "|---|---|", *body])


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
    made = []
    for each in CHECKS.values():
        needs = ", ".join(f"`{action}`" for action in each.needs)
        made.append(
            f"### {each.name}\n\n{each.summary} ({each.severity})\n\n{each.why}\n\nNeeds {needs}."
        )
    return "\n\n".join(made)


def pages() -> dict[Path, str]:
    """Return the expected content of the pages."""
    found = modules()
    blocks = {
        CHECKOUT / "CONTRIBUTING.md": {
            "picture of the layers": picture(found),
            "table of modules": table(found),
        },
        CHECKOUT / "docs" / "design.md": {"table of conditions": conditions_table()},
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
