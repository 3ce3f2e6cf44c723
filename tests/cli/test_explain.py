"""``lava-s3trigger explain``: what it prints, its options, and what it says of mistakes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

import jsonschema
import pytest

from lava_s3trigger.cli.objects.uri import s3_record
from lava_s3trigger.errors import Code
from tests.cli.schemas import validate
from tests.processes import finish, signals_received
from tools.local.server import ACCESS_KEY, CHECKOUT, REGION, SECRET_KEY

if TYPE_CHECKING:
    from collections.abc import Callable

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


@dataclass
class Ran:
    """What a command came to."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        found = json.loads(self.out)
        validate("explain", found)
        return found

    @property
    def event(self) -> dict[str, Any]:
        [event] = self.json["events"]
        return dict(event)


class Explain:
    """Runs the command in a folder of files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "t.yaml").write_text(TRIGGERS)
        (folder / "j.yaml").write_text(JOBS)

    def __call__(self, *arguments: str, given: str | bytes = "", **variables: str) -> Ran:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AWS_", "LAVA_")) and name not in ("FORCE_COLOR", "NO_COLOR")
        }
        done = subprocess.run(
            [*COMMAND, *arguments],
            cwd=self.folder,
            env={**kept, **variables},
            input=given.encode() if isinstance(given, str) else given,
            capture_output=True,
            check=False,
        )
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    def files(self, *arguments: str, **variables: str) -> Ran:
        return self("--triggers=t.yaml", "--jobs=j.yaml", *arguments, **variables)


@pytest.fixture
def explain(tmp_path: Path) -> Explain:
    """The command, with some entries."""
    return Explain(tmp_path)


class TestJson:
    """The JSON is the contract's."""

    def test_an_object_that_fires(self, explain: Explain) -> None:
        ran = explain.files(
            "s3://b/in/x/a.csv",
            *("--region=eu-west-1", "--format=json"),
            *("--size=10", "--time=2026-03-14T01:59:26Z", "--source-ip=203.0.113.7"),
            LAVA_REALM="prod",
        )
        assert (ran.status, ran.err) == (0, "")
        message = {
            "realm": "prod",
            "worker": "core",
            "job_id": "load",
            "parameters": {"args": ["in/x/a.csv"]},
        }
        assert ran.json == {
            "version": 1,
            "realm": "prod",
            "function": None,
            "events": [
                {
                    "bucket": "b",
                    "key": "in/x/a.csv",
                    "size": 10,
                    "event_time": "2026-03-14T01:59:26+00:00",
                    "event_type": "ObjectCreated:Put",
                    "source_ip": "203.0.113.7",
                    "aws_region": "eu-west-1",
                    "outcome": "dispatched",
                    "prefixes": [
                        {"prefix": "in/x/a.csv", "entries": 0},
                        {"prefix": "in/x", "entries": 0},
                        {"prefix": "in", "entries": 2},
                    ],
                    "triggers": [
                        {
                            "trigger_id": "off",
                            "prefix": "in",
                            "source": "t.yaml:10",
                            "outcome": "skipped",
                            "reason": "the trigger is disabled; it hides entries at prefixes"
                            " above 'in'",
                            "errors": [],
                            "conditions": [],
                            "jobs": [],
                        },
                        {
                            "trigger_id": "orders",
                            "prefix": "in",
                            "source": "t.yaml:1",
                            "outcome": "dispatched",
                            "reason": None,
                            "errors": [],
                            "conditions": [
                                {
                                    "field": "if_fnmatch",
                                    "argument": "*.csv",
                                    "value": "in/x/a.csv",
                                    "holds": True,
                                },
                                {"field": "if_size_gt", "argument": 0, "value": 10, "holds": True},
                            ],
                            "jobs": [
                                {
                                    "job_id": "load",
                                    "position": 0,
                                    "outcome": "dispatched",
                                    "reason": None,
                                    "errors": [],
                                    "worker": "core",
                                    "queue": "lava-prod-core",
                                    "queue_exists": None,
                                    "delay": 90,
                                    "message": message,
                                },
                                {
                                    "job_id": "audit",
                                    "position": 1,
                                    "outcome": "skipped",
                                    "reason": "the job is disabled",
                                    "errors": [],
                                    "worker": None,
                                    "queue": None,
                                    "queue_exists": None,
                                    "delay": None,
                                    "message": None,
                                },
                            ],
                        },
                    ],
                    "changes": [],
                    "connection": None,
                }
            ],
            "errors": [],
        }

    def test_an_object_that_does_not(self, explain: Explain) -> None:
        ran = explain.files("s3://b/in/a.txt", "--format=json", "--no-changes")
        assert ran.status == 1
        assert (ran.event["outcome"], ran.event["changes"]) == ("skipped", [])
        [_, orders] = ran.event["triggers"]
        assert [each["holds"] for each in orders["conditions"]] == [False, True]

    def test_changes_are_looked_for_in_the_first_events_of_a_payload(
        self, explain: Explain, tmp_path: Path
    ) -> None:
        records = [s3_record("b", f"in/{number}.txt") for number in range(102)]
        payload = tmp_path / "many.json"
        payload.write_text(json.dumps({"Records": records}))

        ran = explain.files(f"--event={payload}", "--format=json")

        assert [bool(each["changes"]) for each in ran.json["events"]] == [True] * 100 + [False] * 2
        assert ran.err == "Changes were looked for in the first 100 of 102 events.\n"

    def test_without_jobs_each_job_is_taken_to_be_there(self, explain: Explain) -> None:
        ran = explain("s3://b/in/a.csv", "--triggers=t.yaml", "--format=json")
        assert ran.status == 0
        jobs = ran.event["triggers"][1]["jobs"]
        for job in jobs:
            assert "job not checked" in job["reason"]
            assert (job["worker"], job["queue"], job["outcome"]) == (None, None, "dispatched")
        assert ran.json["realm"] is None

    @pytest.mark.parametrize(
        "path",
        [
            *sorted((CHECKOUT / "events").glob("*.json")),
            *sorted((CHECKOUT / "tests" / "aws_events").glob("*.json")),
        ],
        ids=lambda path: path.name,
    )
    def test_samples_are_as_the_schema_says(
        self, path: Path, explain: Explain, capsys: pytest.CaptureFixture[str]
    ) -> None:
        from tests.cli.agreement import run  # noqa: PLC0415 - beside the function's clients

        entries = explain.folder / "t.yaml"
        entries.write_text(TRIGGERS.replace("bucket: b", "bucket: my-bucket"))
        for format_ in ("json", "text"):
            run("explain", f"--event={path}", f"--triggers={entries}", f"--format={format_}")
            out = capsys.readouterr().out
            if format_ == "json":
                validate("explain", json.loads(out))

    def test_the_schema_refuses_what_is_amiss(self, explain: Explain) -> None:
        good = explain.files("s3://b/in/a.csv", "--format=json").json
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

    def test_the_wheel_has_the_schema(self, tmp_path: Path) -> None:
        built = subprocess.run(
            [CHECKOUT / ".venv-uv/bin/uv", "build", "--wheel", "--offline", "--out-dir", tmp_path],
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            check=False,
        )
        if built.returncode:  # hatchling is not at hand without the network
            pytest.skip(built.stderr.strip().splitlines()[-1])
        [wheel] = tmp_path.glob("*.whl")
        assert "lava_s3trigger/cli/explain/schema.json" in zipfile.ZipFile(wheel).namelist()


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
            (
                "in",
                [
                    ("unknown_field", "paramters", "unknown field 'paramters' "),
                    ("not_a_size", "if_size_gt", "if_size_gt: 'big' is not a size"),
                    ("delay_out_of_range", "delay", "delay: '16m' is not from 0 to 15 minutes"),
                ],
            ),
            (
                "job",
                [
                    ("missing_field", "payload", "payload is missing"),
                    ("not_a_worker", "worker", "worker: 1 is not the name of a worker"),
                ],
            ),
            (
                "text",
                [
                    ("bad_template", "job_id", "job_id: it cannot be compiled: Template"),
                    ("bad_template", "globals", "globals: it cannot be compiled: Template"),
                ],
            ),
        ],
    )
    def test_all_errors_are_listed_with_their_codes(
        self, explain: Explain, key: str, expected: list[tuple[str, str, str]]
    ) -> None:
        (explain.folder / "broken.yaml").write_text(BROKEN)
        arguments = [f"s3://b/{key}", "--triggers=broken.yaml", "--jobs=broken.yaml"]

        [trigger] = explain(*arguments, "--format=json").event["triggers"]

        part = trigger["jobs"][0] if trigger["jobs"] else trigger
        assert part["outcome"] == "user_error"
        assert part["reason"].endswith(part["errors"][0]["message"])
        for error, (code, field, message) in zip(part["errors"], expected, strict=True):
            assert (error["code"], error["field"]) == (code, field)
            assert error["message"].startswith(message)
        text = explain(*arguments).out
        assert f"{part['reason']}  [{expected[0][0]}]\n" in text
        for error in part["errors"][1:]:
            assert f"      also {error['message']}  [{error['code']}]\n" in text

    def test_the_schema_has_all_codes(self) -> None:
        schema = json.loads((files("lava_s3trigger.cli.explain") / "schema.json").read_text())

        assert schema["$defs"]["error"]["properties"]["code"]["enum"] == list(get_args(Code))


class TestText:
    """The text follows the way in which the function thinks."""

    def test_what_stands_in_it_and_in_which_order(self, explain: Explain) -> None:
        ran = explain.files("s3://b/in/x/a.csv", "--size=0", LAVA_REALM="prod")
        assert ran.status == 1
        order = [
            "s3://b/in/x/a.csv",
            "ObjectCreated:Put, 0 bytes, ",
            "Prefixes tried:",
            '"in/x/a.csv"  0 entries',
            '"in/x"        0 entries',
            '"in"          2 entries, which decide',
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
        places = [ran.out.find(each) for each in order]
        assert -1 not in places, ran.out
        assert places == sorted(places)

    def test_a_message_is_shown_with_its_queue_and_delay(self, explain: Explain) -> None:
        ran = explain.files("s3://b/in/a.csv", LAVA_REALM="prod")
        flat = " ".join(ran.out.split())
        assert "dispatched job load, worker core queue lava-prod-core delay 90 s message {" in flat
        assert '"parameters": { "args": [ "in/a.csv" ] }' in flat
        assert "skipped job audit: the job is disabled" in flat
        assert "1 dispatch." in flat

    def test_without_a_realm_one_line_says_what_was_not_checked(self, explain: Explain) -> None:
        line = "Not checked: the queues of workers, and whether events reach the function"
        fires, skipped = explain.files("s3://b/in/a.csv"), explain.files("s3://b/in/a.txt")
        assert (fires.status, fires.out.count(line)) == (0, 1)
        assert (skipped.status, skipped.out.count(line)) == (1, 0)

    def test_no_entry_of_the_bucket(self, explain: Explain) -> None:
        ran = explain.files("s3://other/in/a.csv")
        assert "No dispatch: no trigger has the bucket other." in ran.out

    def test_no_entry_at_a_prefix_names_those_where_there_are(self, explain: Explain) -> None:
        entries = [
            {"trigger_id": f"t{n}", "bucket": "b", "prefix": f"p{n}", "job_id": "j"}
            for n in range(6)
        ]
        ran = explain("s3://b/a.csv", "--triggers=-", given=json.dumps(entries))
        flat = " ".join(ran.out.split())
        assert 'prefixes; there are triggers at "p0", "p1", "p2", "p3", "p4" and 1 more.' in flat

    def test_jobs_unknown(self, explain: Explain) -> None:
        ran = explain("s3://b/in/a.csv", "--triggers=t.yaml")
        assert ran.out.count("job not checked") == 2

    def test_what_is_not_understood(self, explain: Explain) -> None:
        ran = explain.files("--event=-", given='{"Records": [{"body": "no JSON"}]}')
        assert ran.status == 1
        assert "Not understood, so the function would fail this delivery:" in ran.out

    def test_a_test_event_has_nothing(self, explain: Explain) -> None:
        ran = explain.files("--event=-", given='{"Event": "s3:TestEvent"}')
        assert (ran.status, ran.out) == (1, "No S3 event is in this payload.\n")

    def test_a_parked_message(self, explain: Explain) -> None:
        payload = json.loads((CHECKOUT / "events" / "s3-created.json").read_text())
        record = payload["Records"][0]
        record["s3"] |= {"bucket": {"name": "b"}, "object": {"key": "in/a.csv", "size": 1}}
        parked = {"parked": {"trigger_id": "orders", "done": ["load"]}, "event": record}
        ran = explain.files("--event=-", given=json.dumps(parked))
        assert "parked, for trigger orders alone, whose jobs load are done" in ran.out
        assert "job load" not in ran.out.replace("jobs load", "")


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
        ran = explain.files("s3://b/in/a.csv", *options, "--format=json")
        assert ran.event[field] == expected

    def test_a_key_is_taken_as_it_stands(self, explain: Explain) -> None:
        key = "in/a+b %20 \U0001f600?x=1#y.csv"
        assert explain.files(f"s3://b/{key}", "--format=json").event["key"] == key

    def test_an_output_file(self, explain: Explain) -> None:
        ran = explain.files("s3://b/in/a.csv", "--format=json", "--output=made.json")
        assert (ran.status, ran.out) == (0, "")
        validate("explain", json.loads((explain.folder / "made.json").read_text()))

    def test_options_from_the_project_and_the_environment(self, explain: Explain) -> None:
        (explain.folder / "lava-s3trigger.toml").write_text(
            'triggers = ["t.yaml"]\njobs = ["j.yaml"]\n[explain]\nformat = "json"\nsize = 7\n'
        )
        ran = explain("s3://b/in/a.csv", LAVA_REALM="prod", AWS_REGION="eu-west-1")
        assert ran.json["realm"] == "prod"
        assert (ran.event["size"], ran.event["aws_region"]) == (7, "eu-west-1")

    def test_entries_and_payload_by_standard_input(self, explain: Explain) -> None:
        ran = explain("s3://b/in/a.csv", "--triggers=-", given=TRIGGERS)
        assert ran.status == 0


class TestMistakes:
    """A mistake is one line that names the thing, what was found, and what would do."""

    CASES: Final = [
        ("nothing", [], 2, "nothing to explain: give an object, s3://BUCKET/KEY, or a payload"),
        ("both", ["s3://b/k", "--event=x.json"], 2, "both an object and a payload"),
        ("no-uri", ["b/k", "--triggers=t.yaml"], 2, "b/k: not an object"),
        ("no-key", ["s3://b", "--triggers=t.yaml"], 2, "s3://b: the key is missing"),
        ("no-bucket", ["s3:///k", "--triggers=t.yaml"], 2, "the bucket is missing"),
        ("long-key", ["s3://b/" + "k" * 1025, "--triggers=t.yaml"], 2, "the key has 1025 bytes"),
        ("no-entries", ["s3://b/k"], 2, "no entries: give files with --triggers, or a realm"),
        ("no-file", ["s3://b/k", "--triggers=none.yaml"], 3, "none.yaml: there is no such file"),
        ("no-payload", ["--event=none.json", "--triggers=t.yaml"], 3, "none.json: No such file"),
        ("a-folder", ["--event=.", "--triggers=t.yaml"], 3, "Is a directory"),
        ("no-json", ["--event=bad.json", "--triggers=t.yaml"], 3, "bad.json:2:2: this is not JSON"),
        ("no-utf-8", ["--event=latin.json", "--triggers=t.yaml"], 3, "this is not UTF-8"),
        ("deep", ["--event=deep.json", "--triggers=t.yaml"], 3, "nested too deeply"),
        (
            "digits",
            ["--event=digits.json", "--triggers=t.yaml"],
            3,
            "digits.json: Exceeds the limit",
        ),
        ("bad-yaml", ["s3://b/k", "--triggers=bad.yaml"], 3, "bad.yaml:2:"),
        ("size", ["s3://b/k", "--size=10kb"], 2, "'10kb' is not a size such as 10, 10KB"),
        ("negative", ["s3://b/k", "--size=-1"], 2, "'-1' is not a size"),
        ("endless", ["s3://b/k", "--size=1e999"], 2, "'1e999' is not a size"),
        ("time", ["s3://b/k", "--time=yesterday"], 2, "'yesterday' is not a time in ISO 8601"),
        ("early", ["s3://b/k", "--time=0001-01-01T00:00:00+10:00"], 2, "is not a time"),
        ("address", ["s3://b/k", "--source-ip=localhost"], 2, "'localhost' is not an IP address"),
        ("size-of-event", ["--event=x", "--size=1"], 2, "--size is about an object"),
        ("format", ["s3://b/k", "--format=xml"], 2, "'xml' is not one of 'text', 'json'"),
        ("option", ["s3://b/k", "--trigger=t.yaml"], 2, "No such option '--trigger'"),
        ("twice-stdin", ["--event=-", "--triggers=-"], 2, "standard input, -, is named twice"),
        ("output", ["s3://b/k", "--triggers=t.yaml", "--output=no/x"], 3, "no/x: No such file"),
        ("profile", ["s3://b/k", "--realm=r", "--profile=none"], 2, "(none) could not be found"),
        (
            "endpoint",
            ["s3://b/k", "--realm=r", "--endpoint-url=http://127.0.0.1:9", "--region=x-y-1"],
            3,
            "AWS cannot be reached",
        ),
        ("credentials", ["s3://b/k", "--realm=r", "--region=x-y-1"], 3, "no AWS credentials"),
    ]

    @pytest.mark.parametrize(
        ("arguments", "status", "said"), [each[1:] for each in CASES], ids=[e[0] for e in CASES]
    )
    def test_a_mistake(
        self, explain: Explain, arguments: list[str], status: int, said: str
    ) -> None:
        (explain.folder / "bad.json").write_text("{\n ]")
        (explain.folder / "latin.json").write_bytes(b'"\xe9"')
        (explain.folder / "deep.json").write_text("[" * 200_000)
        (explain.folder / "digits.json").write_text("9" * 5_000)
        (explain.folder / "bad.yaml").write_text("a: b\n ]: {")
        variables = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1"}
        if "--endpoint-url=http://127.0.0.1:9" in arguments:
            variables |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
        ran = explain(*arguments, AWS_CONFIG_FILE="none", HOME=str(explain.folder), **variables)
        assert (ran.status, ran.out) == (status, ""), ran.err
        assert said in ran.err
        assert "Traceback" not in ran.err
        [error] = [line for line in ran.err.splitlines() if line.startswith("Error: ")]
        assert ran.err.splitlines()[-1] == error


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
        before = set(explain.folder.iterdir())
        for _ in range(200):
            if _is_reading(process.pid):
                break
            signal.sigtimedwait([], 0.05)
        process.send_signal(signal.SIGINT)
        out, err = finish(process, 30)
        assert (process.returncode, out, err) == (130, b"", b"\n")
        assert set(explain.folder.iterdir()) == before

    def test_while_it_starts(self, explain: Explain) -> None:
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
            done = subprocess.run(
                [sys.executable, "-c", program],
                capture_output=True,
                check=False,
                cwd=explain.folder,
            )
        assert (done.returncode, done.stderr) == (130, b"")


def _is_reading(pid: int) -> bool:
    """Return whether a process waits for its standard input."""
    try:
        return "pipe" in Path(f"/proc/{pid}/wchan").read_text() or (
            Path(f"/proc/{pid}/syscall").read_text().startswith("0 0x0 ")
        )
    except OSError:
        return False


class TestAws:
    """Entries of tables, and objects that S3 knows."""

    def options(self, aws: LocalAws, realm: Realm) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": aws.endpoint,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": REGION,
            "LAVA_REALM": realm.name,
            "NO_PROXY": "127.0.0.1",
        }

    def test_a_realm_and_an_object(self, aws: LocalAws, realm: Realm, explain: Explain) -> None:
        entry = {"trigger_id": "t", "bucket": f"{realm.name}-b", "prefix": "in", "enabled": True}
        realm.put("s3triggers", [entry | {"job_id": ["load", "none"], "if_size_gt": 4}])
        realm.put("jobs", [{"job_id": "load", "type": "exe", "worker": "core", "payload": "x"}])
        s3 = aws.client("s3")
        s3.create_bucket(Bucket=f"{realm.name}-b")
        s3.put_object(Bucket=f"{realm.name}-b", Key="in/a.csv", Body=b"12345")

        ran = explain(f"s3://{realm.name}-b/in/a.csv", "--format=json", **self.options(aws, realm))

        assert (ran.status, ran.err) == (1, "")
        assert (ran.event["size"], ran.event["event_type"]) == (5, "ObjectCreated:Put")
        [trigger] = ran.event["triggers"]
        assert trigger["source"] == f"lava.{realm.name}.s3triggers"
        assert [job["reason"] for job in trigger["jobs"]] == [
            "the job is disabled",
            f"no job 'none' in lava.{realm.name}.jobs",
        ]

    def test_an_object_that_is_not_there(
        self, aws: LocalAws, realm: Realm, explain: Explain
    ) -> None:
        aws.client("s3").create_bucket(Bucket=f"{realm.name}-e")
        ran = explain(f"s3://{realm.name}-e/a.csv", "--format=json", **self.options(aws, realm))
        assert ran.status == 1
        assert "not found in S3; assuming 1 byte, created now" in ran.err
        assert ran.event["size"] == 1

    def test_a_realm_that_is_not_there(self, aws: LocalAws, realm: Realm, explain: Explain) -> None:
        ran = explain("s3://b/a.csv", "--size=1", "--realm=nowhere", **self.options(aws, realm))
        assert (ran.status, ran.out) == (3, "")
        assert "there is no table lava.nowhere." in ran.err
