"""Findings of the fuzzer stay fixed, and its seeds are valid."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest

from fuzz import findings
from fuzz.findings import CHECKOUT, failure_kind, load, save
from fuzz.ways import TARGETS, WAYS, minimised

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


class TestFindings:
    """A past finding does not fail again."""

    @pytest.mark.parametrize("finding", _findings())
    def test_a_past_finding_stays_fixed(self, finding: dict[str, Any]) -> None:
        TARGETS[finding["target"]].check(finding["case"])

    def test_a_stored_finding_is_read_back(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(findings, "FINDINGS", tmp_path)
        case = {"holds": "source", "document": "\ud800", "key": "\0"}

        save("templates", "test", "wrong", case)

        assert list(load()) == [
            ("templates-test", {"target": "templates", "error": "wrong", "case": case})
        ]


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

    def test_bytes_that_are_no_case_are_skipped(self) -> None:
        assert not WAYS["payloads-bytes"].runner(pytest.fail)(b"{")
        assert not WAYS["payloads-bytes"].runner(pytest.fail)(b"[" * 100_000)
        assert not WAYS["templates-bytes"].runner(pytest.fail)(b"no key")


class TestFailing:
    """A failing case is noticed, classified and minimized."""

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
    def test_a_failing_case_is_noticed(self, target: str, case: Any) -> None:
        with pytest.raises(AssertionError):
            TARGETS[target].check(case)

    def test_kinds_of_failures_are_distinguished(self) -> None:
        kinds = set()
        for expected in ("x", 1):
            case = {"holds": "exact", "document": "{{ key }}", "expected": expected, "key": "y"}
            with pytest.raises(AssertionError) as caught:
                TARGETS["templates"].check(case)
            kinds.add(failure_kind(caught.value))
        with pytest.raises(KeyError) as missing:
            TARGETS["templates"].check({"holds": "nothing"})
        kinds.add(failure_kind(missing.value))

        assert len(kinds) == 2

    def test_bytes_are_minimized(self) -> None:
        way = WAYS["payloads-bytes"]
        data = json.dumps({"Records": [{"a": 1}, {"b": [1, 2, "wanted"]}, {}]}).encode()

        assert minimised(way, data, lambda case: "wanted" in str(case)) == "wanted"

    def test_structured_cases_are_minimized(self) -> None:
        way = WAYS["templates-structure"]
        found: list[dict[str, Any]] = []

        def is_exact(case: dict[str, Any]) -> bool:
            return bool(case["holds"] == "exact")

        def makes_an_exact_one(seed: bytes) -> bool:
            found.clear()
            return way.runner(found.append)(seed) and is_exact(found[-1])

        seed = next(filter(makes_an_exact_one, way.seeds()))
        assert found[-1]["key"]

        assert minimised(way, seed, is_exact)["key"] == ""


class TestEnvironment:
    """The fuzzer's environment has the versions of the function's."""

    def test_the_fuzzers_lock_pins_the_same_versions(self) -> None:
        main, own = (
            {
                (package["name"], package.get("version", "here"))
                for package in tomllib.loads((CHECKOUT / folder / LOCK).read_text())["package"]
            }
            for folder in (Path(), Path("tools", "fuzz"))
        )

        assert {name for name, _ in own - main} == {"atheris", "fuzz"}
