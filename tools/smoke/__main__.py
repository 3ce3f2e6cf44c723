"""``python -m tools.smoke``: what ``make smoke`` runs."""

from __future__ import annotations

import os
import re
import secrets
import signal
import sys
import time
from pathlib import Path
from typing import Any, Final

import click

from lava_s3trigger.cli import main
from lava_s3trigger.cli.dead_letters.redrive import is_on
from lava_s3trigger.cli.deployed.aws import Aws, reaching_aws
from lava_s3trigger.cli.deployed.function import find_function
from lava_s3trigger.cli.errors import NO, WRONG_USAGE, YES, CommandError
from lava_s3trigger.cli.options import Command, aws_options
from lava_s3trigger.cli.output.confirmation import is_confirmed, require_consent
from lava_s3trigger.cli.output.escaping import safe
from lava_s3trigger.cli.output.signals import Interrupted, interruptible

from .checks import CHECKS, ENTRIES, ROUTES, Run
from .resources import Resources

_NAME: Final = "python -m tools.smoke"


@click.command(
    cls=Command,
    context_settings={"help_option_names": ["-h", "--help"]},
    yes="all checks passed, and everything is removed",
    no="a check failed, or something is left",
    examples=[f"{_NAME} --realm prod", f"{_NAME} --realm prod --keep --no-redrive"],
)
@aws_options
@click.option("--function", "function_name", help="Name of the function, if it has another one.")
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask before starting.")
@click.option("--keep", is_flag=True, help="Keep what was made, and print how to remove it.")
@click.option("--remove", metavar="SUFFIX", help="Only remove what an earlier run has left.")
@click.option(
    "--timeout",
    type=click.IntRange(1, 99_999),
    default=480,
    show_default=True,
    help="Seconds to wait for the routes, and for the redrive.",
)
@click.option(
    "--no-redrive",
    is_flag=True,
    help="Leave out the redrive, and accept messages of others in the dead-letter queue; they are"
    " hidden for seconds while the checks read it.",
)
@click.option(
    "--events",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder in which to save the dispatch of each route, with the record as AWS sent it.",
)
def smoke(**options: Any) -> int:
    """Check the s3trigger stack of a realm end to end.

    Makes a bucket, the queue of a worker, a topic, an EventBridge rule, and entries in the realm's
    tables, all with names that nothing else has. Sends events through the function, and looks at
    the dispatches and the parked messages. Removes at the end what it made, also after a failure
    or an interrupt.

    Changes nothing that it did not make, except that it turns the stack's redrive mapping on for
    about a minute. So it requires a dead-letter queue without messages of others.
    """
    with reaching_aws():
        aws = Aws(options["profile"], options["region"], options["endpoint_url"])
        function = find_function(aws, options["realm"], options["function_name"])
        suffix = options["remove"] or f"{int(time.time()):x}{secrets.token_hex(2)}"
        if not re.fullmatch("[0-9a-f]{12}", suffix):
            raise CommandError(
                f"--remove takes the 12 characters of a run, not {suffix}", WRONG_USAGE
            )
        resources = Resources(aws, function, suffix)
        require_consent("smoke", "makes and removes things", is_sure=options["is_sure"])
        names = (
            [] if options["remove"] else _possible(resources, has_redrive=not options["no_redrive"])
        )
        _announce(resources, names)
        if not is_confirmed("Go on?", is_sure=options["is_sure"]):
            raise CommandError("nothing was changed", NO)
        with interruptible():
            if options["remove"]:
                return _remove(resources)
            run = Run(resources, options["timeout"], options["events"])
            return _checked(run, names, keep=options["keep"])


def _say(text: str = "") -> None:
    """Print a line. Where nobody reads it any more, end the run, which cleans up."""
    try:
        print(safe(text, keep="\n"), flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise Interrupted(signal.SIGPIPE) from None


def _possible(resources: Resources, *, has_redrive: bool) -> list[str]:
    """Return the names of the checks that the stack is made for.

    Raises:
        CommandError: The redrive would redrive messages of others.
    """
    queue = resources.dead_letters
    left_out = set() if resources.mapping(resources.function.intake_queue) else {"route sqs"}
    if not has_redrive:
        return [name for name in CHECKS if name not in left_out | {"redrive"}]
    mapping = resources.mapping(queue.name)
    if mapping and is_on(mapping):
        raise CommandError("the redrive mapping is on: turn it off, or give --no-redrive", NO)
    if number := queue.counts().total:
        raise CommandError(
            f"{queue.name} holds {number} messages, which the redrive would return to the function:"
            " redrive or delete them first, or give --no-redrive",
            NO,
        )
    return [name for name in CHECKS if name not in left_out]


def _announce(resources: Resources, names: list[str]) -> None:
    function, configuration = resources.function, resources.function.configuration
    _say(f"Realm {function.realm}, account {function.account}, region {function.region}")
    facts = f"{configuration['MemorySize']} MB, timeout {configuration['Timeout']} s"
    _say(f"Function {function.name}: {configuration['Runtime']}, {facts}")
    _say(f"\nThis {'makes, and removes at the end' if names else 'removes'}:\n")
    for kind, name in resources.names.items():
        note = f" (encrypted with {resources.key})" if kind == "SQS queue" and resources.key else ""
        _say(f"  {kind:<17} {name}{note}")
    for name in names:
        _say(("\nWhat to expect:\n\n" if name == names[0] else "") + f"  {name:<17} {CHECKS[name]}")
    _say()


def _checked(run: Run, names: list[str], *, keep: bool) -> int:
    """Make what is needed, check, and remove everything; return the exit status."""
    failed, left = 0, YES
    try:
        run.make()
        for name in names:
            failed += not _passes(run, name, names)
        _say(f"\n{len(names)} checks: {len(names) - failed} PASS, {failed} FAIL")
    finally:
        if keep:
            _say(f"\nKept. To remove it: the same options and --remove {run.resources.suffix}")
        else:
            left = _remove(run.resources)
    return NO if failed else left


def _passes(run: Run, name: str, names: list[str]) -> bool:
    run.log = []
    try:
        with reaching_aws():
            if name == "route s3":
                run.connect([route for route in ROUTES if f"route {route}" in names])
            _say(f"PASS  {name:<18} {run.check(name)}")
    except CommandError as error:
        _say("\n      log: ".join([f"FAIL  {name:<18} {error}", *run.log]))
        return False
    return True


def _remove(resources: Resources) -> int:
    """Remove everything, and return the exit status."""
    _say("\nRemoving what was made ...")
    for problem in (left := resources.remove(ENTRIES)):
        _say(f"cannot remove {problem}")
    _say(f"To try again: --remove {resources.suffix}" if left else "Removed everything.")
    return NO if left else YES


if __name__ == "__main__":
    main(group=smoke, name=_NAME)
