"""The rows of the table of faults: which calls fail, how, and when."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from tests.aws_in_memory import (
    DENIED,
    KEY_DENIED,
    LOST_REPLY,
    READS_THROTTLED,
    RESET,
    SERVER_ERROR,
    THROTTLED,
    Call,
    EntryRefusal,
    Fault,
    Held,
    Partial,
    Refusal,
)

from .calls import (
    CALLS,
    CLAIM,
    CONFIRM,
    DISPATCH,
    FIND_BY_PREFIX,
    FIND_DEAD_LETTERS,
    FIND_WORKERS_QUEUE,
    NOTE,
    PARK,
    RELEASE,
    CallKind,
    subject,
)

SHARE: Final = 0.4
"""Share of calls that fail: often all three attempts of a call, which fails its delivery."""


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A kind of fault."""

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
    return THROTTLED if "Queue" in str(call.request.keys()) else READS_THROTTLED


def _slow(_: Call, number: int) -> Fault:
    """A reply that comes too late; in a third of cases the work is not done."""
    return Held(SERVER_ERROR if number % 3 == 0 else None)


def _end(_: Call, number: int) -> Fault:
    return RESET if number % 2 else LOST_REPLY


def _one_refused(refusal: EntryRefusal) -> Callable[[Call, int], Fault]:
    return lambda call, number: Partial({number % len(call.request["Entries"]): refusal})


FAULTS: Final = (
    FaultKind("500", lambda *_: SERVER_ERROR),
    FaultKind("throttled", _throttled),
    FaultKind("access denied", lambda *_: DENIED),
    FaultKind("KMS key denied", lambda *_: KEY_DENIED, is_of_batches=True),
    FaultKind("connection reset", lambda *_: RESET),
    FaultKind("reply lost", lambda *_: LOST_REPLY),
    # Rarer, since each takes the time that the client waits.
    FaultKind("slow", _slow, share=0.03, burst=4, is_slow=True),
    FaultKind("process ends", _end, share=0.1, is_end=True),
    FaultKind(
        "entry refused, by the service",
        _one_refused(EntryRefusal("InternalError", is_senders_fault=False)),
        is_of_batches=True,
    ),
    FaultKind(
        "entry refused, as the sender's fault",
        _one_refused(EntryRefusal("InvalidMessageContents", is_senders_fault=True)),
        is_of_batches=True,
    ),
)

_GONE: Final = Refusal(400, "QueueDoesNotExist")
_RECREATED: Final = FaultKind("queue recreated", lambda *_: _GONE)


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
        """A short name."""
        words = f"{self.call} {self.fault}".replace("'", "").replace(",", "")
        return words.replace(" ", "-")

    @property
    def shares_claims(self) -> bool:
        """Whether the instances share the memory of duplicates."""
        return any(each.call.is_of_claims for each in self.breakages)

    @property
    def breaks_reads(self) -> bool:
        """Whether calls that read triggers or jobs fail."""
        return any(each.call.operation in ("Query", "GetItem") for each in self.breakages)

    @property
    def walks(self) -> bool:
        """Whether triggers are looked up by prefix, as in a bucket with too many."""
        return any(each.call is FIND_BY_PREFIX for each in self.breakages)

    @property
    def ends(self) -> bool:
        """Whether the process of the function sometimes ends."""
        broken = (*self.breakages, *self.beside)
        return any(fault.is_end for each in broken for fault in each.faults)

    @property
    def is_slow(self) -> bool:
        """Whether calls fail by a slow reply."""
        return any(fault.is_slow for each in self.breakages for fault in each.faults)


_DENIED = next(each for each in FAULTS if each.name == "access denied")
_END = next(each for each in FAULTS if each.is_end)
_BESIDE: Final = {
    # The function looks up a recreated queue again.
    FIND_WORKERS_QUEUE: Breakage(DISPATCH, (_RECREATED,), share=0.3),
    FIND_DEAD_LETTERS: Breakage(PARK, (_RECREATED,), share=0.3),
    # An event that comes again after its instance ended finds a claim.
    NOTE: Breakage(DISPATCH, (_END,), share=0.3),
    # The function releases a claim where something failed.
    **{each: Breakage(DISPATCH, (_DENIED,), share=0.3) for each in (CLAIM, CONFIRM, RELEASE)},
}


def _rows() -> Iterable[Row]:
    for call in CALLS:
        for fault in FAULTS:
            if call.operation == "SendMessageBatch" or not fault.is_of_batches:
                beside = (_BESIDE[call],) if call in _BESIDE else ()
                broken = (Breakage(call, (fault,)),)
                yield Row(call.name, call.operation, fault.name, broken, beside)
    quick = [fault for fault in FAULTS if not fault.is_slow]
    for name, kinds in (
        ("any", [each for each in CALLS if not each.is_of_claims]),
        ("any, with claims", list(CALLS)),
    ):
        yield Row(
            name,
            "any",
            "any but slow",
            tuple(
                Breakage(
                    call,
                    tuple(
                        fault
                        for fault in quick
                        if call.operation == "SendMessageBatch" or not fault.is_of_batches
                    ),
                    share=0.15,
                )
                for call in kinds
            ),
        )


ROWS: Final = tuple(_rows())


class Plan:
    """Decides which call fails and how; an argument of `Endpoint.fail`.

    The decision depends on the subject of a call and the number of calls about it
    before, so the order of threads makes no difference.

    Args:
        row: The faults.
        seed: Selects the calls that fail.
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
