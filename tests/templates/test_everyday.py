"""Everyday templates render as under plain Jinja, in this process, and leave nothing behind."""

import gc
import json
import os
import resource
from pathlib import Path
from typing import Final

import pytest
from jinja2 import Environment

from lava_s3trigger.decision import decide
from lava_s3trigger.deliveries import deliveries
from lava_s3trigger.events import S3Event
from lava_s3trigger.templates.documents import Document, variables
from tests.build import AnyJob, Triggers, trigger
from tests.templates.test_properties import without_addresses

TEMPLATES: Final[list[str]] = json.loads(Path(__file__).with_name("everyday.json").read_text())
PAYLOAD: Final = Path(__file__).parents[2] / "events" / "s3-created.json"
MAX_GROWTH: Final = 4 * 1024 * 1024
"""Bytes by which the process may grow while very many events are decided on."""
EVENTS: Final = int(os.environ.get("S3TRIGGER_EVENTS", "200"))


def sample() -> S3Event:
    [delivery] = deliveries(json.loads(PAYLOAD.read_text()), "us-east-1")
    return delivery.events[0].event


class TestEveryday:
    """What authors write works, and costs no process."""

    @pytest.mark.parametrize("template", TEMPLATES)
    def test_it_renders_as_plain_jinja(self, template: str) -> None:
        known = variables(sample())
        plain = Environment(autoescape=False, keep_trailing_newline=True)
        template_of_jinja = plain.from_string(template.replace("'[\\1]'", "'[\\\\1]'"))
        expected = template_of_jinja.render(dict(variables(sample())))

        assert without_addresses(Document(template).render(known)) == without_addresses(expected)


def resident() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


LEAVING: Final = [
    "{{ utils.re.sub('[' ~ utils.uuid() ~ ']', '\\\\g<0>' ~ utils.uuid(), key) }}",
    "{{ utils.re.compile(utils.uuid()|string, utils.re.RegexFlag(info.size)).pattern|length }}",
    "{{ utils.dateutil.tz.tzoffset(utils.uuid()|string, 1) }}",
    "{% set u = utils.uuid()|string %}{{ utils.datetime.strptime(u, u) }}",
    "{% set n = namespace() %}{% set n.n = n %}{% set n.x = key * 9 %}",
    "{{ utils.uuid()|string|tojson }}{{ nothing }}{{ [key]|map('upper')|list }}",
    "{% set l = [] %}{% for c in key %}{{ l.append([c]) }}{% endfor %}",
    "{{ utils.uuid().hex|int(0, 16) }}{{ 'x'.encode(utils.uuid()|string) }}",
    "{{ utils.parsedate(utils.uuid()|string) }}",
]


def test_memory_stays_flat_over_many_events() -> None:
    """All events: ``S3TRIGGER_EVENTS=100000``."""
    triggers = Triggers(*[trigger(job_id=each) for each in (*TEMPLATES[::40], *LEAVING)])
    of = sample()
    for _ in range(EVENTS // 2):
        decide(of, triggers, AnyJob())
    before = resident()

    for _ in range(EVENTS):
        decide(of, triggers, AnyJob())

    assert resident() - before < MAX_GROWTH
