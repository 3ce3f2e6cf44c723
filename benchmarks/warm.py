"""What an event costs in an instance that has seen others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .measuring import in_turn
from .realm import bare, by_eventbridge, by_s3, by_sns, by_sqs, check, entry, function

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .measuring import Bench, Beside, Row
    from .service import Seen

KEY = "in/orders/2026-03-14/order-1.csv"
HARMFUL = {"padded": "{{ '%08d' % event.s3.object.size }}"}
"""A template that is not known to be harmless."""


def warm_one(bench: Bench) -> Iterator[Row]:
    """One S3 event, one dispatch."""
    found = _one(bench, by_s3(KEY), is_usual=True)
    yield found.by_cpu("warm, one S3 event, one dispatch: CPU", 1.3)
    yield _one(bench, by_s3(KEY)).by_cpu("the same, beside a client as ours: CPU", None)


def warm_ten(bench: Bench) -> Iterator[Row]:
    """A batch of ten from SQS, for one worker."""
    bench.service.setup([entry()])
    ours, theirs = function(bench.service), bare(bench.service)
    keys = [f"in/orders/2026-03-14/order-{n}.csv" for n in range(10)]
    payload = by_sqs(*keys)
    ours(payload)
    check(bench.service.take(), keys)
    rounds, times = bench.rounds(15), bench.some(40)
    usual = bare(bench.service, is_usual=True)
    usual(10)
    bench.service.take()
    found = in_turn(lambda: ours(payload), lambda: usual(10), rounds=rounds, times=times)
    seen = check(bench.service.take(), keys, rounds * times * 2)
    _has_only_sent(seen, rounds * times * 4)
    yield found.by_cpu("warm, SQS batch of ten, ten dispatches: CPU", 2.0)
    found = in_turn(lambda: ours(payload), lambda: theirs(10), rounds=rounds, times=times)
    bench.service.take()
    yield found.by_cpu("the same, beside a client as ours: CPU", None)


def warm_thousand(bench: Bench) -> Iterator[Row]:
    """Very many records in one invocation, for four workers."""
    count = 200 if bench.is_quick else 1000
    bench.service.setup([entry(n, prefix=f"in/{n}", job_id=f"job{n}") for n in range(4)], 4)
    ours, theirs = function(bench.service), bare(bench.service)
    keys = [f"in/{n % 4}/orders/order-{n}.csv" for n in range(count)]
    payload = by_s3(*keys)

    def worker(key: str) -> int:
        return int(key[3])

    def one_after_another() -> None:
        for _ in range(count // 10):
            theirs(10)

    ours(payload)
    one_after_another()
    check(bench.service.take(), keys, worker=worker)
    rounds = bench.rounds(5)
    bench.service.delay(0.005)
    found = in_turn(lambda: ours(payload), one_after_another, rounds=rounds, times=1)
    bench.service.delay(0)
    seen = check(bench.service.take(), keys, rounds * 2, worker)
    _has_only_sent(seen, rounds * 4 * count // 10)
    yield found.by_wall(f"warm, {count:,} dispatches to 4 workers, 5 ms for each call: wall", 0.4)


def routes(bench: Bench) -> Iterator[Row]:
    """One event by each route."""
    for route, payload in (
        ("S3", by_s3(KEY)),
        ("SNS", by_sns(KEY)),
        ("EventBridge", by_eventbridge(KEY)),
        ("SQS", by_sqs(KEY)),
    ):
        yield _one(bench, payload).by_cpu(f"warm, one event by {route}: CPU", None)


def process_of_its_own(bench: Bench) -> Iterator[Row]:
    """A template that is not known to be harmless is rendered in a process of its own."""
    bench.service.setup([entry(if_fnmatch="*", job_id="job0", parameters=HARMFUL, globals={})])
    ours, theirs = function(bench.service), bare(bench.service)
    payload = by_s3(KEY)
    ours(payload)
    [(_, text)] = bench.service.take().sent
    if '"padded": "00001082"' not in text:
        raise AssertionError(text)
    found = in_turn(
        lambda: ours(payload),
        lambda: theirs(1),
        rounds=bench.rounds(5),
        times=bench.some(10),
    )
    bench.service.take()
    yield found.by_wall("warm, one event, a template that gets a process of its own: wall", None)


def _one(bench: Bench, payload: Any, *, is_usual: bool = False) -> Beside:
    bench.service.setup([entry()])
    ours, theirs = function(bench.service), bare(bench.service, is_usual=is_usual)
    ours(payload)
    theirs(1)
    check(bench.service.take(), [KEY])
    rounds, times = bench.rounds(15), bench.some(100)
    found = in_turn(lambda: ours(payload), lambda: theirs(1), rounds=rounds, times=times)
    seen = check(bench.service.take(), [KEY], rounds * times * 2)
    _has_only_sent(seen, rounds * times * 4)
    return found


def _has_only_sent(seen: Seen, calls: int) -> None:
    if seen.calls != {"SendMessageBatch": calls}:
        raise AssertionError(f"{seen.calls}, not {calls} batches")
