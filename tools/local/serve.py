"""``make local``: a local AWS server with the stack, until a signal ends it."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Final

import click

from lava_s3trigger.cli.options import Command
from lava_s3trigger.cli.output.signals import Interrupted, interruptible

from .examples import REALM, deploy_examples
from .server import ACCESS_KEY, REGION, SECRET_KEY, LocalAws

_CACHE_TTL: Final = "1s"
_READY: Final = f"""\
A local AWS server is running, with the stack lava-{REALM}-s3trigger and the entries of examples/.
Entries are cached for {_CACHE_TTL} (60s on AWS). To end the server: Ctrl-C, or kill {{process_id}}.
In another terminal, enter the lines below. Then all commands of README.md run there.
"""


@click.command(
    cls=Command,
    yes="ended by Ctrl-C or a signal",
    no="never",
    examples=("make local", "python -m tools.local serve > variables.sh"),
)
def serve() -> None:
    """Keep a local AWS server with the deployed stack running.

    Deploys the template and the package of this checkout to a new server on
    loopback, and loads examples/. Prints the environment variables with which
    the AWS CLI reaches it. Ends on Ctrl-C, SIGTERM or SIGHUP, and leaves
    nothing behind.
    """
    try:
        with interruptible(), LocalAws() as aws:
            click.echo("Deploying the template to a local AWS server ...", err=True)
            deploy_examples(aws, CacheTtl=_CACHE_TTL)
            # One entry has an error on purpose, which the demo shows; doctor is to find nothing.
            aws.client("dynamodb").update_item(
                TableName=f"lava.{REALM}.s3triggers",
                Key={"trigger_id": {"S": "book-returns-twice"}},
                UpdateExpression="SET #ignore = :rules",
                ExpressionAttributeNames={"#ignore": "x-lint-ignore"},
                ExpressionAttributeValues={":rules": {"SS": ["LT103"]}},
            )
            click.echo(_READY.format(process_id=os.getpid()), err=True)
            click.echo("\n".join(exports(aws.endpoint)))
            sys.stdout.flush()
            aws.keep_running()
    except Interrupted:  # the way to end it, so no failure
        pass


def exports(endpoint: str) -> list[str]:
    """Return the shell commands after which the AWS CLI calls the local server only."""
    variables = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "LAVA_REALM": REALM,
        # A proxy cannot reach the loopback interface of this machine.
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
    lines = ["unset AWS_PROFILE AWS_DEFAULT_PROFILE AWS_SESSION_TOKEN"]
    lines += [f"export {name}={value}" for name, value in variables.items()]
    # Version 1 of the CLI does not look for SQS where AWS_ENDPOINT_URL says.
    lines.append('aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }')
    if not (shutil.which("aws") and shutil.which("lava-s3trigger")):
        folder = shlex.quote(str(Path(sys.executable).parent))
        lines.append(f"export PATH=$PATH:{folder}  # for lava-s3trigger and the AWS CLI")
    return lines
