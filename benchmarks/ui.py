"""How long the page of `ui` takes with 5,000 entries. `make bench-ui` runs it; it needs Chromium.

Times are of this machine. What counts is that an answer needs one decision, and that the page has
no more rows than are in sight.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from playwright.sync_api import sync_playwright

from tests.ui.conftest import CHROMIUM, write_entries

if TYPE_CHECKING:
    from playwright.sync_api import Page

ENTRIES: Final = 5_000
KEY: Final = "s3://bucket-3/in/10/10/incoming-2026-03-14.csv"


def main() -> None:
    """Start the command, open the page, and type a key."""
    if CHROMIUM is None:
        sys.exit("Chromium is missing: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        arguments = write_entries(Path(folder), ENTRIES)
        command = [sys.executable, "-m", "lava_s3trigger", "ui", "--no-browser", *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout  # noqa: S101 - for the type checker
            link = process.stdout.readline().strip()
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=CHROMIUM, args=["--no-sandbox"]
                )
                _measure(browser.new_page(), link)
                browser.close()
            process.terminate()


def _measure(page: Page, link: str) -> None:
    start = time.perf_counter()
    page.goto(link)
    page.wait_for_selector(".row")
    print(f"first view of {ENTRIES:,} entries: {time.perf_counter() - start:.1f} s")
    page.wait_for_load_state("networkidle")
    print(f"rows in the page: {page.locator('.row').count()}")
    box = page.locator("#try input >> nth=0")
    seconds = []
    for length in range(len("s3://bucket-3/i"), len(KEY) + 1):
        with page.expect_response("**/api/explain") as answer:
            start = time.perf_counter()
            box.fill(KEY[:length])
        answer.value.finished()
        seconds.append(time.perf_counter() - start)
    median, longest = (1000 * value for value in (statistics.median(seconds), max(seconds)))
    print(f"answer to a keystroke, of {len(seconds)}: {median:.0f} ms, at most {longest:.0f} ms")


if __name__ == "__main__":
    main()
