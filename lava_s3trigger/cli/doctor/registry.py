"""The registry of `doctor`'s checks, and what a run of them finds.

A check is one function with the decorator `check`. It yields a `Fault` for each thing that is
wrong. The first line of its docstring says what is wrong, the rest why that matters: the docs
and the command print both.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from lava_s3trigger.cli.deployed.realm import UnreadableError
from lava_s3trigger.cli.output import findings

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from lava_s3trigger.cli.deployed.realm import Deployment
    from lava_s3trigger.cli.output.findings import Severity

    Faults = Callable[[Deployment], Iterator["Fault"]]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong."""

    subject: str
    """Name or ARN of what is wrong."""
    message: str
    """What was found."""
    command: str = ""
    """The commands of a shell that correct it; empty if that of its cause does, or none can."""
    cause: str = ""
    """The check that finds what it follows from, whose remedy corrects it too."""


@dataclass(frozen=True, slots=True)
class Check:
    """A check of a deployment."""

    name: str
    severity: Severity
    needs: tuple[str, ...]
    """The IAM actions that it needs."""
    summary: str
    why: str
    run: Faults
    of_function: bool
    """Whether it is made only if there is a function."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding(findings.Finding):
    """A fault, with what its check says of such."""

    why: str
    """Why it matters."""
    command: str
    """The commands that correct it; empty if those of another finding do, or none can."""
    cause: str
    """The check whose finding has the commands that correct it."""


@dataclass(frozen=True, slots=True)
class Unread:
    """A check that could not be made."""

    check: Check
    action: str
    reason: str


@dataclass(slots=True)
class Diagnosis:
    """What a run of checks found."""

    findings: list[Finding] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)


CHECKS: Final[dict[str, Check]] = {}
"""All checks by name, in the order in which they run."""


def check(
    severity: Severity, needs: Collection[str], *, of_function: bool = False
) -> Callable[[Faults], Faults]:
    """Register a function as a check, whose name is that of the function, and never changes.

    Args:
        severity: How bad it is.
        needs: The IAM actions that it needs, in addition to reading the function's configuration.
        of_function: Whether it is made only if there is a function.
    """

    def register(function: Faults) -> Faults:
        summary, _, why = inspect.cleandoc(function.__doc__ or "").partition("\n\n")
        actions = tuple(sorted({"lambda:GetFunctionConfiguration", *needs}))
        why = " ".join(why.split())
        name = function.__name__.replace("_", "-")
        CHECKS[name] = Check(name, severity, actions, summary, why, function, of_function)
        return function

    return register


def diagnose(deployment: Deployment, checks: Collection[Check]) -> Diagnosis:
    """Run checks.

    Raises:
        CommandError: AWS cannot be reached.
    """
    diagnosis = Diagnosis()
    remedies: dict[str, str] = {}
    for check_ in checks:
        faults: list[Fault] = []
        try:
            if not check_.of_function or deployment.function:
                faults.extend(check_.run(deployment))
        except UnreadableError as error:
            diagnosis.unread.append(Unread(check_, error.action, error.reason))
        diagnosis.findings += [_finding(check_, fault, remedies) for fault in faults]
    return diagnosis


def _finding(check_: Check, fault: Fault, remedies: dict[str, str]) -> Finding:
    """Return a fault as a finding; one that the commands of another correct has none itself.

    Args:
        check_: What found it.
        fault: The fault.
        remedies: The commands of the findings so far, with the check of each.
    """
    cause = fault.cause
    if fault.command:
        cause = remedies.setdefault(fault.command, "")
        remedies[fault.command] = cause or check_.name
    return Finding(
        rule=check_.name,
        severity=check_.severity,
        message=fault.message,
        subject=fault.subject,
        why=check_.why,
        command="" if cause else fault.command,
        cause=cause,
    )
