"""`make mutants` tells changes that a test notices from those that none does."""

from pathlib import Path
from typing import Final

import pytest

from tools import mutants
from tools.mutants import (
    KINDS,
    Copy,
    Mutant,
    apply_mutant,
    judge_all,
    make_mutants,
    mirror,
    newly_missed,
    wider,
)

TESTED: Final = """
def is_adult(age):
    return age >= 18
"""
UNTESTED: Final = """
def rest(hours):
    while hours > 8:
        hours -= 8
    return hours
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for name, text in {
        "lava_s3trigger/__init__.py": "",
        "lava_s3trigger/ages.py": TESTED + UNTESTED,
        "tests/__init__.py": "",
        "tests/conftest.py": "import hypothesis\nhypothesis.settings.register_profile('test')\n",
        "tests/test_ages.py": "from lava_s3trigger.ages import is_adult\n"
        "def test_adults():\n"
        "    assert [is_adult(age) for age in (17, 18, 19)] == [False, True, True]\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_tested_changes_are_killed_and_others_survive(checkout: Path, tmp_path: Path) -> None:
    all_mutants = make_mutants(TESTED + UNTESTED, "ages", 100, 1)
    chosen = list({mutant.function: mutant for mutant in all_mutants}.values())
    list(judge_all(Copy(checkout, tmp_path), chosen, float("inf")))
    assert {(mutant.function, mutant.result, mutant.by) for mutant in chosen} == {
        ("is_adult", "killed", "tests/test_ages.py::test_adults"),
        ("rest", "survived", ""),
    }
    assert (checkout / "lava_s3trigger/ages.py").read_text() == TESTED + UNTESTED


@pytest.mark.slow("waits for the limit of a mutant that hangs")
def test_a_mutant_that_hangs_is_killed_at_its_limit(checkout: Path, tmp_path: Path) -> None:
    test = checkout / "tests/test_ages.py"
    test.write_text("from lava_s3trigger.ages import rest\ndef test(): assert rest(9) == 1\n")
    mutant = Mutant("ages", "rest", "constant", "        hours -= 8", "        hours -= 0")
    judged = Copy(checkout, tmp_path).judge(mutant, ["tests/test_ages.py"], spare_seconds=0)
    assert judged.result == "killed at the limit"


def test_the_same_seed_makes_the_same_mutants() -> None:
    source = Path(mutants.__file__).read_text()
    made, again, others = (make_mutants(source, "mutants", 20, seed) for seed in (1, 1, 2))
    assert {mutant.kind for mutant in made} == set(KINDS)
    assert made == again != others


def test_a_mutant_is_made_again_where_lines_have_moved_and_of_equal_lines_in_the_same() -> None:
    equal = "def add(number):\n    number += 1\n    number += 1\n"
    moved = f"\n\n{UNTESTED}{TESTED}{equal}"
    made = make_mutants(TESTED + UNTESTED + equal, "ages", 100, 1)
    changed = [str(apply_mutant(moved, mutant)) for mutant in made]
    assert len({moved, *changed}) == len(made) + 1
    for mutant, text in zip(made, changed, strict=True):
        assert mutant.after in text
        assert apply_mutant(moved.replace(mutant.before, mutant.after), mutant) is None


def test_tests_are_found_by_the_names_and_imports_of_modules(tmp_path: Path) -> None:
    text = 'run("plan")\nfrom lava_s3trigger.aws import sqs\n'
    for name in (
        *("aws/test_sqs.py", "test_sending.py", "function/test_fifo.py", "e2e/test_routes.py"),
        *("cli/test_plan_large.py", "cli/test_processes.py"),
    ):
        path = tmp_path / "tests" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert mirror(tmp_path, "aws/sqs") == ["tests/aws/test_sqs.py"]
    assert wider(tmp_path, "aws/sqs") == ["tests/test_sending.py", "tests/function/test_fifo.py"]
    assert mirror(tmp_path, "cli/plan/compare") == ["tests/cli/test_plan_large.py"]
    assert wider(tmp_path, "cli/plan/compare") == ["tests/cli/test_processes.py"]


def test_what_was_killed_before_and_survives_is_reported() -> None:
    def of(*results: str) -> list[Mutant]:
        change = ("ages", "f", "return", "    return 1", "    return None", 0)
        return [Mutant(*change, result) for result in results]

    before = of("killed", "killed at the limit", "killed", "survived", "")
    after = of("survived", "survived", "killed", "survived", "survived")

    assert newly_missed(before, after) == after[:2]
