"""The page of `ui` in a real browser."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.processes import SECONDS, signals_received
from tools.local.server import CHECKOUT, REGION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page, Request

CHROMIUM: Final = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
EXAMPLES: Final = (
    *("--triggers", str(CHECKOUT / "examples/triggers.yaml")),
    *("--jobs", str(CHECKOUT / "examples/jobs.yaml")),
)


@dataclass
class Served:
    """A page that is served."""

    process: subprocess.Popen[str]
    link: str

    @property
    def address(self) -> str:
        """Scheme, host and port."""
        return self.link.partition("/?")[0]


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Served]]:
    """Start the command with arguments; ended at the end of the module."""
    started: list[subprocess.Popen[str]] = []
    folder = tmp_path_factory.mktemp("ui")

    def start(*arguments: str, **environment: str) -> Served:
        with signals_received():
            process = subprocess.Popen(
                [sys.executable, "-m", "lava_s3trigger", "ui", "--no-browser", *arguments],
                env={**os.environ, "AWS_REGION": REGION, "HOME": str(folder), **environment},
                stdout=subprocess.PIPE,
                text=True,
            )
        started.append(process)
        assert process.stdout
        return Served(process, process.stdout.readline().strip())

    yield start
    for process in started:
        process.terminate()
        process.wait(SECONDS)
        assert process.stdout
        process.stdout.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, as Debian packages it."""
    if CHROMIUM is None:
        pytest.skip("LEFT OUT: the page of `ui`: Chromium is missing (apt-get install chromium)")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - where there is a browser

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open a link in a browser of its own; fails if the page had an error, or asked elsewhere."""
    pages: list[Page] = []
    wrong: list[str] = []

    def open_(link: str, **options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        context.set_default_timeout(40_000)
        page = context.new_page()
        page.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        own = (f"http://{link.split('/')[2]}/", "blob:", "data:")

        def check(request: Request) -> None:
            if not request.url.startswith(own):
                wrong.append(f"request: {request.url}")

        page.on("request", check)
        page.goto(link)
        page.wait_for_selector(".row, #map .empty", state="attached")
        pages.append(page)
        return page

    yield open_
    for page in pages:
        page.context.close()
    assert wrong == []


def write_entries(folder: Path, count: int) -> tuple[str, ...]:
    """Write many entries, and return the arguments that name them."""
    lines = [
        f"- {{trigger_id: t{n}, bucket: bucket-{n % 7}, prefix: in/{n % 50}/{n}, enabled: true,"
        f" job_id: load, owner: team-{n % 5}, description: the {n}th, if_fnmatch: '*.csv'}}\n"
        for n in range(count)
    ]
    triggers, jobs = folder / "many.yaml", folder / "jobs.yaml"
    triggers.write_text("".join(lines))
    jobs.write_text("- {job_id: load, type: exe, worker: core, payload: x, enabled: true}\n")
    return "--triggers", str(triggers), "--jobs", str(jobs)
