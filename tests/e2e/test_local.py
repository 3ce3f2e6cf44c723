"""``make local``: every command of the README runs on it, as a new user enters them."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import boto3
import pytest
from botocore.config import Config

from lava_s3trigger.cli.deployed.log_line import read_line
from tests.processes import SECONDS, finish, read_until, signals_received, wait_until
from tools.local.examples import BUCKETS, REALM, WORKERS
from tools.local.server import CHECKOUT, REGION

from .commands import nothing_left, start
from .conftest import make_user

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.local.server import LocalAws

pytestmark = [pytest.mark.e2e, pytest.mark.slow("deploys with the SAM CLI, runs commands of pages")]

BURST: Final = 40
"""Objects in each bucket: more at the same time than there are instances of the function."""
FUNCTION: Final = f"lava-{REALM}-s3trigger"
GROUP: Final = f"/aws/lambda/{FUNCTION}"
SAM: Final = CHECKOUT / ".venv-sam" / "bin" / "sam"


class Terminal:
    """A shell in which a user enters commands, in a folder with samples and examples.

    Args:
        folder: The folder.
        *exports: What ``make local`` prints.
    """

    def __init__(self, folder: Path, *exports: str) -> None:
        self._folder = folder
        self._exports = exports
        for name in ("events", "examples"):
            shutil.copytree(CHECKOUT / name, folder / name)

    def client(self, service: str) -> Any:
        """Return a client that calls the server."""
        variables = dict(re.findall(r"^export (\w+)=(.*)$", "\n".join(self._exports), re.MULTILINE))
        session: Any = boto3.Session()
        return session.client(
            service,
            region_name=variables["AWS_REGION"],
            endpoint_url=variables["AWS_ENDPOINT_URL"],
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
            config=Config(proxies={}),
        )

    def enter(self, *commands: str, answer: str = "") -> str:
        """Enter commands, stop at the first that fails, and return what they print."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "\n".join([*self._exports, *commands])],
            cwd=self._folder,
            # The user's settings for AWS and for the network must not matter.
            env=os.environ
            | {
                "AWS_PROFILE": "no-such-profile",
                "AWS_SESSION_TOKEN": "stale",
                "HOME": str(self._folder),
                "HTTP_PROXY": "http://127.0.0.1:9",
                "LC_ALL": "C.UTF-8",
                "PATH": f"{SAM.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}",
                "SAM_CLI_TELEMETRY": "0",
            },
            input=answer,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A terminal beside one in which ``make local`` runs; at its end, Ctrl-C is pressed."""
    folder = tmp_path_factory.mktemp("local")
    process = start("serve", folder=folder)
    assert process.stdout
    lines = map(str.rstrip, read_until(process.stdout, "aws()", process))
    yield Terminal(tmp_path_factory.mktemp("terminal"), *lines)
    process.send_signal(signal.SIGINT)
    _, errors = finish(process)
    assert process.returncode == 0, errors
    assert nothing_left(folder)


def blocks(page: str, heading: str) -> list[str]:
    """Return the commands of a section."""
    text = (CHECKOUT / page).read_text()
    section = re.split(r"^## ", text.split(f"\n## {heading}\n")[1], flags=re.MULTILINE)[0]
    return re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def test_they_are_as_apply_and_connect_make_them(terminal: Terminal) -> None:
    # Exit status 0: nothing would change.
    terminal.enter("lava-s3trigger apply examples/triggers.yaml --set examples --dry-run")
    for bucket in BUCKETS:
        terminal.enter(f"lava-s3trigger connect {bucket} --dry-run")


class TestReadme:
    """The commands of the README, one after the other."""

    def test_the_first_trigger_fires_and_is_removed(self, terminal: Terminal) -> None:
        names, job, trigger, receive, history, remove = blocks("README.md", "A first trigger")
        printed = terminal.enter(names, job, trigger)
        assert "1 case: 1 passed, 0 failed" in printed
        printed = terminal.enter(names, receive)
        [dispatch] = (json.loads(line) for line in printed.splitlines() if '"args"' in line)
        assert dispatch["realm"] == "demo"
        assert dispatch["globals"] == {"day": "2026-03-14"}
        assert "try_job" in terminal.enter(names, history)
        queue = next(line for line in receive.splitlines() if line.startswith("queue="))
        terminal.enter(names, queue, remove)

    def test_troubleshooting_shows_where_an_event_is(self, terminal: Terminal) -> None:
        page = "docs/troubleshooting.md"
        invoke, log = blocks(page, "See what the function did")
        realm = invoke.split("\n", 1)[0]
        assert '"unmatched":1' in terminal.enter(invoke)
        assert '"event":"summary"' in terminal.enter(realm, log)
        [query] = blocks(page, "No entry matches")
        printed = terminal.enter(realm, query.replace("my-bucket", "shop-returns"))
        assert "book-returns\treturns\tTrue" in printed
        policies, mappings = blocks(page, "The event does not arrive")
        printed = terminal.enter(realm, policies.replace("my-bucket", "shop-orders"))
        assert "s3:ObjectCreated:*" in printed
        assert "lambda:InvokeFunction" in printed
        assert "lava-demo-s3trigger-intake\tEnabled" in terminal.enter(realm, mappings)
        [count] = blocks(page, "The job does not run")
        assert '"ApproximateNumberOfMessagesNotVisible": "0"' in terminal.enter(realm, count)


class TestServer:
    """The server does what AWS does where users look."""

    def jobs(self, terminal: Terminal) -> Counter[str]:
        """Receive all dispatches, and count them by job."""
        sqs, counts = terminal.client("sqs"), Counter[str]()
        for worker in WORKERS:
            url = sqs.get_queue_url(QueueName=f"lava-{REALM}-{worker}")["QueueUrl"]
            while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get(
                "Messages"
            ):
                for message in messages:
                    counts[json.loads(message["Body"])["job_id"]] += 1
                    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return counts

    def test_doctor_finds_nothing(self, terminal: Terminal) -> None:
        printed = terminal.enter("lava-s3trigger doctor --fail-on info")
        assert printed == f"{FUNCTION}: nothing wrong was found\n"

    def test_no_event_of_a_burst_is_lost_on_any_route(self, terminal: Terminal) -> None:
        keys = {
            "shop-orders": "orders/{}.csv",
            "shop-invoices": "invoices/{}.pdf",
            "shop-returns": "returns/{}.json",
            "shop-catalogue": "spring/{}.html",
        }
        names = ("load_orders", "audit", "scan_pdf", "book_returns", "publish")
        expected = Counter(dict.fromkeys(names, BURST))
        self.jobs(terminal)
        s3, counts = terminal.client("s3"), Counter[str]()

        def put(place: tuple[str, int]) -> None:
            bucket, number = place
            s3.put_object(Bucket=bucket, Key=keys[bucket].format(number), Body=b"data")

        with ThreadPoolExecutor(10) as pool:
            list(pool.map(put, itertools.product(keys, range(BURST))))

        def arrived() -> bool:
            counts.update(self.jobs(terminal))
            return counts.total() >= expected.total()

        wait_until(arrived, f"dispatches of {BURST} objects in each bucket")
        assert counts == expected

    def test_the_log_has_the_level_of_the_function(self, terminal: Terminal) -> None:
        client, logs = terminal.client("lambda"), terminal.client("logs")
        before = client.get_function_configuration(FunctionName=FUNCTION)["Environment"]
        quiet = {"Variables": {**before["Variables"], "LOGLEVEL": "error"}}
        client.update_function_configuration(FunctionName=FUNCTION, Environment=quiet)

        terminal.client("s3").put_object(Bucket="shop-returns", Key="returns/quiet.json", Body=b"x")

        def lines() -> list[str]:
            pages = logs.get_paginator("filter_log_events").paginate(logGroupName=GROUP)
            texts = [event["message"] for page in pages for event in page["events"]]
            return [text for text in texts if "returns/quiet.json" in text]

        # Of its two entries, one fires and one is parked.
        wait_until(lines, "the line of an entry that is parked")
        wait_until(lambda: self.jobs(terminal)["book_returns"], "the dispatch of the other")
        client.update_function_configuration(FunctionName=FUNCTION, Environment=before)
        assert [read_line(text).event for text in lines()] == ["parked"]  # type: ignore[union-attr]

    def test_lines_of_another_form_are_no_lines_of_the_function(self, terminal: Terminal) -> None:
        logs, stream = terminal.client("logs"), "of-another-form"
        logs.create_log_stream(logGroupName=GROUP, logStreamName=stream)
        strange = ["plain", "{", "[]", '{"event": 5}', "[INFO]", "[INFO] dispatched {", "\x1b[2J"]
        events = [{"timestamp": int(time.time() * 1000), "message": text} for text in strange]
        logs.put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=events)
        terminal.client("s3").put_object(Bucket="shop-orders", Key="orders/z.csv", Body=b"x")
        wait_until(lambda: self.jobs(terminal)["load_orders"], "the dispatch of orders/z.csv")

        printed = terminal.enter("lava-s3trigger tail --since 1h --key orders/z.csv --job audit")
        assert printed.count("dispatched") == 1
        history = terminal.enter("lava-s3trigger history s3://shop-orders/orders/z.csv")
        assert "1 delivery since" in history


class TestMake:
    """`make local` ends as the server tells."""

    @pytest.mark.parametrize("to", ["make", "the server"])
    def test_a_signal_ends_it(self, tmp_path: Path, to: str) -> None:
        """make hands SIGTERM on; SIGINT it does not, since a terminal sends that to all."""
        built = [".venv/installed", ".venv-ministack/installed", "build/package/installed"]
        with signals_received():
            process = subprocess.Popen(
                ["make", *(f"--old-file={file}" for file in built), "local"],
                cwd=CHECKOUT,
                env=os.environ | {"TMPDIR": str(tmp_path)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        assert process.stdout
        assert process.stderr
        told = read_until(process.stderr, "In another terminal", process)
        [server] = re.findall(r"kill (\d+)", "".join(told))
        if to == "make":
            process.terminate()
        else:
            os.kill(int(server), signal.SIGINT)
        finish(process)
        assert nothing_left(tmp_path)


@pytest.mark.skipif(not SAM.exists(), reason="`make check` installs the SAM CLI")
class TestDeploying:
    """The commands that deploy, with the real SAM CLI."""

    def test_a_realm_to_try_with_is_made_and_the_stack_deployed(self, terminal: Terminal) -> None:
        make, remove = blocks("docs/deploying.md", "Without a lava realm")
        # The server has no saved queries.
        make = make.replace("Realm=trial", "Realm=trial CreateQueries=false")
        assert "CreateQueries" in make
        printed = terminal.enter(f"cd {CHECKOUT}; unset HTTP_PROXY", make, answer="y\n")
        assert "Successfully created/updated stack - lava-trial-s3trigger" in printed
        terminal.enter(remove)


class TestPolicy:
    """The policy for those who deploy."""

    POLICY: Final = json.loads((CHECKOUT / "examples" / "deploy-policy.json").read_text())

    def test_it_covers_saved_queries(self) -> None:
        """The local server has none, so that no deployment here asks for the action."""
        assert "logs:PutQueryDefinition" in json.dumps(self.POLICY)

    @pytest.mark.skipif(not SAM.exists(), reason="`make check` installs the SAM CLI")
    def test_it_allows_the_sam_cli_one_realm_and_no_other(
        self, empty_aws: LocalAws, tmp_path: Path
    ) -> None:
        bucket = "aws-sam-cli-managed-default-test"
        template = (CHECKOUT / "template.yaml").read_text()
        (tmp_path / "template.yaml").write_text(
            template.replace("CodeUri: .", f"CodeUri: {CHECKOUT / 'build' / 'package'}")
        )
        deployer = make_user(empty_aws, "deployer", self.POLICY["Statement"])
        empty_aws.client("s3").create_bucket(Bucket=bucket)

        def sam(*arguments: str) -> str:
            done = subprocess.run(
                [SAM, *arguments, "--s3-bucket", bucket],
                cwd=tmp_path,
                env=os.environ
                | deployer
                | {
                    "AWS_DEFAULT_REGION": REGION,
                    "AWS_ENDPOINT_URL": empty_aws.endpoint,
                    "AWS_REGION": REGION,
                    "SAM_CLI_TELEMETRY": "0",
                },
                capture_output=True,
                text=True,
                check=False,
            )
            return done.stdout + done.stderr

        def deploy(realm: str, *more: str) -> str:
            stack = f"lava-{realm}-s3trigger"
            # The server has no saved queries.
            given = [f"Realm={realm}", "CreateQueries=false", "AlarmEmail=a@b.example", *more]
            parameters = ["--parameter-overrides", *given, "CreateDashboard=true"]
            return sam(
                "deploy", "--stack-name", stack, "--capabilities", "CAPABILITY_IAM", *parameters
            )

        printed = deploy("myrealm", "CreateIntake=true", "CreateDedupTable=true")
        assert "Successfully created/updated stack" in printed
        assert "deployer is not authorized" in deploy("other")
        printed = sam("delete", "--no-prompts", "--stack-name", "lava-myrealm-s3trigger")
        assert "Deleted successfully" in printed
