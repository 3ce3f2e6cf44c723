"""Rules on jobs, and on dispatches to their workers."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger import units
from lava_s3trigger.cli.check.findings import Found
from lava_s3trigger.triggers import WHOLE_BUCKET
from lava_s3trigger.units import shown

from .registry import hint, nearest, rule
from .template_text import TemplateText, stands_in_order, strings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .checked import CheckedEntries, CheckedEntry

_WORKER: Final = re.compile(r"[A-Za-z0-9_-]+(\.fifo)?")
_MAX_QUEUE_NAME: Final = 80
_OUTPUT: Final = re.compile(
    r"-{0,2}(?:[a-z_-]*[_-])?(?:out|output|dest|destination|target|sink|to)(?:[_-][a-z_-]*)?",
    re.IGNORECASE,
)
"""Names of parameters for the output of a job."""
_MAX_NAME_CHARACTERS: Final = 64
_DOCUMENTS: Final = ("parameters", "globals")
_FIELDS: Final = frozenset(
    """
    cw_metrics description dispatcher enabled event_log globals iteration_delay iteration_limit
    job_id max_run_delay max_tries on_fail on_retry on_success owner parameters payload schedule
    state type worker
    """.split()  # noqa: SIM905
)
"""Of lava's jobs table."""


def _literal_jobs(checked: CheckedEntry) -> Iterator[tuple[int, str]]:
    """Yield position and id of the jobs that are not templates."""
    for position, job_id in enumerate(checked.job_ids):
        if not (checked.is_template and TemplateText.of(job_id)):
            yield position, job_id


@rule("LT501", "warning", "Job is missing")
def missing(checked: CheckedEntry, every: CheckedEntries) -> Iterator[Found]:
    """A trigger names a job that is in none of the files, or is not in the realm's table.

    Every event is parked until the job exists.
    """
    if every.jobs is None:
        return
    for position, job_id in _literal_jobs(checked):
        if job_id not in every.jobs:
            yield Found(
                f"no job {shown(job_id)} in {every.jobs_name}{hint(job_id, every.jobs)}",
                checked.job_id_path(position),
            )


@rule("LT502", "warning", "Job is disabled")
def disabled(checked: CheckedEntry, every: CheckedEntries) -> Iterator[Found]:
    """An enabled trigger names a job that is disabled, so nothing is dispatched.

    A job without `enabled` is disabled. Enable the job, or disable the trigger.
    """
    if every.jobs is None or not checked.is_enabled:
        return
    for position, job_id in _literal_jobs(checked):
        job = every.jobs.get(job_id)
        if job is None or isinstance(job.values.get("enabled"), str):
            continue
        try:
            is_enabled = units.boolean(job.values.get("enabled"))
        except ValueError:
            continue
        if not is_enabled:
            yield Found(f"job {shown(job_id)} is disabled", checked.job_id_path(position))


@rule("LT503", "warning", "No job can match the template of a job id")
def no_match(checked: CheckedEntry, every: CheckedEntries) -> Iterator[Found]:
    """The `job_id` is a template, and no job has an id that it could render to.

    An example is `load_{{ key.split('/')[1] }}`, if no job begins with `load_`.
    """
    if not every.jobs or not checked.is_template:
        return
    for position, job_id in enumerate(checked.job_ids):
        template = TemplateText.of(job_id)
        pieces = template.pieces() if template else None
        if pieces and not any(stands_in_order(pieces, job_id) for job_id in every.jobs):
            yield Found(
                f"no job in {every.jobs_name} has an id such as {shown(job_id)}",
                checked.job_id_path(position),
            )


@rule("LT504", "warning", "Parameters replace those of the job")
def replaced(checked: CheckedEntry, every: CheckedEntries) -> Iterator[Found]:
    """A map in the trigger's `parameters` or `globals` replaces the job's map of the same name.

    [Maps inside are not merged](triggers.md#parameters-and-globals). Write all names of the map in
    the trigger, or write it only in the job.
    """
    if every.jobs is None:
        return
    for _, job_id in _literal_jobs(checked):
        job = every.jobs.get(job_id)
        for name in _DOCUMENTS if job else ():
            own, jobs_own = checked.values.get(name), job.values.get(name) if job else None
            if not (isinstance(own, dict) and isinstance(jobs_own, dict)):
                continue
            for own_name, value in own.items():
                other = jobs_own.get(own_name)
                if isinstance(value, dict) and isinstance(other, dict):
                    lost = sorted(other.keys() - value.keys())
                    if lost:
                        yield Found(
                            f"{own_name!a} replaces the one of job {shown(job_id)}, whose"
                            f" {', '.join(map(shown, lost[:5]))} would be lost: maps are not"
                            " merged",
                            (name, own_name),
                            of_name=True,
                        )


@rule("LT505", "warning", "Worker has no queue", on="job")
def no_queue(checked: CheckedEntry, every: CheckedEntries) -> Iterator[Found]:
    """A job names a worker that has no SQS queue `lava-<REALM>-<WORKER>`.

    Every event for the job is parked. Deploy the worker, or correct its name.
    """
    worker = checked.values.get("worker")
    if not (isinstance(worker, str) and _WORKER.fullmatch(worker)):
        return  # LT122 or LT509
    if every.workers is not None and worker not in every.workers:
        yield Found(
            f"no queue lava-{every.realm}-{worker}{hint(worker, every.workers)}",
            ("worker",),
        )


@rule("LT506", "warning", "Field of a job with a typo", on="job")
def typo(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """A job has an unknown field whose name is similar to a known one.

    A job with `enabeld: true` is disabled. Correct the name.
    """
    for name in checked.item:
        if name in _FIELDS or name.startswith(("x-", "X-")):
            continue
        close = nearest(name, _FIELDS - checked.item.keys())
        if close:
            yield Found(
                f"unknown job field {shown(name)}; did you mean {close}?", (name,), of_name=True
            )


@rule("LT507", "error", "Dispatch does not fit a message")
def too_large(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """The dispatch of a sample object is larger than 1 MiB, so SQS refuses it.

    Put large values into S3, and pass their address.
    """
    reason = checked.trial.too_large if checked.trial else None
    if reason:
        sizes = {name: len(json.dumps(checked.values.get(name))) for name in _DOCUMENTS}
        yield Found(reason, (max(sizes, key=lambda name: sizes[name]),))


@rule("LT508", "warning", "The same job twice")
def twice(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """`job_id` names a job twice, so each event dispatches it twice.

    Remove one of them, or ignore this rule in the entry if this is on purpose.
    """
    for position, job_id in enumerate(checked.job_ids):
        if job_id in checked.job_ids[:position]:
            yield Found(f"job {shown(job_id)} is named twice", checked.job_id_path(position))


@rule("LT509", "error", "Worker that no queue can be named after", on="job")
def no_queue_name(checked: CheckedEntry, every: CheckedEntries) -> Iterator[Found]:
    """The queue `lava-<REALM>-<WORKER>` would have an invalid name, so every event is parked.

    A name has up to 80 letters, digits, `-` and `_`; that of a FIFO queue ends with `.fifo`.
    """
    worker = checked.values.get("worker")
    if not isinstance(worker, str) or not worker:
        return
    name = f"lava-{every.realm}-{worker}"
    if not _WORKER.fullmatch(worker):
        yield Found(f"no queue can be named after the worker {shown(worker)}", ("worker",))
    elif len(name) > _MAX_QUEUE_NAME:
        wrong = f"{len(name)} characters; a queue has at most {_MAX_QUEUE_NAME}"
        yield Found(f"the queue {shown(name)} would have {wrong}", ("worker",))


@rule("LT510", "info", "Job may start itself")
def starts_itself(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """A parameter that looks like an output is below the entry's own prefix.

    If the job writes there, it starts itself again, without end. See [loops](triggers.md#loops).
    """
    trial = checked.trial
    raw = checked.values.get("parameters")
    if not (trial and any(_is_output(text) for _, text, _ in strings(raw)) and trial.decision):
        return
    dispatch = next((job.dispatch for job in trial.decision.jobs if job.dispatch), None)
    for path, text in _outputs(dispatch.parameters if dispatch else None):
        key = text.removeprefix(f"s3://{checked.bucket}/")
        folder, _, name = key.rpartition("/")
        is_own = (
            key != text
            if checked.prefix == WHOLE_BUCKET
            else f"{folder}/".startswith(f"{checked.prefix}/")
        )
        if not is_own or key == trial.key:
            continue
        # A folder, or the file itself.
        written = key if "." in name else f"{key.rstrip('/')}/{trial.key.rpartition('/')[2]}"
        decided = trial.decide(written)
        if decided and decided.outcome == "dispatched":
            yield Found(
                f"{shown(text)} is below the entry's own prefix; an object there fires the entry",
                ("parameters", *path),
            )


def _is_output(name: object) -> bool:
    """Return whether a name is one for the output of a job."""
    is_short = isinstance(name, str) and len(name) <= _MAX_NAME_CHARACTERS
    return is_short and bool(_OUTPUT.fullmatch(str(name)))


def _outputs(
    value: Any, path: tuple[str | int, ...] = (), *, is_output: bool = False
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield the texts of rendered parameters with a name for an output, and their paths."""
    if isinstance(value, str) and is_output:
        yield path, value
    elif isinstance(value, dict):
        for name, member in value.items():
            yield from _outputs(member, (*path, name), is_output=_is_output(name))
    elif isinstance(value, list):
        for n, member in enumerate(value):
            is_named = is_output or (n > 0 and _is_output(value[n - 1]))
            yield from _outputs(member, (*path, n), is_output=is_named)
