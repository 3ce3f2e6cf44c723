"""Rules on jobs, and on what would be dispatched to their workers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger import units
from lava_s3trigger.cli.check.findings import Found
from lava_s3trigger.dispatch import Dispatch
from lava_s3trigger.units import shown

from .registry import hint, nearest, rule
from .template_text import TemplateText, stands_in_order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .checked import CheckedEntries, CheckedEntry

MAX_MESSAGE_BYTES: Final = 1024 * 1024
"""https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html"""
_WORST_ESCAPE: Final = 6
_FIELDS: Final = frozenset(
    """
    cw_metrics description dispatcher enabled event_log globals iteration_delay iteration_limit
    job_id max_run_delay max_tries on_fail on_retry on_success owner parameters payload schedule
    state type worker
    """.split()  # noqa: SIM905
)
"""Of lava's jobs table."""
_SURE: Final = 0.8


def _literal_jobs(checked: CheckedEntry) -> Iterator[tuple[int, str]]:
    """Yield position and id of the jobs that are no templates."""
    for position, job_id in enumerate(checked.job_ids):
        if not (checked.is_template and TemplateText.of(job_id)):
            yield position, job_id


@rule("LT501", "warning", "Job is missing")
def missing(checked: CheckedEntry, every: CheckedEntries) -> Iterator[Found]:
    """A trigger names a job that is in none of the files, or not in the realm's table.

    Every event is parked until the job is there. Create it, or correct the name. Where no jobs
    are given, and no realm, nothing is known of jobs, and this rule is silent.
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

    For example, `load_{{ key.split('/')[1] }}` where no job begins with `load_`.
    """
    if not every.jobs or not checked.is_template:
        return
    for position, job_id in enumerate(checked.job_ids):
        template = TemplateText.of(job_id)
        pieces = template.pieces() if template else None
        if pieces and not any(stands_in_order(pieces, each) for each in every.jobs):
            yield Found(
                f"no job in {every.jobs_name} has an id such as {shown(job_id)}",
                checked.job_id_path(position),
            )


@rule("LT504", "warning", "Parameters replace those of the job")
def replaced(checked: CheckedEntry, every: CheckedEntries) -> Iterator[Found]:
    """A map in `parameters` or `globals` of the trigger replaces the job's map of that name.

    The worker takes each parameter from the dispatch, or else from the job: maps inside are not
    merged. With `env: {DAY: monday}` in the trigger, the job's `env: {MODE: full}` is lost. Write
    all names of the map in the trigger, or only in the job.
    """
    if every.jobs is None:
        return
    for _, job_id in _literal_jobs(checked):
        job = every.jobs.get(job_id)
        for name in ("parameters", "globals") if job else ():
            own, jobs_own = checked.values.get(name), job.values.get(name) if job else None
            if not (isinstance(own, dict) and isinstance(jobs_own, dict)):
                continue
            for each, value in own.items():
                other = jobs_own.get(each)
                if isinstance(value, dict) and isinstance(other, dict):
                    lost = sorted(other.keys() - value.keys())
                    if lost:
                        yield Found(
                            f"{each!a} replaces the one of job {shown(job_id)}, whose"
                            f" {', '.join(map(shown, lost[:5]))} would be lost: maps are not"
                            " merged",
                            (name, each),
                            of_name=True,
                        )


@rule("LT505", "warning", "Worker has no queue", on="job")
def no_queue(checked: CheckedEntry, every: CheckedEntries) -> Iterator[Found]:
    """A job names a worker that has no SQS queue `lava-<REALM>-<WORKER>`.

    Every event for the job is parked. Deploy the worker, or correct its name. Only a check with
    `--realm` knows the queues.
    """
    worker = checked.values.get("worker")
    if every.workers is not None and isinstance(worker, str) and worker not in every.workers:
        yield Found(
            f"no queue lava-{every.realm}-{worker}{hint(worker, every.workers)}",
            ("worker",),
        )


@rule("LT506", "warning", "Field of a job with a typo", on="job")
def typo(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """A job has a field that lava does not know, with a name similar to a known one.

    Unknown fields of a job are ignored: a job with `enabeld: true` is disabled. Correct the name.
    """
    for name in checked.item:
        if name in _FIELDS or name.startswith(("x-", "X-")):
            continue
        close = nearest(name, _FIELDS - checked.item.keys(), cutoff=_SURE)
        if close:
            yield Found(
                f"unknown job field {shown(name)}; did you mean {close}?", (name,), of_name=True
            )


@rule("LT507", "error", "Dispatch does not fit a message")
def too_large(checked: CheckedEntry, every: CheckedEntries) -> Iterator[Found]:
    """The dispatch is larger than 1 MiB even before templates add to it. SQS refuses it.

    Messages are JSON in ASCII, where `é` takes six bytes. Put large values into S3, and pass
    their address.
    """
    values = {name: checked.values.get(name) or {} for name in ("parameters", "globals")}
    if not all(isinstance(each, dict) for each in values.values()):
        return
    if len(json.dumps(values, ensure_ascii=False)) * _WORST_ESCAPE < MAX_MESSAGE_BYTES:
        return
    written: dict[str, Any] = {}
    for name, value in values.items():
        template = TemplateText.of(value) if checked.is_template else None
        written[name] = template.literal() if template else value
    dispatch = Dispatch(job_id="", worker="", **written)
    size = len(dispatch.message(every.realm, "", ""))
    if size > MAX_MESSAGE_BYTES:
        name = max(written, key=lambda each: len(json.dumps(written[each])))
        yield Found(
            f"the dispatch has at least {size} bytes; SQS takes at most {MAX_MESSAGE_BYTES}",
            (name,),
        )
