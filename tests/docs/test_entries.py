"""Entries and templates of the pages: they are valid, and do what the pages say."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner

from lava_s3trigger import conditions
from lava_s3trigger.cli import commands
from lava_s3trigger.cli.entries.load import Entry, load
from lava_s3trigger.cli.entries.memory import MemoryJobs, MemoryTriggers
from lava_s3trigger.decision import decide
from lava_s3trigger.deliveries import deliveries
from lava_s3trigger.dispatch import timestamp
from lava_s3trigger.templates.documents import Document, RenderingError, variables
from lava_s3trigger.triggers import BrokenTrigger, Trigger, read_trigger
from tests.build import job_entry, trigger_entry
from tools.local.server import CHECKOUT

from .pages import (
    CONNECTING,
    DOCS,
    PAGES,
    README,
    RENDERING,
    TRIGGERS,
    code,
    fenced,
    first_trigger,
    item,
    sample,
    section,
    slug,
    tables,
)


def entries() -> Iterator[Any]:
    """Yield the trigger entries that the pages show, as items of the table."""
    for page in PAGES:
        for block in fenced(page.read_text(), "json"):
            entry = json.loads(block)
            if isinstance(entry, dict) and {"trigger_id", "bucket"} <= entry.keys():
                yield pytest.param(item(entry), id=f"{page.name}: {entry['trigger_id']}")


def triggers_of(*items: dict[str, Any]) -> MemoryTriggers:
    """Return what looks up triggers in a few entries."""
    return MemoryTriggers([Entry("trigger", each, "the page") for each in items])


def jobs_of(*items: dict[str, Any]) -> MemoryJobs:
    """Return what looks up jobs in a few entries."""
    return MemoryJobs([Entry("job", each, "the page") for each in items], "lava.demo.jobs")


class TestEntries:
    """Entries that a reader may copy are valid."""

    @pytest.mark.parametrize("entry", list(entries()))
    def test_an_entry_is_valid(self, entry: dict[str, Any]) -> None:
        trigger = read_trigger(entry)
        assert isinstance(trigger, Trigger), trigger
        assert trigger.enabled

    def test_the_files_of_the_first_trigger_are_what_the_pages_show(self) -> None:
        _, job, _ = first_trigger()
        [trigger] = fenced(section(README, "A first trigger"), "yaml")
        assert (CHECKOUT / "examples" / "try-trigger.yaml").read_text() == trigger
        assert json.loads((CHECKOUT / "examples" / "try-job.json").read_text()) == job

    def test_the_first_trigger_causes_the_dispatch_shown(self) -> None:
        trigger, job, shown = first_trigger()
        decision = decide(sample("s3-created"), triggers_of(trigger), jobs_of(job))
        [[decided]] = [each.jobs for each in decision.triggers]
        assert decided.dispatch
        when = timestamp(datetime.fromisoformat(shown["ts_dispatch"]))
        assert json.loads(decided.dispatch.message("myrealm", shown["run_id"], when)) == shown


class TestRendering:
    """Examples of templates render to the results beside them."""

    def pairs(self) -> list[tuple[str, str, str]]:
        found = re.findall(
            r"(?:^With the key `([^\n]+)`:\n\n)?^```json\n([^`]*?)^```\n\nbecomes\n\n"
            r"^```json\n([^`]*?)^```$",
            RENDERING.read_text(),
            re.MULTILINE,
        )
        assert len(found) == RENDERING.read_text().count("\nbecomes\n") > 0
        return found

    def test_maps(self) -> None:
        event = sample("s3-created")
        for key, template, expected in self.pairs():
            about = replace(event, key=key) if key else event
            rendered = Document(json.loads(template)).render(variables(about))
            assert rendered == json.loads(expected)
            assert list(rendered) == list(json.loads(expected))

    @pytest.mark.parametrize("heading", ["Expressions", "String literals"])
    def test_expressions(self, heading: str) -> None:
        [rows] = tables(section(RENDERING, heading))
        known = variables(sample("s3-created"))
        for template, result in rows:
            assert Document(code(template)).render(known) == json.loads(code(result)), template

    def test_missing_values_render_as_the_page_says(self) -> None:
        silent, loud = tables(section(RENDERING, "Missing values"))
        event = sample("s3-created")
        assert len(silent) >= 5
        for template, result, _ in silent + loud:
            rendered = Document(code(template)).render(variables(event))
            assert rendered == json.loads(code(result)), template
        for template, *_ in loud:
            with pytest.raises(RenderingError):
                Document(code(template)).render(variables(replace(event, key="incoming")))

    def test_refusals(self) -> None:
        event = sample("s3-created")
        job = item(job_entry())
        for template, reason in tables(section(RENDERING, "Sandbox and bounds"))[-1]:
            entry = trigger_entry("t", "*", bucket=event.bucket, parameters={"x": code(template)})
            [trigger] = decide(event, triggers_of(item(entry)), jobs_of(job)).triggers
            assert trigger.outcome == "user_error", template
            assert trigger.ended
            assert code(reason) in str(trigger.ended.reason), template

    def test_a_reserved_name_is_refused(self) -> None:
        text = section(RENDERING, "Reserved names of globals")
        template, key = re.findall(r"with\s+`([^`]+)` and the key\s+`([^`]+)`", text)[0]
        [reason] = re.findall(r"the reason\s+is\s+`globals: ([^`]+)`", text)
        known = variables(replace(sample("s3-created"), key=key))
        with pytest.raises(RenderingError, match=re.escape(reason)):
            Document(json.loads(template), is_globals=True).render(known)

    def test_event_types(self) -> None:
        changes = ("created", "deleted", "tagged", "restored")
        names = [f"{route}-{change}" for route in ("s3", "eventbridge") for change in changes]
        events = [sample(name) for name in names]
        sizes = {event.event_type: str(event.size) for event in events}
        _, types = tables(section(RENDERING, "`info`"))
        assert len(types) == len(changes)
        for _, s3, eventbridge, size in types:
            assert [sizes[code(s3)], sizes[code(eventbridge)]] == [size, size]


def test_the_recipe_excludes_what_the_job_writes() -> None:
    [entry] = fenced(section(TRIGGERS, "Loops"), "json")
    known = triggers_of(item(json.loads(entry))), jobs_of(item(job_entry("convert_orders")))
    for name in ("a.csv", "converted/a.csv", "a.converted.csv"):
        event = replace(sample("s3-created"), key=f"incoming/orders/{name}")
        [trigger] = decide(event, *known).triggers
        assert trigger.outcome == ("dispatched" if name == "a.csv" else "skipped"), name


def test_minio_without_a_region() -> None:
    payload = json.loads((CHECKOUT / "events" / "minio.json").read_text())
    payload["Records"][0]["awsRegion"] = ""
    [delivery] = deliveries(payload, "us-east-1")
    [event] = [each.event for each in delivery.events]
    assert event.aws_region == "us-east-1"
    assert "the function's own" in section(CONNECTING, "S3-compatible stores")


COOKBOOK: Final = DOCS / "cookbook.md"
RECIPES: Final = [
    line.removeprefix("## ") for line in COOKBOOK.read_text().splitlines() if line[:3] == "## "
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds each recipe as a file, next to the sample payloads."""
    checkout = tmp_path_factory.mktemp("cookbook")
    (checkout / "events").symlink_to(CHECKOUT / "events")
    (checkout / "docs").mkdir()
    for heading in RECIPES:
        [block] = fenced(section(COOKBOOK, heading), "yaml")
        (checkout / "docs" / f"{slug(heading)}.yaml").write_text(block)
    return checkout / "docs"


class TestCookbook:
    """Each recipe is an entry that a team may copy, and its cases hold, with all in one table."""

    def test_each_recipe_has_its_row_in_the_table(self) -> None:
        table = COOKBOOK.read_text().partition("\n## ")[0]
        assert len(RECIPES) == len(fenced(COOKBOOK.read_text(), "yaml")) == 16
        assert all(f"](#{slug(heading)})" in table for heading in RECIPES)

    def test_each_entry_is_valid_described_owned_and_has_a_case_that_dispatches(
        self, folder: Path
    ) -> None:
        loaded = load([str(folder)])
        assert loaded.all_problems() == []
        assert len({entry.id for entry in loaded.entries}) == len(loaded.entries)
        files = {Path(entry.file.name).stem for entry in loaded.entries if entry.file}
        assert files == set(map(slug, RECIPES))
        for entry in loaded.entries:
            trigger = read_trigger(entry.item)
            assert isinstance(trigger, Trigger), (entry.id, trigger)
            assert all((trigger.enabled, entry.text("description"), entry.text("owner"))), entry.id
            assert any(case["expect"] != "nothing" for case in entry.value("x-tests")), entry.id

    def test_all_cases_hold(self, folder: Path) -> None:
        done = CliRunner().invoke(commands, ["test", str(folder)])
        assert done.exit_code == 0, done.output


CONTRIBUTING: Final = section(CHECKOUT / "CONTRIBUTING.md", "Add a condition")
SATURDAY: Final = datetime(2026, 3, 14, tzinfo=UTC)
MONDAY: Final = datetime(2026, 3, 16, tzinfo=UTC)


class TestNewCondition:
    """The condition that CONTRIBUTING.md adds works as the page says."""

    @pytest.fixture(autouse=True)
    def weekday(self) -> Iterator[None]:
        """The condition of the page, as if it were in the module."""
        source = "\n".join(["from __future__ import annotations", *fenced(CONTRIBUTING, "python")])
        exec(source, {**vars(conditions), "datetime": datetime})  # the page's own code
        yield
        del conditions.KINDS["weekday"]

    def read(self, **fields: Any) -> Trigger | BrokenTrigger:
        """Read the entry of the page, with other fields."""
        [entry] = [json.loads(block) for block in fenced(CONTRIBUTING, "text")]
        return read_trigger(item(entry | fields))

    @pytest.mark.parametrize(
        ("fields", "expected"), [({}, [True, False]), ({"if_weekday": "sat"}, [False, True])]
    )
    def test_the_condition_and_its_inverse_hold_on_their_days(
        self, fields: dict[str, Any], expected: list[bool]
    ) -> None:
        trigger = self.read(**fields, if_not_weekday="mon")
        assert isinstance(trigger, Trigger)
        days = (MONDAY, SATURDAY)
        holds = {each.field: list(map(each.holds, days)) for each in trigger.conditions}
        assert holds == {"if_weekday": expected, "if_not_weekday": [False, True]}

    @pytest.mark.parametrize("argument", ["monday", ["mon", 1], 1, {"day": "mon"}])
    def test_an_invalid_argument_is_a_user_error_that_names_the_field(self, argument: Any) -> None:
        trigger = self.read(if_weekday=argument)
        assert isinstance(trigger, BrokenTrigger)
        assert trigger.reason.startswith("bad entry: if_weekday: ")
        assert "is not a day or list of days (mon, tue" in trigger.reason

    def test_the_docstring_is_the_line_of_the_docs(self) -> None:
        assert conditions.KINDS["weekday"].description.startswith("The event happened on any")
