"""The fault suite with few events, and tests that it finds defects.

`python -m tests.faults` runs it with many events, by every route.
"""

import contextlib
import functools
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

import pytest

from lava_s3trigger.errors import DeliveriesFailedError
from lava_s3trigger.handler import Function
from tests.faults.calls import CALLS, CLAIM, DEAD_LETTERS, DISPATCH, NOTE
from tests.faults.ledger import Invocation, Ledger, Why, key_of
from tests.faults.planning import ACCESS_DENIED, FAULTS, ROWS, Breakage, Row
from tests.faults.routes import ROUTES, Route
from tests.faults.runs import BY_CALL, Tally, lines_of, run
from tests.faults.world import Laboratory
from tests.tables import cases
from tools.local.server import CHECKOUT

pytestmark = pytest.mark.usefixtures("ample_time")

EVENTS: Final = 10
FEW: Final = 5
"""One of them matches an entry with a mistake."""
BY_ID: Final = {row.id: row for row in ROWS}
NOTHING: Final = Row("nothing", "", "", ())
# Claims are on where a row breaks a call of theirs, and this row breaks none of them.
WITH_CLAIMS: Final = Row(
    *("dispatch", "", ""),
    (Breakage(DISPATCH, (ACCESS_DENIED,)), Breakage(CLAIM, (ACCESS_DENIED,), share=0.0)),
)
S3, TO_SQS, FIFO = ROUTES[0], ROUTES[3], ROUTES[-1]

REST: Final = pytest.mark.slow("every fifth row is in `make test`")
SAMPLED: Final = [
    pytest.param(row, id=row.id, marks=[REST] if number % 5 else [])
    for number, row in enumerate(ROWS)
]

same_and_fresh = pytest.mark.parametrize("is_fresh", [False, True], ids=["same", "fresh"])


@pytest.fixture(scope="module")
def laboratory() -> Iterator[Laboratory]:
    with Laboratory() as made:
        yield made


class TestFunction:
    """Whatever fails, nothing is lost, and every second copy is explained."""

    @same_and_fresh
    @pytest.mark.parametrize("row", SAMPLED)
    def test_nothing_is_lost_where_a_call_fails(
        self, laboratory: Laboratory, row: Row, *, is_fresh: bool
    ) -> None:
        # A different route for each row; the row below that breaks all calls takes all.
        route = ROUTES[(ROWS.index(row) + 3 * is_fresh) % len(ROUTES)]
        tally = run(laboratory, row, route, FEW, is_fresh=is_fresh)
        assert tally.is_good, tally
        if not (is_fresh or row.ends):
            assert tally.doubles.keys() <= {Why.REPLY}

    @same_and_fresh
    @pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
    def test_nothing_is_lost_by_any_route(
        self, laboratory: Laboratory, route: Route, *, is_fresh: bool
    ) -> None:
        row = BY_ID["any-any-but-slow"]
        tally = run(laboratory, row, route, EVENTS, is_fresh=is_fresh)
        assert tally.is_good, tally
        assert tally.failed

    @same_and_fresh
    def test_nothing_is_sent_twice_where_nothing_fails(
        self, laboratory: Laboratory, *, is_fresh: bool
    ) -> None:
        tally = run(laboratory, NOTHING, TO_SQS, 5 * EVENTS, is_fresh=is_fresh)
        assert (tally.is_good, tally.doubles, tally.parked) == (True, {}, EVENTS)


class TestRows:
    def test_the_broken_calls_are_all_that_the_function_makes(self, laboratory: Laboratory) -> None:
        seen = set()
        for row_id in ("any-with-claims-any-but-slow", f"{NOTE.name} 500".replace(" ", "-")):
            run(laboratory, BY_ID[row_id], S3, 3 * EVENTS, is_fresh=True)
            for call in laboratory.endpoint.log:
                [kind] = [each for each in CALLS if each.holds(call)]
                seen.add(kind)
        assert seen == set(CALLS)

    def test_each_call_is_broken_by_each_fault(self) -> None:
        broken = {(row.call, row.fault) for row in ROWS}
        for call, fault in itertools.product(CALLS, FAULTS):
            is_possible = call.operation == "SendMessageBatch" or not fault.is_of_batches
            assert ((call.name, fault.name) in broken) is is_possible

    def test_the_same_run_breaks_the_same_calls(self, laboratory: Laboratory) -> None:
        row = BY_ID["dispatch-reply-lost"]
        first, second = (run(laboratory, row, S3, EVENTS, is_fresh=True) for _ in range(2))
        assert first == second
        assert first.faults
        assert run(laboratory, row, S3, EVENTS, is_fresh=True, seed=2) != first


class Wrapped:
    """A client of the function with broken methods, each of which is given the method."""

    def __init__(self, client: Any, broken: dict[str, Callable[..., Any]]) -> None:
        self._client = client
        self._broken = broken

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        return functools.partial(self._broken[name], method) if name in self._broken else method


def wrapped(**broken: Callable[..., Any]) -> Callable[..., Any]:
    """Return what makes functions whose clients have broken methods."""

    def make(settings: Any, *clients: Any, **more: Any) -> Function:
        wrapped: list[Any] = [Wrapped(each, broken) for each in clients]
        return Function(settings, *wrapped, **more)

    return make


def send_twice(send: Callable[..., Any], **request: Any) -> Any:
    send(**request)
    return send(**request)


def drop_parked(send: Callable[..., Any], **request: Any) -> Any:
    if request["QueueUrl"].endswith(DEAD_LETTERS):
        return {"Successful": [{"Id": entry["Id"]} for entry in request["Entries"]]}
    return send(**request)


def forget_sent(update: Callable[..., Any], **request: Any) -> Any:
    """Write to the claims table, and do not return what was sent."""
    answer = update(**request)
    answer.get("Attributes", {}).pop("sent", None)
    return answer


def changing(change: Callable[[Any], Any]) -> Callable[..., Any]:
    """Return what makes functions that are given changed payloads."""

    def make(*arguments: Any, **more: Any) -> Callable[..., Any]:
        function = Function(*arguments, **more)
        return lambda payload, context: function(change(payload), context)

    return make


def without_some_events(payload: Any) -> Any:
    kept = [r for r in payload["Records"] if "s3" not in r or not key_of(r).endswith("3")]
    return {"Records": kept}


def without_groups(payload: Any) -> Any:
    return json.loads(json.dumps(payload).replace(".fifo", ""))


def forgetful(*arguments: Any, **more: Any) -> Callable[..., Any]:
    """Make what forgets everything between invocations."""

    def function(payload: Any, context: Any) -> Any:
        return Function(*arguments, **more)(payload, context)

    return function


class ReportsSuccess(Function):
    """Acknowledges everything, whatever failed."""

    def __call__(self, payload: Any, context: Any = None) -> None:
        with contextlib.suppress(DeliveriesFailedError):
            super().__call__(payload, context)


REFUSED: Final = BY_ID["dispatch-access-denied"]
TWICE: Final = wrapped(send_message_batch=send_twice)
PARKS_NOTHING: Final = wrapped(send_message_batch=drop_parked)
FORGETS_SENT: Final = wrapped(update_item=forget_sent)
ENTRY_REFUSED: Final = BY_ID["dispatch-entry-refused-by-the-service"].breakages[0]
UNORDERED: Final = Row("dispatch", "", "", (replace(ENTRY_REFUSED, share=0.8),))


class TestSuite:
    """It finds the defects that it is meant to find."""

    @cases(
        ("defective", "row", "route", "times", "is_fresh", "found"),
        {
            "failures are not reported": (ReportsSuccess, REFUSED, TO_SQS, 1, False, "lost"),
            "events are ignored": (changing(without_some_events), NOTHING, S3, 1, False, "lost"),
            "mistakes are not parked": (PARKS_NOTHING, NOTHING, S3, 1, False, "lost"),
            "an instance forgets": (forgetful, REFUSED, TO_SQS, 1, False, "doubles"),
            "sent twice": (TWICE, NOTHING, S3, 1, False, "doubles"),
            "sent twice by a new instance": (TWICE, NOTHING, S3, 1, True, "doubles"),
            "claims without sent": (FORGETS_SENT, WITH_CLAIMS, TO_SQS, 1, True, "doubles"),
            "out of order": (changing(without_groups), UNORDERED, FIFO, 6, False, "disordered"),
        },
    )
    def test_a_defect_is_found(
        self,
        laboratory: Laboratory,
        monkeypatch: pytest.MonkeyPatch,
        *,
        defective: Callable[..., Any],
        row: Row,
        route: Route,
        times: int,
        is_fresh: bool,
        found: str,
    ) -> None:
        monkeypatch.setattr(laboratory, "make_function", defective)
        tally = run(laboratory, row, route, times * EVENTS, is_fresh=is_fresh)
        expected = {"doubles": tally.doubles[Why.NOTHING]}.get(found, getattr(tally, found))
        assert expected
        assert not tally.is_good

    @pytest.mark.parametrize("shares_claims", [False, True], ids=["apart", "shared"])
    @pytest.mark.parametrize("fate", ["nothing", "reply-lost", "process-ended"])
    def test_the_fate_of_a_copy_does_not_explain_that_copy(
        self, fate: str, *, shares_claims: bool
    ) -> None:
        """The instance that sends the second copy knows of the first."""
        ledger = Ledger(shares_claims)
        message = {"parameters": {"key": "in/1", "trigger": "pair"}, "job_id": "core"}
        texts = [json.dumps(message | {"run_id": each}) for each in ("first", "second")]
        take = ledger.note_taken(lambda *_: {"Successful": [{"Id": "0"}]})
        for text in texts:
            ledger.invocations.append(Invocation(1, gives_parked_back=False))
            ledger.invocation.failed = frozenset(["in/1"])
            take(None, {"Entries": [{"Id": "0", "MessageBody": text}]})
        if fate == "reply-lost":
            ledger.unanswered.add(texts[1])
        ledger.invocation.has_ended = fate == "process-ended"

        assert ledger.account([("in/1", "pair", "core")]).doubles == {Why.NOTHING: 1}


class TestTable:
    def test_the_page_has_all_calls_and_no_defect_and_explains_every_letter(self) -> None:
        page = (CHECKOUT / "docs" / "faults.md").read_text()
        table = page.partition("<!-- table of calls -->")[2].partition("<!-- end")[0]
        lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
        head, _, *lines = [line for line in lines if line]
        assert tuple(head) == BY_CALL
        assert [line[0] for line in lines] == [*dict.fromkeys(row.call for row in ROWS), "all"]
        for line in lines:
            assert line[BY_CALL.index("Lost")] == "0"
            assert "?" not in "".join(line[-2:])
        for why in Why:
            assert f"\n| {why.value} |" in page

    def test_a_line_of_a_call_is_the_sum_of_its_faults(self) -> None:
        [one, two] = [row for row in ROWS if row.call == "park"][:2]
        results = {
            (one, ROUTES[0], False): Tally(3, 1, doubles=Counter({Why.REPLY: 2})),
            (two, ROUTES[0], False): Tally(3, 4, doubles=Counter({Why.REPLY: 1, Why.END: 1})),
            (two, ROUTES[0], True): Tally(3, 5, lost=1),
        }
        assert lines_of(results, BY_CALL) == [
            ["park", "9", "10", "1", "3 R + 1 E", "0"],
            ["all", "9", "10", "1", "3 R + 1 E", "0"],
        ]
