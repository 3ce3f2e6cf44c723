"""Commands of the AWS CLI that mend a fault, quoted for a shell."""

from __future__ import annotations

import json
import shlex
from typing import Any


def aws(service: str, operation: str, *words: str, **options: Any) -> str:
    """Return a command of the AWS CLI.

    Args:
        service: Name of the service, as the AWS CLI has it.
        operation: Name of the operation.
        *words: Options without a value.
        **options: Other options, with ``_`` for ``-``; maps and lists become JSON.
    """
    parts = ["aws", service, operation, *words]
    for name, value in options.items():
        text = value if isinstance(value, str) else json.dumps(value)
        parts += [f"--{name.replace('_', '-')}", text]
    return shlex.join(parts)
