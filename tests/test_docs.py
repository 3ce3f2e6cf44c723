"""README and docs: their examples work, and their tables agree with the code."""

from __future__ import annotations

import ast
import json
import os
import pkgutil
import re
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import dateutil as dateutil_package
import pytest
from jinja2.defaults import DEFAULT_NAMESPACE

from lava_s3trigger import triggers, units
from lava_s3trigger.cli.deployed.log_line import read_line
from lava_s3trigger.cli.entries.dynamodb import attribute_of
from lava_s3trigger.decision import decide
from lava_s3trigger.deliveries import deliveries
from lava_s3trigger.dispatch import timestamp
from lava_s3trigger.errors import UserError
from lava_s3trigger.jobs import Job, read_job
from lava_s3trigger.settings import Settings
from lava_s3trigger.templates.documents import Document, RenderingError, variables
from lava_s3trigger.triggers import BrokenTrigger, Trigger, Walk, prefixes, read_trigger
from tests import sam
from tests.test_template import PARAMETERS, TEMPLATE, Stack
from tools.local.realm import Realm
from tools.local.server import CHECKOUT, LocalAws

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lava_s3trigger.events import S3Event

PAGES: Final = [
    *sorted(CHECKOUT.glob("*.md")),
    *sorted((CHECKOUT / "docs").glob("*.md")),
]
README: Final = CHECKOUT / "README.md"
DESIGN: Final = CHECKOUT / "docs" / "design.md"
DEPLOYING: Final = CHECKOUT / "docs" / "deploying.md"
CONNECTING: Final = CHECKOUT / "docs" / "connecting.md"
RENDERING: Final = CHECKOUT / "docs" / "rendering.md"
TRIGGERS: Final = CHECKOUT / "docs" / "triggers.md"
OPERATIONS: Final = CHECKOUT / "docs" / "operations.md"
SECURITY: Final = CHECKOUT / "docs" / "security.md"

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def fenced(text: str, language: str) -> list[str]:
    """Return the contents of the fenced blocks of a language, also of those in lists."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```$", text, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block) for _, block in found]


def prose(text: str) -> str:
    """Return a page without its fenced blocks."""
    return re.sub(r"^( *)```.*?^\1```$", "", text, flags=re.MULTILINE | re.DOTALL)


def section(page: Path, heading: str) -> str:
    """Return the text under a heading, up to the next of the same or a higher level."""
    text = page.read_text()
    found = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    assert found, heading
    # A comment in a block of commands begins as a heading does.
    end = re.compile(rf"^#{{1,{len(found[1])}}} ", re.MULTILINE).search(text, found.end())
    return text[found.end() : end.start() if end else None]


def tables(text: str) -> list[list[list[str]]]:
    """Return the tables of a text, each as rows of cells, without its head."""
    found: list[list[list[str]]] = []
    for block in re.findall(r"(?:^\|.*\|\n)+", prose(text), re.MULTILINE):
        rows = [[cell.strip() for cell in row[1:-1].split("|")] for row in block.splitlines()]
        found.append(rows[2:])
    return found


def codes(cell: str) -> list[str]:
    """Return the code spans of a cell."""
    return re.findall(r"`([^`]+)`", cell)


def code(cell: str) -> str:
    """Return the only code span of a cell."""
    [only] = codes(cell)
    return only


def sample(name: str) -> S3Event:
    """Return the S3 event of a sample payload."""
    payload = json.loads((CHECKOUT / "events" / name).read_text())
    [event] = [found.event for each in deliveries(payload, "us-east-1") for found in each.events]
    return event


class TestLinks:
    """The targets of links, files and commands exist."""

    @each_page
    def test_link_targets_exist(self, page: Path) -> None:
        for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
            if "://" in target:
                continue
            path, _, anchor = target.partition("#")
            file = (page.parent / path).resolve() if path else page
            assert file.exists(), target
            if anchor:
                headings = re.findall(r"^#+ (.*)$", prose(file.read_text()), re.MULTILINE)
                assert anchor in [slug(each) for each in headings], target

    @each_page
    def test_named_files_exist(self, page: Path) -> None:
        # What a command writes between marks, it keeps current itself.
        text = re.sub(
            r"<!-- (table of [a-z ]+) -->.*?<!-- end of \1 -->",
            "",
            page.read_text(),
            flags=re.DOTALL,
        )
        named = {
            each
            for each in codes(prose(text))
            if re.fullmatch(r"\.?[\w/-]+(\.[\w-]+)*\.(json|lock|md|py|sh|toml|txt|yaml)", each)
        }
        made = set(re.findall(r"\bas\s+`([^`]+)`", text))
        folders = ("", "docs", "etc", "events", "lava_s3trigger")
        for name in named - made:
            assert any((CHECKOUT / folder / name).exists() for folder in folders), name

    @each_page
    def test_named_make_targets_exist(self, page: Path) -> None:
        text = page.read_text()
        commands = [*codes(prose(text)), *"\n".join(fenced(text, "sh")).splitlines()]
        targets = set(re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))
        for command in commands:
            if command.startswith("make "):
                named = [word for word in command.split()[1:] if "=" not in word]
                assert set(named) <= targets, command

    @each_page
    def test_no_path_of_one_machine(self, page: Path) -> None:
        assert not re.search(r"/(home|root|tmp|work)/", page.read_text())


def slug(heading: str) -> str:
    """Return the anchor that GitHub makes of a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def entries() -> Iterator[Any]:
    """Yield the trigger entries that the pages show, as items of the table."""
    for page in PAGES:
        for block in fenced(page.read_text(), "json"):
            entry = json.loads(block)
            if isinstance(entry, dict) and {"trigger_id", "bucket"} <= entry.keys():
                yield pytest.param(item(entry), id=f"{page.name}: {entry['trigger_id']}")


def item(entry: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the DynamoDB item for an entry, which may be an item already."""
    if isinstance(next(iter(entry.values())), dict):
        return entry
    return {name: attribute_of(value) for name, value in entry.items()}


def first_trigger() -> list[Any]:
    """Return the items of the first trigger and its job, and the dispatch shown."""
    trigger, dispatch = fenced(section(README, "A first trigger"), "json")
    [job] = fenced(section(TRIGGERS, "Jobs"), "json")
    return [item(json.loads(trigger)), json.loads(job), json.loads(dispatch)]


class Entries:
    """Looks up triggers or jobs in a few entries."""

    def __init__(self, items: Iterable[dict[str, Any]]) -> None:
        self._items = list(items)

    def matching(self, bucket: str, key: str) -> Walk:
        tried = []
        for prefix in prefixes(key):
            tried.append(prefix)
            found = [
                read_trigger(each)
                for each in self._items
                if (each["bucket"]["S"], each["prefix"]["S"]) == (bucket, prefix)
            ]
            if found:
                return Walk(tuple(tried), found)
        return Walk(tuple(tried), ())

    def __getitem__(self, job_id: str) -> Job:
        for each in self._items:
            if each["job_id"]["S"] == job_id:
                return read_job(each)
        raise UserError(f"no job {job_id!r} in lava.demo.jobs")


class TestEntries:
    """Entries that a reader may copy are valid."""

    @pytest.mark.parametrize("entry", list(entries()))
    def test_an_entry_is_valid(self, entry: dict[str, Any]) -> None:
        trigger = read_trigger(entry)
        assert isinstance(trigger, Trigger), trigger
        assert trigger.enabled

    def test_the_files_of_the_first_trigger_are_what_the_pages_show(self) -> None:
        trigger, job, _ = first_trigger()
        examples = CHECKOUT / "examples"
        assert json.loads((examples / "try-trigger.json").read_text()) == trigger
        assert json.loads((examples / "try-job.json").read_text()) == job

    def test_the_first_trigger_causes_the_dispatch_shown(self) -> None:
        trigger, job, shown = first_trigger()
        decision = decide(sample("s3-created.json"), Entries([trigger]), Entries([job]))
        [[job_decision]] = [each.jobs for each in decision.triggers]
        assert job_decision.dispatch
        when = timestamp(datetime.fromisoformat(shown["ts_dispatch"]))
        assert json.loads(job_decision.dispatch.message("myrealm", shown["run_id"], when)) == shown


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
        event = sample("s3-created.json")
        for key, template, expected in self.pairs():
            about = replace(event, key=key) if key else event
            rendered = Document(json.loads(template)).render(variables(about))
            assert rendered == json.loads(expected)
            assert list(rendered) == list(json.loads(expected))

    @pytest.mark.parametrize("heading", ["Expressions", "String literals"])
    def test_expressions(self, heading: str) -> None:
        [rows] = tables(section(RENDERING, heading))
        known = variables(sample("s3-created.json"))
        for template, result in rows:
            assert Document(code(template)).render(known) == json.loads(code(result)), template

    def test_refusals(self) -> None:
        event = sample("s3-created.json")
        job = {"job_id": "j", "type": "exe", "worker": "core", "payload": "x", "enabled": True}
        for template, reason in tables(section(RENDERING, "Sandbox and bounds"))[-1]:
            entry = {
                "trigger_id": "t",
                "bucket": event.bucket,
                "prefix": "*",
                "enabled": True,
                "job_id": "j",
                "parameters": {"x": code(template)},
            }
            decision = decide(event, Entries([item(entry)]), Entries([item(job)]))
            [trigger] = decision.triggers
            assert trigger.outcome == "user_error", template
            assert trigger.ended
            assert code(reason) in str(trigger.ended.reason), template

    def test_a_reserved_name_is_refused(self) -> None:
        text = section(RENDERING, "Reserved names of globals")
        template, key = re.findall(r"with `([^`]+)` and the key\s+`([^`]+)`", text)[0]
        [reason] = re.findall(r"the reason is\s+`globals: ([^`]+)`", text)
        known = variables(replace(sample("s3-created.json"), key=key))
        with pytest.raises(RenderingError, match=re.escape(reason)):
            Document(json.loads(template), is_globals=True).render(known)

    def test_samples(self) -> None:
        for name, event_type, size, source_ip in tables(section(RENDERING, "`info`"))[1]:
            event = sample(code(name))
            found = (event.event_type, str(event.size), str(event.source_ip))
            assert found == (code(event_type), size, source_ip), name


class TestLoops:
    """The page on loops: its recipe excludes them, and its query finds them."""

    def test_the_recipe_excludes_what_the_job_writes(self) -> None:
        [entry] = fenced(section(TRIGGERS, "Loops"), "json")
        job = {"job_id": "convert_orders", "type": "exe", "worker": "core", "payload": "x"}
        known = Entries([item(json.loads(entry))]), Entries([item(job | {"enabled": True})])
        outcomes = {}
        for name in ("a.csv", "converted/a.csv", "a.converted.csv"):
            event = replace(sample("s3-created.json"), key=f"incoming/orders/{name}")
            [trigger] = decide(event, *known).triggers
            outcomes[name] = trigger.outcome
        assert outcomes == {
            "a.csv": "dispatched",
            "converted/a.csv": "skipped",
            "a.converted.csv": "skipped",
        }

    def test_the_query_reads_the_line_that_the_page_shows(self) -> None:
        [query] = fenced(section(TRIGGERS, "Loops"), "text")
        [line] = fenced(section(TRIGGERS, "What the log says"), "text")
        found = json.loads(line)
        assert found["trigger_id"] == "load-orders"
        assert f'filter event = "{found["event"]}"' in query
        assert fields_of(query) <= found.keys() | {"@timestamp"}


def fields_of(query: str) -> set[str]:
    """Return the fields of log lines that a query of Logs Insights reads."""
    text = re.sub(r'"[^"]*"', "", query)
    known = set(re.findall(r"\bas (\w+)", text))
    words = set(re.findall(r"[@a-zA-Z_]+\b(?!\()", text))
    syntax = {
        "fields",
        "filter",
        "sort",
        "stats",
        "by",
        "as",
        "in",
        "and",
        "desc",
        "limit",
        "m",
        "h",
    }
    return words - known - syntax


class TestQueries:
    """The queries of the page are those that the stack saves, on fields that there are."""

    def test_the_stack_saves_what_the_page_shows(self) -> None:
        shown = [each.strip() for each in fenced(section(OPERATIONS, "Reading the log"), "text")]
        saved = [each["QueryString"] for each in Stack().of_type("AWS::Logs::QueryDefinition")]
        assert sorted(saved) == sorted(shown)

    def test_they_read_fields_of_the_log(self) -> None:
        [rows] = tables(section(DESIGN, "Log and metrics"))
        documented = {name for row in rows for name in codes(row[0])}
        for query in fenced(section(OPERATIONS, "Reading the log"), "text"):
            assert fields_of(query) <= documented | {"@timestamp", "requestId"}, query

    def test_they_ask_for_words_of_the_log(self) -> None:
        [rows] = tables(section(TRIGGERS, "What the log says"))
        words = {code(row[0]) for row in rows}
        for query in fenced(section(OPERATIONS, "Reading the log"), "text"):
            for line in query.splitlines():
                if "event in" in line or "event =" in line:
                    assert set(re.findall(r'"(\w+)"', line)) <= words


class TestConnecting:
    """Statements about routes that no table shows."""

    def test_minio_without_a_region(self) -> None:
        payload = json.loads((CHECKOUT / "events" / "minio.json").read_text())
        payload["Records"][0]["awsRegion"] = ""
        [delivery] = deliveries(payload, "us-east-1")
        [event] = [each.event for each in delivery.events]
        assert event.aws_region == "us-east-1"
        assert "the function's own" in section(CONNECTING, "S3-compatible stores")


class TestTables:
    """A table of names has the names of the code, and no others."""

    def test_fields_of_a_trigger(self) -> None:
        [rows] = tables(section(TRIGGERS, "Fields"))
        known = triggers.FIELDS | triggers.NOT_CHECKED
        named = {name: row[2] for row in rows for name in codes(row[0])}
        assert named.keys() == known | {"if_*", "if_not_*", "x-*", "X-*"}
        required = {name for name, is_required in named.items() if is_required == "yes"}
        assert required == {"trigger_id", "bucket", "prefix", "enabled", "job_id"}

    def test_patterns(self) -> None:
        for pattern, key, result in tables(section(TRIGGERS, "Conditions"))[1]:
            assert fnmatchcase(code(key), code(pattern)) == (result == "matches"), pattern

    def test_units_of_size(self) -> None:
        rows = tables(section(TRIGGERS, "Conditions"))[2]
        named = [unit for row in rows for unit in codes(row[0])]
        assert sorted(named) == sorted(filter(None, units._BYTES))  # noqa: SLF001 - likewise
        assert [units.size(f"1{unit}") for unit in codes(rows[-1][0])] == [
            1024**power for power in range(1, 6)
        ]

    def test_which_entries_fire(self) -> None:
        items, keys = tables(section(TRIGGERS, "Which entries fire"))
        known = Entries(
            item(
                {
                    "trigger_id": name,
                    "bucket": "b",
                    "prefix": code(prefix),
                    "enabled": enabled == "true",
                    "job_id": "j",
                }
            )
            for name, prefix, enabled in items
        )
        for key, expected, _ in keys:
            found = known.matching("b", code(key)).triggers
            fire = [each.trigger_id for each in found if isinstance(each, Trigger) and each.enabled]
            assert (", ".join(fire) or "none") == expected, key

    def test_variables(self) -> None:
        [rows] = tables(section(RENDERING, "Variables"))
        event = sample("s3-created.json")
        assert {code(row[0]) for row in rows} == variables(event).keys() - DEFAULT_NAMESPACE.keys()
        assert {code(row[0]) for row in tables(section(RENDERING, "`info`"))[0]} == set(event.info)

    def test_utils(self) -> None:
        names, _, left_out = tables(section(RENDERING, "`utils`"))
        known = variables(sample("s3-created.json"))
        utils = known["utils"]
        assert {code(row[0]) for row in names} == utils.keys()
        for row in names:
            assert Document(code(row[2])).render(known), row

        public = {"path": os.path.__all__, "re": re.__all__}
        for module, everything in public.items():
            given = {name for name in everything if hasattr(utils[module], name)}
            named = {
                n for origin, cell, _ in left_out if code(origin) == module for n in codes(cell)
            }
            assert set(everything) - given <= named
            assert not named & given

    def test_parts_of_dateutil(self) -> None:
        [row] = [row for row in tables(section(RENDERING, "`utils`"))[0] if "easter" in row[1]]
        dateutil, *parts = codes(row[1])
        assert dateutil == "dateutil"
        found = variables(sample("s3-created.json"))["utils"]["dateutil"]
        modules = [each.name for each in pkgutil.iter_modules(dateutil_package.__path__)]
        assert set(parts) == {name for name in modules if hasattr(found, name)}

    def test_configuration(self) -> None:
        read: set[str] = set()

        class Environment(dict[str, str]):
            def get(self, name: str, default: Any = None) -> Any:
                read.add(name)
                return super().get(name, default)

        defaults = Settings.from_env(Environment(LAVA_REALM="myrealm"))
        [rows] = tables(section(DESIGN, "Configuration"))
        named = {code(row[0]): row[1].strip("`") for row in rows}
        prefixed = {name.removeprefix("LAVA_") for name in read} - {"REALM"}
        assert named.keys() == prefixed | {"LAVA_REALM"}
        documented = {
            name: value for name, value in named.items() if value not in ("none", "required")
        }
        assert Settings.from_env({"LAVA_REALM": "myrealm", **documented}) == defaults

    def test_the_stack_sets_no_other_configuration(self) -> None:
        [rows] = tables(section(DESIGN, "Configuration"))
        stack = Stack(CreateDedupTable="true")
        environment = stack["Function"]["Environment"]["Variables"]
        assert set(environment) == {code(row[0]) for row in rows}

    def test_parameters_of_the_template(self) -> None:
        [rows] = tables(section(DEPLOYING, "Parameters"))
        groups = {
            group["Label"]["default"]: group["Parameters"]
            for group in TEMPLATE["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
        }
        assert {row[0]: set(codes(row[1])) & PARAMETERS.keys() for row in rows} == {
            label: set(names) for label, names in groups.items()
        }
        for row in rows:
            for name, default in re.findall(r"`(\w+)` \(`([^`]+)`\)", row[1]):
                assert default in (str(PARAMETERS[name]["Default"]), "lava-<REALM>-s3trigger")

    def test_words_of_the_log(self) -> None:
        said: set[str] = set()
        constants: set[str] = set()
        for module in (CHECKOUT / "lava_s3trigger").rglob("*.py"):
            for node in ast.walk(ast.parse(module.read_text())):
                match node:
                    case ast.Call(
                        func=ast.Name(id="log_event"), args=[_, ast.Constant(value=str(word)), *_]
                    ):
                        said.add(word)
                    case ast.Constant(value=str(word)):
                        constants.add(word)
        [rows] = tables(section(TRIGGERS, "What the log says"))
        documented = {code(row[0]) for row in rows}
        assert said <= documented <= constants

    def test_reasons_of_user_errors(self) -> None:
        rows = {row[0]: code(row[1]) for row in tables(section(TRIGGERS, "User errors"))[0]}
        entry = {"trigger_id": "t", "bucket": "b", "prefix": "*", "enabled": True, "job_id": "j"}
        for name, field in (
            ("invalid entry", {"paramters": {}}),
            ("invalid condition", {"if_size_gt": "10k"}),
        ):
            broken = read_trigger(item(entry | field))
            assert isinstance(broken, BrokenTrigger)
            assert broken.reason == rows[name]

    def test_kinds_of_attacks(self) -> None:
        attacks = CHECKOUT / "tests" / "attacks"
        told = {code(row[0]): int(row[1]) for row in tables(section(SECURITY, "Attacks"))[0]}
        assert told == {
            path.stem: len(json.loads(path.read_text())) for path in attacks.glob("*.json")
        }


def alarms_of_the_page() -> set[str]:
    """Return the names of the alarms that the page on operations lists."""
    [rows] = tables(section(OPERATIONS, "Alarms"))
    return {code(row[0]) for row in rows}


class TestAlarms:
    """The page lists the alarms of the stack, with their thresholds."""

    def test_alarms(self) -> None:
        [rows] = tables(section(OPERATIONS, "Alarms"))
        stack = Stack(CreateIntake="true", AlarmEmail="a@b.example")
        found = {
            each["AlarmName"].removeprefix("lava-demo-s3trigger-"): float(each["Threshold"])
            for each in stack.of_type("AWS::CloudWatch::Alarm")
        }
        assert found.keys() == alarms_of_the_page()
        for name, _, threshold in rows:
            default = PARAMETERS[code(threshold)]["Default"] if "`" in threshold else threshold
            scale = 1000 if code(name) == "async-age" else 1
            assert found[code(name)] == float(default) * scale


OWN_QUEUE: Final = "arn:aws:sqs:us-east-1:000000000000:my-events"
UNDELIVERED: Final = "arn:aws:sqs:us-east-1:000000000000:lava-myrealm-s3trigger-dlq"
# Version 1 of the CLI does not look for SQS where AWS_ENDPOINT_URL says.
AWS: Final = 'aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }'


class Reader:
    """Follows the pages, with a stack on a local AWS server that enforces IAM."""

    def __init__(self, aws: LocalAws, folder: Path) -> None:
        self.aws = aws
        self.realm = Realm(aws, "myrealm")
        self.folder = folder
        self.names = ""
        """Assignments of the names that the commands share."""
        for name in ("etc", "events", "examples"):
            (folder / name).symlink_to(CHECKOUT / name)
        sam.install(folder / "bin")

    def run(self, *commands: str) -> str:
        """Run blocks of commands in one shell, and return their output."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "\n".join([AWS, self.names, *commands])],
            cwd=self.folder,
            env={
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_ENDPOINT_URL": self.aws.endpoint,
                "AWS_SECRET_ACCESS_KEY": "test",
                "HOME": str(self.folder),
                "LC_ALL": "C.UTF-8",
                "PATH": f"{self.folder / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def put(self, key: str) -> None:
        self.aws.client("s3").put_object(Bucket="my-bucket", Key=key, Body=b"data")

    def dispatched(self, key: str) -> None:
        """Wait for the dispatch of a key, and check that there is only one."""
        found: list[str] = []
        deadline = time.monotonic() + 60
        while not found:
            assert time.monotonic() < deadline, f"no dispatch of {key}"
            time.sleep(0.1)
            found = [each["Body"] for each in self.realm.receive("try")]
        assert [json.loads(each)["parameters"]["args"] for each in found] == [
            [f"s3://my-bucket/{key}"]
        ]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A reader who has deployed the stack, and has set the names that commands share."""
    with LocalAws(auth=True) as aws:
        reader = Reader(aws, tmp_path_factory.mktemp("reader"))
        reader.realm.make(["core"])
        parameters = {"CacheTtl": "0"}
        aws.deploy(
            CHECKOUT / "template.yaml",
            CHECKOUT / "build" / "package",
            "lava-myrealm-s3trigger",
            {"Realm": "myrealm", **parameters},
        )
        aws.client("s3").create_bucket(Bucket="my-bucket")
        look, names = fenced(section(CONNECTING, "Before you start"), "sh")
        variables = [line.partition("=")[0] for line in names.splitlines() if line[0].isalpha()]
        tell = "; ".join(f"echo {name}=${name}" for name in variables)
        reader.names = reader.run(look, names, tell)
        yield reader


@pytest.mark.e2e
@pytest.mark.slow("runs the AWS CLI many times on a stack")
class TestCommands:
    """The commands of the pages do what the pages say, one after the other."""

    def test_the_first_trigger_is_made_and_fires(self, reader: Reader) -> None:
        names, make_job, put, invoke, receive, *_ = fenced(section(README, "A first trigger"), "sh")
        printed = reader.run(names, make_job, put, invoke)
        lines = [line for line in map(read_line, printed.splitlines()) if line]
        [dispatched] = [line.fields for line in lines if line.event == "dispatched"]
        assert (dispatched["trigger_id"], dispatched["job_id"]) == ("try_trigger", "try_job")
        assert [line.fields["dispatched"] for line in lines if line.event == "summary"] == [1]
        printed = reader.run(names, receive)
        assert '"args": ["s3://my-bucket/incoming/orders/2026-03-14/order+1.csv"]' in printed
        url = reader.aws.client("sqs").get_queue_url(QueueName="lava-myrealm-try")["QueueUrl"]
        reader.aws.client("sqs").purge_queue(QueueUrl=url)

    @pytest.mark.parametrize("heading", ["S3", "SNS", "SQS"])
    def test_a_bucket_is_connected(self, reader: Reader, heading: str) -> None:
        blocks = fenced(section(CONNECTING, heading), "sh")
        reader.run(*[each for each in blocks if "start-message-move-task" not in each])
        reader.put(f"incoming/orders/2026-03-14/{heading}.csv")
        reader.dispatched(f"incoming/orders/2026-03-14/{heading}.csv")

    def test_undelivered_events_of_a_topic_are_kept(self, reader: Reader) -> None:
        sns = reader.aws.client("sns")
        arns = [each["SubscriptionArn"] for each in sns.list_subscriptions()["Subscriptions"]]
        assert arns
        for arn in arns:
            attributes = sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
            assert json.loads(attributes["RedrivePolicy"]) == {"deadLetterTargetArn": UNDELIVERED}

    def test_a_bucket_is_connected_by_eventbridge(self, reader: Reader) -> None:
        connect, permit = fenced(section(CONNECTING, "EventBridge"), "sh")
        assert "lava.myrealm.*" in reader.run(permit)
        reader.run(connect)
        self.keeps_undelivered_events(reader, "lava.myrealm.orders")
        reader.put("incoming/orders/2026-03-14/rule.csv")
        reader.dispatched("incoming/orders/2026-03-14/rule.csv")

    def test_your_own_queue_is_connected(self, reader: Reader) -> None:
        printed = reader.run(*fenced(section(CONNECTING, "A queue of your own"), "sh"))
        sqs = reader.aws.client("sqs")
        url = sqs.get_queue_url(QueueName="my-events")["QueueUrl"]
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])
        policy = json.loads(attributes["Attributes"]["Policy"])
        assert [each["Principal"]["Service"] for each in policy["Statement"]] == [
            "s3.amazonaws.com",
            "sns.amazonaws.com",
            "events.amazonaws.com",
        ]
        assert f"{OWN_QUEUE}\tReportBatchItemFailures" in printed
        reader.put("incoming/orders/2026-03-14/queue.csv")
        reader.dispatched("incoming/orders/2026-03-14/queue.csv")

    def test_a_topic_and_a_queue_are_connected(self, reader: Reader) -> None:
        reader.run(*fenced(section(CONNECTING, "S3 → SNS → SQS"), "sh"))
        reader.put("incoming/orders/2026-03-14/topic-queue.csv")
        reader.dispatched("incoming/orders/2026-03-14/topic-queue.csv")

    def test_a_rule_and_a_queue_are_connected(self, reader: Reader) -> None:
        events = reader.aws.client("events")
        events.remove_targets(Rule="lava.myrealm.orders", Ids=["s3trigger"])
        blocks = fenced(section(CONNECTING, "EventBridge → SQS"), "sh")
        reader.run(*blocks)
        self.keeps_undelivered_events(reader, "my-events")
        reader.put("incoming/orders/2026-03-14/rule-queue.csv")
        reader.dispatched("incoming/orders/2026-03-14/rule-queue.csv")

    def keeps_undelivered_events(self, reader: Reader, rule: str) -> None:
        """Check that the target of a rule has the dead-letter queue of the function."""
        [target] = reader.aws.client("events").list_targets_by_rule(Rule=rule)["Targets"]
        assert target["DeadLetterConfig"] == {"Arn": UNDELIVERED}

    def test_a_trigger_is_tested_by_the_script(self, reader: Reader) -> None:
        s3 = reader.aws.client("s3")
        s3.put_bucket_notification_configuration(Bucket="my-bucket", NotificationConfiguration={})
        for each in s3.list_objects_v2(Bucket="my-bucket")["Contents"]:
            s3.delete_object(Bucket="my-bucket", Key=each["Key"])
        reader.put("incoming/orders/2026-03-14/script.csv")
        printed = reader.run(*fenced(section(CONNECTING, "Test a trigger"), "sh"))
        assert '"key":"incoming/orders/2026-03-14/script.csv"' in printed
        assert "payload 1 of 1 accepted" in printed
        reader.dispatched("incoming/orders/2026-03-14/script.csv")

    def test_a_parked_message_is_seen_and_runs_again(self, reader: Reader) -> None:
        trigger, job, _ = first_trigger()
        late = {"trigger_id": {"S": "late"}, "prefix": {"S": "late"}, "job_id": {"S": "late_job"}}
        dynamodb, function = reader.aws.client("dynamodb"), reader.aws.client("lambda")
        dynamodb.put_item(TableName="lava.myrealm.s3triggers", Item=trigger | late)
        event = json.loads((CHECKOUT / "events" / "s3-created.json").read_text())
        event["Records"][0]["s3"]["object"]["key"] = "late/2026-03-14/x.csv"
        function.invoke(FunctionName="lava-myrealm-s3trigger", Payload=json.dumps(event))
        look, enable, disable = fenced(section(TRIGGERS, "Parking"), "sh")
        assert "no job 'late_job' in lava.myrealm.jobs" in reader.run(look)

        dynamodb.put_item(TableName="lava.myrealm.jobs", Item=job | {"job_id": {"S": "late_job"}})
        mapping = json.loads(reader.run(enable))["UUID"]
        reader.dispatched("late/2026-03-14/x.csv")
        reader.run(f"mapping={mapping}", disable)

    def test_alarms_are_set(self, reader: Reader) -> None:
        reader.run(*fenced(section(OPERATIONS, "Alarms"), "sh"))
        alarms = reader.aws.client("cloudwatch").describe_alarms()["MetricAlarms"]
        names = {each["AlarmName"].removeprefix("lava-myrealm-s3trigger-") for each in alarms}
        assert names == alarms_of_the_page()
        assert all(each["TreatMissingData"] == "notBreaching" for each in alarms)
        filters = reader.aws.client("logs").describe_metric_filters()["metricFilters"]
        assert [each["filterPattern"] for each in filters] == ['{ $.level = "ERROR" }']

    def test_a_dead_letter_is_seen(self, reader: Reader) -> None:
        sqs = reader.aws.client("sqs")
        url = sqs.get_queue_url(QueueName="lava-myrealm-s3trigger-intake-dlq")["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody="poison")
        printed = reader.run(*fenced(section(OPERATIONS, "Look at and delete messages"), "sh"))
        assert printed.endswith("\tpoison\n")

    def test_the_function_stops_and_resumes(self, reader: Reader) -> None:
        client, name = reader.aws.client("lambda"), "lava-myrealm-s3trigger"
        stop, resume = fenced(section(OPERATIONS, "Stop and resume"), "sh")
        reader.run(stop)
        found = client.get_function_concurrency(FunctionName=name)
        assert found["ReservedConcurrentExecutions"] == 0
        reader.run(resume)
        found = client.get_function_concurrency(FunctionName=name)
        assert "ReservedConcurrentExecutions" not in found
