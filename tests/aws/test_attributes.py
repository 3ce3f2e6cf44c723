"""Items of DynamoDB as Python values: docs/rendering.md#types-from-dynamodb."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lava_s3trigger.aws.attributes import value_of
from tests.tables import cases

MAP = {"M": {"b": {"N": "1"}, "a": {"L": [{"NULL": True}, {"BOOL": False}, {"S": ""}]}}}


@pytest.mark.parametrize(
    ("attribute", "expected"),
    [
        pytest.param({"S": "text"}, "text", id="string"),
        pytest.param({"S": ""}, "", id="empty-string"),
        pytest.param({"S": "1"}, "1", id="string-of-digits"),
        pytest.param({"S": "\u2028\U0001f600"}, "\u2028\U0001f600", id="any-unicode"),
        pytest.param({"BOOL": True}, True, id="true"),
        pytest.param({"BOOL": False}, False, id="false"),
        pytest.param({"NULL": True}, None, id="null"),
        pytest.param({"L": []}, [], id="empty-list"),
        pytest.param({"L": [{"S": "b"}, {"S": "a"}]}, ["b", "a"], id="list-in-its-order"),
        pytest.param({"M": {}}, {}, id="empty-map"),
        pytest.param(MAP, {"b": 1, "a": [None, False, ""]}, id="nested"),
        pytest.param({"SS": ["b", "a", "B"]}, ["B", "a", "b"], id="set-of-strings-sorted"),
        pytest.param({"NS": ["10", "9", "-1.5"]}, [-1.5, 9, 10], id="set-of-numbers-sorted"),
        pytest.param({"M": {"x": {"SS": ["b", "a"]}}}, {"x": ["a", "b"]}, id="set-in-a-map"),
    ],
)
def test_an_attribute_becomes_a_value(attribute: dict[str, Any], expected: object) -> None:
    value = value_of(attribute, "field")
    assert (value, type(value)) == (expected, type(expected))
    assert json.loads(json.dumps(value)) == expected


def test_a_map_keeps_the_order_that_dynamodb_gave() -> None:
    names = ["z", "a", "m", "B", "0"]
    assert list(value_of({"M": {name: {"N": "0"} for name in names}}, "field")) == names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("-0", 0),
        ("42", 42),
        ("-42", -42),
        ("42.0", 42),
        ("1E+2", 100),
        ("100E-2", 1),
        ("12345678901234567890123456789012345678", 12345678901234567890123456789012345678),
        ("1E+125", 10**125),
        ("0.1", 0.1),
        ("-2.50", -2.5),
        ("15E-1", 1.5),
        ("1E-130", 1e-130),
    ],
)
def test_a_number_has_the_type_that_holds_it(text: str, expected: float) -> None:
    value = value_of({"N": text}, "field")
    assert (value, type(value)) == (expected, type(expected))


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**38), max_value=10**38))
def test_a_number_keeps_the_precision_of_a_float(number: Decimal) -> None:
    value = value_of({"N": str(number)}, "field")
    assert value == (number if number == number.to_integral_value() else float(number))


@cases(
    ("attribute", "where"),
    {
        "binary": ({"B": b"x"}, "field"),
        "set-of-binary": ({"BS": [b"x"]}, "field"),
        "in-a-map": ({"M": {"env": {"M": {"K": {"B": b""}}}}}, "field.env.K"),
        "in-a-list": ({"L": [{"S": "a"}, {"B": b""}]}, "field[1]"),
        "in-both": ({"M": {"a": {"L": [{"BS": []}]}}}, "field.a[0]"),
        "not-printable": ({"M": {"\u00e9\n\ud800": {"B": b""}}}, r"field.\xe9\n\ud800"),
        "long": ({"M": {"x" * 100_000: {"B": b""}}}, f"field.{'x' * 54}.."),
    },
)
def test_a_binary_value_is_refused_with_the_name_of_its_field(
    attribute: dict[str, Any], where: str
) -> None:
    with pytest.raises(ValueError, match="is binary") as caught:
        value_of(attribute, "field")
    assert str(caught.value) == f"{where} is binary: no JSON message can hold it"
