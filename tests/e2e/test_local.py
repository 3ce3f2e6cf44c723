"""``make local``: every command of the README runs on it, as a new user enters them."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from tests.docs.pages import fenced, section
from tests.processes import SECONDS, finish, read_until, wait_until
from tools.local.examples import BUCKETS, REALM, WORKERS
from tools.local.realm import Realm
from tools.local.server import CHECKOUT, REGION, LocalAws

from .commands import nothing_left, start
from .conftest import make_user

pytestmark = [pytest.mark.e2e, pytest.mark.slow("deploys with the SAM CLI, runs commands of pages")]

BURST: Final = 40
"""Objects in each bucket: more at the same time than there are instances of the function."""
FUNCTION: Final = f"lava-{REALM}-s3trigger"
SAM: Final = CHECKOUT / ".venv-sam" / "bin" / "sam"


class Terminal:
    """A shell in which a user enters commands, in a folder with samples and examples.

    Args:
        folder: The folder.
        *exports: What ``make local`` prints.
    """

    def __init__(self, folder: Path, *exports: str) -> None:
        self._folder, self._exports = folder, exports
        for name in ("events", "examples"):
            shutil.copytree(CHECKOUT / name, folder / name)
        self.aws = LocalAws()
        name = "export AWS_ENDPOINT_URL="
        [self.aws.endpoint] = [each.removeprefix(name) for each in exports if name in each]

    def enter(self, *commands: str, answer: str = "") -> str:
        """Enter commands, stop at the first that fails, and return what they print."""
        # The user's settings for AWS and for the network must not matter.
        nowhere = {"AWS_PROFILE": "no-such-profile", "HTTP_PROXY": "http://127.0.0.1:9"}
        path = f"{SAM.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        own = {"AWS_SESSION_TOKEN": "stale", "HOME": str(self._folder), "LC_ALL": "C.UTF-8"}
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "\n".join([*self._exports, *commands])],
            cwd=self._folder,
            env={**os.environ, **nowhere, **own, "PATH": path, "SAM_CLI_TELEMETRY": "0"},
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
    return fenced(section(CHECKOUT / page, heading), "sh")


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
        counts, realm = Counter[str](), Realm(terminal.aws, REALM)
        for worker in WORKERS:
            while messages := realm.receive(worker):
                counts.update(json.loads(each["Body"])["job_id"] for each in messages)
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
        s3, counts = terminal.aws.client("s3"), Counter[str]()
        places = [(bucket, keys[bucket].format(n)) for bucket in keys for n in range(BURST)]
        with ThreadPoolExecutor(10) as pool:
            list(pool.map(lambda at: s3.put_object(Bucket=at[0], Key=at[1], Body=b"data"), places))

        def arrived() -> bool:
            counts.update(self.jobs(terminal))
            return counts.total() >= expected.total()

        wait_until(arrived, f"dispatches of {BURST} objects in each bucket")
        assert counts == expected


class TestMake:
    """`make local` ends as the server tells."""

    @pytest.mark.parametrize("to", ["make", "the server"])
    def test_a_signal_ends_it(self, tmp_path: Path, to: str) -> None:
        """make hands SIGTERM on; SIGINT it does not, since a terminal sends that to all."""
        built = [".venv/installed", ".venv-ministack/installed", "build/package/installed"]
        old = [f"--old-file={file}" for file in built]
        process = start(*old, "local", folder=tmp_path, program=["make"])
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
            there = {"AWS_DEFAULT_REGION": REGION, "AWS_ENDPOINT_URL": empty_aws.endpoint}
            there |= {"AWS_REGION": REGION, "SAM_CLI_TELEMETRY": "0"}
            done = subprocess.run(
                [SAM, *arguments, "--s3-bucket", bucket],
                cwd=tmp_path,
                env=os.environ | deployer | there,
                capture_output=True,
                text=True,
                check=False,
            )
            return done.stdout + done.stderr

        def deploy(realm: str, *more: str) -> str:
            # The server has no saved queries.
            given = [f"Realm={realm}", "CreateQueries=false", "AlarmEmail=a@b.example", *more]
            parameters = ["--parameter-overrides", *given, "CreateDashboard=true"]
            options = [
                "--stack-name",
                f"lava-{realm}-s3trigger",
                "--capabilities",
                "CAPABILITY_IAM",
            ]
            return sam("deploy", *options, *parameters)

        printed = deploy("myrealm", "CreateIntake=true", "CreateDedupTable=true")
        assert "Successfully created/updated stack" in printed
        assert "deployer is not authorized" in deploy("other")
        printed = sam("delete", "--no-prompts", "--stack-name", "lava-myrealm-s3trigger")
        assert "Deleted successfully" in printed
