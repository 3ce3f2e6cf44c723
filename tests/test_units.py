"""Durations, sizes and booleans: docs/design.md#conditions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from lava_s3trigger import units

if TYPE_CHECKING:
    from collections.abc import Callable

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 60 * 60, "d": 24 * 60 * 60, "w": 7 * 24 * 60 * 60}
BYTES: Final = {
    "": 1,
    "B": 1,
    "K": 10**3,
    "KB": 10**3,
    "M": 10**6,
    "MB": 10**6,
    "G": 10**9,
    "GB": 10**9,
    "T": 10**12,
    "TB": 10**12,
    "P": 10**15,
    "PB": 10**15,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
    "PiB": 2**50,
}

KINDS: Final = [
    pytest.param(units.duration, SECONDS, id="duration"),
    pytest.param(units.size, BYTES, id="size"),
]
QUANTITIES: Final = [units.duration, units.size]

NUMBERS: Final = [
    pytest.param("7", 7.0, id="plain"),
    pytest.param("0", 0.0, id="zero"),
    pytest.param("007", 7.0, id="leading-zeros"),
    pytest.param("+7", 7.0, id="plus"),
    pytest.param("-7", -7.0, id="minus"),
    pytest.param("1.5", 1.5, id="decimals"),
    pytest.param("-0.25", -0.25, id="minus-decimals"),
    pytest.param("2.", 2.0, id="point-alone"),
    pytest.param(".5", 0.5, id="no-whole-part"),
    pytest.param("2e3", 2000.0, id="exponent"),
    pytest.param("2E3", 2000.0, id="capital-exponent"),
    pytest.param("2e+3", 2000.0, id="exponent-plus"),
    pytest.param("2500e-3", 2.5, id="exponent-minus"),
    pytest.param("-1.5e1", -15.0, id="all-of-it"),
]


class TestUnits:
    """A quantity is a number and a unit of docs/design.md#conditions, in that case."""

    @pytest.mark.parametrize(("unit", "factor"), SECONDS.items())
    def test_a_duration_counts_in_its_unit(self, unit: str, factor: int) -> None:
        assert units.duration(f"3{unit}") == 3 * factor

    @pytest.mark.parametrize(("unit", "factor"), BYTES.items())
    def test_a_size_counts_in_its_unit(self, unit: str, factor: int) -> None:
        assert units.size(f"3{unit}") == 3 * factor

    @pytest.mark.parametrize(("read", "factors"), KINDS)
    @unhurried
    @given(data=st.data())
    def test_an_unknown_unit_is_an_error(
        self,
        read: Callable[[Any], float],
        factors: dict[str, int],
        data: st.DataObject,
    ) -> None:
        unit = data.draw(st.text("abBkKmMgGtTpPisdwhyHSDW", min_size=1, max_size=4))
        assume(unit not in factors)

        with pytest.raises(ValueError, match=r"is not a (duration|size)"):
            read(f"1{unit}")

    @pytest.mark.parametrize(
        "value", ["1S", "1M", "1H", "1D", "1W", "1ms", "1 min", "1y", "1K", "1B", "1sec"]
    )
    def test_a_size_unit_is_no_duration_unit(self, value: str) -> None:
        with pytest.raises(ValueError, match="is not a duration") as caught:
            units.duration(value)

        assert str(caught.value) == (
            f"'{value}' is not a duration such as 90, 90s or 1.5m (units: s m h d w)"
        )

    @pytest.mark.parametrize(
        "value", ["1k", "1b", "1kb", "1Kb", "1kB", "1m", "1mib", "1Mib", "1KIB", "1BiB", "1E", "1s"]
    )
    def test_a_duration_unit_is_no_size_unit(self, value: str) -> None:
        with pytest.raises(ValueError, match="is not a size") as caught:
            units.size(value)

        assert str(caught.value) == (
            f"'{value}' is not a size such as 10, 10KB or 1.5MiB"
            " (units: B K M G T P KB MB GB TB PB KiB MiB GiB TiB PiB)"
        )


class TestNumbers:
    """The number may have a sign, decimals, an exponent, and white space around it."""

    @pytest.mark.parametrize(("read", "factors"), KINDS)
    @pytest.mark.parametrize(("number", "expected"), NUMBERS)
    def test_every_form_of_number_works_with_every_unit(
        self,
        read: Callable[[Any], float],
        factors: dict[str, int],
        number: str,
        expected: float,
    ) -> None:
        for unit, factor in factors.items():
            assert read(f"{number}{unit}") == expected * factor

    @pytest.mark.parametrize("read", QUANTITIES)
    @pytest.mark.parametrize(
        "value",
        [" 7", "7 ", "  7  ", "\t7\n", "7\r\n"],
        ids=["left", "right", "both", "tab", "crlf"],
    )
    def test_white_space_around_a_quantity_is_ignored(
        self, read: Callable[[Any], float], value: str
    ) -> None:
        assert read(value) == 7

    @pytest.mark.parametrize(
        ("read", "value", "expected"),
        [
            pytest.param(units.duration, " 1.5 m ", 90, id="duration"),
            pytest.param(units.size, " 1.5 KiB ", 1536, id="size"),
        ],
    )
    def test_white_space_before_the_unit_is_ignored(
        self, read: Callable[[Any], float], value: str, expected: float
    ) -> None:
        assert read(value) == expected

    @pytest.mark.parametrize("read", QUANTITIES)
    def test_much_white_space_is_ignored(self, read: Callable[[Any], float]) -> None:
        assert read("7".center(64)) == 7

    @pytest.mark.parametrize("read", QUANTITIES)
    @pytest.mark.parametrize("value", [0, 7, -7, 2**70, 1.5, -0.25])
    def test_a_plain_number_is_read(self, read: Callable[[Any], float], value: float) -> None:
        assert read(value) == value

    def test_a_large_integer_stays_exact(self) -> None:
        assert units.size(2**63 + 1) == 2**63 + 1

    @pytest.mark.parametrize(("read", "factors"), KINDS)
    @unhurried
    @given(number=st.floats(allow_nan=False, allow_infinity=False), data=st.data())
    def test_a_number_written_by_python_is_read_back(
        self,
        read: Callable[[Any], float],
        factors: dict[str, int],
        number: float,
        data: st.DataObject,
    ) -> None:
        unit = data.draw(st.sampled_from(sorted(factors)))

        assert read(f"{number!r}{unit}") == number * factors[unit]


class TestBadQuantity:
    """Anything else is refused, and the message says what was found."""

    @pytest.mark.parametrize("read", QUANTITIES)
    @pytest.mark.parametrize(
        ("value", "found"),
        [
            pytest.param("", "''", id="empty"),
            pytest.param(" ", "' '", id="blank"),
            pytest.param("s", "'s'", id="unit-alone"),
            pytest.param("KB", "'KB'", id="unit-alone-of-size"),
            pytest.param("ten", "'ten'", id="word"),
            pytest.param("1 2", "'1 2'", id="two-numbers"),
            pytest.param("1h30m", "'1h30m'", id="two-quantities"),
            pytest.param("- 1", "'- 1'", id="space-after-sign"),
            pytest.param("--1", "'--1'", id="two-signs"),
            pytest.param("1,5", "'1,5'", id="comma"),
            pytest.param("1_000", "'1_000'", id="underscore"),
            pytest.param("1.2.3", "'1.2.3'", id="two-points"),
            pytest.param(".", "'.'", id="point"),
            pytest.param("1e", "'1e'", id="exponent-of-nothing"),
            pytest.param("1e1.5", "'1e1.5'", id="exponent-with-decimals"),
            pytest.param("e3", "'e3'", id="exponent-alone"),
            pytest.param("0x10", "'0x10'", id="hexadecimal"),
            pytest.param("nan", "'nan'", id="nan"),
            pytest.param("inf", "'inf'", id="inf"),
            pytest.param("-Infinity", "'-Infinity'", id="infinity"),
            pytest.param("\u0661\u0662", r"'\u0661\u0662'", id="digits-of-another-script"),
            pytest.param("1\x00", r"'1\x00'", id="null-character"),
            pytest.param(None, "None", id="null"),
            pytest.param(True, "True", id="true"),
            pytest.param(False, "False", id="false"),
            pytest.param([1], "[1]", id="list"),
            pytest.param({"a": 1}, "{'a': 1}", id="map"),
        ],
    )
    def test_a_bad_quantity_is_refused_with_its_text(
        self, read: Callable[[Any], float], value: object, found: str
    ) -> None:
        with pytest.raises(ValueError, match=r"is not a (duration|size) such as") as caught:
            read(value)

        assert str(caught.value).startswith(f"{found} is not a ")

    @pytest.mark.parametrize("read", QUANTITIES)
    @unhurried
    @given(value=st.text() | st.from_regex(r"[ +-]*[0-9.eE]*[ a-zA-Z]*"))
    def test_any_text_is_a_number_or_an_error(
        self, read: Callable[[Any], float], value: str
    ) -> None:
        said = ""
        try:
            assert not math.isnan(read(value))
        except ValueError as error:
            said = str(error)

        assert said.isascii()
        assert said.isprintable()

    @pytest.mark.parametrize("read", QUANTITIES)
    @pytest.mark.parametrize(
        "value", ["9" * 1_000_000, " " * 1_000_000, "1e999999999999999999P" + " " * 1_000_000]
    )
    def test_a_long_text_is_cut_in_the_error(
        self, read: Callable[[Any], float], value: str
    ) -> None:
        with pytest.raises(ValueError, match="is not a") as caught:
            read(value)

        assert len(str(caught.value)) < 200


class TestBoolean:
    """Booleans are read as in lava: a few words are false, in any case."""

    @pytest.mark.parametrize(
        "value",
        [
            False,
            0,
            None,
            "",
            *("false", "f", "no", "n", "off", "0"),
            *("False", "FALSE", "fAlSe", "F", "No", "NO", "N", "Off", "OFF", "oFF"),
        ],
    )
    def test_false_words_are_false(self, value: object) -> None:
        assert units.boolean(value) is False

    @pytest.mark.parametrize(
        "value",
        [
            *(True, 1, -1, 2, 10**30),
            *("true", "True", "t", "yes", "y", "on", "1"),
            *("x", " ", " false", "false ", "00", "0.0", "none", "null", "nope", "disabled"),
        ],
    )
    def test_any_other_text_is_true(self, value: object) -> None:
        assert units.boolean(value) is True

    @pytest.mark.parametrize(
        ("value", "found"),
        [
            pytest.param([], "[]", id="empty-list"),
            pytest.param(["x"], "['x']", id="list"),
            pytest.param({}, "{}", id="map"),
            pytest.param(0.0, "0.0", id="float-zero"),
            pytest.param(0.5, "0.5", id="float"),
        ],
    )
    def test_another_type_is_an_error(self, value: object, found: str) -> None:
        with pytest.raises(ValueError, match="is not a boolean") as caught:
            units.boolean(value)

        assert str(caught.value) == f"{found} is not a boolean"


class TestShown:
    """A value in a message is on one line, in ASCII, and never long."""

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            pytest.param("text", "'text'", id="text"),
            pytest.param("caf\u00e9", r"'caf\xe9'", id="not-ascii"),
            pytest.param("a\nb", r"'a\nb'", id="newline"),
            pytest.param("\ud800", r"'\ud800'", id="half-a-surrogate-pair"),
            pytest.param(None, "None", id="null"),
            pytest.param({"a": [1]}, "{'a': [1]}", id="map"),
            pytest.param("x" * 62, "'" + "x" * 62 + "'", id="as-long-as-may-be"),
            pytest.param("x" * 63, "'" + "x" * 60 + "...", id="too-long"),
            pytest.param(10**5000, "some int", id="too-many-digits"),
        ],
    )
    def test_a_value_is_shown(self, value: object, expected: str) -> None:
        assert units.shown(value) == expected

    def test_a_deeply_nested_value_is_shown_by_its_type(self) -> None:
        value: list[Any] = []
        for _ in range(100_000):
            value = [value]

        assert units.shown(value) == "some list"

    def test_the_maximum_length_can_be_chosen(self) -> None:
        assert units.shown("x" * 100, at_most=10) == "'xxxxxx..."

    @unhurried
    @given(st.recursive(st.none() | st.text() | st.integers(), st.lists))
    def test_any_value_is_shown_on_one_short_line(self, value: object) -> None:
        shown = units.shown(value)

        assert shown.isascii()
        assert shown.isprintable()
        assert 0 < len(shown) <= 64


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0),
        ("a/b", 3),
        ("\u00e9\U0001f600", 6),
        pytest.param("a\ud800", 0, id="half of a surrogate pair"),
    ],
)
def test_a_text_has_bytes_if_utf8_can_hold_it(text: str, expected: int) -> None:
    assert units.utf8_bytes(text) == expected
