"""The recipes of the cookbook do what their own cases say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from click.testing import CliRunner

from lava_s3trigger import cli
from lava_s3trigger.cli.entries.load import Entry, load
from lava_s3trigger.triggers import Trigger, read_trigger
from tests.cases import check_case, decide_case
from tests.test_docs import fenced, section, slug
from tools.local.server import CHECKOUT

if TYPE_CHECKING:
    from pathlib import Path

COOKBOOK: Final = CHECKOUT / "docs" / "cookbook.md"
BLOCKS: Final = fenced(COOKBOOK.read_text(), "yaml")
HEADINGS: Final = [
    line.removeprefix("## ") for line in COOKBOOK.read_text().splitlines() if line[:3] == "## "
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds each block of the page as a file, beside the sample payloads."""
    checkout = tmp_path_factory.mktemp("cookbook")
    (checkout / "events").symlink_to(CHECKOUT / "events")
    (checkout / "docs").mkdir()
    for heading in HEADINGS:
        [block] = fenced(section(COOKBOOK, heading), "yaml")
        (checkout / "docs" / f"{slug(heading)}.yaml").write_text(block)
    return checkout / "docs"


@pytest.fixture(scope="module")
def entries(folder: Path) -> list[Entry]:
    """All entries of the page."""
    loaded = load([str(folder)])
    assert loaded.all_problems() == []
    return loaded.entries


class TestEntries:
    """Each recipe is an entry that a team may copy."""

    def test_each_recipe_has_its_row_in_the_table(self) -> None:
        table = COOKBOOK.read_text().partition("\n## ")[0]
        assert len(HEADINGS) == len(BLOCKS) == 15
        assert all(f"](#{slug(heading)})" in table for heading in HEADINGS)

    def test_each_entry_is_valid_described_and_owned(self, entries: list[Entry]) -> None:
        for entry in entries:
            trigger = read_trigger(entry.item)
            assert isinstance(trigger, Trigger), (entry.id, trigger)
            assert trigger.enabled
            assert entry.text("description"), entry.id
            assert entry.text("owner"), entry.id

    def test_no_id_stands_twice(self, entries: list[Entry]) -> None:
        ids = [entry.id for entry in entries]
        assert len(set(ids)) == len(ids)


class TestCases:
    """The cases of each entry hold, with all recipes in one table."""

    @pytest.mark.parametrize("heading", HEADINGS)
    def test_the_decider_decides_as_the_cases_say(
        self, heading: str, entries: list[Entry], folder: Path
    ) -> None:
        own = [entry for entry in entries if entry.file and slug(heading) + "." in entry.file.name]
        assert own
        for entry in own:
            cases: list[dict[str, Any]] = entry.value("x-tests")
            assert any(case["expect"] != "nothing" for case in cases)
            for case in cases:
                check_case(case, decide_case(case, entry, entries, folder))

    @pytest.mark.skipif(
        "test" not in cli._COMMANDS,  # noqa: SLF001 - the one list of commands
        reason="the command line has no command test yet",
    )
    def test_the_command_finds_nothing_wrong(self, folder: Path) -> None:
        done = CliRunner().invoke(cli.commands, ["test", str(folder)])
        assert done.exit_code == 0, done.output
