"""Durations, sizes and booleans: docs/design.md#conditions."""

import math
from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lava_s3trigger import units
from tests.build import nested
from tests.tables import cases

SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 60 * 60, "d": 24 * 60 * 60, "w": 7 * 24 * 60 * 60}
BYTES: Final = (
    {"": 1, "B": 1, "K": 10**3, "KB": 10**3, "M": 10**6, "MB": 10**6, "G": 10**9, "GB": 10**9}
    | {"T": 10**12, "TB": 10**12, "P": 10**15, "PB": 10**15}
    | {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "PiB": 2**50}
)

of_both = pytest.mark.parametrize(
    ("read", "factors"), [(units.duration, SECONDS), (units.size, BYTES)], ids=["duration", "size"]
)
by_both = pytest.mark.parametrize("read", [units.duration, units.size])

NUMBERS: Final = (
    *("7", "0", "007", "+7", "-7", "1.5", "-0.25", "2.", ".5"),
    *("2e3", "2E3", "2e+3", "2500e-3", "-1.5e1"),
)


def refusal(read: Callable[[Any], Any], value: object) -> str:
    """Return why a value cannot be read."""
    with pytest.raises(ValueError, match="is not a") as caught:
        read(value)
    return str(caught.value)


@of_both
@given(data=st.data())
def test_an_unknown_unit_is_an_error(
    read: Callable[[Any], float], factors: dict[str, int], data: st.DataObject
) -> None:
    unit = data.draw(st.text("abBkKmMgGtTpPisdwhyHSDW", min_size=1, max_size=4))
    assume(unit not in factors)
    with pytest.raises(ValueError, match=r"is not a (duration|size)"):
        read(f"1{unit}")


def test_the_units_are_named_in_the_error() -> None:
    assert refusal(units.duration, "1K") == (
        "'1K' is not a duration such as 90, 90s or 1.5m (units: s m h d w)"
    )
    assert refusal(units.size, "1kb") == (
        "'1kb' is not a size such as 10, 10KB or 1.5MiB"
        " (units: B K M G T P KB MB GB TB PB KiB MiB GiB TiB PiB)"
    )


@of_both
@pytest.mark.parametrize("number", NUMBERS)
def test_every_form_of_number_works_with_every_unit(
    read: Callable[[Any], float], factors: dict[str, int], number: str
) -> None:
    for unit, factor in factors.items():
        assert read(f"{number}{unit}") == float(number) * factor


@by_both
def test_plain_numbers_and_white_space_around_them_are_read(read: Callable[[Any], float]) -> None:
    texts = [" 7", "7\r\n", "\t7\n", " " * 30 + "7" + " " * 30]
    numbers = [0, 7, -7, 2**70, 1.5, -0.25]
    assert list(map(read, texts)) == [7] * 4
    assert list(map(read, numbers)) == numbers


def test_white_space_before_the_unit_is_ignored_and_a_large_integer_stays_exact() -> None:
    assert (units.duration(" 1.5 m "), units.size(" 1.5 KiB ")) == (90, 1536)
    assert units.size(2**63 + 1) == 2**63 + 1


@of_both
@given(number=st.floats(allow_nan=False, allow_infinity=False), data=st.data())
def test_a_number_written_by_python_is_read_back(
    read: Callable[[Any], float], factors: dict[str, int], number: float, data: st.DataObject
) -> None:
    unit = data.draw(st.sampled_from(sorted(factors)))
    assert read(f"{number!r}{unit}") == number * factors[unit]


@by_both
@pytest.mark.parametrize(
    "value",
    [
        *("", " ", "s", "KB", "ten", "1 2", "1h30m", "- 1", "--1", "1,5", "1_000", "1.2.3"),
        *(".", "1e", "1e1.5", "e3", "0x10", "nan", "inf", "-Infinity", "\u0661\u0662", "1\x00"),
        *(None, True, False, [1], {"a": 1}),
    ],
    ids=ascii,
)
def test_a_bad_quantity_is_refused_with_its_text(
    read: Callable[[Any], float], value: object
) -> None:
    assert refusal(read, value).startswith(f"{value!a} is not a {read.__name__} such as")


@by_both
@given(value=st.text() | st.from_regex(r"[ +-]*[0-9.eE]*[ a-zA-Z]*"))
def test_any_text_is_a_number_or_an_error(read: Callable[[Any], float], value: str) -> None:
    said = ""
    try:
        assert not math.isnan(read(value))
    except ValueError as error:
        said = str(error)

    assert said.isascii()
    assert said.isprintable()


@by_both
@pytest.mark.parametrize(
    "value", ["9" * 1_000_000, " " * 1_000_000, "1e999999999999999999P" + " " * 1_000_000]
)
def test_a_long_text_is_cut_in_the_error(read: Callable[[Any], float], value: str) -> None:
    assert len(refusal(read, value)) < 200


def test_false_words_are_false_and_any_other_text_is_true() -> None:
    for value in (
        *(False, 0, None, "", "false", "f", "no", "n", "off", "0"),
        *("False", "FALSE", "fAlSe", "F", "No", "NO", "N", "Off", "OFF", "oFF"),
    ):
        assert units.boolean(value) is False, value
    for value in (
        *(True, 1, -1, 2, 10**30, "true", "True", "t", "yes", "y", "on", "1", "x", " "),
        *(" false", "false ", "00", "0.0", "none", "null", "nope", "disabled"),
    ):
        assert units.boolean(value) is True, value


@pytest.mark.parametrize("value", [[], ["x"], {}, 0.0, 0.5], ids=str)
def test_a_boolean_of_another_type_is_an_error(value: object) -> None:
    assert refusal(units.boolean, value) == f"{value} is not a boolean"


@cases(
    ("value", "expected"),
    {
        "text": ("text", "'text'"),
        "not-ascii": ("caf\u00e9", r"'caf\xe9'"),
        "newline": ("a\nb", r"'a\nb'"),
        "half-a-surrogate-pair": ("\ud800", r"'\ud800'"),
        "null": (None, "None"),
        "map": ({"a": [1]}, "{'a': [1]}"),
        "as-long-as-may-be": ("x" * 62, "'" + "x" * 62 + "'"),
        "too-long": ("x" * 63, "'" + "x" * 60 + "..."),
        "too-many-digits": (10**5000, "some int"),
        "nested-deeply": (nested(100_000), "some list"),
    },
)
def test_a_value_is_shown(value: object, expected: str) -> None:
    assert units.shown(value) == expected


def test_the_maximum_length_can_be_chosen() -> None:
    assert units.shown("x" * 100, at_most=10) == "'xxxxxx..."


@given(st.recursive(st.none() | st.text() | st.integers(), st.lists))
def test_any_value_is_shown_on_one_short_line(value: object) -> None:
    shown = units.shown(value)
    assert shown.isascii()
    assert shown.isprintable()
    assert 0 < len(shown) <= 64


def test_a_text_has_bytes_if_utf8_can_hold_it() -> None:
    texts = ["", "a/b", "\u00e9\U0001f600", "a\ud800"]  # the last one has half a surrogate pair
    assert [units.utf8_bytes(text) for text in texts] == [0, 3, 6, 0]
