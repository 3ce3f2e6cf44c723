"""Tables of cases."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest


def cases(names: str | Sequence[str], by_id: Mapping[str, Any]) -> pytest.MarkDecorator:
    """Run a test for each case of a table, which has the cases by their ids."""
    return pytest.mark.parametrize(names, by_id.values(), ids=by_id)
