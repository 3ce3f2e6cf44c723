"""A user's mistake is one line that names the thing, and what would do."""

import contextlib
import json
import shlex
from pathlib import Path

import pytest

from tests.build import trigger_entry

from .commandline import CommandLine
from .replays import Account


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ("doctor --select x", 2, "no check 'x'; checks: function-missing"),
        ("compare log", 2, "give what to compare with"),
        ("compare log other --dispatches x", 2, "give what to compare with"),
        ("check --realm none", 3, "there is no table lava.none.s3triggers; check the realm"),
        ("explain s3://b/k --size 1 --realm none", 3, "there is no table lava.none.s3triggers"),
        ("tail --since soon\x1b", 2, "--since: 'soon\\x1b' is neither"),
        ("tail --outcome lost", 2, "'lost' is not one of"),
        ("tail --key s3://b/a", 2, "s3://b/a is an S3 URI; patterns are of keys: write a"),
        ("tail --follow --output x", 2, "> FILE"),
        ("tail --realm none", 3, "there is no function lava-none-s3trigger"),
        ("tail", 3, "there is no log group /aws/lambda/lava-"),
        ("history in/a.csv", 2, "in/a.csv: not an object: write s3://BUCKET/KEY"),
        ("history s3://b/k --since x", 2, "--since: 'x' is neither"),
        ("history s3://b/k --versions none.yaml", 3, "none.yaml: there is no such file"),
        ("history s3://b/k --realm none", 3, "there is no function lava-none-s3trigger"),
        ("dead-letters --queue intake", 3, "there is no queue lava-"),
        ("dead-letters redrive --queue intake --trigger t", 2, "SQS moves all messages"),
        ("dead-letters discard", 2, "discard asks before it deletes: give --yes"),
        ("dead-letters discard --explain --yes", 2, "--explain is about redriving"),
        ("dead-letters delete", 2, "'delete' is not one of 'list', 'redrive', 'discard'"),
        ("dead-letters --function none", 3, "there is no function none"),
        ("replay", 2, "no objects: name s3://BUCKET/PREFIX, --inventory FILE or --keys FILE"),
        ("replay my-bucket/in", 2, "my-bucket/in: not an S3 URI: write s3://BUCKET/PREFIX"),
        ("replay 's3://!/in'", 2, 'Parameter validation failed: Invalid bucket name "!": Bucket'),
        ("replay s3:///in", 2, "the bucket is missing: write s3://BUCKET/"),
        ("replay s3://no-such-bucket-here/in/", 3, "AWS refused ListObjectsV2: NoSuchBucket"),
        ("replay --keys none.txt", 3, "none.txt: No such file or directory"),
        ("replay --inventory none.json", 3, "none.json: No such file or directory"),
        ("replay s3://b/ --larger-than '10 potatoes'", 2, "--larger-than: '10 potatoes' is"),
        ("replay s3://b/ --since yesterday", 2, "--since: 'yesterday' is neither a duration"),
        ("replay s3://b/ --until tomorrow", 2, "--until: 'tomorrow' is neither a duration"),
        ("replay s3://b/ --since 2026-03-02 --until 2026-03-01", 2, "-02 is not before --until"),
        ("replay s3://b/ --include 's3://b/in/*'", 2, "patterns are of keys: write in/*"),
        ("replay s3://b/ --batch 0", 2, "'--batch': 0 is not in the range 1<=x<=1000"),
        ("replay s3://b/ --rate 0", 2, "'--rate': 0"),
        ("replay s3://b/ --via mail", 2, "'mail' is not one of"),
        ("replay s3://b/ --missing --settle soon", 2, "--settle: 'soon' is not a duration"),
        ("replay s3://b/ --via s3-batch", 2, "--via s3-batch needs --job-role"),
        ("replay s3://b/ --via s3-batch --rate 5", 2, "S3 Batch Operations keeps no rate"),
        (
            "replay s3://b/ --via s3-batch --job-role r --job-files /tmp/x",
            2,
            "--job-files /tmp/x: write s3://BUCKET/PREFIX/",
        ),
        ("replay --resume", 2, "there is no replay to continue"),
        ("replay --resume s3://b/", 2, "leave out the objects"),
        ("replay --resume --dry-run", 2, "leave out --dry-run"),
        ("replay --resume --restart", 2, "leave out --restart"),
        ("replay s3://b/ --function none", 3, "there is no function none in us-east-1"),
        ("replay s3://b/ --realm other", 3, "there is no function lava-other-s3trigger"),
        ("replay s3://b/ --state /dev/null/x", 3, "/dev/null/x: "),
        (f"replay s3://b/ --include {'x' * 2000}", 2, "--include: a pattern of 2000 characters"),
    ],
)
def test_a_mistake_is_one_line(account: Account, words: str, status: int, said: str) -> None:
    if "redrive" in words:
        account.aws.client("sqs").create_queue(QueueName=f"{account.function}-intake-dlq")
    ran = CommandLine()(*shlex.split(words))
    assert (ran.status, said in ran.errors) == (status, True), ran.errors
    assert len([line for line in ran.errors.splitlines() if line.startswith("Error")]) == 1
    assert account.handed_over() == {}


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ("plan --keys k", 2, "no entries: name the files that would be in the table"),
        ("plan s3://b/ --against new.json", 2, "no entries: name"),
        ("plan new.json", 2, "no objects: give --keys"),
        ("plan new.json --keys keys.txt", 2, "--against"),
        ("plan new.json --since 7d", 2, "--realm"),
        ("plan none --against new.json --keys keys.txt", 3, "none: there is no such file"),
        ("plan empty.json --against new.json --keys keys.txt", 3, "empty.json: no trigger entries"),
        ("plan bad.json --against new.json --keys keys.txt", 3, "bad.json:1"),
        ("plan new.json --against new.json --keys empty.txt", 3, "no objects"),
        (
            "plan new.json --against new.json --inventory keys.txt",
            3,
            "not a file of an S3 Inventory",
        ),
        ("plan new.json --against new.json --keys keys.txt --processes 0", 2, "--processes"),
        ("check", 2, "no entries: name files or folders, or a realm with --realm"),
        ("check nowhere", 3, "nowhere: there is no such file or folder"),
        ("check --format xml .", 2, "'xml' is not one of"),
        ("check --fail-on info .", 2, "'info' is not one of"),
        ("check --explain LT999", 2, "unknown rule 'LT999'; did you mean LT"),
        ("check --select LT2001 .", 2, "unknown rule 'LT2001'; did you mean LT201?"),
        ("check --ignore LT2001 .", 2, "unknown rule 'LT2001'; did you mean LT201?"),
        ("check --select LT201 --ignore LT2 .", 2, "no rule is left"),
        ("check --unsafe-fixes .", 2, "--unsafe-fixes goes with --fix or --diff"),
        ("check --fix -", 2, "--fix cannot write to standard input"),
        ("check --fix --realm prod", 2, "--fix and --diff correct files"),
        ("check --explain LT201 --output no/file", 3, "no/file: No such file"),
        ("test", 2, "no entries: name files or folders, or a realm with --realm (LAVA_REALM)"),
        ("test latin.json", 3, "latin.json:1: this is not UTF-8"),
        ("test nowhere", 3, "nowhere: there is no such file or folder"),
        ("test new.json", 3, "no cases: none of "),
        ("test new.json --cases nowhere", 3, "nowhere: there is no such file or folder"),
        ("test new.json --format xml", 2, "'xml' is not one of"),
        ("test new.json again.json", 3, "another entry has the trigger_id 't' as well"),
        ("explain", 2, "nothing to explain: give an object, s3://BUCKET/KEY, or a payload"),
        ("explain s3://b/k --event x.json", 2, "both an object and a payload"),
        ("explain b/k --triggers new.json", 2, "b/k: not an object"),
        ("explain s3:///k --triggers new.json", 2, "the bucket is missing"),
        (f"explain s3://b/{'k' * 1025} --triggers new.json", 2, "the key has 1025 bytes"),
        ("explain s3://b/k", 2, "no entries: give files with --triggers, or a realm"),
        ("explain s3://b/k --triggers none.yaml", 3, "none.yaml: there is no such file"),
        ("explain s3://b/k --triggers bad.json", 3, "bad.json:1:"),
        ("explain --event none.json --triggers new.json", 3, "none.json: No such file"),
        ("explain --event . --triggers new.json", 3, "Is a directory"),
        ("explain --event bad.json --triggers new.json", 3, "bad.json:1:2: this is not JSON"),
        ("explain --event latin.json --triggers new.json", 3, "this is not UTF-8"),
        ("explain --event deep.json --triggers new.json", 3, "nested too deeply"),
        ("explain --event digits.json --triggers new.json", 3, "digits.json: Exceeds the limit"),
        ("explain --event - --triggers -", 2, "standard input, -, is named twice"),
        ("explain --event x --size 1", 2, "--size is about an object"),
        ("explain s3://b/k --size 10kb", 2, "'10kb' is not a size such as 10, 10KB"),
        ("explain s3://b/k --size 1e999", 2, "'1e999' is not a size"),
        ("explain s3://b/k --time 0001-01-01T00:00:00+10:00", 2, "is not a time"),
        ("event b/k", 2, "b/k: not an object: write s3://BUCKET/KEY"),
        ("event s3://b", 2, "s3://b: the key is missing"),
        ("event s3://b/k --route post", 2, "'post' is not one of"),
        ("event s3://b/k --event-type ObjectCreated:Putt", 2, "did you mean ObjectCreated:Put?"),
        ("event s3://b/k --size -1", 2, "'-1' is not a size: an object has 0 bytes or more"),
        ("event s3://b/k --time soon", 2, "'soon' is not a time in ISO 8601, such as"),
        ("event s3://b/k --source-ip here", 2, "'here' is not an IP address"),
        ("event s3://b/k --count 0", 2, "0 is not in the range"),
        ("event s3://b/k --schema-version 2.0", 2, "goes with --route s3-batch, not with s3"),
        ("event s3://b/k --route eventbridge --count 2", 2, "with one event"),
        ("event s3://b/k --output no/such/folder", 3, "no/such/folder: No such file"),
        ("event s3://b/k --profile none", 2, "(none) could not be found"),
        ("event s3://b/k --endpoint-url http://127.0.0.1:9", 3, ""),
    ],
)
def test_a_mistake_with_files_is_one_line(
    line: CommandLine, tmp_path: Path, words: str, status: int, said: str
) -> None:
    entries = json.dumps([trigger_entry()])
    for name, text in {"new.json": entries, "again.json": entries, "empty.json": "[]"}.items():
        (tmp_path / name).write_text(text)
    for name, text in {"bad.json": "{", "keys.txt": "s3://b/in/a\n", "empty.txt": "\n"}.items():
        (tmp_path / name).write_text(text)
    for name, text in {"deep.json": "[" * 200_000, "digits.json": "9" * 5_000}.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "latin.json").write_bytes(b'"\xe9"')
    with contextlib.chdir(tmp_path):
        ran = line(*words.split())
    assert (ran.status, ran.output) == (status, "")
    assert said in ran.errors
    assert len([each for each in ran.errors.splitlines() if each.startswith("Error")]) == 1
