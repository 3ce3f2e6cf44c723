"""The rows of the table of faults: which calls fail, how, and when."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from tests.aws_in_memory import Call, EntryRefusal, Fault, Held, Partial, Refusal, faults

from . import calls
from .calls import CALLS, CallKind, subject

SHARE: Final = 0.4
"""Share of calls that fail: often all three attempts of a call, which fails its delivery."""


@dataclass(frozen=True, slots=True)
class FaultKind:
    name: str
    make: Callable[[Call, int], Fault]
    """Returns a fault for a call, given a number that differs from call to call."""
    share: float = SHARE
    burst: int = 1
    """Number of consecutive calls about the same thing that it breaks."""
    is_slow: bool = False
    """Whether clients wait for a reply in vain; they then wait only briefly."""
    is_end: bool = False
    """Whether the process of the function ends."""
    is_of_batches: bool = False


def _throttled(call: Call, _: int) -> Fault:
    return faults.THROTTLED if "Queue" in str(call.request.keys()) else faults.READS_THROTTLED


def _entry_refused(how: str, code: str, *, is_senders_fault: bool) -> FaultKind:
    refusal = EntryRefusal(code, is_senders_fault)
    return FaultKind(
        f"entry refused, {how}",
        lambda call, number: Partial({number % len(call.request["Entries"]): refusal}),
        is_of_batches=True,
    )


ACCESS_DENIED: Final = FaultKind("access denied", lambda *_: faults.DENIED)
PROCESS_ENDS: Final = FaultKind(
    "process ends",
    lambda _, number: faults.RESET if number % 2 else faults.LOST_REPLY,
    share=0.1,
    is_end=True,
)
FAULTS: Final = (
    FaultKind("500", lambda *_: faults.SERVER_ERROR),
    FaultKind("throttled", _throttled),
    ACCESS_DENIED,
    FaultKind("KMS key denied", lambda *_: faults.KEY_DENIED, is_of_batches=True),
    FaultKind("connection reset", lambda *_: faults.RESET),
    FaultKind("reply lost", lambda *_: faults.LOST_REPLY),
    FaultKind(
        "slow",
        # The reply comes too late; in a third of cases the work is not done.
        lambda _, number: Held(None if number % 3 else faults.SERVER_ERROR),
        share=0.03,  # rarer, since each takes the time that the client waits
        burst=4,
        is_slow=True,
    ),
    PROCESS_ENDS,
    _entry_refused("by the service", "InternalError", is_senders_fault=False),
    _entry_refused("as the sender's fault", "InvalidMessageContents", is_senders_fault=True),
)

_RECREATED: Final = FaultKind("queue recreated", lambda *_: Refusal(400, "QueueDoesNotExist"))


@dataclass(frozen=True, slots=True)
class Breakage:
    """A share of the calls of a kind fails, each by one of some faults."""

    call: CallKind
    faults: tuple[FaultKind, ...]
    share: float | None = None
    """Share of calls that fail; None takes that of the kind of fault."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table: which calls fail, and how."""

    call: str
    operation: str
    fault: str
    breakages: tuple[Breakage, ...]
    beside: tuple[Breakage, ...] = ()
    """Faults of other calls, without which the function would rarely make this call."""

    @property
    def id(self) -> str:
        words = f"{self.call} {self.fault}".replace("'", "").replace(",", "")
        return words.replace(" ", "-")

    @property
    def shares_claims(self) -> bool:
        return any(each.call.is_of_claims for each in self.breakages)

    @property
    def breaks_reads(self) -> bool:
        return any(each.call.operation in ("Query", "GetItem") for each in self.breakages)

    @property
    def walks(self) -> bool:
        return any(each.call is calls.FIND_BY_PREFIX for each in self.breakages)

    @property
    def ends(self) -> bool:
        broken = (*self.breakages, *self.beside)
        return any(fault.is_end for each in broken for fault in each.faults)

    @property
    def is_slow(self) -> bool:
        return any(fault.is_slow for each in self.breakages for fault in each.faults)


_BESIDE: Final = {
    # The function looks up a recreated queue again.
    calls.FIND_WORKERS_QUEUE: Breakage(calls.DISPATCH, (_RECREATED,), share=0.3),
    calls.FIND_DEAD_LETTERS: Breakage(calls.PARK, (_RECREATED,), share=0.3),
    # An event that comes again after its instance ended finds a claim.
    calls.NOTE: Breakage(calls.DISPATCH, (PROCESS_ENDS,), share=0.3),
    # The function releases a claim where something failed.
    **dict.fromkeys(
        (calls.CLAIM, calls.CONFIRM, calls.RELEASE),
        Breakage(calls.DISPATCH, (ACCESS_DENIED,), share=0.3),
    ),
}


def faults_of(call: CallKind) -> tuple[FaultKind, ...]:
    """Return the kinds of faults that can befall a call."""
    return tuple(each for each in FAULTS if call.is_of_batches or not each.is_of_batches)


def _rows() -> Iterable[Row]:
    for call in CALLS:
        for fault in faults_of(call):
            beside = (_BESIDE[call],) if call in _BESIDE else ()
            yield Row(call.name, call.operation, fault.name, (Breakage(call, (fault,)),), beside)
    every = {
        call: Breakage(call, tuple(f for f in faults_of(call) if not f.is_slow), share=0.15)
        for call in CALLS
    }
    without = tuple(breakage for call, breakage in every.items() if not call.is_of_claims)
    yield Row("any", "any", "any but slow", without)
    yield Row("any, with claims", "any", "any but slow", tuple(every.values()))


ROWS: Final = tuple(_rows())


class Plan:
    """Decides which call fails and how; an argument of `Endpoint.fail`.

    The decision depends on the seed, the subject of a call and the number of calls about it
    before, so the order of threads makes no difference.
    """

    def __init__(self, row: Row, seed: int) -> None:
        self._row = row
        self._seed = seed
        self._counts: Counter[str] = Counter()
        self.held: list[Held] = []
        self.broken = 0
        """Number of calls that failed because of the row."""
        self.is_ending = False
        """Whether the process of the function ends now."""

    def __call__(self, call: Call) -> Fault | None:
        about = f"{self._seed} {call.operation} {subject(call)}"
        self._counts[about] += 1
        for breakage in (*self._row.breakages, *self._row.beside):
            if breakage.call.holds(call):
                return self._fault(breakage, call, about)
        return None

    def _fault(self, breakage: Breakage, call: Call, about: str) -> Fault | None:
        is_in_row = breakage in self._row.breakages
        number = self._counts[about]
        which = breakage.faults[_chance(f"{about} {number} which") % len(breakage.faults)]
        share = which.share if breakage.share is None else breakage.share
        burst = (number - 1) // which.burst
        # At least the first call fails, unless it is about a single event.
        is_first = is_in_row and number == 1 and not breakage.call.is_of_claims
        if not is_first and _chance(f"{about} {breakage.call.name} {burst}") >= share * _CHANCES:
            return None
        self.broken += is_in_row
        self.is_ending |= which.is_end
        fault = which.make(call, _chance(f"{about} {number} how"))
        if isinstance(fault, Held):
            self.held.append(fault)
        return fault

    def release(self) -> None:
        """Release held replies, for which no client waits any more."""
        while self.held:
            self.held.pop().release()


_CHANCES: Final = 1 << 32


def _chance(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest())
