"""`doctor`: a sound stack has no finding; what is printed of each fault corrects it.

`make proofs` plants all faults of `doctor_faults.py`; otherwise a tenth of them.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from lava_s3trigger import __version__
from lava_s3trigger.cli.doctor.registry import CHECKS
from tests.cli.terminal import raw
from tests.processes import wait_until
from tools import pages
from tools.local.server import REGION, LocalAws

from .conftest import JOB, deploy, make_user
from .connections import allow
from .doctor_faults import ARN, FAULTS, Fault, Patient, base_buckets, entries, time_to_live

pytestmark = [pytest.mark.e2e, pytest.mark.slow("breaks the stack in every way that doctor finds")]

FAULT_SEED: Final = 20
CHOSEN: Final = (
    FAULTS
    if os.environ.get("S3TRIGGER_FAULTS")
    else random.Random(FAULT_SEED).sample(FAULTS, -(-len(FAULTS) // 10))
)
"""All faults in `make proofs`, otherwise a tenth of them."""
AT_ONCE: Final = [fault for fault in FAULTS if fault.is_of_bucket][
    :: 1 if os.environ.get("S3TRIGGER_FAULTS") else 6
]
"""Faults that are planted together: all of buckets in `make proofs`, otherwise each sixth."""


def run_remedies(patient: Patient, output: str) -> None:
    """Run in a shell what the command printed, to the letter, as a reader does."""
    # Version 1 of the AWS CLI does not read the variable for SQS.
    function = 'aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }'
    commands = re.findall(r"^  \$ (.+)$", output, re.MULTILINE)
    assert commands, output
    path = Path(sys.executable).parent
    with tempfile.TemporaryDirectory() as folder:
        ran = subprocess.run(
            ["bash", "-e", "-c", "\n".join([function, *commands])],
            env={
                **os.environ,
                **patient.environment,
                "AWS_DEFAULT_REGION": REGION,
                "AWS_PAGER": "",
                "PATH": f"{path}:{os.environ['PATH']}",
                "S3TRIGGER_CONNECT_WAIT": "0",
                "XDG_STATE_HOME": folder,
            },
            capture_output=True,
            text=True,
            check=False,
        )
    assert ran.returncode == 0, (commands, ran.stdout, ran.stderr)


class Ward:
    """The realm that faults are planted in; another one, where a fault has spoiled it."""

    def __init__(self, aws: LocalAws) -> None:
        self._aws = aws
        self._realms, self._faults = itertools.count(), itertools.count()
        self._patient: Patient | None = None

    def sound(self) -> Patient:
        """Return a realm in which `doctor` finds nothing, with a bucket on each route."""
        if self._patient is None:
            self._patient = self._admit()
        return self._patient

    def _admit(self) -> Patient:
        name = f"doc{next(self._realms) or ''}"
        own = {"AlarmTopicArn": f"arn:aws:sns:{ARN}:alarms", "CreateDedupTable": "true"}
        stack = deploy(self._aws, name, **own, CacheTtl="0", CreateIntake="true")
        patient = Patient(stack.aws, stack.realm, stack.outputs)
        patient.log_start()
        # The server leaves this out of the stack.
        time_to_live(enabled=True)(patient)
        for bucket, route in base_buckets(name).items():
            replace(patient, bucket=bucket).connect_by(route)
        entries(replace(patient, bucket="elsewhere"))
        patient.trigger("elsewhere", "no-bucket-yet", enabled=False)
        return patient

    @contextlib.contextmanager
    def with_bucket(self, route: str) -> Iterator[Patient]:
        """Return the realm with a bucket more, which is removed again."""
        sound = self.sound()
        patient = replace(sound, bucket=f"{sound.realm.name}-{next(self._faults)}")
        patient.connect_by(route)
        patient.entry()
        try:
            yield patient
        except BaseException:
            self.discharge()
            raise
        patient.remove_bucket()

    def discharge(self) -> None:
        """Take another realm from now on."""
        self._patient = None


@pytest.fixture(scope="module")
def ward(iam_aws: LocalAws) -> Ward:
    return Ward(iam_aws)


@pytest.fixture
def patient(ward: Ward) -> Patient:
    return ward.sound()


def test_a_sound_stack_has_no_finding(patient: Patient) -> None:
    ran = patient.doctor()

    assert (ran.status, ran.output) == (0, f"{patient.function}: nothing wrong was found\n")


@pytest.mark.parametrize("fault", CHOSEN, ids=[fault.id for fault in CHOSEN])
def test_what_doctor_prints_corrects_a_fault(ward: Ward, fault: Fault) -> None:
    with ward.with_bucket(fault.route) as patient:
        fault.plant(patient)
        patient.log_start()
        if fault.told:
            _assert_no_command(patient, fault)
        else:
            _assert_corrected(patient, fault)
    if fault.spoils:
        ward.discharge()


def test_what_doctor_prints_corrects_many_faults_at_once(ward: Ward) -> None:
    with contextlib.ExitStack() as stack:
        patients = {fault: stack.enter_context(ward.with_bucket(fault.route)) for fault in AT_ONCE}
        for fault, patient in patients.items():
            fault.plant(patient)
        patient = ward.sound()
        patient.log_start()
        printed = patient.doctor().output

        assert [fault.id for fault in patients if f" {fault.check}: " not in printed] == []
        run_remedies(patient, printed)
        _assert_nothing_is_wrong(patient)
        _assert_each_object_is_dispatched_once(patients)
    ward.discharge()


def _assert_corrected(patient: Patient, fault: Fault) -> None:
    printed = patient.doctor().output

    assert f" {fault.check}: " in printed
    run_remedies(patient, printed)
    if fault.after:
        fault.after(patient)
    _assert_nothing_is_wrong(patient)
    _assert_each_object_is_dispatched_once({fault: patient})


def _assert_no_command(patient: Patient, fault: Fault) -> None:
    [finding] = _only(patient, fault.check)
    assert fault.told in finding["message"]
    assert finding["command"] == finding["cause"] == ""


def _assert_nothing_is_wrong(patient: Patient) -> None:
    """Run `doctor`, and once more where the server has not finished a change."""
    patient.log_start()  # as instances do on AWS
    ran = patient.doctor()
    if ran.status != 0:
        ran = patient.doctor()
    assert ran.status == 0, ran.output


def _assert_each_object_is_dispatched_once(patients: dict[Fault, Patient]) -> None:
    """Put, tag and delete an object of each fault, and put one by each route, as a fence.

    One after the other, since the server drops events of a burst.
    """
    patient = next(iter(patients.values()))
    s3, expected, objects = patient.aws.client("s3"), list[str](), list[str]()

    def arrived() -> bool:
        bodies = [json.loads(message["Body"]) for message in patient.realm.receive("core")]
        objects.extend(body["parameters"]["object"] for body in bodies)
        return len(objects) >= len(expected)

    patient.warm_up()
    for fault, each in patients.items():
        expected += [f"{each.bucket}/{fault.key}"] * (1 + fault.deletions)
        patient.put(each.bucket, fault.key)
        tags = {"TagSet": [{"Key": "a", "Value": "b"}]}
        s3.put_object_tagging(Bucket=each.bucket, Key=fault.key, Tagging=tags)
        s3.delete_object(Bucket=each.bucket, Key=fault.key)
        wait_until(arrived, f"{expected[-1]}, beyond {objects}", seconds=90)
    for bucket in base_buckets(patient.realm.name):
        # Of the same name, they could be duplicates of those of the fault before.
        expected.append(f"{bucket}/{patient.bucket}.csv")
        patient.put(bucket, f"{patient.bucket}.csv")
        wait_until(arrived, f"{expected[-1]}, beyond {objects}", seconds=90)
    assert sorted(objects) == sorted(expected)


def test_dead_letters_are_given_back_and_the_mapping_is_off_again(patient: Patient) -> None:
    queue, body = f"{patient.function}-dlq", '{"Event": "s3:TestEvent"}'
    patient.aws.client("sqs").send_message(QueueUrl=patient.queue_url(queue), MessageBody=body)
    wait_until(lambda: _only(patient, "dead-letters"), "dead letters to be found")
    run_remedies(patient, patient.doctor("--select", "dead-letters").output)
    wait_until(lambda: not _only(patient, "dead-letters"), "dead letters to be gone")
    assert patient.mapping(queue)["State"] in {"Disabled", "Disabling"}


def _only(patient: Patient, name: str) -> list[dict[str, Any]]:
    return patient.findings("--select", name)


def test_a_log_without_a_start_leaves_the_version_unknown(patient: Patient) -> None:
    logs, group = patient.aws.client("logs"), f"/aws/lambda/{patient.function}"
    for each in logs.describe_log_streams(logGroupName=group)["logStreams"]:
        logs.delete_log_stream(logGroupName=group, logStreamName=each["logStreamName"])

    [finding] = _only(patient, "package-unknown")

    assert finding["severity"] == "info"
    run_remedies(patient, patient.doctor("--select", finding["check"]).output)
    patient.log_start(__version__)  # as the instance does on AWS
    assert not _only(patient, "package-unknown")


IN_ONE_PROCESS: Final = """
    dedup-overwrites entry-errors entry-warnings function-failing function-log-dispatches
    function-observing function-throttles mapping-filter messages-expire package-outdated
"""
"""Found by `tests/cli/test_doctor_checks.py`."""


def test_every_check_has_a_fault_here() -> None:
    """A missing function is found below, and a broken one in `tests/cli/test_doctor.py`."""
    planted = {fault.check for fault in FAULTS} | {"dead-letters", "package-unknown"}
    absent = {"function-missing", "function-broken"}
    assert planted | {*IN_ONE_PROCESS.split()} == CHECKS.keys() - absent


def test_a_function_that_is_missing_is_found(patient: Patient) -> None:
    ran = patient.doctor("--function", "lava-none-s3trigger", "--realm", "none")

    assert ran.status == 1
    assert "function-missing: lava-none-s3trigger: the function does not exist" in ran.output
    assert "$ sam deploy" in ran.output


# --- Rights ---------------------------------------------------------------------------------


# The server asks for this in place of lambda:GetFunctionConcurrency.
ODD_ACTION: Final = "lambda:PutFunctionConcurrency"


def user(patient: Patient, name: str, actions: list[str]) -> dict[str, str]:
    statements = [allow([*actions, ODD_ACTION], "*")] if actions else []
    return make_user(patient.aws, name, statements)


def test_a_role_that_may_read_nothing_is_told_so(patient: Patient) -> None:
    credentials = user(patient, "nobody", [])

    ran = patient.doctor(**credentials)

    assert ran.status == 3
    assert ran.output.count("could not tell ") == len(CHECKS)
    assert "needs lambda:GetFunctionConfiguration" in ran.output
    assert f"{len(CHECKS)} checks could not be made" in ran.output


def test_what_may_not_be_read_is_not_taken_for_good(patient: Patient) -> None:
    actions = pages.doctor_actions()
    credentials = user(patient, "no-iam", [each for each in actions if "iam:" not in each])

    found = patient.found(**credentials)

    checks = {each["check"] for each in found["unreadable"]}
    assert checks == {"queue-policy", "role-permissions", "role-wide"}
    assert {each["action"] for each in found["unreadable"]} == {"iam:ListRolePolicies"}


@pytest.mark.parametrize("name", CHECKS)
def test_each_check_works_with_its_own_rights_alone(patient: Patient, name: str) -> None:
    credentials = user(patient, f"only-{name}", list(CHECKS[name].needs))

    assert patient.found("--select", name, **credentials)["unreadable"] == []


# --- Output ---------------------------------------------------------------------------------


def test_formats_and_thresholds(patient: Patient) -> None:
    hostile = "x\x1b[31m\u202e\n::error::y"
    patient.realm.put("jobs", [{**JOB, "job_id": hostile, "worker": "gone"}])
    select = ("--select", "worker-queue-missing")
    try:
        for more, status in ((), 1), (("--fail-on", "error"), 1), (("--fail-on", "none"), 0):
            ran = patient.doctor(*select, *more)
            assert ran.status == status
            assert not raw(ran.output)
        ran = patient.doctor(*select, "--format", "github")
        assert ran.output.startswith(
            f"::error title=worker-queue-missing::lava-{patient.realm.name}-gone: "
        )
        assert ran.output.count("\n") == 1
        assert not raw(ran.output)
        ran = patient.doctor(*select, "--format", "json")
        assert ran.json()["version"] == 1
        assert ran.output.isascii()
    finally:
        patient.aws.client("dynamodb").delete_item(
            TableName=f"lava.{patient.realm.name}.jobs", Key={"job_id": {"S": hostile}}
        )
