"""The trial of an entry: the function's decider decides on objects that the entry should match.

The objects are below its prefix and meet its conditions, with events in the form of S3 and of
EventBridge. So a user error that would park events is found before the first event.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from lava_s3trigger.cli.decide.decider import decide_event
from lava_s3trigger.cli.decide.document import pending_message
from lava_s3trigger.cli.decide.fixed_values import NOW
from lava_s3trigger.cli.objects.event_types import EVENT_TYPES, event_type
from lava_s3trigger.cli.objects.payloads import ObjectEvent, eventbridge_event, s3_notification
from lava_s3trigger.cli.objects.sample_keys import sample_keys
from lava_s3trigger.deliveries import deliveries
from lava_s3trigger.errors import UserError
from lava_s3trigger.jobs import Job
from lava_s3trigger.templates.documents import Document
from lava_s3trigger.triggers import Trigger, Walk

from .rules.template_text import cuts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lava_s3trigger.decision import TriggerDecision
    from lava_s3trigger.events import S3Event
    from lava_s3trigger.outcomes import Outcome

    from .rules.template_text import TemplateText

    Path = tuple[str | int, ...]

S3: Final = "S3"
EVENTBRIDGE: Final = "EventBridge"
CREATED: Final = "created"
DELETED: Final = "deleted"
_KINDS: Final = {
    "ObjectCreated": CREATED,
    "ObjectRemoved": DELETED,
    "ObjectDeleted": DELETED,
    "LifecycleExpiration": DELETED,
}
_SIZE: Final = 1082
_MAX_KEYS: Final = 40
_MAX_CUTS: Final = 200
_MAX_SMALL_CHARACTERS: Final = 1024 * 1024 // 6
"""Characters of documents that fit into a message even if each takes six bytes in it."""
_SIZED: Final = frozenset(["size", "info", "event"])
_ROUTED: Final = frozenset(["event_type", "source_ip", "info", "event"])
"""Aspects that differ with an object's size (above), or with an event's route and type."""


class Variant(NamedTuple):
    """A kind of event to try."""

    route: str
    kind: str
    """`CREATED`, `DELETED`, or empty for any other."""
    event_type: str
    size: int | None
    """Bytes; None if events of the type have no size."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the function would park events of an entry."""

    reason: str
    when: str
    """The events that would be parked, for messages; empty if all would be."""
    path: Path
    """The path in the entry of the template that cannot be rendered."""
    of_name: bool
    text: str | None
    """The piece of code in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedEntry:
    """An entry that the function accepts, with the fields that determine the events to try."""

    trigger: Trigger
    bucket: str
    prefix: str
    patterns: list[str]
    """Patterns of `if_fnmatch`."""
    keys: list[str]
    """Keys of its own cases."""
    event_types: frozenset[str]
    """The event types that its conditions accept."""
    names_event_types: bool
    """Whether it has a condition on event types."""
    above: float | None
    """Bytes of `if_size_gt`."""
    most: float | None
    """Bytes of `if_not_size_gt`."""
    templates: list[tuple[Path, TemplateText]]
    documents: list[Any]
    """Its parameters and globals."""


class Trial:
    """Tries an entry.

    Args:
        entry: The entry.
    """

    def __init__(self, entry: TriedEntry) -> None:
        self._entry = entry
        self._trigger = entry.trigger

    def keys(self) -> Iterator[str]:
        """Yield keys to try, those of its own cases first."""
        samples = sample_keys(self._entry.prefix, self._entry.patterns)
        seen: set[str] = set()
        for key in islice(chain(self._entry.keys, samples), _MAX_KEYS):
            if key not in seen:
                seen.add(key)
                yield key

    @cached_property
    def failure(self) -> Failure | None:
        """Why events would be parked; None if the trial found no such event."""
        if not self._entry.templates:
            return None
        variants = self._variants
        if not _failing(self._ends(self._shared, variants)):
            return None
        ends = self._ends(self._trigger, variants)
        failing = _failing(ends)
        if not failing:
            return None
        variant, end = next(iter(failing.items()))
        return self._placed(end, variant, self._when(failing, ends))

    @cached_property
    def too_large(self) -> str | None:
        """Why no queue would accept the dispatch; None if one would."""
        if len(json.dumps(self._entry.documents, ensure_ascii=False)) < _MAX_SMALL_CHARACTERS:
            return None
        for job in self.decision.jobs if self.decision else ():
            pending = job.dispatch and pending_message(job.dispatch, "")
            if pending and pending.outcome == "user_error":
                return pending.reason
        return None

    @cached_property
    def key(self) -> str:
        """The first key that the conditions accept; empty if there is none."""
        for key in self.keys():
            decided = self.decide(key)
            if decided and not _is_unmet(decided):
                return key
        return ""

    @cached_property
    def decision(self) -> TriggerDecision | None:
        """The decision of the function for the key."""
        return self.decide(self.key) if self.key else None

    def decide(self, key: str) -> TriggerDecision | None:
        """Return the decision of the function for a key; None if no event can reach the entry."""
        if not self._variants:
            return None
        return self._decide(self._trigger, key, self._variants[0])

    def _decide(self, trigger: Trigger, key: str, variant: Variant) -> TriggerDecision:
        event = _event(self._entry.bucket, key, variant)
        return decide_event(event, _Only(trigger), _AnyJob()).triggers[0]

    # The events to try.

    @cached_property
    def _variants(self) -> list[Variant]:
        """Return the events that its templates may render differently."""
        read = {name for _, template in self._entry.templates for name in template.code.aspects}
        variants = list(self._all_variants())
        is_routed, is_sized = bool(read & _ROUTED), bool(read & _SIZED)
        chosen = [
            variant
            for variant in variants
            if (is_routed or variant.route == variants[0].route)
            and (is_routed or is_sized or variant.kind == variants[0].kind)
            and (is_sized or variant.size != 0)
        ]
        return chosen or variants[:1]

    def _all_variants(self) -> Iterator[Variant]:
        size = self._size()
        for route, kind, name, is_sized in _samples(self._entry.event_types, self._named):
            own = size if is_sized else None
            for variant_size in (own, 0) if kind == CREATED else (own,):
                if self._allows(variant_size or 0):
                    yield Variant(route, kind, name, variant_size)

    @cached_property
    def _named(self) -> frozenset[str]:
        """Return the kinds of events that the entry should match."""
        kinds = _kinds(self._entry.event_types)
        is_named = self._entry.names_event_types
        return kinds if is_named or CREATED not in kinds else frozenset([CREATED])

    def _size(self) -> int:
        above, most = self._entry.above, self._entry.most
        size = _SIZE if above is None else max(_SIZE, math.floor(min(above, 2**62)) + 1)
        return size if most is None else max(0, min(size, math.floor(min(most, 2**62))))

    def _allows(self, size: int) -> bool:
        above, most = self._entry.above, self._entry.most
        return (above is None or size > above) and (most is None or size <= most)

    @cached_property
    def _shared(self) -> Trigger:
        """The trigger with documents that it shares with others whose code is the same."""
        documents = {path: _shared(template) for path, template in self._entry.templates}
        job_ids = tuple(
            documents.get(("job_id", n), documents.get(("job_id",), document))
            for n, document in enumerate(self._trigger.job_ids)
        )
        return replace(
            self._trigger,
            job_ids=job_ids,
            parameters=documents.get(("parameters",)),
            globals=documents.get(("globals",)),
        )

    def _ends(self, trigger: Trigger, variants: Iterable[Variant]) -> dict[Variant, _End]:
        ends = {}
        for variant in variants:
            if end := self._ended(trigger, variant):
                ends[variant] = end
                # It used up time or memory of a rendering, and would again for each variant.
                if end.outcome and end.outcome.kind == "aborted":
                    return {variant: end}
        return ends

    def _ended(self, trigger: Trigger, variant: Variant) -> _End | None:
        """Return the result for a variant: the first key that passes, else the first that fails.

        A template may need a key of a certain form, which cannot be guessed.
        """
        failed = None
        for key in self.keys():
            decided = self._decide(trigger, key, variant)
            if _is_unmet(decided):
                continue
            outcome = next(
                (outcome for outcome in decided.outcomes if outcome.outcome != "skipped"), None
            )
            if outcome is None:
                return _End(key, None)
            failed = failed or _End(key, outcome)
            if outcome.kind == "aborted":
                break
        return failed

    def _when(self, failing: Iterable[Variant], tried: Iterable[Variant]) -> str:
        """Return which events would be parked, in words; nothing if all would be."""
        left, tried = set(failing), set(tried)
        for kind in self._named:
            own = {variant for variant in tried if variant.kind == kind}
            own = {variant for variant in own if variant.size != 0} or own
            if own and own <= left:
                return ""
        told = []
        for route in (S3, EVENTBRIDGE):
            own = {variant for variant in tried if variant.route == route}
            if own and own <= left:
                told.append(f"that come from {route}")
                left -= own
        told += [f"of {name}" for name in sorted({_name(variant) for variant in left})]
        return " and ".join(told)

    # The place of the error.

    def _placed(self, end: _End, variant: Variant, when: str) -> Failure:
        outcome = end.outcome
        reason = str(outcome.reason) if outcome else ""
        for path, template in self._entry.templates:
            document = Document(template.value, is_globals=path == ("globals",))
            if self._fails(document, end.key, variant):
                inner, of_name, text = self._culprit(template, end.key, variant)
                return Failure(reason, when, (*path, *inner), of_name, text)
        return Failure(reason, when, ("job_id",), of_name=False, text=None)

    def _fails(self, document: Document, key: str, variant: Variant) -> bool:
        alone = replace(self._trigger, job_ids=(document,), parameters=None, globals=None)
        if not isinstance(document.value, str):
            alone = replace(alone, job_ids=(_JOB,), parameters=document)
        decided = self._decide(alone, key, variant)
        return any(outcome.outcome == "user_error" for outcome in decided.outcomes)

    def _culprit(
        self, template: TemplateText, key: str, variant: Variant
    ) -> tuple[Path, bool, str | None]:
        """Return the place of the first piece of code with which the document no longer renders."""
        first = None
        for cut in islice(cuts(template.value), _MAX_CUTS):
            first = first or cut
            document = Document(cut.strings)
            if not _compiles(document):
                continue  # it ends inside a block
            if self._fails(document, key, variant):
                return first.path, first.of_name, first.code
            first = None
        return (), False, None


def _kind(event_type: str) -> str:
    return _KINDS.get(event_type.partition(":")[0], "")


@lru_cache(256)
def _kinds(event_types: frozenset[str]) -> frozenset[str]:
    return frozenset(map(_kind, event_types))


@lru_cache(256)
def _samples(
    event_types: frozenset[str], named: frozenset[str]
) -> tuple[tuple[str, str, str, bool], ...]:
    """Return an event type for each route and kind, and whether its events have a size."""
    samples: dict[tuple[str, str], tuple[str, bool]] = {}
    for known in EVENT_TYPES.values():
        for route, name, without in (
            (S3, known.name, known.without),
            (EVENTBRIDGE, known.name_in_eventbridge, known.without_in_eventbridge),
        ):
            kind = _kind(name or "")
            if name in event_types and (kind or "" in named):
                samples.setdefault((route, kind), (str(name), "size" not in without))
    return tuple((*place, *sample) for place, sample in samples.items())


class _End(NamedTuple):
    key: str
    outcome: Outcome | None
    """Why it fails; None if it passes."""


def _failing(ends: dict[Variant, _End]) -> dict[Variant, _End]:
    return {variant: end for variant, end in ends.items() if end.outcome}


class _Only:
    """A table of one trigger, which every key matches."""

    def __init__(self, trigger: Trigger) -> None:
        self._trigger = trigger

    def matching(self, _bucket: str, _key: str) -> Walk:
        """Return the trigger."""
        return Walk((self._trigger.prefix,), [self._trigger])


class _AnyJob:
    """Unknown jobs: any id that is not empty names one."""

    def __getitem__(self, job_id: str) -> Job:
        """Return a job.

        Raises:
            UserError: The id is empty.
        """
        if not job_id:
            raise UserError("job_id: it renders to nothing", "no_such_job")
        return Job(job_id, "worker", enabled=True)


_JOB: Final = Document("job")


def _name(variant: Variant) -> str:
    """Describe the events of a variant, without their route."""
    if variant.size == 0:
        return "empty objects"
    return {CREATED: "new objects", DELETED: "deletions"}.get(variant.kind, "other types")


def _is_unmet(decided: TriggerDecision) -> bool:
    return decided.ended is not None and decided.ended.kind == "condition_not_met"


def _shared(template: TemplateText) -> Document:
    if template.code.keeps_text:
        return Document(template.value, is_globals=template.is_globals)
    return _document(template.reduced, template.is_globals)


@lru_cache(4096)
def _document(text: str, is_globals: bool) -> Document:  # noqa: FBT001 - of a cache
    return Document(json.loads(text), is_globals=is_globals)


def _compiles(document: Document) -> bool:
    try:
        document.compile()
    except (ValueError, TimeoutError):
        return False
    return True


@lru_cache(256)
def _event(bucket: str, key: str, variant: Variant) -> S3Event:
    event = ObjectEvent(
        bucket=bucket,
        key=key,
        type=event_type(variant.event_type),
        time=NOW,
        size=variant.size or 0,
    )
    payload = s3_notification([event]) if variant.route == S3 else eventbridge_event(event)
    [delivery] = deliveries(payload, event.region)
    return delivery.events[0].event
