"""A mistake in a command that reads a log or a queue is one line that names the thing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .commandline import CommandLine

if TYPE_CHECKING:
    from .replays import Account


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ("doctor --select x", 2, "no check 'x'; checks: function-missing"),
        ("compare log", 2, "give what to compare with"),
        ("compare log other --dispatches x", 2, "give what to compare with"),
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
    ],
)
def test_a_mistake_is_one_line(account: Account, words: str, status: int, said: str) -> None:
    if "redrive" in words:
        account.aws.client("sqs").create_queue(QueueName=f"{account.function}-intake-dlq")
    ran = CommandLine()(*words.split())
    assert (ran.status, said in ran.errors) == (status, True), ran.errors
    assert len([line for line in ran.errors.splitlines() if line.startswith("Error")]) == 1
