"""A release deploys by the documented commands, and is updated under load."""

import json
import shutil
import threading
import zipfile
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tests.build import BUCKET, job_entry, trigger_entry
from tests.docs.pages import CONNECTING, DEPLOYING, fenced, section
from tests.docs.reader import Reader
from tests.processes import wait_until
from tests.release import Release
from tools.archive import checksums
from tools.local.server import LocalAws

from .conftest import keys_arrive

pytestmark = [pytest.mark.e2e, pytest.mark.slow("deploys, updates under load, and removes")]

FUNCTION: Final = "lava-myrealm-s3trigger"
# The local server knows no saved queries.
PARAMETERS: Final = "CreateIntake=true AlarmEmail=ops@example.com CacheTtl=0 CreateQueries=false"
FOLDER: Final = "incoming/orders"
UNDER_LOAD: Final = 60


@pytest.fixture(scope="module")
def reader(
    empty_aws: LocalAws, tmp_path_factory: pytest.TempPathFactory, release: Release
) -> Reader:
    """A reader of the pages who has deployed a release by CloudFormation alone."""
    reader = Reader(empty_aws, tmp_path_factory.mktemp("reader"))
    reader.realm.make(["core"])
    for bucket in ("my-code-bucket", BUCKET):
        empty_aws.client("s3").create_bucket(Bucket=bucket)
    deploy(reader, release.folder)
    reader.realm.put("jobs", [job_entry()])
    entry = trigger_entry("orders", FOLDER, parameters={"key": "{{ key }}"})
    reader.realm.put("s3triggers", [entry])
    client = empty_aws.client("lambda")
    mappings = client.list_event_source_mappings(FunctionName=FUNCTION)["EventSourceMappings"]
    [uuid] = [
        each["UUID"] for each in mappings if each["EventSourceArn"].endswith("-s3trigger-dlq")
    ]
    client.update_event_source_mapping(UUID=uuid, Enabled=False)  # which the server does not do
    for _ in range(3):  # the server throttles a cold burst
        client.invoke(FunctionName=FUNCTION, Payload=b'{"Records": []}')
    _, names = fenced(section(CONNECTING, "Before you start"), "sh")
    reader.know(names)
    return reader


def deploy(reader: Reader, folder: Path) -> None:
    """Run the commands of the page in the folder of a release, with parameters of a team."""
    [commands] = fenced(section(DEPLOYING, "From a release"), "sh")
    assert commands.rstrip().endswith("CodeBucket=$code")
    reader.run(f"cd {folder}", f"{commands.rstrip()} {PARAMETERS}")


def put(reader: Reader, name: str) -> str:
    """Put an object; return its key."""
    key = f"{FOLDER}/{name}"
    reader.put(key)
    return key


def next_release(release: Release, folder: Path) -> Path:
    """Make a later release out of one, in a folder."""
    text = release.template.read_text().replace(release.zip.name, "s3trigger-99.0.0.zip")
    (folder / "lava-s3trigger-99.0.0.yaml").write_text(text)
    code = shutil.copy(release.zip, folder / "s3trigger-99.0.0.zip")
    with zipfile.ZipFile(code, "a") as archive:
        archive.writestr("next.txt", "the next release")
    (folder / "SHA256SUMS").write_text(checksums(folder))
    return folder


class TestOperation:
    """A release is deployed by the commands of the page, and another one in its place."""

    def test_a_release_dispatches(self, reader: Reader) -> None:
        [_, *connect] = fenced(section(CONNECTING, "SQS"), "sh")
        reader.run(*[each for each in connect if "start-message-move-task" not in each])
        keys_arrive(reader.realm, put(reader, "first.csv"))

    def test_an_update_under_load_loses_nothing(
        self, reader: Reader, release: Release, tmp_path: Path
    ) -> None:
        client = reader.aws.client("lambda")
        before = client.get_function_configuration(FunctionName=FUNCTION)["CodeSha256"]
        folder = next_release(release, tmp_path)
        # What fails during the update comes again after this time, not after six minutes.
        reader.aws.client("sqs").set_queue_attributes(
            QueueUrl=reader.queue_url(f"{FUNCTION}-intake"), Attributes={"VisibilityTimeout": "5"}
        )
        update = threading.Thread(target=partial(deploy, reader, folder))
        update.start()
        keys: list[str] = []
        while update.is_alive() or len(keys) < UNDER_LOAD:
            keys.append(put(reader, f"load/{len(keys)}.csv"))
        update.join()
        assert client.get_function_configuration(FunctionName=FUNCTION)["CodeSha256"] != before

        found: list[str] = []

        def all_arrived() -> bool:
            bodies = [json.loads(each["Body"]) for each in reader.realm.receive("core")]
            found.extend(each["parameters"]["key"] for each in bodies)
            return set(keys) <= set(found)

        wait_until(all_arrived, f"{len(keys)} dispatches")
        assert set(found) == set(keys)
        assert reader.waiting(f"{FUNCTION}-dlq") == 0
