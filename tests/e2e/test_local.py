"""``make local``: every command of the README runs on it, as a new user enters them."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.processes import SECONDS, finish, read_until, signals_received
from tools.local.examples import BUCKETS
from tools.local.server import CHECKOUT, REGION

from .commands import nothing_left, start
from .conftest import make_user

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.local.server import LocalAws

pytestmark = [pytest.mark.e2e, pytest.mark.slow("deploys with the SAM CLI, runs commands of pages")]

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


class TestMake:
    """`make local` ends as the server tells."""

    @pytest.mark.parametrize("to", ["make", "the server"])
    def test_a_signal_ends_it(self, tmp_path: Path, to: str) -> None:
        """make hands SIGTERM on; SIGINT it does not, since a terminal sends that to all."""
        built = [".venv/installed", ".venv-ministack/installed", "build/package/installed"]
        with signals_received():
            process = subprocess.Popen(
                ["make", *(f"--old-file={each}" for each in built), "local"],
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
