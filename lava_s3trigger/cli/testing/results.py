"""Runs cases with the function's decider, and compares its decisions with the expected ones."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.decide.decider import MEANINGS, decide_payload
from lava_s3trigger.cli.decide.fixed_values import FixedValues
from lava_s3trigger.cli.entries.memory import MemoryTriggers
from lava_s3trigger.conditions import is_condition
from lava_s3trigger.triggers import prefixes
from lava_s3trigger.units import shown

from .case import NOTHING, UNMATCHED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lava_s3trigger.cli.decide.decider import Decided
    from lava_s3trigger.cli.entries.load import Entry
    from lava_s3trigger.decision import Jobs, TriggerDecision
    from lava_s3trigger.outcomes import Outcome

    from .case import Case

    Dispatched = dict[str, Any]
    """A dispatch, by the names of its fields."""


_ABORTED: Final = "aborted"


@dataclass(slots=True)
class CaseResult:
    """The result of a case."""

    case: Case
    messages: list[str] = field(default_factory=list)
    """Why it failed."""
    diff: list[str] = field(default_factory=list)
    """Lines that begin with ``-`` are only expected, with ``+`` only decided, with a space both."""
    dispatches: list[Dispatched] = field(default_factory=list)

    @property
    def has_passed(self) -> bool:
        """Whether everything is as expected."""
        return not self.messages


@dataclass(slots=True)
class Coverage:
    """The parts of the entries that the cases test."""

    cases: dict[str, int] = field(default_factory=dict)
    """Number of cases by trigger id."""
    verdicts: dict[tuple[str, str], set[bool]] = field(default_factory=dict)
    """Whether a condition held, by trigger id and field."""

    def add(self, case: Case, decided: Decided) -> None:
        """Record the parts that a case tests."""
        self.cases[case.trigger_id] = self.cases.get(case.trigger_id, 0) + 1
        for trigger in _triggers(decided):
            for tested in trigger.conditions:
                seen = self.verdicts.setdefault((trigger.trigger_id, tested.condition.field), set())
                seen.add(tested.holds)

    def without_case(self, entries: Iterable[Entry]) -> list[Entry]:
        """Return the entries that no case belongs to."""
        return [entry for entry in entries if entry.id not in self.cases]

    def unseen(self, entries: Iterable[Entry]) -> list[tuple[Entry, str, bool]]:
        """Return the untested results of conditions: entry, field, and whether it holds."""
        return [
            (entry, name, holds)
            for entry in entries
            for name in entry.item
            if is_condition(name)
            for holds in (True, False)
            if holds not in self.verdicts.get((entry.id or "", name), set())
        ]


def run_cases(
    cases: Iterable[Case], triggers: MemoryTriggers, jobs: Jobs, region: str, coverage: Coverage
) -> Iterator[CaseResult]:
    """Run cases.

    Args:
        cases: The cases.
        triggers: All entries.
        jobs: Where jobs are looked up.
        region: Region of the function.
        coverage: Records the parts of entries that the cases test.
    """
    alone: dict[str, MemoryTriggers] = {}
    with FixedValues().in_templates() as fixed:
        for case in cases:
            deciding = triggers
            if case.is_alone:
                own = triggers.by_id[case.trigger_id]
                deciding = alone.setdefault(case.trigger_id, MemoryTriggers([own]))
            fixed.restart(case.now)
            decided = decide_payload(case.payload, deciding, jobs, region)
            if any(
                outcome.kind == "aborted"
                for trigger in _triggers(decided)
                for outcome in trigger.outcomes
            ):
                # The function would disable such an entry; a case must not depend on others.
                triggers = MemoryTriggers(triggers)
                alone.clear()
            coverage.add(case, decided)
            yield judge(case, decided)


def judge(case: Case, decided: Decided) -> CaseResult:
    """Compare the decisions with the expectation of a case."""
    result = CaseResult(case, dispatches=list(_dispatches(decided)))
    result.messages += [f"the payload is not understood: {error}" for error in decided.errors]
    own = [trigger for trigger in _triggers(decided) if trigger.trigger_id == case.trigger_id]
    result.messages += _user_errors(case, decided)
    missing, unexpected = _unmatched(case, result.dispatches)
    result.diff = list(_diff(missing, unexpected, is_exact=case.is_exact))
    if missing or unexpected:
        result.messages.append(
            f"expected {_count(len(case.expected))}, decided {_count(len(result.dispatches))}"
            if len(case.expected) != len(result.dispatches)
            else "a different dispatch than expected"
        )
        result.messages += _reasons(decided) if missing else []
        result.messages += _elsewhere(case, decided) if missing and not own else []
    if case.because and not result.dispatches and not _is_because(case.because, own):
        result.messages.append(f"nothing is dispatched, but not because of {case.because}")
        result.messages += _reasons(decided)
    result.messages = list(dict.fromkeys(result.messages))
    return result


def _triggers(decided: Decided) -> Iterator[TriggerDecision]:
    for decision in decided.decisions:
        yield from decision.triggers


def _dispatches(decided: Decided) -> Iterator[Dispatched]:
    for trigger in _triggers(decided):
        for job in trigger.jobs:
            if job.dispatch:
                yield {
                    "trigger_id": trigger.trigger_id,
                    "job_id": job.dispatch.job_id,
                    "worker": job.dispatch.worker or None,
                    "delay": job.dispatch.delay,
                    "parameters": job.dispatch.parameters,
                    "globals": job.dispatch.globals,
                }


def _count(number: int) -> str:
    return {0: NOTHING, 1: "one dispatch"}.get(number, f"{number} dispatches")


def _endings(trigger: TriggerDecision) -> Iterator[Outcome]:
    """Yield the outcomes of a trigger other than dispatches; reasons name the job."""
    if trigger.ended:
        yield trigger.ended
    for job in trigger.jobs:
        if job.ended:
            yield job.ended._replace(reason=f"job {shown(job.job_id)}: {job.reason}")


def _told(trigger: TriggerDecision, ending: Outcome) -> str:
    return f"trigger {shown(trigger.trigger_id)}: {MEANINGS[ending.outcome]}: {ending.reason}"


def _user_errors(case: Case, decided: Decided) -> list[str]:
    return [
        _told(trigger, ending)
        for trigger in _triggers(decided)
        for ending in _endings(trigger)
        if ending.outcome != "skipped"
        and not (ending.kind == case.because and trigger.trigger_id == case.trigger_id)
    ] + [decision.ended.reason or "" for decision in decided.decisions if decision.ended]


def _reasons(decided: Decided) -> list[str]:
    messages = [
        _told(trigger, ending) for trigger in _triggers(decided) for ending in _endings(trigger)
    ]
    for decision in decided.decisions:
        if not decision.triggers:
            tried = ", ".join(map(shown, decision.prefixes))
            bucket = shown(decision.event.bucket)
            messages.append(f"no entry of bucket {bucket} matches; prefixes tried: {tried}")
    return messages


def _elsewhere(case: Case, decided: Decided) -> list[str]:
    """Return why the case's own entry does not decide on its object."""
    told = []
    for decision in decided.decisions:
        why = f"does not match {shown(decision.event.key)}"
        if case.prefix in decision.prefixes:
            why = "is that of an entry of another bucket"
        elif case.prefix in prefixes(decision.event.key):
            why = f"is hidden by the longer prefix {shown(decision.prefixes[-1])}"
        tried = ", ".join(map(shown, decision.prefixes))
        prefix = f"trigger {shown(case.trigger_id)}: its prefix {shown(case.prefix)}"
        told.append(f"{prefix} {why}; prefixes tried: {tried}")
    return told


def _is_because(reason: str, own: list[TriggerDecision]) -> bool:
    """Return whether an entry dispatches nothing for a reason."""
    if reason == UNMATCHED:
        return not own
    if is_condition(reason):
        verdicts = [
            tested.holds
            for trigger in own
            for tested in trigger.conditions
            if tested.condition.field == reason
        ]
        return bool(verdicts) and not any(verdicts)
    return bool(own) and all(
        reason in (outcome.kind for outcome in trigger.outcomes) for trigger in own
    )


# Comparing.


def _unmatched(
    case: Case, dispatches: list[Dispatched]
) -> tuple[list[Dispatched], list[Dispatched]]:
    """Assign decided dispatches to as many expected ones as possible.

    Returns:
        The remaining expected dispatches, and the remaining decided ones.
    """
    fits = [
        [
            n
            for n, dispatch in enumerate(dispatches)
            if _is_as_expected(expected, dispatch, case.is_exact)
        ]
        for expected in case.expected
    ]
    owner: dict[int, int] = {}

    def assign(expected: int, tried: set[int]) -> bool:
        for n in fits[expected]:
            if n not in tried:
                tried.add(n)
                if n not in owner or assign(owner[n], tried):
                    owner[n] = expected
                    return True
        return False

    missing = [
        expected for number, expected in enumerate(case.expected) if not assign(number, set())
    ]
    return missing, [dispatch for n, dispatch in enumerate(dispatches) if n not in owner]


def _is_as_expected(expected: Dispatched, dispatch: Dispatched, is_exact: bool) -> bool:  # noqa: FBT001
    return all(_is_equal(value, dispatch[name], is_exact) for name, value in expected.items())


def _is_equal(expected: Any, actual: Any, is_exact: bool) -> bool:  # noqa: FBT001
    """Compare JSON values; for maps, only the expected members, or all of them."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        if is_exact and expected.keys() != actual.keys():
            return False
        return all(
            name in actual and _is_equal(value, actual[name], is_exact)
            for name, value in expected.items()
        )
    if isinstance(expected, list) and isinstance(actual, list):
        return len(expected) == len(actual) and all(
            map(_is_equal, expected, actual, [is_exact] * len(actual))
        )
    if isinstance(expected, bool) or isinstance(actual, bool):
        return expected is actual
    return bool(expected == actual)


def _diff(
    missing: list[Dispatched], unexpected: list[Dispatched], *, is_exact: bool
) -> Iterator[str]:
    rest = list(unexpected)
    for expected in missing:
        job_id = expected["job_id"]
        same_job = next((dispatch for dispatch in rest if dispatch["job_id"] == job_id), None)
        if same_job is not None:
            rest.remove(same_job)
            named = {name: same_job[name] for name in expected}
            same_job = named if is_exact else _named(expected, named)
        yield from _lines_of(expected, same_job)
    for unexpected_dispatch in rest:
        yield from _lines_of(
            None, {name: value for name, value in unexpected_dispatch.items() if value}
        )


def _named(expected: Any, actual: Any) -> Any:
    """Return the compared part of a value."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        return {
            name: _named(value, actual[name]) for name, value in expected.items() if name in actual
        }
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        return list(map(_named, expected, actual))
    return actual


def _lines_of(expected: Dispatched | None, actual: Dispatched | None) -> Iterator[str]:
    before, after = (_json(dispatch) if dispatch else [] for dispatch in (expected, actual))
    lines = difflib.unified_diff(before, after, n=3, lineterm="")
    yield from (line for line in list(lines)[2:] if not line.startswith("@@"))


def _json(value: Dispatched) -> list[str]:
    """Return the lines of a dispatch: its fields in a fixed order, the names in maps sorted."""
    try:
        ordered = {
            name: json.loads(json.dumps(value[name], sort_keys=True))
            for name in _ORDER
            if name in value
        }
        return json.dumps(ordered, indent=2, ensure_ascii=False).splitlines()
    except RecursionError:
        return ["nested too deeply to be shown"]


_ORDER: Final = ("trigger_id", "job_id", "worker", "delay", "parameters", "globals")
