"""How many examples properties take: few in `make test`, all elsewhere."""

from typing import Final

from hypothesis import settings

FEW: Final = "test"
"""The profile of `make test`."""


def examples(number: int) -> int:
    """Return how many examples a property takes: this many, or a tenth in `make test`."""
    return number // 10 if settings.get_current_profile_name() == FEW else number
