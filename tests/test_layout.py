"""The layers of the package, and the pages that `make docs` writes from the code."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from lava_s3trigger import cli
from tests.tables import cases
from tools import pages

OF_OPTIONS: Final = frozenset(
    ["cli.options", "cli.objects.options", "cli.objects.uri", "cli.deployed.log_line"]
)
"""What options of commands are made of: they import no library but click."""
MAX_MODULES: Final = 14
"""Modules of a folder of the command line: more are not seen at a glance."""


MODULES: Final = pages.modules()


class TestLayers:
    """Imports go down, and never in a circle."""

    def test_every_module_is_in_a_layer(self) -> None:
        assert {module.group for module in MODULES.values()} == set(pages.LAYERS)

    @pytest.mark.parametrize("rule", [pages.arrows_up, pages.circle, pages.across_rooms])
    def test_no_import_goes_up_in_a_circle_or_across_folders(
        self, rule: Callable[..., list[str]]
    ) -> None:
        assert rule(MODULES) == []

    def test_no_folder_of_the_command_line_has_many_modules(self) -> None:
        names = [each.name for each in MODULES.values() if each.group == "cli"]
        folders = Counter(name.rpartition(".")[0] for name in names)
        assert {name: number for name, number in folders.items() if number > MAX_MODULES} == {}

    def test_a_command_has_options_and_imports_the_rest_when_it_runs(self) -> None:
        commands = [each for each in MODULES.values() if each.name.endswith(".command")]
        assert len(commands) >= len(cli._COMMANDS) - len(cli._SINGLE)  # noqa: SLF001 - the lists
        for each in commands:
            assert each.imports - OF_OPTIONS == {f"cli.{each.room}.run"}, each.name


def package(folder: Path, **sources: str) -> Path:
    """Write a package of modules; ``aws_sqs`` is ``aws/sqs.py``."""
    root = folder / "lava_s3trigger"
    for name, source in sources.items():
        path = root / f"{name.replace('_', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'"""{name.capitalize()}."""\n{source}\n')
    return root


LATE: Final = "def load():\n    from {}"
TYPES: Final = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from {}"
LINT: Final = "from lava_s3trigger.cli.check.lint import lint"
LOAD: Final = "from lava_s3trigger.cli.entries.load import load"
TEXT: Final = "from lava_s3trigger.cli.output.text import line"
UP: Final = "aws.sqs imports events"


class TestReading:
    """The tool sees the imports that run, in every form."""

    @cases(
        ("sources", "expected"),
        {
            "a name": ({"aws_sqs": "from lava_s3trigger.events import S3Event"}, UP),
            "a module": ({"aws_sqs": "from lava_s3trigger import events"}, UP),
            "relative": ({"aws_sqs": "from ..events import S3Event"}, UP),
            "a relative module": ({"aws_sqs": "from .. import events"}, UP),
            "absolute": ({"aws_sqs": "import lava_s3trigger.events"}, UP),
            "late": ({"aws_sqs": LATE.format("..events import S3Event")}, UP),
            "for types": ({"aws_sqs": TYPES.format(".. import events")}, ""),
            "of another folder": (
                {"dedup_table": "", "templates_limits": "from ..dedup.table import ClaimTable"},
                "templates.limits imports dedup.table",
            ),
        },
    )
    def test_an_import_that_goes_up_is_found(
        self, tmp_path: Path, sources: dict[str, str], expected: str
    ) -> None:
        modules = pages.modules(package(tmp_path, events="", **sources))
        assert pages.arrows_up(modules) == [expected] * bool(expected)

    @pytest.mark.parametrize("how", ["from {}", LATE, TYPES], ids=["early", "late", "for types"])
    def test_a_circle_is_found(self, tmp_path: Path, how: str) -> None:
        source = how.format("..jobs import Job")
        found = pages.modules(package(tmp_path, aws_sqs=source, jobs="from .aws import sqs"))
        assert sorted(set(pages.circle(found))) == ["aws.sqs", "jobs"]

    @cases(
        ("sources", "expected"),
        {
            "another": ({"cli_plan_command": LINT}, "cli.plan.command imports cli.check.lint"),
            "late": (
                {"cli_plan_command": LATE.format("..check.lint import lint")},
                "cli.plan.command imports cli.check.lint",
            ),
            "of a shared one": (
                {"cli_output_text": LINT},
                "cli.output.text imports cli.check.lint",
            ),
            "of none": ({"cli_errors": LINT}, "cli.errors imports cli.check.lint"),
            "its own": ({"cli_check_command": "from .lint import lint"}, ""),
            "shared ones": (
                {"cli_entries_load": TEXT, "cli_output_text": LOAD},
                "cli.output.text imports cli.entries.load",
            ),
        },
    )
    def test_an_import_of_a_room_that_is_not_below_is_found(
        self, tmp_path: Path, sources: dict[str, str], expected: str
    ) -> None:
        modules = pages.modules(package(tmp_path, cli_check_lint="", **sources))
        assert pages.across_rooms(modules) == [expected] * bool(expected)


@pytest.mark.parametrize(("path", "text"), pages.pages().items(), ids=lambda each: str(each)[-20:])
def test_a_page_is_current(path: Path, text: str) -> None:
    assert path.read_text() == text, "run `make docs`"
