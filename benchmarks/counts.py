"""Calls and read units: what AWS charges for, and what no machine makes slower."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .measuring import Row
from .realm import by_s3, check, entries, entry, function
from .service import size_of_item, to_item

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .measuring import Bench

DEEP = "/".join("abcdefghij")
"""Ten levels."""
REFRESH = 16
"""The most read units that a bucket's entries may take."""


def calls_of_few(bench: Bench) -> Iterator[Row]:
    """A bucket with 100 entries, and keys that were never seen before."""
    bench.service.setup([*entries(99), entry(prefix="a")])
    ours = function(bench.service)
    ours(by_s3(f"{DEEP}/first.csv"))
    check(bench.service.take(), [f"{DEEP}/first.csv"])
    invocations = bench.some(100)
    keys = [f"{DEEP}/{n}/order.csv" for n in range(invocations * 10)]
    for n in range(invocations):
        ours(by_s3(*keys[n * 10 : n * 10 + 10]))
    seen = check(bench.service.take(), keys)
    events = f"{len(keys):,} keys never seen, ten levels deep"
    yield Row(f"DynamoDB calls, {events}, 100 entries", seen.reads, 0, "calls")
    sent = seen.calls["SendMessageBatch"]
    yield Row(f"SQS calls for their {len(keys):,} dispatches", sent, invocations, "calls")


def calls_of_many(bench: Bench) -> Iterator[Row]:
    """A bucket with 20,000 entries: only what was not seen before is asked for."""
    bench.service.setup([*entries(bench.some(20_000) + 200), entry(prefix="a")])
    ours = function(bench.service)
    first = f"{DEEP}/first.csv"
    ours(by_s3(first))
    ours(by_s3(first))  # what is asked for twice is kept from keys that come once
    check(bench.service.take(), [first], 2)
    keys = [f"{DEEP}/{n}.csv" for n in range(bench.some(3000))]
    for n in range(0, len(keys), 10):
        ours(by_s3(*keys[n : n + 10]))
    seen = check(bench.service.take(), keys)
    count = f"{len(keys):,} keys never seen"
    extra = seen.reads - len(keys)  # each key is itself a level that was not seen before
    yield Row(
        f"DynamoDB calls beyond one for each of {count}, 20,000 entries",
        extra,
        0,
        "calls",
    )
    # After as many again that match nothing, and share no folder.
    strangers = [f"s{n}/x" for n in range(len(keys))]
    for n in range(0, len(keys), 10):
        ours(by_s3(*strangers[n : n + 10]))
    bench.service.take()
    ours(by_s3(f"{DEEP}/last.csv"))
    seen = check(bench.service.take(), [f"{DEEP}/last.csv"])
    yield Row("the same, after as many keys that share no folder", seen.reads - 1, 0, "calls")


def refresh(bench: Bench) -> Iterator[Row]:
    """What it costs to read a bucket's entries again, by DynamoDB's published rule."""
    counts = (1, 100, 128, 129, 1000, bench.some(20_000) + 1000)
    for size, goal in ((0, REFRESH), (1024, REFRESH), (8192, None)):
        found = {}
        for count in counts:
            table = entries(count, size)
            if size == 1024:
                spare = size - size_of_item(to_item(table[0])) + size
                table = entries(count, spare)
            bench.service.setup(table)
            function(bench.service)(by_s3("elsewhere.csv"))
            seen = check(bench.service.take(), [])
            # Not those of the levels of the key, where the walk asks for each.
            found[count] = seen.read_units - 0.5 * (seen.calls["Query"] - 1)
        worst = max(found, key=lambda each: found[each])
        of = f"{size_of_item(to_item(table[0]))} bytes"
        yield Row(
            f"read units of a refresh, 1 to 20,000 entries of {of}",
            found[worst],
            goal,
            "units",
            note=f"most with {worst:,}",
        )
