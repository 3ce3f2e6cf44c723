"""A release deploys by the documented commands: CloudFormation alone, from any bucket."""

from __future__ import annotations

import json
import shutil
import zipfile
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.build import direct, record
from tests.docs.pages import fenced, section
from tests.docs.reader import Reader
from tools.archive import checksums
from tools.local.server import CHECKOUT, LocalAws

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.release import Release

pytestmark = [pytest.mark.e2e, pytest.mark.slow("makes releases and deploys them")]

DEPLOYING: Final = CHECKOUT / "docs" / "deploying.md"
FUNCTION: Final = "lava-myrealm-s3trigger"
JOB: Final = {"job_id": "job", "type": "exe", "worker": "core", "payload": "x", "enabled": True}
TRIGGER: Final = {"trigger_id": "t", "bucket": "b", "prefix": "in", "enabled": True}


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory, release: Release) -> Iterator[Reader]:
    """A reader who has deployed a release, on a local AWS server that enforces IAM."""
    with LocalAws(auth=True) as aws:
        reader = Reader(aws, tmp_path_factory.mktemp("reader"))
        reader.realm.make(["core"])
        reader.realm.put("jobs", [JOB])
        aws.client("s3").create_bucket(Bucket="my-code-bucket")
        deploy(reader, release.folder)
        reader.realm.put("s3triggers", [TRIGGER | {"job_id": "job"}])
        yield reader


def deploy(reader: Reader, folder: Path) -> str:
    """Run the commands of the page in the folder of a release."""
    [commands] = fenced(section(DEPLOYING, "From a release"), "sh")
    # The local server has no saved queries.
    commands = commands.replace("Realm=$realm", "Realm=$realm CreateQueries=false")
    assert "CreateQueries" in commands
    return reader.run(f"cd {folder}", commands)


def configuration(reader: Reader) -> Any:
    return reader.aws.client("lambda").get_function_configuration(FunctionName=FUNCTION)


def test_the_deployed_function_dispatches(reader: Reader) -> None:
    answer = reader.aws.client("lambda").invoke(
        FunctionName=FUNCTION, Payload=json.dumps(direct(record("in/a.csv", bucket="b")))
    )
    assert "FunctionError" not in answer, answer["Payload"].read()
    (message,) = reader.realm.receive("core")
    assert json.loads(message["Body"])["job_id"] == "job"


def test_another_release_updates_the_stack(
    reader: Reader, release: Release, tmp_path: Path
) -> None:
    before = configuration(reader)["CodeSha256"]
    text = release.template.read_text().replace(release.zip.name, "s3trigger-99.0.0.zip")
    (tmp_path / "lava-s3trigger-99.0.0.yaml").write_text(text)
    code = shutil.copy(release.zip, tmp_path / "s3trigger-99.0.0.zip")
    with zipfile.ZipFile(code, "a") as archive:
        archive.writestr("next.txt", "the next release")
    (tmp_path / "SHA256SUMS").write_text(checksums(tmp_path))

    deploy(reader, tmp_path)

    assert configuration(reader)["CodeSha256"] != before
    test_the_deployed_function_dispatches(reader)
