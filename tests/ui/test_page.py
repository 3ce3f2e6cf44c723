"""The page as people use it: the tree, a key that is typed, drafts, a plan."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import pytest

from tests.build import text
from tests.cli.commandline import CommandLine
from tools.local.server import REGION

from .conftest import EXAMPLES, write_entries

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Page

    from .conftest import Served

    Visit = Callable[..., Page]
    Serve = Callable[..., Served]

pytestmark = [pytest.mark.slow("a browser")]

SKIPPED: Final = "s3://shop-orders/orders/03-14/notes.txt"


@pytest.fixture(scope="module")
def examples(serve: Serve) -> Served:
    return serve(*EXAMPLES)


@pytest.fixture
def show(examples: Served, visit: Visit) -> Visit:
    """Opens the page of the examples, with what to show."""

    return lambda **state: visit(link(examples, **state))


def link(served: Served, **state: Any) -> str:
    """Return the link with what to show."""
    parts = [f"{name}={quote(text(value))}" for name, value in state.items()]
    return f"{served.link}#{'&'.join(parts)}"


def row(page: Page, text: str) -> Any:
    return page.locator(".row", has=page.locator(f"text='{text}'"))


def texts(page: Page, selector: str) -> list[str]:
    return page.locator(selector).all_inner_texts()


class TestTry:
    @pytest.mark.parametrize(
        "uri",
        [
            SKIPPED,
            "s3://shop-orders/orders/03-14/a.csv",
            "s3://shop-orders/elsewhere",
            "s3://shop-catalogue/drafts/a b+c%.html",
            "s3://shop-invoices/invoices/1.xyz",
        ],
    )
    def test_a_key_is_explained_as_explain_does(self, show: Visit, uri: str) -> None:
        command = CommandLine(["explain"])(uri, *EXAMPLES, "--region", REGION, "--format", "json")
        [event] = command.json()["events"]
        page = show()

        page.fill("#try input >> nth=0", uri)
        page.wait_for_selector(".verdict")

        assert event["outcome"] in str(page.get_attribute(".verdict", "class"))
        tried = [each.split(" ")[0] for each in texts(page, ".walk li code")]
        assert tried == [each["prefix"].split(" ")[0] for each in event["prefixes"]]
        conditions = [tested for trigger in event["triggers"] for tested in trigger["conditions"]]
        for shown, tested in zip(texts(page, ".trigger tbody tr"), conditions, strict=True):
            assert ("✓" in shown) is tested["holds"]
            assert tested["field"] in shown
        jobs = [job for trigger in event["triggers"] for job in trigger["jobs"] if job["message"]]
        messages = [json.loads(each)["job_id"] for each in texts(page, ".job pre")]
        assert messages == [job["message"]["job_id"] for job in jobs]
        if event["changes"]:
            page.wait_for_selector(".changes li")
            changes = [change["change"] for change in event["changes"]]
            assert texts(page, ".changes li code") == changes

    def test_the_walk_lights_up_in_the_tree(self, show: Visit) -> None:
        page = show(uri="s3://shop-catalogue/drafts/a.html")
        page.wait_for_selector(".verdict")
        assert "decides" in row(page, "drafts").get_attribute("class")
        page.fill("#try input >> nth=0", "s3://shop-catalogue/x/a.html")
        page.wait_for_selector(".row.decides:has-text('whole bucket')")
        assert "decides" not in row(page, "drafts").get_attribute("class")

    def test_a_payload_is_tried(self, show: Visit) -> None:
        uri = "s3://shop-orders/orders/03-14/a.csv"
        payload = CommandLine(["event"])(uri, "--route", "sqs").output
        page = show(payload=payload)
        page.wait_for_selector(".verdict.dispatched:has-text('2 dispatches')")

    def test_what_is_typed_wrong_is_named(self, show: Visit) -> None:
        page = show(uri="shop-orders")
        page.wait_for_selector(".answer .wrong:has-text('write s3://BUCKET/KEY')")

    def test_a_change_becomes_a_draft_with_which_it_dispatches(self, show: Visit) -> None:
        page = show(uri=SKIPPED)
        page.click(".changes button >> nth=0")
        page.wait_for_selector("#draft .cm-content")
        assert "if_fnmatch" not in page.inner_text("#draft .cm-content").split("if_not_fnmatch")[0]
        page.click("#views [data-view=try]")
        page.wait_for_selector(".verdict.dispatched")

    def test_a_keystroke_takes_one_decision_and_changes_wait_for_a_pause(self, show: Visit) -> None:
        page = show()
        page.wait_for_load_state("networkidle")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
        page.locator("#try input >> nth=0").press_sequentially("s3://shop-orders/a")
        page.wait_for_selector(".verdict")
        page.wait_for_timeout(1000)
        assert asked.count("explain") <= len("s3://shop-orders/a")
        assert set(asked) - {"icon.svg"} <= {"explain", "changes"}
        assert asked.count("changes") < asked.count("explain")


class TestDrafts:
    def test_an_entry_of_the_tree_opens_with_findings_and_cases(self, show: Visit) -> None:
        page = show()
        row(page, "load-orders").click()
        page.wait_for_selector("text='4 of 4 cases passed'")
        page.click("#draft .cm-content")
        page.keyboard.press("Control+Home")
        page.keyboard.type("if_siz")
        page.wait_for_selector(".cm-completionLabel:has-text('if_size_gt')")
        page.keyboard.press("Escape")
        page.keyboard.type("e: 1\n")
        page.wait_for_selector(".findings .error:has-text('if_size')")
        page.wait_for_selector(".cm-lintRange-error")

    def test_drafts_are_copied_with_the_command_that_applies_them(self, show: Visit) -> None:
        drafts = [{"replaces": None, "text": "trigger_id: new\n"}]
        page = show(view="draft", drafts=drafts)
        command = "lava-s3trigger apply drafts.yaml --realm REALM --set SET"
        page.wait_for_selector(f".apply code:text-is('{command}')")
        with page.expect_download() as download:
            page.click("text='Save drafts.yaml'")
        assert download.value.suggested_filename == "drafts.yaml"
        assert download.value.path().read_text() == "---\ntrigger_id: new\n"

    def test_a_plan_shows_who_gains_and_who_loses(self, show: Visit) -> None:
        entry = "trigger_id: load-orders\nbucket: shop-orders\nprefix: orders\nenabled: true\n"
        drafts = [{"replaces": "load-orders", "text": f"{entry}job_id: audit\n"}]
        page = show(view="plan", drafts=drafts, bucket="shop-orders")
        page.fill("#plan textarea", "orders/a.csv\norders/b.txt\n")
        page.click("#plan [type=submit]")
        page.wait_for_selector("#plan h2")
        assert page.inner_text("#plan h2") == "1 gained, 1 lost, 1 changed, 0 the same"


class TestTree:
    def test_filters_leave_the_entries_that_match(self, show: Visit) -> None:
        page = show()
        page.fill("[type=search]", "invoice")
        page.wait_for_selector("#counts:has-text('1 of 6 entries')")
        assert page.locator(".row.entry").count() == 1
        page.fill("[type=search]", "nothing like this")
        page.wait_for_selector("#map .empty:has-text('Clear the search')")

    def test_a_keyboard_is_enough(self, show: Visit) -> None:
        page = show()
        page.wait_for_selector(".row")
        page.focus("#map select >> nth=3")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "tree"
        before = page.locator(".row").count()
        page.keyboard.press("ArrowLeft")
        page.wait_for_function(f"document.querySelectorAll('.row').length < {before}")
        page.keyboard.press("ArrowRight")
        page.wait_for_function(f"document.querySelectorAll('.row').length == {before}")
        for key in ("ArrowDown", "ArrowDown", "Enter"):
            page.keyboard.press(key)
        page.wait_for_selector("#draft .tabs [aria-selected=true]:has-text('publish-catalogue')")
        page.focus("#views [aria-selected=true]")
        page.keyboard.press("ArrowLeft")
        page.wait_for_selector("body[data-view=try]")

    def test_5000_entries_keep_a_screenful_of_rows(
        self, serve: Serve, visit: Visit, tmp_path: Path
    ) -> None:
        page = visit(serve(*write_entries(tmp_path, 5000)).link)
        page.wait_for_selector("#counts:has-text('5000 entries in 7 buckets')")
        assert page.locator(".row").count() < 100
        page.focus("#tree")
        page.keyboard.press("End")
        last = max((n for n in range(5000) if n % 7 == 6), key=lambda n: f"in/{n % 50}/{n}")
        page.wait_for_selector(f".row.entry:has-text('t{last}')")
        assert page.locator(".row").count() < 100
        page.fill("#try input >> nth=0", "s3://bucket-3/in/10/10/a.csv")
        page.wait_for_selector(".verdict.dispatched")
        assert "10" in row(page, "in/10/10").inner_text()


class TestState:
    def test_reload_keeps_it_and_the_address_has_no_token(self, show: Visit) -> None:
        page = show(uri=SKIPPED, search="order")
        page.wait_for_selector(".verdict")
        assert "token" not in page.url
        page.reload()
        page.wait_for_selector(".verdict")
        assert page.input_value("#try input >> nth=0") == SKIPPED
        assert page.input_value("[type=search]") == "order"
        page.wait_for_selector("#counts:has-text('1 of 6 entries')")

    def test_open_shows_what_a_colleague_sends(self, serve: Serve, visit: Visit) -> None:
        served = serve(*EXAMPLES, "--open", f"#uri={quote(SKIPPED)}")
        page = visit(served.link)
        page.wait_for_selector(".verdict.skipped")

    def test_an_ended_server_says_what_to_do(self, serve: Serve, visit: Visit) -> None:
        served = serve(*EXAMPLES)
        page = visit(served.link)
        served.process.terminate()
        served.process.wait()
        page.fill("#try input >> nth=0", SKIPPED)
        page.wait_for_selector(".answer .wrong:has-text('Run lava-s3trigger ui again')")


HOSTILE: Final = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'&\u202e"


def test_hostile_entries_and_keys_are_text(serve: Serve, visit: Visit, tmp_path: Path) -> None:
    names = ("trigger_id", "description", "owner", "job_id")
    entry: dict[str, Any] = {name: f"{name} {HOSTILE}" for name in names}
    entry |= {"bucket": "bkt", "prefix": "in", "enabled": True, "if_fnmatch": HOSTILE}
    (tmp_path / "t.json").write_text(json.dumps([entry]))
    page = visit(link(serve("--triggers", str(tmp_path / "t.json")), uri=f"s3://bkt/in/{HOSTILE}"))
    page.wait_for_selector(".verdict")
    page.wait_for_selector(".changes li")
    page.click(".row.entry")
    page.wait_for_selector(".findings li")
    for name in ("plan", "recent", "try"):
        page.click(f"#views [data-view={name}]")
    assert page.locator("main img, main script").count() == 0
    shown = page.inner_text("main")
    assert "<img src=x onerror=alert(1)>" in shown
    assert ("\\u202e" in shown, "\u202e" in shown) == (True, False)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280, 3840])
def test_no_view_is_wider_than_the_window_and_axe_finds_nothing_serious(
    examples: Served, visit: Visit, width: int, scheme: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # noqa: PLC0415

    size = {"width": width, "height": 800}
    page = visit(link(examples, uri=SKIPPED), viewport=size, color_scheme=scheme)
    page.wait_for_selector(".verdict")
    views = ("map", "try", "draft", "plan", "recent") if width < 800 else ("try", "draft", "plan")
    for view in views:
        page.click(f"#views [data-view={view}]")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        violations = Axe().run(page).response["violations"]
        assert [each for each in violations if each["impact"] in ("serious", "critical")] == []
        if view == "try":
            assert not re.search("undefined|null|\\[object", page.inner_text("main"))
