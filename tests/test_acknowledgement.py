"""What AWS is told of deliveries: docs/design.md#acknowledgement."""

from collections.abc import Set as AbstractSet

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lava_s3trigger.acknowledgement import acknowledge, in_order, returned
from lava_s3trigger.deliveries import Delivery
from lava_s3trigger.errors import DeliveriesFailedError
from lava_s3trigger.outcomes import Outcome
from tests.build import failed
from tests.tables import cases


def delivery(message_id: str | None, *failures: str, group: str | None = None) -> Delivery:
    """Return a delivery with its failures."""
    return Delivery(
        message_id=message_id,
        group=("a.fifo", group) if group else None,
        outcomes=[Outcome("failed", "odd", each) for each in failures],
    )


@cases(
    ("deliveries", "back"),
    {
        "nothing to do": ([], []),
        "an invocation": ([delivery(None)], []),
        "messages": ([delivery("1"), delivery("2")], []),
        "both": ([delivery("1"), delivery(None)], []),
        "the first failed": ([delivery("1", "x"), delivery("2")], ["1"]),
        "the last failed": ([delivery("1"), delivery("2", "x")], ["2"]),
        "several": ([delivery("1", "x"), delivery("2"), delivery("3", "y", "z")], ["1", "3"]),
        "not the rest": ([delivery("1", "x"), delivery(None)], ["1"]),
    },
)
def test_failed_messages_are_named_and_come_again(
    deliveries: list[Delivery], back: list[str]
) -> None:
    assert [each.message_id for each in returned(deliveries)] == back
    assert acknowledge(deliveries, returned(deliveries)) == (failed(*back) if back else None)


@cases(
    ("deliveries", "count", "first"),
    {
        "the only message": ([delivery("1", "x")], 1, "x"),
        "every message": ([delivery("1", "x", "y"), delivery("2", "z")], 3, "x"),
        "the invocation": ([delivery(None, "x")], 1, "x"),
        "not the message": ([delivery("1"), delivery(None, "y")], 1, "y"),
        "both": ([delivery("1", "x"), delivery(None, "y")], 2, "x"),
        "some of each": ([delivery("1"), delivery("2", "x"), delivery(None, "y")], 2, "x"),
    },
)
def test_the_whole_invocation_fails_if_everything_must_come_again(
    deliveries: list[Delivery], count: int, first: str
) -> None:
    assert returned(deliveries) == deliveries
    with pytest.raises(DeliveriesFailedError, match=f": {first}$") as caught:
        acknowledge(deliveries, returned(deliveries))
    assert caught.value.count == count


def run(
    deliveries: list[Delivery], failing: AbstractSet[str | None] = frozenset()
) -> list[list[str | None]]:
    """Carry out deliveries, of which some fail, and return the rounds in which they came."""
    rounds = []
    for each_round in in_order(deliveries):
        for each in each_round:
            if each.message_id in failing:
                each.outcomes.append(Outcome("failed", "odd", "it failed"))
        rounds.append([each.message_id for each in each_round])
    return [each_round for each_round in rounds if each_round]


def test_the_same_group_name_in_another_queue_is_another_group() -> None:
    one = Delivery(message_id="1", group=("a.fifo", "g"))
    two = Delivery(message_id="2", group=("b.fifo", "g"))
    assert run([one, two]) == [["1", "2"]]


@given(st.lists(st.tuples(st.sampled_from(["g", "h", ""]), st.booleans()), max_size=12))
def test_groups_keep_their_order_in_any_mixture(messages: list[tuple[str, bool]]) -> None:
    deliveries = [delivery(str(n), group=group or None) for n, (group, _) in enumerate(messages)]
    failing = {str(n) for n, (_, is_bad) in enumerate(messages) if is_bad}

    rounds = run(deliveries, failing)

    when = {each: n for n, each_round in enumerate(rounds) for each in each_round}
    for group in ("g", "h"):
        members = [str(n) for n, (name, _) in enumerate(messages) if name == group]
        bad = next((n for n, each in enumerate(members) if each in failing), len(members))
        carried_out = members[: bad + 1]
        assert [each for each in members if each in when] == carried_out
        assert [when[each] for each in carried_out] == list(range(len(carried_out)))
        returned = [each for each in members if deliveries[int(each)].failures]
        assert returned == members[bad:]
    for n, (name, _) in enumerate(messages):
        if not name:
            assert when[str(n)] == 0
