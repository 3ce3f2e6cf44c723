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
    command: str
    """The commands of a shell that correct it; empty if none is safe."""


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
    """The commands that correct it; empty if none is safe."""


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
        needs: The IAM actions that it needs, beside reading the function's configuration.
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
    found = Diagnosis()
    for each in checks:
        faults: list[Fault] = []
        try:
            if not each.of_function or deployment.function:
                faults.extend(each.run(deployment))
        except UnreadableError as error:
            found.unread.append(Unread(each, error.action, error.reason))
        found.findings += [
            Finding(
                rule=each.name,
                severity=each.severity,
                message=fault.message,
                subject=fault.subject,
                why=each.why,
                command=fault.command,
            )
            for fault in faults
        ]
    return found
