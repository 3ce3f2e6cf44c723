"""A stand-in for the SAM CLI, so that tests can run the commands of the pages.

It knows ``sam build``, which does nothing here, and ``sam deploy``, which uploads the
package that make built, and creates or updates the stack on the local AWS server.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ClientError

from tools.local.server import CHECKOUT, LocalAws

_LAUNCHER: Final = """#!/bin/sh
exec env PYTHONPATH={checkout} {python} -m tests.sam "$@"
"""


def install(folder: Path) -> None:
    """Make a command ``sam`` in a folder, for the PATH of commands."""
    folder.mkdir()
    launcher = folder / "sam"
    launcher.write_text(_LAUNCHER.format(checkout=CHECKOUT, python=sys.executable))
    launcher.chmod(0o755)


def _exists(cloudformation: Any, stack: str) -> bool:
    try:
        [found] = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    except ClientError:
        return False
    if found["StackStatus"] == "ROLLBACK_COMPLETE":
        raise SystemExit(f"{stack} is in ROLLBACK_COMPLETE state and can not be updated")
    return bool(found["StackStatus"] != "DELETE_COMPLETE")


def _update(aws: LocalAws, stack: str, given: dict[str, str]) -> None:
    cloudformation = aws.client("cloudformation")
    [before] = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    kept = {each["ParameterKey"] for each in before["Parameters"]} - given.keys()
    parameters: list[dict[str, Any]] = [
        *({"ParameterKey": name, "UsePreviousValue": True} for name in sorted(kept)),
        *({"ParameterKey": name, "ParameterValue": value} for name, value in given.items()),
    ]
    try:
        cloudformation.update_stack(
            StackName=stack,
            TemplateURL=aws.upload_template((CHECKOUT / "template.yaml").read_text(), stack),
            Parameters=parameters,
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
    except ClientError as error:
        if "No updates" not in str(error):
            raise
        return
    waiter = cloudformation.get_waiter("stack_update_complete")
    waiter.wait(StackName=stack, WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def main() -> None:
    """Run the command that the arguments name."""
    parser = argparse.ArgumentParser(prog="sam")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build")
    deploy = commands.add_parser("deploy")
    deploy.add_argument("--stack-name", required=True)
    deploy.add_argument("--parameter-overrides", nargs="+", default=[])
    arguments = parser.parse_args()
    if arguments.command == "build":
        return
    aws, stack = LocalAws(), arguments.stack_name
    aws.endpoint = os.environ["AWS_ENDPOINT_URL"]  # of the server that runs already
    given = dict(each.split("=", 1) for each in arguments.parameter_overrides)
    if _exists(aws.client("cloudformation"), stack):
        _update(aws, stack, given)
    else:
        aws.deploy(CHECKOUT / "template.yaml", CHECKOUT / "build" / "package", stack, given)


if __name__ == "__main__":
    main()
