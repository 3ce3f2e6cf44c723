"""The rules of `check`: a registry.

A rule is one function with one decorator. The decorator gives its id, its severity and its
title; the docstring is its page.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, Literal

from lava_s3trigger.cli.errors import WRONG_USAGE, CommandError
from lava_s3trigger.cli.output.suggestions import near
from lava_s3trigger.units import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lava_s3trigger.cli.check.findings import Found
    from lava_s3trigger.cli.output.findings import Severity

    Check = Callable[..., Iterator[Found]]

Subject = Literal["entry", "trigger", "job", "problem", "error", "file"]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: its subject, the severity of its findings, and its page."""

    id: str
    severity: Severity
    title: str
    subject: Subject
    check: Check
    of: str | None = None
    """The kind of problems, or the code of errors, that it is about."""

    @property
    def page(self) -> str:
        """What the rule finds, why that matters, and what to write instead."""
        return inspect.cleandoc(self.check.__doc__ or "")


# Comparing two names takes some 10 µs, and a realm may have thousands of jobs.
_MAX_COMPARED_NAMES: Final = 60
_MAX_COMPARED_CHARACTERS: Final = 64
_SURE: Final = 0.85
"""Similarity from which a name is certainly a typo of another one."""

RULES: Final[dict[str, Rule]] = {}


def rule(
    id_: str,
    severity: Severity,
    title: str,
    on: Subject = "trigger",
    of: str | None = None,
) -> Callable[[Check], Check]:
    """Register a function as a rule.

    Args:
        id_: Id, such as ``LT201``. An id is never given to another rule.
        severity: Severity of its findings.
        title: What is wrong, in a few words.
        on: The arguments of the function, for which it yields `Found`. ``entry``, or only
            ``trigger`` or ``job``: a `CheckedEntry`, and all `CheckedEntries`. ``error``: a
            `CheckedEntry`, and an `EntryError` for which the function refuses it.
            ``problem``: a `Problem` of a file, and the `CheckedEntry` that has it, or None.
            ``file``: a `SourceFile`.
        of: Code of the errors, or kind of the problems.

    Raises:
        ValueError: The id is taken.
    """

    def register(check: Check) -> Check:
        if id_ in RULES:
            raise ValueError(f"rule {id_} is there already")
        RULES[id_] = Rule(id_, severity, title, on, check, of)
        return check

    return register


def all_rules() -> list[Rule]:
    """Return the rules that are registered, in the order of their ids."""
    return [RULES[id_] for id_ in sorted(RULES)]


def ids_beginning(prefixes: Iterable[str]) -> set[str]:
    """Return the ids of the rules that begin with any of the prefixes.

    Raises:
        CommandError: No rule begins with one.
    """
    ids = [rule.id for rule in all_rules()]
    chosen: set[str] = set()
    for prefix in prefixes:
        matching = [id_ for id_ in ids if prefix and id_.startswith(prefix.upper())]
        if not matching:
            raise CommandError(unknown_rule(prefix), WRONG_USAGE)
        chosen.update(matching)
    return chosen


def unknown_rule(name: str) -> str:
    """Return the message for an unknown id, with the nearest known one."""
    ids = [rule.id for rule in all_rules()]
    close = get_close_matches(name[:16].upper(), ids, n=1)
    hint = f"did you mean {close[0]}?" if close else "an id is such as LT201"
    return f"unknown rule {shown(name)}; {hint}"


def nearest(name: Any, known: Iterable[str]) -> str | None:
    """Return the known name that is nearest, or None where none is near."""
    text = str(name)[:_MAX_COMPARED_CHARACTERS]
    candidates = [name for name in known if len(name) <= _MAX_COMPARED_CHARACTERS]
    if len(candidates) > _MAX_COMPARED_NAMES:
        candidates = [name for name in candidates if name[:2] == text[:2]][:_MAX_COMPARED_NAMES]
    close = near(text, candidates)
    return close[0] if close else None


def surely(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that another one is certainly a typo of, or None."""
    close = get_close_matches(name[:_MAX_COMPARED_CHARACTERS], sorted(known), n=1, cutoff=_SURE)
    return close[0] if close else None


def hint(name: Any, known: Iterable[str]) -> str:
    """Return "; did you mean ...?" with the nearest known name, or nothing."""
    close = nearest(name, known)
    return f"; did you mean {shown(close)}?" if close else ""
