"""``lava-s3trigger explain``: what it prints, its options, and what it says of mistakes."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, get_args

import jsonschema
import pytest
from ruamel.yaml import YAML

from lava_s3trigger.cli.objects.uri import s3_record
from lava_s3trigger.errors import Code
from tests.build import job_entry, record, text, trigger_entry
from tests.cli.agreement import SAMPLES
from tests.cli.commandline import CommandLine, Ran
from tests.cli.schemas import validate
from tests.processes import finish, signals_received, unread, wait_until
from tools.local.realm import Realm
from tools.local.server import LocalAws

COMMAND: Final = [sys.executable, "-m", "lava_s3trigger", "explain"]
TRIGGERS: Final = """\
- trigger_id: orders
  bucket: b
  prefix: in
  enabled: true
  if_fnmatch: "*.csv"
  if_size_gt: 0
  delay: 90s
  job_id: [load, audit]
  parameters: {args: ["{{ key }}"]}
- {trigger_id: off, bucket: b, prefix: in, enabled: false, job_id: load}
- {trigger_id: all, bucket: b, prefix: "*", enabled: true, job_id: load}
"""
JOBS: Final = """\
- {job_id: load, type: exe, worker: core, payload: load.sh, enabled: true}
- {job_id: audit, type: exe, worker: reports, payload: audit.sh, enabled: false}
"""


class Explain(CommandLine):
    """Runs ``explain``."""

    def files(self, *arguments: str) -> Ran:
        return self("--triggers=t.yaml", "--jobs=j.yaml", *arguments)

    def event(self, *arguments: str) -> dict[str, Any]:
        """Explain an object by the files, and return its event."""
        [event] = self.files(*arguments, "--format=json").json()["events"]
        return dict(event)


@pytest.fixture
def explain(tmp_path: Path, line: CommandLine) -> Explain:
    """The command, with some entries, on a machine that knows of no realm."""
    (tmp_path / "t.yaml").write_text(TRIGGERS)
    (tmp_path / "j.yaml").write_text(JOBS)
    return Explain(["explain"], line.environment, tmp_path)


@pytest.fixture
def prod(explain: Explain, monkeypatch: pytest.MonkeyPatch) -> None:
    """Name a realm, on a machine of which nothing else is known."""
    assert explain
    monkeypatch.setenv("LAVA_REALM", "prod")


EXPLAINED: Final = """\
version: 1
realm: prod
function: null
errors: []
events:
- bucket: b
  key: in/x/a.csv
  size: 10
  event_time: "2026-03-14T01:59:26+00:00"
  event_type: ObjectCreated:Put
  source_ip: 203.0.113.7
  aws_region: eu-west-1
  outcome: dispatched
  prefixes: [{prefix: in/x/a.csv, entries: 0}, {prefix: in/x, entries: 0}, {prefix: in, entries: 2}]
  triggers:
  - {trigger_id: "off", prefix: in, source: "t.yaml:10", outcome: skipped, errors: [],
     reason: "the trigger is disabled; it hides entries at prefixes above 'in'",
     conditions: [], jobs: []}
  - trigger_id: orders
    prefix: in
    source: t.yaml:1
    outcome: dispatched
    reason: null
    errors: []
    conditions:
    - {field: if_fnmatch, argument: "*.csv", value: in/x/a.csv, holds: true}
    - {field: if_size_gt, argument: 0, value: 10, holds: true}
    jobs:
    - {job_id: load, position: 0, outcome: dispatched, reason: null, errors: [], worker: core,
       queue: lava-prod-core, queue_exists: null, delay: 90,
       message: {realm: prod, worker: core, job_id: load, parameters: {args: [in/x/a.csv]}}}
    - {job_id: audit, position: 1, outcome: skipped, reason: the job is disabled, errors: [],
       worker: null, queue: null, queue_exists: null, delay: null, message: null}
  changes: []
  connection: null
"""


class TestJson:
    """The JSON is the contract's."""

    @pytest.mark.usefixtures("prod")
    def test_an_object_that_fires(self, explain: Explain) -> None:
        ran = explain.files(
            "s3://b/in/x/a.csv",
            *("--region=eu-west-1", "--format=json"),
            *("--size=10", "--time=2026-03-14T01:59:26Z", "--source-ip=203.0.113.7"),
        )
        assert (ran.status, ran.errors) == (0, "")
        assert ran.json() == YAML(typ="safe").load(EXPLAINED)

    def test_an_object_that_does_not(self, explain: Explain) -> None:
        event = explain.event("s3://b/in/a.txt", "--no-changes")
        assert (event["outcome"], event["changes"]) == ("skipped", [])
        [_, orders] = event["triggers"]
        assert [each["holds"] for each in orders["conditions"]] == [False, True]

    def test_changes_are_tried_for_the_first_events_of_a_payload(self, explain: Explain) -> None:
        records = [s3_record("b", f"in/{number}.txt") for number in range(102)]

        ran = explain(
            "--triggers=t.yaml", "--event=-", "--format=json", stdin=text({"Records": records})
        )

        changes = [bool(each["changes"]) for each in ran.json()["events"]]
        assert changes == [True] * 100 + [False] * 2
        assert ran.errors == "Changes were looked for in the first 100 of 102 events.\n"

    def test_without_jobs_each_job_is_taken_to_be_there(self, explain: Explain) -> None:
        arguments = ("s3://b/in/a.csv", "--triggers=t.yaml")
        ran = explain.json(*arguments)
        assert (ran.status, ran.json()["realm"]) == (0, None)
        for job in ran.json()["events"][0]["triggers"][1]["jobs"]:
            assert "job not checked" in job["reason"]
            assert (job["worker"], job["queue"], job["outcome"]) == (None, None, "dispatched")
        assert explain(*arguments).output.count("job not checked") == 2

    @pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
    def test_samples_are_as_the_schema_says(self, path: Path, explain: Explain) -> None:
        entries = trigger_entry(prefix="*")
        for format_ in ("json", "text"):
            ran = explain(
                f"--event={path}", "--triggers=-", f"--format={format_}", stdin=text(entries)
            )
            assert ran.status in {0, 1}
            assert format_ == "text" or ran.json()

    def test_the_schema_refuses_what_is_amiss(self, explain: Explain) -> None:
        good = explain.files("s3://b/in/a.csv", "--format=json").json()
        breaks: list[Callable[[Any], Any]] = [
            lambda made: made.pop("version"),
            lambda made: made.update(more=1),
            lambda made: made["events"][0].pop("outcome"),
            lambda made: made["events"][0].update(outcome="fired"),
            lambda made: made["events"][0]["triggers"][1]["jobs"][0].update(message=None),
        ]
        for break_it in breaks:
            bad = json.loads(json.dumps(good))
            break_it(bad)
            with pytest.raises(jsonschema.ValidationError):
                validate("explain", bad)


BROKEN: Final = """\
- {trigger_id: t, bucket: b, prefix: in, enabled: true, job_id: load,
   delay: 16m, if_size_gt: big, paramters: {}}
- {trigger_id: u, bucket: b, prefix: job, enabled: true, job_id: bad}
- {trigger_id: v, bucket: b, prefix: text, enabled: true, job_id: "{{", globals: {a: "{%"}}
- {job_id: bad, type: exe, worker: 1, enabled: true}
"""


class TestErrorsOfEntries:
    """All errors of an entry are listed, each with its code; the first is the reason."""

    @pytest.mark.parametrize(
        ("key", "expected"),
        [
            ("in", "unknown_field paramters, not_a_size if_size_gt, delay_out_of_range delay"),
            ("job", "missing_field payload, not_a_worker worker"),
            ("text", "bad_template job_id, bad_template globals"),
        ],
    )
    def test_all_errors_are_listed_with_their_codes(
        self, explain: Explain, key: str, expected: str
    ) -> None:
        for name in ("t.yaml", "j.yaml"):
            (Path(explain.folder) / name).write_text(BROKEN)

        [trigger] = explain.event(f"s3://b/{key}")["triggers"]

        part = trigger["jobs"][0] if trigger["jobs"] else trigger
        assert part["outcome"] == "user_error"
        assert part["reason"].endswith(part["errors"][0]["message"])
        first, *others = part["errors"]
        assert ", ".join(f"{each['code']} {each['field']}" for each in [first, *others]) == expected
        assert all(each["message"].startswith(each["field"]) for each in others)
        text = explain.files(f"s3://b/{key}").output
        assert f"{part['reason']}  [{first['code']}]\n" in text
        for each in others:
            assert f"      also {each['message']}  [{each['code']}]\n" in text

    def test_the_schema_has_all_codes(self) -> None:
        schema = json.loads((files("lava_s3trigger.cli.explain") / "schema.json").read_text())

        assert schema["$defs"]["error"]["properties"]["code"]["enum"] == list(get_args(Code))


class TestText:
    """The text follows the way in which the function thinks."""

    def test_what_stands_in_it_and_in_which_order(self, explain: Explain) -> None:
        ran = explain.files("s3://b/in/x/a.csv", "--size=0")
        assert ran.status == 1
        order = [
            "Trigger off  t.yaml:10",
            "skipped: the trigger is disabled",
            "Trigger orders  t.yaml:1",
            'holds  if_fnmatch "*.csv"  key "in/x/a.csv"',
            "fails  if_size_gt 0        size 0",
            "skipped: not met: if_size_gt 0",
            "No dispatch.",
            "Changes that were tried",
            "trigger off: enabled: true  dispatches load",
            "trigger orders: remove if_size_gt  dispatches load",
        ]
        places = [ran.output.find(each) for each in order]
        assert -1 not in places, ran.output
        assert places == sorted(places)

    @pytest.mark.usefixtures("prod")
    def test_a_message_is_shown_with_its_queue_and_delay(self, explain: Explain) -> None:
        flat = " ".join(explain.files("s3://b/in/a.csv").output.split())
        assert "dispatched job load, worker core queue lava-prod-core delay 90 s message {" in flat
        assert "skipped job audit: the job is disabled" in flat

    def test_without_a_realm_one_line_says_what_was_not_checked(self, explain: Explain) -> None:
        line = "Not checked: the queues of workers, and whether events reach the function"
        fires, skipped = explain.files("s3://b/in/a.csv"), explain.files("s3://b/in/a.txt")
        assert (fires.status, fires.output.count(line)) == (0, 1)
        assert (skipped.status, skipped.output.count(line)) == (1, 0)

    def test_no_entry_of_the_bucket(self, explain: Explain) -> None:
        output = explain.files("s3://other/in/a.csv").output
        assert "No dispatch: no trigger has the bucket other." in output

    def test_no_entry_at_a_prefix_names_those_where_there_are(self, explain: Explain) -> None:
        entries = [trigger_entry(f"t{n}", f"p{n}", bucket="b") for n in range(6)]
        ran = explain("s3://b/a.csv", "--triggers=-", stdin=text(entries))
        flat = " ".join(ran.output.split())
        assert 'prefixes; there are triggers at "p0", "p1", "p2", "p3", "p4" and 1 more.' in flat

    @pytest.mark.parametrize(
        ("payload", "said"),
        [
            (
                {"Records": [{"body": "no JSON"}]},
                "Not understood, so the function would fail this delivery:",
            ),
            ({"Event": "s3:TestEvent"}, "No S3 event is in this payload.\n"),
        ],
    )
    def test_a_payload_without_an_event(
        self, explain: Explain, payload: dict[str, Any], said: str
    ) -> None:
        ran = explain("--triggers=t.yaml", "--event=-", stdin=text(payload))
        assert (ran.status, said in ran.output) == (1, True)

    def test_a_parked_message(self, explain: Explain) -> None:
        parked = {"trigger_id": "orders", "done": ["load"]}
        payload = {"parked": parked, "event": record("in/a.csv", bucket="b")}
        ran = explain("--triggers=t.yaml", "--jobs=j.yaml", "--event=-", stdin=text(payload))
        assert "parked, for trigger orders alone, whose jobs load are done" in ran.output
        assert "job load" not in ran.output.replace("jobs load", "")


class TestOptions:
    """What an option says of the object is what conditions see."""

    @pytest.mark.parametrize(
        ("options", "field", "expected"),
        [
            (["--size=10"], "size", 10),
            (["--size=10KB"], "size", 10_000),
            (["--size=1.5MiB"], "size", 1_572_864),
            (["--size=5497558138880"], "size", 5_497_558_138_880),
            ([], "size", 1),
            (["--event-type=ObjectRemoved:Delete"], "size", 0),
            (["--event-type=ObjectRemoved:Delete"], "event_type", "ObjectRemoved:Delete"),
            (["--time=2026-03-14"], "event_time", "2026-03-14T00:00:00+00:00"),
            (["--time=2026-03-14T01:00:00+02:00"], "event_time", "2026-03-13T23:00:00+00:00"),
            (["--source-ip=2001:db8::1"], "source_ip", "2001:db8::1"),
            (["--region=ap-southeast-2"], "aws_region", "ap-southeast-2"),
            ([], "aws_region", "us-east-1"),
        ],
        ids=str,
    )
    def test_an_option(
        self, explain: Explain, options: list[str], field: str, expected: Any
    ) -> None:
        assert explain.event("s3://b/in/a.csv", *options)[field] == expected

    def test_a_key_is_taken_as_it_stands(self, explain: Explain) -> None:
        key = "in/a+b %20 \U0001f600?x=1#y.csv"
        assert explain.event(f"s3://b/{key}")["key"] == key

    def test_an_output_file(self, explain: Explain) -> None:
        ran = explain.files("s3://b/in/a.csv", "--format=json", "--output=made.json")
        assert (ran.status, ran.output) == (0, "")
        validate("explain", json.loads((Path(explain.folder) / "made.json").read_text()))

    @pytest.mark.usefixtures("prod")
    def test_options_from_the_project_and_the_environment(
        self, explain: Explain, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_REGION", "eu-west-1")
        (Path(explain.folder) / "lava-s3trigger.toml").write_text(
            'triggers = ["t.yaml"]\njobs = ["j.yaml"]\n[explain]\nformat = "json"\nsize = 7\n'
        )
        explained = explain("s3://b/in/a.csv").json()
        [event] = explained["events"]
        assert (explained["realm"], event["size"], event["aws_region"]) == ("prod", 7, "eu-west-1")


class TestInterrupt:
    """Ctrl-C ends it at once, with 130, and nothing half-written."""

    def test_while_it_waits_for_input(self, explain: Explain) -> None:
        with signals_received():
            process = subprocess.Popen(
                [*COMMAND, "--event=-", "--triggers=t.yaml", "--output=made.json"],
                cwd=explain.folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        pipe = process.stdin
        assert pipe
        pipe.write(b"{")
        pipe.flush()
        wait_until(lambda: unread(pipe) == 0, "it to read its input")
        process.send_signal(signal.SIGINT)
        out, err = finish(process, 30)
        assert (process.returncode, out, err) == (130, b"", b"\n")
        assert {each.name for each in Path(explain.folder).iterdir()} == {"t.yaml", "j.yaml"}

    def test_while_it_starts(self) -> None:
        program = (
            "import builtins, signal, os\n"
            "real = builtins.__import__\n"
            "def slow(name, *rest):\n"
            "    if name == 'click': os.kill(os.getpid(), signal.SIGINT)\n"
            "    return real(name, *rest)\n"
            "builtins.__import__ = slow\n"
            "from lava_s3trigger.__main__ import main\n"
            "main()\n"
        )
        with signals_received():
            done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (130, b"")


def test_entries_of_tables_and_an_object_that_s3_knows(
    aws: LocalAws, realm: Realm, explain: Explain, in_realm: tuple[str, ...]
) -> None:
    bucket = f"{realm.name}-b"
    realm.put("s3triggers", [trigger_entry(bucket=bucket, job_id=["load", "none"], if_size_gt=4)])
    realm.put("jobs", [job_entry("load", enabled=None)])
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="in/a.csv", Body=b"12345")

    ran = explain.json(f"s3://{bucket}/in/a.csv", *in_realm)

    assert ran.status == 1
    [event] = ran.json()["events"]
    assert (event["size"], event["event_type"]) == (5, "ObjectCreated:Put")
    [trigger] = event["triggers"]
    assert trigger["source"] == f"lava.{realm.name}.s3triggers"
    assert [job["reason"] for job in trigger["jobs"]] == [
        "the job is disabled",
        f"no job 'none' in lava.{realm.name}.jobs",
    ]
