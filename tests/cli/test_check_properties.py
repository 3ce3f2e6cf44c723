"""Whatever an entry or a file holds, `check` reads it, reports it, and corrects it once."""

import io
import json
from typing import Any, Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lava_s3trigger.cli.check import report
from lava_s3trigger.cli.check.fix import fixed
from lava_s3trigger.cli.check.lint import Linted, Surroundings, lint
from lava_s3trigger.cli.entries.load import Entry, Loaded, load_texts
from lava_s3trigger.conditions import KINDS
from tests.cli.checking import EVERYTHING, checked, found_in, trigger

FIELDS: Final = [
    *trigger(),
    *(f"if_{name}" for name in KINDS),
    *(f"if_not_{name}" for name in KINDS),
    *["parameters", "globals", "jinja", "delay", "x-lint-ignore", "worker", "type", "payload"],
    *["paramters", "if_fnmach"],
]
TEXTS: Final = st.text(max_size=12) | st.sampled_from(
    """
    {{ key }}|{{ x.y }}|{% if %}|*.{a,b}|a/|lava|{{|}}|{{ '}}' }}|%20|\\d+|if_|[|[!|[]]|{{ a | b }}
    {% set x = key %}|yes|1|5m|5M|s3://a/b|2026-01-01|logs/*|*.(a,b)
    """.strip()
    .replace("\n", "|")
    .split("|")
)
VALUES: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**40), 10**40) | st.floats(width=16) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
ENTRIES: Final = st.dictionaries(st.sampled_from(FIELDS) | TEXTS, VALUES, max_size=8)
ATTRIBUTES: Final = st.recursive(
    st.sampled_from([{"NULL": True}, {"B": b"x"}, {"BS": [b"x"]}, {"NS": ["1", "2.5"]}])
    | TEXTS.map(lambda text: {"S": text})
    | TEXTS.map(lambda text: {"SS": [text]})
    | st.integers().map(lambda number: {"N": str(number)})
    | st.booleans().map(lambda truth: {"BOOL": truth}),
    lambda inner: (
        st.lists(inner, max_size=2).map(lambda items: {"L": items})
        | st.dictionaries(TEXTS, inner, max_size=2).map(lambda members: {"M": members})
    ),
    max_leaves=5,
)
anything = settings(deadline=None, suppress_health_check=list(HealthCheck))


def write_all(linted: Linted) -> None:
    for write in report.REPORTS.values():
        write(io.StringIO(), linted, "warning")


@anything
@given(
    st.lists(ENTRIES.map(lambda fields: {**trigger(), **fields}) | VALUES, max_size=3),
    st.sampled_from(["t.json", "t.yaml"]),
)
def test_any_entry_is_reported_and_corrected_once(entries: list[Any], name: str) -> None:
    text = json.dumps(entries)
    write_all(found_in(text, name, EVERYTHING))

    result = fixed(load_texts([(name, text)]), checked)

    for corrected in result.texts.values():
        assert fixed(load_texts([(name, corrected)]), checked).texts == {}


@anything
@given(
    st.lists(st.dictionaries(st.sampled_from(FIELDS) | TEXTS, ATTRIBUTES, max_size=8), max_size=2),
    st.sampled_from(["trigger", "job"]),
)
def test_any_item_of_a_table_is_reported(items: list[dict[str, Any]], kind: Any) -> None:
    entries = [Entry(kind, item, "lava.prod.s3triggers") for item in items]

    linted = lint(Loaded(entries), EVERYTHING, Surroundings("prod", [], set()))

    assert linted.checked == len(items)
    write_all(linted)


@anything
@given(
    st.text(max_size=60) | st.text("abt:{}[]\"'-# \n&*!|>%<,", max_size=60),
    st.sampled_from(["t.json", "t.yaml", "t.jsonl"]),
)
def test_any_text_is_reported(text: str, name: str) -> None:
    write_all(found_in(text, name, EVERYTHING))
