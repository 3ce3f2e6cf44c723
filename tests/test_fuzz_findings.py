"""Findings of the fuzzer stay fixed, and its seeds are valid."""

import json
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest

from fuzz.findings import CHECKOUT, load
from fuzz.ways import TARGETS, WAYS

LOCK: Final = Path("uv.lock")


def _findings() -> list[Any]:
    return [
        pytest.param(
            finding,
            id=name,
            marks=[pytest.mark.xfail(reason=finding["open"])] if "open" in finding else [],
        )
        for name, finding in load()
    ]


def _samples() -> list[Any]:
    return [
        pytest.param(target, case, id=f"{target}-{number}")
        for target in TARGETS
        for number, case in enumerate(TARGETS[target].samples())
    ]


@pytest.mark.parametrize("finding", _findings())
def test_a_past_finding_stays_fixed(finding: dict[str, Any]) -> None:
    TARGETS[finding["target"]].check(finding["case"])


class TestSamples:
    """The sample payloads, the examples and the attacks pass the checks of any case."""

    # Where a template takes too long, the alarm may come in a finalizer (`limits`).
    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    @pytest.mark.parametrize(("target", "case"), _samples())
    def test_a_sample_passes_its_check(self, target: str, case: Any) -> None:
        TARGETS[target].check(case)

    @pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
    def test_each_generator_makes_cases_from_its_seeds(self, way: Any) -> None:
        cases: list[Any] = []
        run = way.runner(cases.append)

        made = [run(seed) for seed in way.seeds()]

        assert sum(made) == len(cases) > 0
        for case in cases:
            assert repr(json.loads(json.dumps(case))) == repr(case)


@pytest.mark.parametrize(
    ("target", "case"),
    [
        ("templates", {"holds": "exact", "document": "{{ key }}", "expected": "x", "key": "y"}),
        (
            "templates",
            {"holds": "structure", "document": ["{% if key == 'y' %}", 1, "{% endif %}"]}
            | {"key": "y"},
        ),
        (
            "templates",
            {"holds": "like jinja", "document": r"{{ 'a\\n' }}", "key": "y"},
        ),
    ],
    ids=["exact", "structure", "like-jinja"],
)
def test_a_failing_case_is_noticed(target: str, case: Any) -> None:
    with pytest.raises(AssertionError):
        TARGETS[target].check(case)


def test_the_fuzzers_lock_pins_the_same_versions() -> None:
    main, own = (
        {
            (package["name"], package.get("version", "here"))
            for package in tomllib.loads((CHECKOUT / folder / LOCK).read_text())["package"]
        }
        for folder in (Path(), Path("tools", "fuzz"))
    )

    assert {name for name, _ in own - main} == {"atheris", "fuzz"}
