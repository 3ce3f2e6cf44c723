"""Configuration, from the environment: docs/design.md#configuration."""

import logging
from dataclasses import fields
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lava_s3trigger.errors import SettingsError
from lava_s3trigger.settings import Settings

REALM: Final = {"LAVA_REALM": "demo"}


def same(*values: str) -> dict[str, object]:
    """Return values that are taken as they are."""
    return dict(zip(values, values, strict=True))


VARIABLES: Final[dict[str, tuple[str, dict[str, object]]]] = {
    "S3TRIGGER_CACHE_TTL": ("cache_ttl", {"5m": 300, "10": 10, "0": 0, "0s": 0, " 1e2 s ": 100}),
    "S3TRIGGER_DEDUP_CACHE_SIZE": ("dedup_cache_size", {"7": 7, "8": 8, "0": 0, "1000000": 10**6}),
    "S3TRIGGER_DEDUP_TTL": ("dedup_ttl", {"1.5m": 90, "2h": 7200, "0": 0}),
    "S3TRIGGER_DEAD_LETTER_QUEUE": ("dead_letter_queue", same("a-dlq", "B_2", "q" * 80)),
    "S3TRIGGER_DEDUP_TABLE": ("dedup_table", same("lava.a", "B_2", "abc", "t" * 255)),
    "SQS_MAX_DELAY_MINS": ("max_delay", {"1": 60, "2.5": 150, "0": 0, "15": 900}),
    "LOGLEVEL": (
        "log_level",
        {
            "debug": 10,
            "error": 40,
            "info": 20,
            "warning": 30,
            "critical": 50,
            "INFO": 20,
            "Debug": 10,
        },
    ),
    "S3TRIGGER_METRICS": (
        "metrics",
        {"on": True, "false": False, "true": True, "1": True, "Off": False, "0": False},
    ),
    "S3TRIGGER_MODE": ("mode", same("dispatch", "observe") | {"Observe": "observe"}),
}
"""By variable: the attribute of the settings, and what is made of values."""


def test_unset_variables_have_defaults() -> None:
    assert Settings.from_env(REALM) == Settings(
        realm="demo",
        cache_ttl=60,
        dedup_cache_size=0,
        dedup_ttl=30,
        dedup_table=None,
        dead_letter_queue=None,
        max_delay=15 * 60,
        log_level=logging.INFO,
        metrics=True,
        mode="dispatch",
    )


@pytest.mark.parametrize(
    "env", [{}, {"LAVA_REALM": ""}, {"REALM": "demo"}, {"LAVA_LAVA_REALM": "demo"}], ids=str
)
def test_without_a_realm_the_function_does_not_start(env: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=r"^LAVA_REALM is not set: it must be the name of"):
        Settings.from_env(env)


@pytest.mark.parametrize("name", VARIABLES)
def test_the_prefixed_name_wins_unless_it_is_empty(name: str) -> None:
    attribute, values = VARIABLES[name]
    (value, read), (other, other_read), *_ = values.items()
    default = getattr(Settings(realm="demo"), attribute)
    prefixed = f"LAVA_{name}"

    for env, expected in (
        ({name: other, prefixed: value}, read),
        ({name: other}, other_read),
        ({name: other, prefixed: ""}, other_read),
        ({name: "", prefixed: ""}, default),
    ):
        assert getattr(Settings.from_env(REALM | env), attribute) == expected


def test_each_setting_has_a_variable() -> None:
    tested = {attribute for attribute, _ in VARIABLES.values()}
    assert {field.name for field in fields(Settings)} == {"realm", *tested}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name in VARIABLES for value in VARIABLES[name][1]]
)
def test_a_value_is_read_as_users_write_it(name: str, value: str) -> None:
    attribute, values = VARIABLES[name]
    assert getattr(Settings.from_env({**REALM, name: value}), attribute) == values[value]


DURATION: Final = "a duration, 0 or more, such as 60, 60s or 5m"
ARN: Final = "arn:aws:sqs:eu-west-1:123456789012:dlq"
BAD: Final = {
    "LAVA_REALM": (
        "the name of a lava realm",
        ["my realm", "a/b", "a.b", "caf\u00e9", "demo\n", " demo", "x" * 61],
    ),
    "S3TRIGGER_CACHE_TTL": (
        DURATION,
        ["soon", "-1", "-1s", "60x", "60 S", "1h30m", "nan", "inf", "1e400", " "],
    ),
    "S3TRIGGER_DEDUP_CACHE_SIZE": (
        "a number of entries, 0 or more",
        ["many", "-1", "1.5", "1e3", "10K", "nan", " ", "9" * 5000],
    ),
    "S3TRIGGER_DEDUP_TTL": (DURATION, ["soon", "-0.5", "30sec", "inf", "1e400", "true"]),
    "S3TRIGGER_DEDUP_TABLE": (
        "the name of a DynamoDB table, not its ARN",
        [f"{ARN}:table/dedup", "my table", "a/b", "ab", "t" * 256, "dedup\n"],
    ),
    "S3TRIGGER_DEAD_LETTER_QUEUE": (
        "the name of an SQS queue, not its URL",
        ["https://sqs.eu-west-1.amazonaws.com/1/dlq", ARN, "dlq.fifo", "my dlq", "dlq\n", "q" * 81],
    ),
    "SQS_MAX_DELAY_MINS": (
        "a number of minutes, 0 to 15",
        ["15.1", "16", "-1", "5m", "many", "nan", "inf", " "],
    ),
    "LOGLEVEL": (
        "one of debug, info, warning, error, critical",
        ["loud", "10", "notset", "info ", "true"],
    ),
    "S3TRIGGER_METRICS": (
        "one of true, on, 1, false, off, 0",
        ["yes", "2", "none", " true", "-1", "no"],
    ),
    "S3TRIGGER_MODE": ("one of dispatch, observe", ["dry-run", "watch", "observe ", "true", "1"]),
}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        pytest.param(name, value, expected, id=f"{name}-{ascii(value)[1:20]}")
        for name, (expected, values) in BAD.items()
        for value in values
    ],
)
@pytest.mark.parametrize("prefix", ["", "LAVA_"], ids=["plain", "prefixed"])
def test_a_bad_value_is_an_error_with_variable_value_and_remedy(
    prefix: str, name: str, value: str, expected: str
) -> None:
    named = f"{prefix}{name}" if name != "LAVA_REALM" else name
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({**REALM, named: value})
    assert str(caught.value) == f"{named} is {value!r}: it must be {expected}"
    assert len(str(caught.value).splitlines()) == 1
    assert caught.value.__cause__ is None


def test_a_bad_value_is_an_error_only_if_its_name_wins() -> None:
    env = {"S3TRIGGER_CACHE_TTL": "60s", "LAVA_S3TRIGGER_CACHE_TTL": "soon"}
    with pytest.raises(SettingsError, match=r"^LAVA_S3TRIGGER_CACHE_TTL is 'soon'"):
        Settings.from_env(REALM | env)
    env = {"S3TRIGGER_CACHE_TTL": "soon", "LAVA_S3TRIGGER_CACHE_TTL": "5s"}
    assert Settings.from_env(REALM | env).cache_ttl == 5


@given(st.sampled_from(sorted(BAD)), st.text(min_size=1))
def test_any_value_is_read_or_refused_on_one_line(name: str, value: str) -> None:
    said = ""
    try:
        Settings.from_env({**REALM, name: value})
    except SettingsError as error:
        said = str(error)
    assert not said or (said.startswith(f"{name} is ") and said.isprintable())
