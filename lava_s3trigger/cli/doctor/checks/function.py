"""Checks of the function itself."""

from __future__ import annotations

import logging
import shlex
from typing import TYPE_CHECKING, Final

from lava_s3trigger.cli.doctor.aws_commands import aws, configure, permit
from lava_s3trigger.cli.doctor.connections import of_realm
from lava_s3trigger.cli.doctor.registry import Fault, check
from lava_s3trigger.errors import SettingsError
from lava_s3trigger.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lava_s3trigger.cli.deployed.realm import Deployment

_SHARE: Final = 0.1


@check("error", [])
def function_missing(deployed: Deployment) -> Iterator[Fault]:
    """The function does not exist.

    Nothing handles the events of the realm.
    """
    if not deployed.function:
        command = f"sam deploy --parameter-overrides Realm={deployed.realm}"
        yield Fault(deployed.function_name, "the function does not exist", command)


@check("error", [])
def function_broken(deployed: Deployment) -> Iterator[Fault]:
    """Lambda cannot run the function.

    Its last update failed, or Lambda has taken it out of service, so events fail.
    """
    for name in ("State", "LastUpdateStatus"):
        value = deployed.function.get(name)
        if value in {"Failed", "Inactive"}:
            reason = deployed.function.get(f"{name}Reason", "no reason given")
            command = f"sam deploy --parameter-overrides Realm={deployed.realm}"
            yield Fault(deployed.function_name, f"{name} is {value}: {reason}", command)


@check("error", [], of_function=True)
def function_configuration(deployed: Deployment) -> Iterator[Fault]:
    """The function refuses its own configuration.

    It does not start, so every event fails.
    """
    _, refused = _accepted(deployed.environment)
    for name, reason in refused.items():
        yield Fault(name, reason, correcting_environment(deployed))
    realm = deployed.environment.get("LAVA_REALM")
    if "LAVA_REALM" not in refused and realm != deployed.realm:
        told = f"the function works for the realm {realm}, not for {deployed.realm}"
        yield Fault("LAVA_REALM", told, correcting_environment(deployed))


@check("error", ["lambda:GetFunctionConcurrency"], of_function=True)
def function_throttled(deployed: Deployment) -> Iterator[Fault]:
    """The function's reserved concurrency is 0.

    Lambda does not run the function. Events of S3, SNS and EventBridge go to the function's
    dead-letter queue at once. Messages of queues wait, but each try counts as a receive. The
    command removes the limit. The last command, of `dead-letters`, redrives the events.
    """
    # https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
    if is_stopped(deployed):
        name = deployed.function_name
        command = aws("lambda delete-function-concurrency", function_name=name)
        yield Fault(name, "the reserved concurrency is 0", command)


def is_stopped(deployed: Deployment) -> bool:
    """Return whether the function's reserved concurrency is 0.

    Raises:
        UnreadableError: AWS refuses to say.
    """
    name = deployed.function_name
    answer = deployed.read("lambda", "get_function_concurrency", FunctionName=name) or {}
    return bool(answer.get("ReservedConcurrentExecutions") == 0)


@check("error", ["cloudwatch:GetMetricStatistics"], of_function=True)
def function_failing(deployed: Deployment) -> Iterator[Fault]:
    """A tenth or more of the function's invocations of the last hour failed.

    Their events are tried again, and become dead letters after three failures. The log says why
    they failed.
    """
    errors, invocations = (_last_hour(deployed, name) for name in ("Errors", "Invocations"))
    if errors and errors >= _SHARE * invocations:
        command = own_command(deployed, "tail", "--since 1h --outcome failed")
        told = f"{errors:.0f} of {invocations:.0f} invocations of the last hour failed"
        yield Fault(deployed.function_name, told, command)


@check(
    "warning",
    ["cloudwatch:GetMetricStatistics", "lambda:GetFunctionConcurrency"],
    of_function=True,
)
def function_throttles(deployed: Deployment) -> Iterator[Fault]:
    """Lambda throttled a tenth or more of the function's invocations of the last hour.

    The function or the account has too little concurrency. Events of S3, SNS and EventBridge wait,
    and go to the dead-letter queue after six hours; messages of queues use up tries. The command
    shows the account's limit, and how much of it is reserved. Ask AWS for more, or send the events
    through the intake queue, with `IntakeMaxConcurrency`.
    """
    throttles, invocations = (_last_hour(deployed, name) for name in ("Throttles", "Invocations"))
    if throttles and throttles >= _SHARE * (throttles + invocations):
        told = f"{throttles:.0f} throttles and {invocations:.0f} invocations in the last hour"
        if is_stopped(deployed):
            yield Fault(deployed.function_name, told, cause="function-throttled")
        else:
            yield Fault(deployed.function_name, told, aws("lambda get-account-settings"))


@check("error", [], of_function=True)
def function_dead_letters(deployed: Deployment) -> Iterator[Fault]:
    """The function has no dead-letter queue for events that fail.

    An event from S3, SNS or EventBridge is lost after three failures.
    """
    if not deployed.function.get("DeadLetterConfig", {}).get("TargetArn"):
        arn = deployed.arn("sqs", deployed.dead_letter_queue)
        command = configure(deployed, dead_letter_config={"TargetArn": arn})
        yield Fault(deployed.function_name, "the function has no dead-letter queue", command)


@check("error", [], of_function=True)
def function_parking(deployed: Deployment) -> Iterator[Fault]:
    """The function has no queue to park user errors in.

    An event with a user error is only logged, and then lost.
    """
    if not deployed.environment.get("S3TRIGGER_DEAD_LETTER_QUEUE"):
        told = "the variable is not set"
        yield Fault("S3TRIGGER_DEAD_LETTER_QUEUE", told, correcting_environment(deployed))


@check("error", ["lambda:GetPolicy"], of_function=True)
def function_invokers(deployed: Deployment) -> Iterator[Fault]:
    """EventBridge may not invoke the function for the realm's rules.

    Rules named `lava.<REALM>.*` cannot deliver their events, which are lost.
    """
    if not deployed.permits("events"):
        arn = deployed.arn("events", f"rule/lava.{deployed.realm}.*")
        command = permit(deployed, "lava-s3trigger-events", "events", source_arn=arn)
        yield Fault(deployed.function_name, "no permission for events.amazonaws.com", command)


def _last_hour(deployed: Deployment, metric: str) -> float:
    name = deployed.function_name
    return deployed.metric("AWS/Lambda", metric, "Sum", FunctionName=name) or 0.0


def correcting_environment(deployed: Deployment) -> str:
    """Return the commands that correct all variables of the function.

    Lambda replaces all of them at once: a command for one would put back the faults of others.
    """
    accepted, refused = _accepted(deployed.environment)
    kept = {name: value for name, value in accepted.items() if name not in refused}
    own = {
        "LAVA_REALM": deployed.realm,
        "S3TRIGGER_DEAD_LETTER_QUEUE": deployed.dead_letter_queue,
    }
    level = Settings.from_env({"LAVA_REALM": "realm"} | kept).log_level
    if level > logging.ERROR:
        own[level_variable(kept)] = "info"
    return configure(deployed, environment={"Variables": kept | own})


def level_variable(environment: Mapping[str, str]) -> str:
    """Return the variable that the function reads its level from."""
    return "LAVA_LOGLEVEL" if environment.get("LAVA_LOGLEVEL") else "LOGLEVEL"


def _accepted(environment: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the variables that the function accepts, and why it refuses the others."""
    accepted, refused = dict(environment), dict[str, str]()
    while True:
        try:
            Settings.from_env({"LAVA_REALM": "realm"} | accepted if refused else accepted)
        except SettingsError as error:
            if error.name in refused:
                return accepted, refused
            refused[error.name] = str(error)
            accepted.pop(error.name, None)
        else:
            return accepted, refused


def own_command(deployed: Deployment, command: str, options: str) -> str:
    """Return a command of this package for the function.

    Args:
        deployed: The realm.
        command: The command.
        options: Its options, as in a shell.
    """
    words = ["lava-s3trigger", *command.split(), *of_realm(deployed)]
    return f"{shlex.join(words)} {options}".rstrip()
