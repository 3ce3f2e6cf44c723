"""etc/s3lambda.sh, run as its users run it: its output, its AWS calls, its failures."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote_plus

import pytest

from tests.build import Json, s3_record
from tests.cli.cannedaws import Answer, CannedAws, Request, refusal
from tools.local.server import CHECKOUT, LocalAws

pytestmark = [pytest.mark.e2e, pytest.mark.slow("runs the script and the AWS CLI many times")]

SCRIPT = CHECKOUT / "etc" / "s3lambda.sh"
REGION: Final = "ap-southeast-2"
BUCKET = "script-bucket"
NONE_FOUND: Final = "s3lambda.sh: no objects found\n"

Ran = subprocess.CompletedProcess[str]
Run = Callable[..., Ran]

FIRST_PAGE: Final = """<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>true</IsTruncated>
<EncodingType>url</EncodingType><NextContinuationToken>second</NextContinuationToken><Contents>
<Key>a+b.csv</Key><LastModified>2022-01-30T16:18:17.000Z</LastModified><ETag>"8d77"</ETag>
<Size>4</Size></Contents></ListBucketResult>
"""
HOSTILE_KEYS: Final = [
    *("a b.csv", " leading and trailing space ", "a+b.csv", "a%2Bb.csv", "100%.csv"),
    *("\"double\" and 'single' quotes.csv", "new\nline.csv", "carriage\rreturn.csv", "tab\t.csv"),
    "control\x01character.csv",  # which XML 1.0 cannot hold
    *("back\\slash\\n.csv", "$(touch injected) `touch injected` ${HOME}.csv", "<&amp;>;|.csv"),
    *("emoji-🎉-é-e\u0301.csv", "noncharacter-\ufffe.csv", "/leading/slash.csv"),
    *("double//slash.csv", "glob*[a-z]?!(x).csv", "-b", "file:///etc/hostname", "None", "x" * 1024),
]


@pytest.fixture(scope="module")
def s3(aws: LocalAws) -> Any:
    """A client of S3; the buckets are in the region in which the script runs."""
    client = aws.client("s3")
    for name in (BUCKET, "hostile-bucket"):
        location = {"LocationConstraint": REGION}
        client.create_bucket(Bucket=name, CreateBucketConfiguration=location)
    return client


@pytest.fixture(scope="module")
def orders(s3: Any) -> str:
    """The prefix of twelve objects, order-01.csv to order-12.csv, and an empty one."""
    for number in range(1, 13):
        s3.put_object(Bucket=BUCKET, Key=f"orders/order-{number:02}.csv", Body=b"x" * number)
    s3.put_object(Bucket=BUCKET, Key="orders/", Body=b"")
    return "orders/"


@pytest.fixture(scope="module")
def many(s3: Any) -> str:
    """The prefix of 1,100 objects, whose records have 2.5 MB together."""
    keys = [f"many/{number:04}-{'é' * 300}" for number in range(1100)]
    with ThreadPoolExecutor(max_workers=3) as pool:
        list(pool.map(lambda key: s3.put_object(Bucket=BUCKET, Key=key, Body=b"x"), keys))
    return "many/"


class Lambda(CannedAws):
    """An endpoint that answers as Lambda does, and records its requests."""

    def __init__(self) -> None:
        super().__init__()
        self.function_error: dict[str, str] = {}
        self.refuse_after: int | None = None
        self.invocations: list[Request] = []
        self.handlers["POST", "/invocations"] = self._invoke

    def _invoke(self, request: Request) -> Answer:
        if self.refuse_after == len(self.invocations):
            return refusal(403, "AccessDeniedException", "not\nyours")
        self.invocations.append(request)
        return Answer(202, b"", self.function_error)


@pytest.fixture
def fake_lambda() -> Iterator[Lambda]:
    with Lambda() as server:
        yield server


@pytest.fixture
def pauses(tmp_path: Path) -> Path:
    """A file with the pauses that the script made, each of which took no time."""
    return tmp_path / "pauses"


@pytest.fixture
def run(aws: LocalAws, fake_lambda: Lambda, tmp_path: Path, pauses: Path) -> Run:
    """The script, as a function of its arguments and of what else is in the environment."""
    stubs = tmp_path / "bin"
    stubs.mkdir()
    sleep = stubs / "sleep"
    sleep.write_text(f"#!/bin/sh\necho \"$1\" >>'{pauses}'\n")
    sleep.chmod(0o755)
    pauses.touch()

    def script(*arguments: str, **environment: str) -> Ran:
        path = f"{Path(sys.executable).parent}:{stubs}:{os.environ['PATH']}"
        return subprocess.run(
            ["/usr/bin/env", "bash", SCRIPT, *arguments],
            env={
                "PATH": path,
                "HOME": str(tmp_path),
                "LC_ALL": "C",
                "NO_PROXY": "127.0.0.1",
                "AWS_EC2_METADATA_DISABLED": "true",
                "AWS_ENDPOINT_URL": aws.endpoint,
                "AWS_ENDPOINT_URL_LAMBDA": fake_lambda.url,
                "AWS_REGION": REGION,
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                **environment,
            },
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return script


def payloads(result: Ran) -> list[Json]:
    assert (result.returncode, result.stderr) in ((0, ""), (0, NONE_FOUND))
    return [json.loads(line) for line in result.stdout.splitlines()]


def records(found: list[Json]) -> list[Json]:
    return [record for payload in found for record in payload["Records"]]


def keys(found: list[Json]) -> list[str]:
    return [unquote_plus(record["s3"]["object"]["key"]) for record in records(found)]


def numbers(found: list[Json]) -> list[int]:
    """Which of the orders were found."""
    return [int(key.removesuffix(".csv")[-2:]) for key in keys(found)]


class TestRecords:
    """A record is what S3 sends when the object is put."""

    def test_a_record_has_the_fields_that_s3_sends(self, run: Run, s3: Any) -> None:
        s3.put_object(Bucket=BUCKET, Key="flowers/red flower+é@.jpg", Body=b"1234567")
        [record] = records(payloads(run(BUCKET, "flowers/")))
        stored = s3.list_objects_v2(Bucket=BUCKET, Prefix="flowers/")["Contents"][0]
        time_of_object = stored["LastModified"].isoformat(timespec="milliseconds")
        sequencer = record["s3"]["object"].pop("sequencer")
        owner, key = {"principalId": "s3lambda.sh"}, "flowers/red+flower%2B%C3%A9%40.jpg"
        expected = s3_record(
            eventTime=time_of_object.replace("+00:00", "Z"),
            userIdentity=owner,
            requestParameters={"sourceIPAddress": "127.0.0.1"},
            responseElements=dict.fromkeys(["x-amz-request-id", "x-amz-id-2"], "s3lambda.sh"),
        )
        expected["s3"] |= {
            "configurationId": "s3lambda.sh",
            "bucket": {"name": BUCKET, "ownerIdentity": owner, "arn": f"arn:aws:s3:::{BUCKET}"},
            "object": {"key": key, "size": 7, "eTag": stored["ETag"].strip('"')},
        }

        assert int(sequencer[:10], 16) == int(stored["LastModified"].timestamp())
        assert record == expected

    def test_hostile_keys_are_printed_unchanged(self, run: Run, s3: Any, tmp_path: Path) -> None:
        for key in HOSTILE_KEYS:
            s3.put_object(Bucket="hostile-bucket", Key=key, Body=b"x")

        # -g takes every key through bash; LC_ALL=C is the hardest place for that.
        found = keys(payloads(run("-g", "*", "hostile-bucket", "")))
        assert sorted(found) == sorted(HOSTILE_KEYS)
        assert not (tmp_path / "injected").exists()

    def test_hostile_prefixes_find_their_keys(self, run: Run, s3: Any, tmp_path: Path) -> None:
        # An argument of the CLI like the last one names a file.
        prefixes = ["'\"\n$(touch injected)", "é-🎉", "-b", "file:///etc/"]
        expected = [f"{prefix}x" for prefix in prefixes]  # in the order of the prefixes
        for key in expected:
            s3.put_object(Bucket=BUCKET, Key=key, Body=b"x")

        assert keys(payloads(run(BUCKET, *prefixes))) == expected
        assert not (tmp_path / "injected").exists()

    def test_all_pages_of_the_list_are_read(self, run: Run, many: str) -> None:
        found = keys(payloads(run("-b", "100", BUCKET, many)))
        assert len(found) == len(set(found)) == 1100

    def test_the_region_can_come_from_the_profile(
        self, run: Run, tmp_path: Path, orders: str
    ) -> None:
        config = tmp_path / "config"
        config.write_text("[default]\nregion = cn-north-1\noutput = table\n")
        result = run(BUCKET, f"{orders}order-01", AWS_REGION="", AWS_CONFIG_FILE=str(config))
        [record] = records(payloads(result))
        assert record["awsRegion"] == "cn-north-1"
        assert record["s3"]["bucket"]["arn"] == f"arn:aws-cn:s3:::{BUCKET}"


class TestSelection:
    """Prefixes, -g and -z select the objects."""

    @pytest.mark.parametrize(
        ("pattern", "expected"),
        [
            ("*.csv", range(1, 13)),
            ("order-01.csv", []),  # the whole key must match
            ("orders/order-?[1-3].csv", [1, 2, 3, 11, 12]),
            ("*-@(04|11).csv", [4, 11]),
            ("!(*-0*)", [10, 11, 12]),
            (r"orders\/order-05.csv", [5]),
        ],
    )
    def test_only_keys_that_match_the_pattern_are_selected(
        self, run: Run, orders: str, pattern: str, expected: list[int]
    ) -> None:
        found = payloads(run("-g", pattern, BUCKET, f"{orders}order"))
        assert numbers(found) == list(expected)

    def test_empty_objects_are_skipped_unless_asked_for(
        self, run: Run, s3: Any, orders: str
    ) -> None:
        assert s3.head_object(Bucket=BUCKET, Key=orders)["ContentLength"] == 0
        assert keys(payloads(run(BUCKET, orders)))[0] == f"{orders}order-01.csv"
        assert keys(payloads(run("-z", BUCKET, orders)))[0] == orders

    def test_an_empty_selection_is_reported(self, run: Run, fake_lambda: Lambda) -> None:
        result = run("-l", "f", BUCKET, "nothing/here/")
        assert (result.returncode, result.stdout, result.stderr) == (0, "", NONE_FOUND)
        assert fake_lambda.invocations == []


class TestBatches:
    """A payload holds no more records than -b says, and no more bytes than Lambda takes."""

    @pytest.mark.parametrize(("options", "expected"), [([], [5, 5, 2]), (["-b", "12"], [12])])
    def test_the_batch_size_divides_the_records(
        self, run: Run, orders: str, options: list[str], expected: list[int]
    ) -> None:
        found = payloads(run(*options, BUCKET, orders))
        assert [len(payload["Records"]) for payload in found] == expected
        assert numbers(found) == list(range(1, 13))

    def test_a_payload_too_big_for_lambda_is_divided(
        self, run: Run, many: str, fake_lambda: Lambda
    ) -> None:
        result = run("-l", "f", "-b", "5000", BUCKET, many)
        assert (result.returncode, result.stderr) == (0, "")
        sizes = [len(invocation.body) for invocation in fake_lambda.invocations]
        assert [size > 900_000 for size in sizes] == [True, True, False]
        assert max(sizes) <= 1_000_000
        sent = [invocation.json() for invocation in fake_lambda.invocations]
        assert len(set(keys(sent))) == 1100


def test_the_function_is_invoked_asynchronously_with_the_printed_payloads(
    run: Run, orders: str, fake_lambda: Lambda, pauses: Path
) -> None:
    printed = payloads(run(BUCKET, orders))
    assert fake_lambda.invocations == []
    assert pauses.read_text() == ""

    result = run("-l", "my-function", BUCKET, orders)
    assert (result.returncode, result.stderr) == (0, "")
    told = [f"my-function: payload {number} of 3 accepted" for number in (1, 2, 3)]
    assert result.stdout.splitlines() == told
    path = "/2015-03-31/functions/my-function/invocations"
    for each, payload in zip(fake_lambda.invocations, printed, strict=True):
        assert (each.path, each.headers["x-amz-invocation-type"]) == (path, "Event")
        assert each.json() == payload
    assert pauses.read_text().split() == ["2", "2"]

    result = run("-l", "f", "-b", "6", "-s", "0.5", BUCKET, orders)
    assert result.stdout.count("accepted") == 2
    assert pauses.read_text().split() == ["2", "2", "0.5"]


class TestFailures:
    """A failure stops the script, with one line on stderr and a status."""

    def assert_failed(self, result: Ran, *words: str, status: int = 1) -> None:
        [line] = result.stderr.splitlines()
        assert (result.returncode, line[:13]) == (status, "s3lambda.sh: ")
        assert [word for word in words if word not in result.stderr] == []

    def test_a_missing_bucket_is_reported(self, run: Run) -> None:
        result = run("no-such-bucket", "incoming/\n")
        assert result.stdout == ""
        self.assert_failed(result, "cannot list no-such-bucket", "NoSuchBucket")

    def test_a_missing_function_is_reported(self, run: Run, aws: LocalAws, orders: str) -> None:
        result = run("-l", "none", BUCKET, orders, AWS_ENDPOINT_URL_LAMBDA=aws.endpoint)
        assert result.stdout == ""
        self.assert_failed(result, "cannot invoke none", "1 of 3", "ResourceNotFoundException")

    def test_a_refused_or_failed_invocation_stops_the_rest(
        self, run: Run, orders: str, fake_lambda: Lambda
    ) -> None:
        fake_lambda.refuse_after = 1
        result = run("-l", "f", BUCKET, orders)
        assert result.stdout == "f: payload 1 of 3 accepted\n"
        assert len(fake_lambda.invocations) == 1
        self.assert_failed(result, "payload 2 of 3", "AccessDeniedException", "not yours")

        fake_lambda.refuse_after = None
        fake_lambda.function_error = {"X-Amz-Function-Error": "Unhandled"}
        result = run("-l", "f", BUCKET, orders)
        assert len(fake_lambda.invocations) == 2
        self.assert_failed(result, "function f failed with payload 1 of 3: Unhandled")

    def test_nothing_is_sent_if_a_page_of_the_list_fails(
        self, run: Run, fake_lambda: Lambda
    ) -> None:
        error = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
        with CannedAws() as pages:
            pages.handlers["GET", "continuation-token"] = lambda _: Answer(403, error)
            pages.handlers["GET", ""] = lambda _: Answer(200, FIRST_PAGE.encode())
            result = run("-l", "f", BUCKET, "a", AWS_ENDPOINT_URL_S3=pages.url)
        self.assert_failed(result, "AccessDenied")
        assert fake_lambda.invocations == []

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ([], "a bucket and a prefix"),
            (["my-bucket"], "a bucket and a prefix"),
            (["-b", "0", "my-bucket", "x"], "-b needs a whole number"),
            (["-b", "1.5", "my-bucket", "x"], "not 1.5"),
            (["-b", "", "my-bucket", "x"], "not ''"),
            (["-b", "a\nb", "my-bucket", "x"], r"not $'a\nb'"),
            (["-s", "-1", "my-bucket", "x"], "-s needs a number"),
            (["-s", "1m", "my-bucket", "x"], "-s needs a number"),
            (["-g", "", "my-bucket", "x"], "-g needs a pattern"),
            (["-l", "", "my-bucket", "x"], "-l needs the name"),
            (["-b"], "-b needs a value"),
            (["-x", "my-bucket", "x"], "no such option: -x"),
        ],
        ids=ascii,
    )
    def test_misuse_is_explained(self, run: Run, arguments: list[str], words: str) -> None:
        self.assert_failed(run(*arguments), words, "s3lambda.sh -h", status=2)

    @pytest.mark.parametrize(
        ("there", "words"), [("python3", "install the AWS CLI"), ("aws", "install Python 3")]
    )
    def test_a_missing_program_is_named(
        self, run: Run, tmp_path: Path, there: str, words: str
    ) -> None:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        for name in (there, "bash"):
            (tmp_path / name).symlink_to(shutil.which(name, path=path) or "")
        self.assert_failed(run(BUCKET, "x", PATH=str(tmp_path)), words)

    def test_an_unknown_region_is_reported(self, run: Run) -> None:
        self.assert_failed(run(BUCKET, "x", AWS_REGION=""), "set AWS_REGION\n")
        result = run(BUCKET, "x", AWS_REGION="", AWS_PROFILE="gone")
        self.assert_failed(result, "(The config profile (gone)")


@pytest.mark.parametrize("arguments", [["-h"], ["-b", "10", "--help"]])
def test_help_explains_each_option(arguments: list[str], run: Run) -> None:
    shown = run(*arguments)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert all(f"\n  -{option} " in shown.stdout for option in "hlbsgz")
