"""Tables and queries of the pages have the names of the code, and no others."""

import ast
import json
import os
import pkgutil
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any, Final

import dateutil as dateutil_package
import pytest
from jinja2.defaults import DEFAULT_NAMESPACE

from lava_s3trigger import triggers, units
from lava_s3trigger.cli.doctor import checks
from lava_s3trigger.cli.doctor.registry import CHECKS
from lava_s3trigger.metrics import FAILURES
from lava_s3trigger.settings import Settings
from lava_s3trigger.templates.documents import Document, variables
from lava_s3trigger.triggers import BrokenTrigger, Trigger
from tests.build import item, trigger, trigger_entry
from tests.test_alarms import alarms_of
from tests.test_template import PARAMETERS, TEMPLATE, Stack
from tools.local.server import CHECKOUT

from .pages import (
    DEPLOYING,
    DESIGN,
    DOCS,
    OPERATING,
    RENDERING,
    TRIGGERS,
    code,
    codes,
    fenced,
    sample,
    section,
    tables,
)
from .test_entries import triggers_of


def fields_of(query: str) -> set[str]:
    """Return the fields of log lines that a query of Logs Insights reads."""
    text = re.sub(r'"[^"]*"', "", query)
    known = set(re.findall(r"\bas (\w+)", text))
    words = set(re.findall(r"[@a-zA-Z_]+\b(?!\()", text))
    syntax = {
        "fields",
        "filter",
        "sort",
        "stats",
        "by",
        "as",
        "in",
        "and",
        "desc",
        "limit",
        "m",
        "h",
    }
    return words - known - syntax


@pytest.fixture
def queries() -> list[str]:
    """The queries that the page on operating shows."""
    return [each.strip() for each in fenced(section(OPERATING, "Saved queries"), "text")]


class TestQueries:
    """The queries of the page are those that the stack saves, on fields that there are."""

    def test_the_stack_saves_what_the_page_shows(self, queries: list[str]) -> None:
        saved = [each["QueryString"] for each in Stack().of_type("AWS::Logs::QueryDefinition")]
        assert sorted(saved) == sorted(queries)

    def test_they_read_fields_of_the_log(self, queries: list[str]) -> None:
        [rows] = tables(section(DESIGN, "Log and metrics"))
        documented = {name for row in rows for name in codes(row[0])}
        for query in queries:
            assert fields_of(query) <= documented | {"@timestamp", "requestId"}, query

    def test_they_ask_for_words_of_the_log(self, queries: list[str]) -> None:
        [rows] = tables(section(TRIGGERS, "What the log says"))
        words = {code(row[0]) for row in rows}
        for line in "\n".join(queries).splitlines():
            if "event in" in line or "event =" in line:
                assert set(re.findall(r'"(\w+)"', line)) <= words

    def test_the_query_reads_the_line_that_the_page_shows(self) -> None:
        [query] = fenced(section(TRIGGERS, "Loops"), "text")
        [line] = fenced(section(TRIGGERS, "What the log says"), "text")
        found = json.loads(line)
        assert found["trigger_id"] == "load-orders"
        assert f'filter event = "{found["event"]}"' in query
        assert fields_of(query) <= found.keys() | {"@timestamp"}


class TestTables:
    """A table of names has the names of the code, and no others."""

    def test_fields_of_a_trigger(self) -> None:
        [rows] = tables(section(TRIGGERS, "Fields"))
        known = triggers.FIELDS | triggers.NOT_CHECKED
        named = {name: row[2] for row in rows for name in codes(row[0])}
        assert named.keys() == known | {"if_*", "if_not_*", "x-*", "X-*"}
        required = {name for name, is_required in named.items() if is_required == "yes"}
        assert required == {"trigger_id", "bucket", "prefix", "enabled", "job_id"}

    def test_patterns(self) -> None:
        for pattern, key, result in tables(section(TRIGGERS, "Conditions"))[1]:
            assert fnmatchcase(code(key), code(pattern)) == (result == "matches"), pattern

    def test_units_of_size(self) -> None:
        rows = tables(section(TRIGGERS, "Conditions"))[2]
        named = [unit for row in rows for unit in codes(row[0])]
        assert sorted(named) == sorted(filter(None, units._BYTES))  # noqa: SLF001 - likewise
        sizes = [units.size(f"1{unit}") for unit in codes(rows[-1][0])]
        assert sizes == [1024**power for power in range(1, 6)]

    def test_which_entries_fire(self) -> None:
        items, keys = tables(section(TRIGGERS, "Which entries fire"))
        entries = (
            trigger_entry(name, code(prefix), bucket="b", enabled=enabled == "true")
            for name, prefix, enabled in items
        )
        known = triggers_of(*map(item, entries))
        for key, expected, _ in keys:
            found = known.matching("b", code(key)).triggers
            fire = [each.trigger_id for each in found if isinstance(each, Trigger) and each.enabled]
            assert (", ".join(fire) or "none") == expected, key

    def test_variables(self) -> None:
        [rows] = tables(section(RENDERING, "Variables"))
        event = sample("s3-created")
        assert {code(row[0]) for row in rows} == variables(event).keys() - DEFAULT_NAMESPACE.keys()
        elements = tables(section(RENDERING, "`info`"))[0]
        assert {name for row in elements for name in codes(row[0])} == set(event.info)

    def test_utils(self) -> None:
        names, members = tables(section(RENDERING, "`utils`"))
        known = variables(sample("s3-created"))
        utils = known["utils"]
        assert {code(row[0]) for row in names} == utils.keys()
        for row in names:
            assert Document(code(row[2])).render(known), row

        named = {code(module): set(codes(cell)) for module, cell in members}
        flags = {flag for flag in re.__all__ if isinstance(getattr(re, flag), re.RegexFlag)}
        assert named["path"] == {name for name in os.path.__all__ if hasattr(utils["path"], name)}
        assert named["re"] | flags == {name for name in re.__all__ if hasattr(utils["re"], name)}

    def test_parts_of_dateutil(self) -> None:
        [row] = [row for row in tables(section(RENDERING, "`utils`"))[0] if "easter" in row[1]]
        dateutil, *parts = codes(row[1])
        assert dateutil == "dateutil"
        found = variables(sample("s3-created"))["utils"]["dateutil"]
        modules = [each.name for each in pkgutil.iter_modules(dateutil_package.__path__)]
        assert set(parts) == {name for name in modules if hasattr(found, name)}

    def test_configuration(self) -> None:
        read: set[str] = set()

        class Environment(dict[str, str]):
            def get(self, name: str, default: Any = None) -> Any:
                read.add(name)
                return super().get(name, default)

        defaults = Settings.from_env(Environment(LAVA_REALM="myrealm"))
        [rows] = tables(section(DESIGN, "Configuration"))
        named = {code(row[0]): row[1].strip("`") for row in rows}
        prefixed = {name.removeprefix("LAVA_") for name in read} - {"REALM"}
        assert named.keys() == prefixed | {"LAVA_REALM"}
        documented = {
            name: named[name] for name in named if named[name] not in ("none", "required")
        }
        assert Settings.from_env({"LAVA_REALM": "myrealm", **documented}) == defaults

    def test_the_stack_sets_no_other_configuration(self) -> None:
        [rows] = tables(section(DESIGN, "Configuration"))
        stack = Stack(CreateDedupTable="true")
        variables = stack["Function"]["Environment"]["Variables"]
        assert variables.keys() == {code(row[0]) for row in rows}

    def test_parameters_of_the_template(self) -> None:
        [rows] = tables(section(DEPLOYING, "Parameters"))
        groups = TEMPLATE["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
        named = {row[0]: set(codes(row[1])) & PARAMETERS.keys() for row in rows}
        assert named == {each["Label"]["default"]: set(each["Parameters"]) for each in groups}
        for row in rows:
            for name, default in re.findall(r"`(\w+)` \(`([^`]+)`\)", row[1]):
                assert default in (str(PARAMETERS[name]["Default"]), "lava-<REALM>-s3trigger")

    def test_words_of_the_log(self) -> None:
        said: set[str] = set()
        constants: set[str] = set()
        for module in (CHECKOUT / "lava_s3trigger").rglob("*.py"):
            for node in ast.walk(ast.parse(module.read_text())):
                match node:
                    case ast.Call(ast.Name("log_event"), [_, ast.Constant(str(word)), *_]):
                        said.add(word)
                    case ast.Constant(str(word)):
                        constants.add(word)
        [rows] = tables(section(TRIGGERS, "What the log says"))
        documented = {code(row[0]) for row in rows}
        assert said <= documented <= constants

    def test_reasons_of_user_errors(self) -> None:
        rows = {row[0]: code(row[1]) for row in tables(section(TRIGGERS, "User errors"))[0]}
        wrong: dict[str, Any] = {"paramters": {}, "if_size_gt": "10k"}
        broken = [trigger(**{name: value}) for name, value in wrong.items()]
        expected = [rows["invalid entry"], rows["invalid condition"]]
        assert [each.reason for each in broken if isinstance(each, BrokenTrigger)] == expected

    def test_kinds_of_attacks(self) -> None:
        attacks = CHECKOUT / "tests" / "attacks"
        [rows] = tables(section(DOCS / "security.md", "Attacks"))[:1]
        counts = {path.stem: len(json.loads(path.read_text())) for path in attacks.glob("*.json")}
        assert {code(row[0]): int(row[1]) for row in rows} == counts


def test_alarms() -> None:
    [rows] = tables(section(OPERATING, "Alarms"))
    alarms = alarms_of(CreateIntake="true", AlarmEmail="a@b.example")
    found = {name: float(alarm["Threshold"]) for name, alarm in alarms.items()}
    assert found.keys() == {code(row[0]) for row in rows}
    for name, _, threshold in rows:
        default = PARAMETERS[code(threshold)]["Default"] if "`" in threshold else threshold
        scale = 1000 if code(name) == "async-age" else 1
        assert found[code(name)] == float(default) * scale


# Where the function names a kind: the place of the argument, by the name of what is called.
_PLACES: Final = {"UserError": 1, "ObjectError": 1, "Outcome": 1, "end": 1, "fail": 0, "refuse": 0}


def kinds() -> set[str]:
    """Return the kinds that the function's code names."""
    return {
        str(value.value)
        for path in (CHECKOUT / "lava_s3trigger").rglob("*.py")
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
    """Return the table under a heading of the page on troubleshooting."""
    [found] = tables(section(DOCS / "troubleshooting.md", heading))
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
