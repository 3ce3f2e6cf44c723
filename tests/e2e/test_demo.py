"""``make demo`` shows what it says, and leaves nothing running."""

import re
import signal
from pathlib import Path

import pytest

from tests.processes import finish
from tools.local.demo import STEPS
from tools.local.server import CHECKOUT

from .commands import nothing_left, start, wait_for_server

pytestmark = [pytest.mark.e2e, pytest.mark.slow("starts seven local AWS servers")]


def test_it_shows_the_result_of_every_object(tmp_path: Path) -> None:
    # A proxy and a profile that do not exist must not matter.
    nowhere = {"HTTP_PROXY": "http://127.0.0.1:9", "AWS_PROFILE": "no-such-profile"}
    process = start("demo", folder=tmp_path, COLUMNS="80", **nowhere)
    printed, errors = finish(process)
    assert process.returncode == 0, errors
    assert max(map(len, printed.splitlines())) <= 80
    assert nothing_left(tmp_path)

    for step in STEPS:
        assert f"Bucket {step.bucket}, connected by " in printed
        assert re.search(rf"^{step.action} +{re.escape(step.key)}$", printed, re.MULTILINE), step
    flat = " ".join(printed.split())
    for text in (
        "dispatched trigger load-orders, job load_orders, to worker core",
        'what: "withdraw"',
        "skipped trigger load-orders: not met: if_not_fnmatch",
        "skipped trigger scan-invoices: not met: if_size_gt",
        "skipped trigger scan-invoices, job scan_png: the job is disabled",
        "skipped trigger publish-drafts: the trigger is disabled",
        "unmatched no trigger matches; prefixes tried: invoices-old/0001.pdf, invoices-old, *",
        "parked trigger scan-invoices, job scan_tiff: no job 'scan_tiff'",
        "parked trigger book-returns-twice: bad entry: unknown field 'paramters'",
        "12 S3 events. Of their triggers and jobs: 8 dispatched, 4 skipped, 1 unmatched, ",
        "2 parked, 0 failed.",
        "Why did orders/03-14/draft/second.csv cause nothing?",
        "trigger load-orders: remove if_not_fnmatch dispatches load_orders, audit",
        "make local",
    ):
        assert text in flat, printed
    readme = (CHECKOUT / "README.md").read_text()
    lines = "\n".join(line.rstrip() for line in printed.splitlines())
    [shown] = re.findall(r"^```text\n(Bucket .*?)^```$", readme, re.MULTILINE | re.DOTALL)
    assert shown.strip() in lines


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(("command", "failure"), [("demo", 128), ("serve", None)])
def test_nothing_is_left(command: str, failure: int | None, number: int, tmp_path: Path) -> None:
    process = start(command, folder=tmp_path)
    wait_for_server(process, tmp_path)
    process.send_signal(number)
    _, errors = finish(process)
    # The end of the local server is what its user asked for.
    assert process.returncode == (0 if failure is None else failure + number), errors
    assert "Traceback" not in errors
    assert nothing_left(tmp_path)
