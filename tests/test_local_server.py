"""The local AWS server is reached whatever the user's settings are, and its errors are shown."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lava_s3trigger.cli.errors import CommandError
from tools.local import server
from tools.local.server import ACCOUNT, LocalAws


def test_no_setting_of_the_user_keeps_clients_from_the_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text("this is no configuration")
    nowhere, config = "http://127.0.0.1:9", str(tmp_path / "config")
    for name, value in {
        **dict.fromkeys(["HTTP_PROXY", "http_proxy", "ALL_PROXY"], nowhere),
        **dict.fromkeys(["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SQS"], nowhere),
        **dict.fromkeys(["AWS_PROFILE", "AWS_DEFAULT_PROFILE"], "no-such-profile"),
        **dict.fromkeys(["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"], config),
        **dict.fromkeys(["AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"], "true"),
        "AWS_SESSION_TOKEN": "stale",
        "AWS_MAX_ATTEMPTS": "many",
    }.items():
        monkeypatch.setenv(name, value)

    with LocalAws() as aws:
        assert aws.client("sts").get_caller_identity()["Account"] == ACCOUNT
        assert aws.client("s3").list_buckets()["Buckets"] == []


class TestErrors:
    """A server that does not start says why, at once."""

    @pytest.fixture(autouse=True)
    def _at_once(self) -> Iterator[None]:
        started = time.monotonic()
        yield
        assert time.monotonic() - started < 50

    def start(self, monkeypatch: pytest.MonkeyPatch, checkout: Path, script: str) -> str:
        """Start a script in place of the server, and return the error."""
        program = checkout / ".venv-ministack" / "bin" / "ministack"
        program.parent.mkdir(parents=True)
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setattr(server, "CHECKOUT", checkout)
        with pytest.raises(CommandError) as raised, LocalAws():
            pytest.fail("it started")
        return str(raised.value)

    def test_the_output_and_the_status_of_a_server_that_ends_are_shown(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        error = self.start(monkeypatch, tmp_path, "echo the disk is full >&2; exit 3")
        assert "ended with status 3" in error
        assert "the disk is full" in error

    def test_an_error_that_waiting_does_not_mend_is_shown(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(server, "REGION", "no region")
        error = self.start(monkeypatch, tmp_path, "sleep 60")
        assert error.startswith("cannot call the local AWS server: ")
        assert "no region" in error
