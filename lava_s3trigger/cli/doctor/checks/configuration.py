"""Checks of the function's configuration: what runs, for how long, and what it logs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from lava_s3trigger.cli.doctor.aws_commands import configure, set_queue
from lava_s3trigger.cli.doctor.registry import Fault, check
from lava_s3trigger.errors import SettingsError
from lava_s3trigger.settings import Settings

from .function import correcting_environment, level_variable
from .package import READ_LOG, logged_version
from .queues import least_visibility

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lava_s3trigger.cli.deployed.realm import Deployment, Json

_HANDLER: Final = "lava_s3trigger.handler.lambda_handler"
_HANDLERS: Final = (_HANDLER, "s3trigger.lambda_handler")
"""Names of the handler; the second one is that of lava's own stack."""
_LEAST_SECONDS: Final = 60
"""As the template has it: what the slowest calls of AWS take must fit."""
_LEVELS: Final = {
    "TRACE": logging.DEBUG,
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARN": logging.WARNING,
    "ERROR": logging.ERROR,
    "FATAL": logging.CRITICAL,
}
"""Lambda's names of levels."""


@check("error", READ_LOG, of_function=True)
def function_handler(deployed: Deployment) -> Iterator[Fault]:
    """Lambda calls another handler than this package's.

    It may be another program, such as an earlier function of the realm. Then the other findings do
    not describe it. A wrapper that has the package's handler in a variable is fine. If the log
    shows that the package is there, the command sets its handler.
    """
    handler = deployed.function.get("Handler")  # an image has none
    if handler is None or {handler, *deployed.environment.values()} & set(_HANDLERS):
        return
    is_there = logged_version(deployed) is not None
    command = configure(deployed, handler=_HANDLER) if is_there else ""
    told = f"the handler is {handler}, not {' or '.join(_HANDLERS)}"
    yield Fault(deployed.function_name, told, command)


@check(
    "warning",
    ["lambda:ListEventSourceMappings", "sqs:GetQueueAttributes", "sqs:GetQueueUrl"],
    of_function=True,
)
def function_timeout(deployed: Deployment) -> Iterator[Fault]:
    """The function's timeout is under a minute.

    One slow call to AWS can use up most of it, so events fail for lack of time and are tried again.
    The commands first raise the visibility timeouts of the function's queues: Lambda refuses a
    mapping if the queue's is shorter than the function's timeout.
    """
    if deployed.timeout >= _LEAST_SECONDS:
        return
    commands = []
    for mapping in deployed.mappings:
        queue = deployed.queue(mapping["EventSourceArn"].rpartition(":")[2])
        least = least_visibility(mapping, _LEAST_SECONDS)
        if queue and int(queue.get("VisibilityTimeout", least)) < least:
            commands.append(set_queue(queue, VisibilityTimeout=str(least)))
    commands.append(configure(deployed, timeout=str(_LEAST_SECONDS)))
    told = f"the timeout is {deployed.timeout} s"
    yield Fault(deployed.function_name, told, "\n".join(commands))


@check("warning", [], of_function=True)
def function_observing(deployed: Deployment) -> Iterator[Fault]:
    """The function observes: it decides and logs, but dispatches nothing.

    This is intended while another function dispatches for the realm. There is no command, because
    two functions that dispatch run each job twice. After removing the other one, set the parameter
    `Mode` to `dispatch`.
    """
    settings = _settings(deployed)
    if settings and settings.mode == "observe":
        yield Fault(deployed.function_name, "S3TRIGGER_MODE is observe", "")


@check("warning", [], of_function=True)
def function_log_level(deployed: Deployment) -> Iterator[Fault]:
    """The log level hides failures, or the metrics.

    Failures and user errors are logged at the level error, and the summary, which has the metrics,
    at the level info. If Lambda's own level is higher, Lambda drops these lines, and the alarm
    `lag` never goes off.
    """
    settings = _settings(deployed)
    if settings is None:
        return
    lambda_level = _lambda_level(deployed)
    if settings.log_level > logging.ERROR:
        name = level_variable(deployed.environment)
        reason = f"{deployed.environment[name]} hides failures and user errors"
        yield Fault(name, reason, correcting_environment(deployed))
    if lambda_level > logging.ERROR:
        yield _too_high(deployed, "failures and user errors")
    elif lambda_level > logging.INFO and settings.metrics:
        yield _too_high(deployed, "the metrics")


@check("info", [], of_function=True)
def function_log_dispatches(deployed: Deployment) -> Iterator[Fault]:
    """The log level hides dispatches.

    Without these lines, `lava-s3trigger replay --missing`, `history`, `compare` and `plan --since`
    do not know what was dispatched. Set the stack's parameter `LogLevel` to `info`.
    """
    settings = _settings(deployed)
    if settings is None:
        return
    level = max(settings.log_level, _lambda_level(deployed))
    if logging.INFO < level <= logging.ERROR:
        told = f"the log begins at the level {logging.getLevelName(level).lower()}"
        yield Fault(deployed.log_group, told, "")


def _settings(deployed: Deployment) -> Settings | None:
    """Return the function's settings; None if it refuses them, which another check says."""
    try:
        return Settings.from_env(deployed.environment)
    except SettingsError:
        return None


def _lambda_level(deployed: Deployment) -> int:
    """Return the level below which Lambda drops lines, which it does in the format JSON only."""
    # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
    config = _logging(deployed)
    if config.get("LogFormat") != "JSON":
        return logging.NOTSET
    return _LEVELS.get(str(config.get("ApplicationLogLevel", "INFO")), logging.INFO)


def _too_high(deployed: Deployment, what: str) -> Fault:
    level = _logging(deployed)["ApplicationLogLevel"]
    lower = {**_logging(deployed), "ApplicationLogLevel": "INFO"}
    command = configure(deployed, logging_config=lower)
    return Fault("ApplicationLogLevel", f"{level} drops {what}", command)


def _logging(deployed: Deployment) -> Json:
    return dict(deployed.function.get("LoggingConfig", {}))
