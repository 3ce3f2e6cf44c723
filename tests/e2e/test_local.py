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
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.processes import SECONDS, finish, read_until
from tools.local.examples import BUCKETS
from tools.local.server import ACCOUNT, CHECKOUT, REGION

from .commands import nothing_left, start

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


class TestExamples:
    """The entries and the buckets of the examples."""

    def test_they_are_as_apply_and_connect_make_them(self, terminal: Terminal) -> None:
        # Exit status 0: nothing would change.
        terminal.enter("lava-s3trigger apply examples/triggers.yaml --set examples --dry-run")
        for bucket in BUCKETS:
            terminal.enter(f"lava-s3trigger connect {bucket} --dry-run")


class TestReadme:
    """The commands of the README, one after the other."""

    def test_the_first_trigger_fires_and_is_removed(self, terminal: Terminal) -> None:
        names, job, trigger, invoke, receive, connect, remove = blocks(
            "README.md", "A first trigger"
        )
        terminal.enter(names, job, trigger)
        printed = terminal.enter(names, invoke)
        assert "dispatched" in printed
        assert '"trigger_id": "try_trigger"' in printed
        queue, receive = receive.split("\n", 1)
        printed = terminal.enter(names, queue, receive, "echo", connect)
        first, second = (json.loads(line) for line in printed.splitlines() if '"args"' in line)
        assert first["globals"] == {"day": "2026-03-14"}
        assert second["parameters"] == {
            "args": ["s3://my-bucket/incoming/orders/2026-03-15/first.csv"]
        }
        assert {first["realm"], second["realm"]} == {"demo"}
        terminal.enter(names, queue, remove)
        assert '"unmatched":1' in terminal.enter(names, invoke)

    def test_troubleshooting_shows_where_an_event_is(self, terminal: Terminal) -> None:
        page = "docs/troubleshooting.md"
        invoke, _, log = blocks(page, "See what the function did")
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


@pytest.mark.skipif(not SAM.exists(), reason="`make check` installs the SAM CLI")
class TestDeploying:
    """The commands that deploy, with the real SAM CLI."""

    def test_a_realm_to_try_with_is_made_and_the_stack_deployed(self, terminal: Terminal) -> None:
        make, remove = blocks("docs/permissions.md", "Without a lava realm")
        # The server has no saved queries.
        make = make.replace("Realm=trial", "Realm=trial CreateQueries=false")
        assert "CreateQueries" in make
        printed = terminal.enter(f"cd {CHECKOUT}; unset HTTP_PROXY", make, answer="y\n")
        assert "Successfully created/updated stack - lava-trial-s3trigger" in printed
        terminal.enter(remove)


class TestPolicy:
    """The policy for those who deploy."""

    POLICY: Final = json.loads((CHECKOUT / "examples" / "deploy-policy.json").read_text())

    def test_it_covers_every_kind_of_resource(self) -> None:
        template = (CHECKOUT / "template.yaml").read_text()
        kinds = set(re.findall(r"^    Type: (AWS::\S+)$", template, re.MULTILINE))
        creating = {
            "AWS::CloudWatch::Alarm": "cloudwatch:PutMetricAlarm",
            "AWS::CloudWatch::Dashboard": "cloudwatch:PutDashboard",
            "AWS::DynamoDB::Table": "dynamodb:CreateTable",
            "AWS::IAM::Role": "iam:CreateRole",
            "AWS::Lambda::EventSourceMapping": "lambda:CreateEventSourceMapping",
            "AWS::Lambda::Permission": "lambda:AddPermission",
            "AWS::Logs::LogGroup": "logs:CreateLogGroup",
            "AWS::Logs::QueryDefinition": "logs:PutQueryDefinition",
            "AWS::SNS::Subscription": "sns:Subscribe",
            "AWS::SNS::Topic": "sns:CreateTopic",
            "AWS::SQS::Queue": "sqs:CreateQueue",
            "AWS::SQS::QueuePolicy": "sqs:SetQueueAttributes",
            "AWS::Serverless::Function": "lambda:CreateFunction",
        }
        assert kinds == creating.keys(), "add the actions for the new kind to the policy"
        assert set(creating.values()) <= {action for action, _ in self.allowed()}

    @pytest.mark.skipif(not SAM.exists(), reason="`make check` installs the SAM CLI")
    def test_it_allows_the_sam_cli_one_realm_and_no_other(
        self, empty_aws: LocalAws, tmp_path: Path
    ) -> None:
        bucket = "aws-sam-cli-managed-default-test"
        template = (CHECKOUT / "template.yaml").read_text()
        (tmp_path / "template.yaml").write_text(
            template.replace("CodeUri: .", f"CodeUri: {CHECKOUT / 'build' / 'package'}")
        )
        iam = empty_aws.client("iam")
        iam.create_user(UserName="deployer")
        iam.put_user_policy(
            UserName="deployer",
            PolicyName="deploy",
            PolicyDocument=json.dumps(self.POLICY).replace("111122223333", ACCOUNT),
        )
        key = iam.create_access_key(UserName="deployer")["AccessKey"]
        empty_aws.client("s3").create_bucket(Bucket=bucket)

        def sam(*arguments: str) -> str:
            done = subprocess.run(
                [SAM, *arguments, "--s3-bucket", bucket],
                cwd=tmp_path,
                env=os.environ
                | {
                    "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
                    "AWS_DEFAULT_REGION": REGION,
                    "AWS_ENDPOINT_URL": empty_aws.endpoint,
                    "AWS_REGION": REGION,
                    "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
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

    def allowed(self) -> Iterator[tuple[str, Any]]:
        """Yield each action that is allowed, with its resources."""
        for statement in self.POLICY["Statement"]:
            actions = statement["Action"]
            for action in [actions] if isinstance(actions, str) else actions:
                yield action, statement["Resource"]
