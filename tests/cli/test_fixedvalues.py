"""What templates take from outside the event is fixed, and nothing else is different."""

import contextlib
import datetime as dt
import json
import os
import time
from pathlib import Path
from typing import Any, Final

import pytest

from lava_s3trigger.cli.decide.fixed_values import FixedValues
from lava_s3trigger.templates.documents import Document, RenderingError, variables
from lava_s3trigger.templates.limits import run_bounded
from lava_s3trigger.templates.utils import UTILS
from tests.docs.pages import sample

TESTS: Final = Path(__file__).parents[1]
TEMPLATES: Final[list[str]] = json.loads((TESTS / "templates" / "everyday.json").read_text())
CHANGING: Final = ("uuid", "lipsum", "random", "now()", "today()", "tzlocal")
EVENT: Final = sample("s3-created")


def rendered(template: str) -> Any:
    try:
        return run_bounded(lambda: Document(template).render(variables(EVENT)))
    except RenderingError as error:
        return str(error)


FIXED: Final = [
    ("{{ utils.datetime.now() }}", "2026-03-14 01:59:26"),
    ("{{ utils.datetime.now().isoformat() }}", "2026-03-14T01:59:26"),
    ("{{ utils.datetime.now(utils.dateutil.tz.UTC) }}", "2026-03-14 01:59:26+00:00"),
    (
        "{{ utils.datetime.now(utils.dateutil.tz.gettz('Australia/Sydney')) }}",
        "2026-03-14 12:59:26+11:00",
    ),
    ("{{ utils.datetime.utcnow() }}", "2026-03-14 01:59:26"),
    ("{{ utils.datetime.today() }}", "2026-03-14 01:59:26"),
    ("{{ utils.datetime.now().astimezone(utils.dateutil.tz.UTC) }}", "2026-03-14 01:59:26+00:00"),
    ("{{ utils.datetime.now().timestamp()|int }}", "1773453566"),
    ("{{ utils.date.today() }}", "2026-03-14"),
    ("{{ utils.date.today() - utils.timedelta(days=1) }}", "2026-03-13"),
    ("{{ utils.dateutil.utils.today() }}", "2026-03-14 00:00:00"),
    ("{{ utils.parsedate('10:00') }}", "2026-03-14 10:00:00"),
    ("{{ utils.dateutil.rrule.rrule(3, count=1)|first }}", "2026-03-14 01:59:26"),
    ("{{ utils.uuid() }}", "00000000-0000-4000-8000-000000000001"),
    ("{{ [utils.uuid(), utils.uuid()]|last }}", "00000000-0000-4000-8000-000000000002"),
]


class TestFixed:
    """Templates see the time, the UUIDs and the choices that are fixed."""

    @pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
    @pytest.mark.parametrize(("template", "expected"), FIXED, ids=[each[0] for each in FIXED])
    def test_a_template_reads_the_fixed_value(self, template: str, expected: str) -> None:
        with FixedValues().in_templates():
            assert rendered(template) == expected

    def test_the_local_time_is_utc_wherever_the_machine_stands(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TZ", "Australia/Sydney")
        time.tzset()
        try:
            with FixedValues().in_templates():
                assert rendered("{{ utils.datetime.now().timestamp()|int }}") == "1773453566"
            assert os.environ["TZ"] == "Australia/Sydney"
        finally:
            monkeypatch.undo()
            time.tzset()

    def test_another_time_may_be_given(self) -> None:
        with FixedValues().in_templates() as fixed:
            fixed.restart(dt.datetime(2030, 1, 2, 3, 4, 5, tzinfo=dt.UTC))
            assert rendered("{{ utils.date.today() }}") == "2030-01-02"

    @pytest.mark.parametrize(
        "template", ["{{ utils.uuid() }}", "{{ range(1000)|random }}", "{{ lipsum(n=1) }}"]
    )
    def test_each_event_begins_the_same_sequence(self, template: str) -> None:
        with FixedValues().in_templates() as fixed:
            first = rendered(template)
            assert rendered(template) != first
            fixed.restart()
            assert rendered(template) == first


SAME: Final = [
    *(each for each in TEMPLATES if not any(name in each for name in CHANGING)),
    "{{ utils.datetime }}",
    "{{ utils.datetime(2026, 1, 2) + utils.timedelta(1) }}",
    "{{ utils.datetime('x') }}",
    "{{ utils.date('abcd') }}",
    "{{ utils.datetime.strptime('2026', '%Y') }}",
    "{{ utils.datetime.fromisoformat('2026-01-01') }}",
    "{{ utils.datetime.fromtimestamp(0, utils.dateutil.tz.UTC) }}",
    "{{ utils.datetime.combine(utils.date(2026, 1, 1), utils.time(3)) }}",
    "{{ utils.datetime.isoformat(info.event_time) }}",
    "{{ utils.datetime.max }}",
    "{{ utils.date.fromisoformat('2026-01-01') }}",
    "{{ utils.datetime.__new__ }}",
]


class TestElse:
    """All else is as it is in the function."""

    @pytest.mark.parametrize("template", SAME)
    def test_a_template_renders_the_same(self, template: str) -> None:
        expected = rendered(template)
        with FixedValues().in_templates():
            assert rendered(template) == expected

    def test_everything_is_put_back(self) -> None:
        before = dict(UTILS)
        zone = os.environ.get("TZ")
        with contextlib.suppress(ZeroDivisionError), FixedValues().in_templates():
            assert dict(UTILS) != before
            raise ZeroDivisionError
        assert dict(UTILS) == before
        assert os.environ.get("TZ") == zone
        assert abs(dt.datetime.now(dt.UTC).timestamp() - time.time()) < 60
