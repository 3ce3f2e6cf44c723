"""Pictures of the page of `ui`, in both colour schemes. `make pictures` writes them.

They need Chromium: `apt-get install chromium`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from playwright.sync_api import Page, sync_playwright

CHECKOUT: Final = Path(__file__).resolve().parents[1]
IMAGES: Final = CHECKOUT / "docs" / "images"
EXAMPLES: Final = ("--triggers", "examples/triggers.yaml", "--jobs", "examples/jobs.yaml")
KEY: Final = "s3://shop-orders/orders/03-14/notes.txt"
# A time of its own, so that a picture stays as it is.
TIME: Final = "2026-03-14T01:59:26Z"


def main() -> None:
    """Start the command on the examples, and take the pictures."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("Chromium is missing: apt-get install chromium")
    command = [sys.executable, "-m", "lava_s3trigger", "ui", "--no-browser", *EXAMPLES]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout  # noqa: S101 - for the type checker
        link = process.stdout.readline().strip()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            for scheme in ("light", "dark"):
                page = browser.new_page(
                    color_scheme=scheme, viewport={"width": 1200, "height": 640}
                )
                page.goto(f"{link}#uri={KEY}&time={TIME}")
                _take(page, scheme)
                page.close()
            browser.close()
        process.terminate()


def _take(page: Page, scheme: str) -> None:
    page.wait_for_selector(".changes li")
    page.screenshot(path=IMAGES / f"workbench-try-{scheme}.png")
    page.click(".changes button")
    page.wait_for_selector(".cases-passed, .results h3")
    page.wait_for_timeout(1000)
    page.screenshot(path=IMAGES / f"workbench-draft-{scheme}.png")


if __name__ == "__main__":
    main()
