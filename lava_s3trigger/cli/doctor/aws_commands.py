"""Commands of the AWS CLI that correct a fault, quoted for a shell."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lava_s3trigger.cli.deployed.realm import Deployment, Json


def aws(command: str, *words: str, **options: Any) -> str:
    """Return a command of the AWS CLI.

    Args:
        command: Names of service and operation, and options without a value.
        *words: More words, which are quoted.
        **options: Other options, with ``_`` for ``-``; maps and lists become JSON.
    """
    parts = ["aws", *command.split(), *words]
    for name, value in options.items():
        text = value if isinstance(value, str) else json.dumps(value)
        parts += [f"--{name.replace('_', '-')}", text]
    return shlex.join(parts)


def permit(deployed: Deployment, statement: str, service: str, **source: str) -> str:
    """Return the command that lets a service invoke the function.

    Args:
        deployed: The realm.
        statement: Name of the statement; dots become hyphens.
        service: Name of the service, such as ``s3``.
        **source: What invokes it: ``source_arn``, and ``source_account``.
    """
    return aws(
        "lambda add-permission",
        function_name=deployed.function_name,
        statement_id=statement.replace(".", "-"),
        action="lambda:InvokeFunction",
        principal=f"{service}.amazonaws.com",
        **source,
    )


def configure(deployed: Deployment, **options: Any) -> str:
    """Return the commands that change the configuration of the function, and wait until it is."""
    name = deployed.function_name
    change = aws("lambda update-function-configuration", function_name=name, **options)
    # Lambda refuses another change until then.
    return f"{change}\n{aws('lambda wait function-updated', function_name=name)}"


def grant(deployed: Deployment, policy: str, statements: list[Json]) -> str:
    """Return the command that gives the function's role an inline policy."""
    document = {"Version": "2012-10-17", "Statement": statements}
    role = deployed.role_name
    return aws("iam put-role-policy", role_name=role, policy_name=policy, policy_document=document)


def create_queue(name: str, **attributes: str) -> str:
    """Return the command that makes a queue; a name that ends in ``.fifo`` is a FIFO queue's."""
    if name.endswith(".fifo"):
        attributes["FifoQueue"] = "true"
    options = {"attributes": attributes} if attributes else {}
    return aws("sqs create-queue", queue_name=name, **options)


def set_queue(queue: dict[str, str], **attributes: str) -> str:
    """Return the command that sets attributes of a queue."""
    return aws("sqs set-queue-attributes", queue_url=queue["Url"], attributes=attributes)
