"""Findings of the fuzzer stay fixed, and its seeds are valid."""

import json
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest

from fuzz.findings import CHECKOUT, load
from fuzz.ways import TARGETS, WAYS

LOCK: Final = Path("uv.lock")


FINDINGS: Final = [
    pytest.param(
        *(each["target"], each["case"]),
        id=name,
        marks=[pytest.mark.xfail(reason=each["open"])] if "open" in each else [],
    )
    for name, each in load()
]
SAMPLES: Final = [
    pytest.param(name, case, id=f"{name}-{number}")
    for name, target in TARGETS.items()
    for number, case in enumerate(target.samples())
]


@pytest.mark.parametrize(("target", "case"), FINDINGS)
def test_a_past_finding_stays_fixed(target: str, case: Any) -> None:
    TARGETS[target].check(case)


class TestSamples:
    """The sample payloads, the examples and the attacks pass the checks of any case."""

    # Where a template takes too long, the alarm may come in a finalizer (`limits`).
    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    @pytest.mark.parametrize(("target", "case"), SAMPLES)
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
    "case",
    [
        {"holds": "exact", "document": "{{ key }}", "expected": "x"},
        {"holds": "structure", "document": ["{% if key == 'y' %}", 1, "{% endif %}"]},
        {"holds": "like jinja", "document": r"{{ 'a\\n' }}"},
    ],
    ids=lambda case: case["holds"],
)
def test_a_failing_case_is_noticed(case: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        TARGETS["templates"].check(case | {"key": "y"})


def test_the_fuzzers_lock_pins_the_same_versions() -> None:
    main, own = (
        {
            (package["name"], package.get("version", "here"))
            for package in tomllib.loads((CHECKOUT / folder / LOCK).read_text())["package"]
        }
        for folder in (Path(), Path("tools", "fuzz"))
    )

    assert {name for name, _ in own - main} == {"atheris", "fuzz"}
