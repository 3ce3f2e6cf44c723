"""Templates with object keys in them. A case is a document, a key, and a property."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dateutil.zoneinfo import get_zonefile_instance
from hypothesis import strategies as st
from jinja2 import Environment

from lava_s3trigger.log import log_event
from lava_s3trigger.templates.documents import Document, RenderingError
from lava_s3trigger.templates.limits import run_bounded
from tests.templates.test_documents import AROUND, PUTTING_OUT
from tests.templates.test_properties import (
    Entries,
    entries,
    harmless_keys,
    hostile_keys,
    identities,
    known,
    without_addresses,
)

from .realm import Log, check_reason

if TYPE_CHECKING:
    from collections.abc import Iterable

    Case = dict[str, Any]

CHECKOUT: Final = Path(__file__).parents[1]
_SECONDS: Final = 0.5
_LONG_SECONDS: Final = 10.0
"""The fuzzer's instrumentation and a busy machine slow a rendering down."""
get_zonefile_instance()  # reading it from its archive takes longer than a template may
_SEPARATOR: Final = "\0"

# Cases.


def samples() -> Iterable[Case]:
    """Return the expressions of the docs, the attacks on the sandbox, and simple documents."""
    key = 'in/x","admin":"yes\\\n.csv'
    page = (CHECKOUT / "docs" / "rendering.md").read_text()
    written = re.findall(r"`({[{%][^`]*[%}]})`", page)
    for file in sorted((CHECKOUT / "tests" / "attacks").glob("*.json")):
        if file.stem != "resources":  # those are about time and memory
            attacks = json.loads(file.read_text())
            written += [attack["template"] for attack in attacks if "template" in attack]
    for source in written:
        if isinstance(source, str):
            yield {"holds": "source", "document": source, "key": key}
    for template in (putting_out.replace("$", "") for putting_out in PUTTING_OUT):
        yield {"holds": "exact", "document": {template: [template]}, "expected": 0, "key": key}


def read(data: bytes) -> Case:
    """Return the case that a fuzzer's bytes stand for: the source of a template, NUL, the key.

    Raises:
        ValueError: There is no NUL, or neither is UTF-8.
    """
    source, separator, key = data.decode().partition(_SEPARATOR)
    if not separator:
        raise ValueError("no key")
    return {"holds": "source", "document": source, "key": key}


def seeds() -> Iterable[bytes]:
    """Return the seeds of fuzzing by bytes."""
    for sample in samples():
        if sample["holds"] == "source":
            yield f"{sample['document']}{_SEPARATOR}{sample['key']}".encode()
    for around in AROUND:
        yield f"{around.replace('@', '{{ key }}')}{_SEPARATOR}a/b.csv".encode()


GROWING: Final = (
    ".split('~')|string",
    ".partition('~') ~ ''",
    ".split('a')|lower",
    "|urlencode",
    "|tojson",
    "|join('-----')",
    ".upper().lower()",
    "~key",
    "|replace('ab', 'b')",
    "|e|upper",
    "|upper(key.split('~')|string)",
    "|join(['-----', '-----'])",
    "|join('', 'z')",
    ".replace('a', '&')",
)
"""Steps that make text longer, up to the limit of its weight."""
WORDS: Final = (
    *("{{", "}}", "{%", "%}", "{#", "#}", "-", "|", "~", "(", ")", "[", "]", "'", '\\"', "\\\\"),
    *(" if ", " else ", " endif ", " for ", " in ", " endfor ", " set ", " endset ", " macro "),
    *(" endmacro ", " call ", " endcall ", " filter ", " endfilter ", " block ", " endblock "),
    *(" raw ", " endraw ", " with ", " endwith ", " recursive ", "loop", "caller()", "self."),
    *("namespace()", "key", "info.", "event.", "utils.", "utils.re.", "utils.path.", ".format("),
    *("|join", "|replace('a','b')", "|e", "|safe", "|tojson", "|string", "|upper", "|indent"),
    *("|xmlattr", "|urlize", "|map(", "|default(", "|batch(2)", "|groupby(0)", "|format"),
    *("|pprint", "|urlencode", "|wordwrap(3)", "{'a':1}", "%s", "{0}", "\\\\u0041", "\\\\n"),
)


@st.composite
def _sources(draw: st.DrawFn) -> Case:
    entries = Entries(draw)
    pieces = draw(st.lists(st.sampled_from(WORDS) | st.text(max_size=4), max_size=8))
    source = "".join(
        draw(
            st.permutations(
                [*entries().keys(), *(str(text) for text in entries().values()), *pieces]
            )
        )
    )
    return {"holds": "source", "document": source, "key": draw(hostile_keys)}


@st.composite
def _exact(draw: st.DrawFn) -> Case:
    key = draw(hostile_keys)
    identity = draw(identities())
    number = draw(st.integers() | st.none() | st.booleans())
    document, expected = draw(
        st.sampled_from(
            [
                (f"job-{identity()}", f"job-{key}"),
                (
                    {"first": number, f"n{identity()}": [identity(), {"i": f"<{identity()}>"}]},
                    {"first": number, f"n{key}": [key, {"i": f"<{key}>"}]},
                ),
                ({"lava_mine": 1, f"n{identity()}": identity()}, {"lava_mine": 1, f"n{key}": key}),
            ]
        )
    )
    return {"holds": "exact", "document": document, "expected": expected, "key": key}


@st.composite
def _growing(draw: st.DrawFn) -> Case:
    text, names = "key", []
    some = draw(st.lists(st.sampled_from(GROWING), min_size=1, max_size=3))
    is_named = draw(st.booleans())
    for step in some * draw(st.integers(1, 12)):
        text = f"({text}{step})"
        if is_named and draw(st.booleans()):
            names.append(f"{{% set a = {text} %}}")
            text = draw(
                st.sampled_from(["a", "utils.path.join(a, a)", "(a ~ bucket)", "(a|title)"])
            )
    key = draw(st.sampled_from(["\\", "'", "\x01", "\U0001f600", "a", "/", "\u0390", "~"]))
    document = {"v": "".join([*names, f"{{{{ {text}|length }}}}"])}
    return {"holds": "weight", "document": document, "key": key * (1024 // len(key.encode()))}


def cases() -> st.SearchStrategy[Case]:
    """Generate documents by the grammar of templates, and keys that try to leave their string."""
    return st.one_of(
        _exact(),
        st.builds(
            lambda document, key: {"holds": "structure", "document": document, "key": key},
            entries(depends_on_key=False),
            hostile_keys,
        ),
        st.builds(
            lambda document, key: {"holds": "like jinja", "document": document, "key": key},
            entries(),
            harmless_keys,
        ),
        _sources(),
        _growing(),
    ).map(lambda case: dict(json.loads(json.dumps(case))))


# Properties.


def check(case: Case) -> None:
    """Check the property of a case."""
    _CHECKS[case["holds"]](case)
    with Log() as log:
        log_event(logging.INFO, "skipped", reason=str(case["document"]), key=case["key"])
    log.check()


def _rendered(document: Document, key: str, seconds: float = _LONG_SECONDS) -> Any:
    """Render a document; return the error that the function would park, if there is one."""
    before = json.dumps(document.value)
    try:
        rendered = run_bounded(lambda: document.render(known(key)), seconds)
    except RenderingError as error:
        check_reason(str(error))
        return error
    except (TimeoutError, MemoryError) as error:
        return error
    assert type(rendered) is type(document.value)
    assert json.loads(json.dumps(rendered)) == rendered
    assert json.dumps(document.value) == before
    return rendered


def _is_exact(case: Case) -> None:
    value, key, expected = case["document"], case["key"], case["expected"]
    if expected == 0:  # a sample that renders to the key
        expected = {key: [key]}
    is_globals = isinstance(value, dict) and "lava_mine" in value
    assert _rendered(Document(value, is_globals=is_globals), key) == expected


def _keeps_structure(case: Case) -> None:
    document = Document(case["document"])
    expected = _rendered(document, "harmless")
    if not isinstance(expected, Exception):
        key = case["key"] or "k"  # no object has an empty key
        assert _shape(_rendered(document, key)) == _shape(expected)


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {"in order": [_shape(member) for member in value.values()]}
    if isinstance(value, list):
        return [_shape(item) for item in value]
    return str if isinstance(value, str) else (type(value), value)


def _is_like_jinja(case: Case) -> None:
    value, key = case["document"], case["key"]
    rendered = _rendered(Document(value), key)

    def render() -> Any:
        template = Environment(autoescape=False).from_string(json.dumps(value))  # noqa: S701 - as lava
        return json.loads(template.render(known(key)), strict=False)

    try:
        expected = run_bounded(render, _LONG_SECONDS)
    except Exception:  # noqa: BLE001 - anything that a template can raise
        return
    assert not isinstance(rendered, Exception), rendered
    assert without_addresses(rendered) == without_addresses(expected)


def _stays_in_its_string(case: Case) -> None:
    """Check that no template leaves its string."""
    source, key = case["document"], case["key"]
    rendered = _rendered(Document({"first": source, "last": "{{ key }}"}), key, _SECONDS)
    if not isinstance(rendered, Exception):
        assert list(rendered) == ["first", "last"]
        assert type(rendered["first"]) is str
        assert type(rendered["last"]) is str
        if not re.search("set|macro|import", source):  # these can redefine `key`
            assert rendered["last"] == key
    named = _rendered(Document({source: 1, "lava_mine": 2}, is_globals=True), key, _SECONDS)
    if not isinstance(named, Exception):
        assert sorted(named.values()) in ([1, 2], [2])
        names = [name for name in named if name.lower().startswith("lava")]
        assert set(names) <= {"lava_mine", source}


def _ends_by_weight(case: Case) -> None:
    """Check that the weight of values, not the alarm or the memory limit, ends growth."""
    rendered = _rendered(Document(case["document"]), case["key"])
    assert not isinstance(rendered, TimeoutError | MemoryError), rendered


_CHECKS: Final = {
    "exact": _is_exact,
    "structure": _keeps_structure,
    "like jinja": _is_like_jinja,
    "source": _stays_in_its_string,
    "weight": _ends_by_weight,
}
