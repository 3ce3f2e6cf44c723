"""The weights of values that a template changes, and of those that hold them."""

from collections.abc import Iterator
from typing import Any

import pytest

from lava_s3trigger.templates import weighing
from lava_s3trigger.templates.weighing import MAX_MEMBERS, WeightError, weigh, weigh_changed


@pytest.fixture(autouse=True)
def _forgetting() -> Iterator[None]:
    yield
    weighing.forget()


def change(container: list[Any], member: Any) -> None:
    """Append a member, as a template does."""
    container.append(member)
    weigh_changed(container)


def test_a_change_makes_what_holds_the_list_heavier() -> None:
    row: list[Any] = []
    table = weigh([row] * 100)
    for number in range(MAX_MEMBERS // 100 - 1):
        change(row, number)

    with pytest.raises(WeightError, match="more than 2000 members"):
        change(row, "too much")

    assert len(table) == 100


def test_what_no_value_refers_to_is_not_weighed_again() -> None:
    row: list[Any] = []
    weigh([row] * 100)
    for number in range(MAX_MEMBERS):
        change(row, number)
    assert len(row) == MAX_MEMBERS


def test_dropped_containers_are_not_kept() -> None:
    kept = weigh([[0]])
    for number in range(10_000):
        weigh([[number]])
    assert len(weighing._holders) < 1000  # noqa: SLF001 - what is kept cannot be seen otherwise
    assert any(holder is kept for holder in weighing._holders.values())  # noqa: SLF001 - as above


def test_a_list_that_holds_itself_is_too_deep() -> None:
    row: list[Any] = weigh([[]])
    with pytest.raises(WeightError, match="nested more than 50 deep"):
        change(row, row)
