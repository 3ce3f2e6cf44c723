"""Answers to questions about AWS: yes, no, or unknown, which never turns into yes or no."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Answer(Enum):
    """An answer in Kleene's three-valued logic."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"

    def __bool__(self) -> bool:
        """Raise, since ``if answer`` would turn unknown into yes: compare with a member."""
        raise TypeError("compare an Answer with YES, NO or UNKNOWN")

    def __invert__(self) -> Answer:
        """Return the answer to the opposite question."""
        return _INVERSE[self]


_INVERSE = {Answer.YES: Answer.NO, Answer.NO: Answer.YES, Answer.UNKNOWN: Answer.UNKNOWN}


def answer(value: bool) -> Answer:  # noqa: FBT001 - a truth value is the point
    """Return a truth value as an answer."""
    return Answer.YES if value else Answer.NO


def all_of(answers: Iterable[Answer]) -> Answer:
    """Return whether all are yes; any no decides, else any unknown. Without answers: yes."""
    result = Answer.YES
    for one in answers:
        if one is Answer.NO:
            return Answer.NO
        if one is Answer.UNKNOWN:
            result = Answer.UNKNOWN
    return result


def any_of(answers: Iterable[Answer]) -> Answer:
    """Return whether any is yes; any yes decides, else any unknown. Without answers: no."""
    result = Answer.NO
    for one in answers:
        if one is Answer.YES:
            return Answer.YES
        if one is Answer.UNKNOWN:
            result = Answer.UNKNOWN
    return result
