"""What the command `ui` does: reads entries once, and serves the page until Ctrl-C."""

from __future__ import annotations

import secrets
import socket
import sys
import webbrowser
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.deployed.aws import Aws, reaching_aws
from lava_s3trigger.cli.deployed.function import find_function
from lava_s3trigger.cli.entries.load import load_texts, read_table, read_texts
from lava_s3trigger.cli.errors import WRONG_USAGE, YES, CommandError
from lava_s3trigger.cli.output.escaping import safe
from lava_s3trigger.cli.output.streams import message

from .workbench import Source

if TYPE_CHECKING:
    from lava_s3trigger.cli.entries.positions import Problem

    from .watch import Watch

_ADDRESS: Final = "127.0.0.1"
_NEEDED: Final = ("starlette", "uvicorn")


def run(**options: Any) -> int:
    """Run the command, and return its exit status."""
    _require_sense(options)
    try:
        import uvicorn  # noqa: PLC0415 - of an extra

        from .processes import Processes  # noqa: PLC0415 - as above
        from .server import application  # noqa: PLC0415 - as above
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] not in _NEEDED:
            raise
        raise CommandError(
            f"the page needs {error.name}, which is not installed."
            " Run: pip install 'lava-s3trigger[cli,ui]'"
        ) from None
    aws = Aws(options["profile"], options["region"], options["endpoint_url"])
    watch = _watch(aws, options)
    processes = Processes(_source(aws, options, watch))
    token = secrets.token_urlsafe(32)
    with _listening(options["port"]) as listener:
        port = listener.getsockname()[1]
        app = application(processes, watch, token, port)
        state = f"#{options['state'].lstrip('#')}" if options["state"] else ""
        link = f"http://{_ADDRESS}:{port}/?token={token}{state}"
        message(
            "This page shows entries and tries keys; it changes nothing in AWS. Ctrl-C ends it."
        )
        sys.stdout.write(f"{safe(link)}\n")
        sys.stdout.flush()
        if options["browser"]:
            webbrowser.open(link)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
        try:
            server.run([listener])
        except KeyboardInterrupt:  # uvicorn raises it again when it has ended in order
            pass
        finally:
            processes.close()
    return YES


def _require_sense(options: dict[str, Any]) -> None:
    if not options["triggers"] and options["realm"] is None:
        raise CommandError(
            "no entries: give files with --triggers, or a realm with --realm (LAVA_REALM)",
            WRONG_USAGE,
        )


def _listening(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((_ADDRESS, port))
        # At once: a browser may come before the server has started.
        listener.listen()
    except OSError as error:
        listener.close()
        raise CommandError(
            f"port {port} on {_ADDRESS}: {error.strerror}; give another --port"
        ) from None
    return listener


def _watch(aws: Aws, options: dict[str, Any]) -> Watch | None:
    """Return what looks at the realm's function; None without one, for which entries are enough."""
    if options["realm"] is None:
        return None
    from .watch import Watch  # noqa: PLC0415 - start-up

    try:
        return Watch(aws, find_function(aws, options["realm"], options["function"]))
    except CommandError as error:
        message(f"The page will not show what is parked and recent: {error}")
        return None


def _source(aws: Aws, options: dict[str, Any], watch: Watch | None) -> Source:
    """Read the entries: of files first, of the realm's tables what files do not have."""
    paths, realm = [*options["triggers"], *options["jobs"]], options["realm"]
    problems: list[Problem] = []
    texts = tuple(read_texts(paths, problems))
    for problem in problems:
        message(f"Warning: {problem}")
    loaded = load_texts(texts)
    if options["triggers"] and not loaded.of("trigger"):
        raise CommandError(f"{safe(', '.join(options['triggers']))}: no trigger entries in there")
    triggers = () if options["triggers"] else tuple(read_table(aws, realm, "trigger"))
    jobs = None
    if not loaded.of("job") and realm is not None:
        jobs = tuple(read_table(aws, realm, "job"))
    name = ", ".join(options["triggers"]) or f"lava.{realm}.s3triggers"
    jobs_name = f"lava.{realm}.jobs"
    if loaded.of("job"):
        jobs_name = ", ".join(options["jobs"] or options["triggers"])
    source = Source(name, realm, aws.region_name(), texts, triggers, jobs, jobs_name)
    if watch is None:
        return source
    from dataclasses import replace  # noqa: PLC0415 - start-up

    deployed = watch.deployed
    notice = ""
    if deployed.unusable:
        notice = f"The function cannot start: {'; '.join(deployed.unusable.values())}"
    elif deployed.is_observing:
        notice = "The function only observes: it decides as shown here, and dispatches nothing."
    return replace(
        source,
        workers=_workers(aws, realm),
        max_delay=deployed.settings.max_delay,
        notice=notice,
    )


def _workers(aws: Aws, realm: str) -> frozenset[str]:
    """Return the workers of a realm that have a queue."""
    prefix = f"lava-{realm}-"
    with reaching_aws():
        pages = aws.client("sqs").get_paginator("list_queues").paginate(QueueNamePrefix=prefix)
        urls = [url for page in pages for url in page.get("QueueUrls", [])]
    return frozenset(url.rpartition("/")[2].removeprefix(prefix) for url in urls)
