"""The built package: it runs in an interpreter that has nothing but Python."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from lava_s3trigger.cli.localaws import CHECKOUT, REGION

if TYPE_CHECKING:
    from lava_s3trigger.cli.localaws import LocalAws
    from lava_s3trigger.cli.realm import Realm

PACKAGE: Final = CHECKOUT / "build" / "package"
RUN: Final = """
import json, sys
sys.path.insert(0, sys.argv[1])
import {module}
with open(sys.argv[2]) as file:
    print(json.dumps({module}.lambda_handler(json.load(file), None)))
foreign = [name for name, each in sys.modules.items() if "site-packages" in str(each)]
assert not foreign, foreign
"""


def interpreters() -> list[str]:
    """Return this interpreter, and the deployed runtime's where this machine has it."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    runtime = [*versions.glob("3.13*/bin/python3.13"), shutil.which("python3.13")]
    found = [sys.executable, *[str(each) for each in runtime if each]]
    return [each for each in dict.fromkeys(found) if Path(each).parent.name != "shims"]


@pytest.mark.parametrize("python", interpreters(), ids=lambda path: str(Path(path).resolve().name))
class TestPackage:
    """The built package contains everything that it needs."""

    @pytest.mark.parametrize("module", ["s3trigger", "lava_s3trigger.handler"])
    def test_the_package_dispatches(
        self, python: str, module: str, aws: LocalAws, realm: Realm
    ) -> None:
        job = {"job_id": "job", "type": "exe", "worker": "core", "payload": "x", "enabled": True}
        realm.put("jobs", [job])
        trigger = {"trigger_id": "t", "bucket": "my-bucket", "prefix": "*", "enabled": True}
        rendered = {"key": "{{ utils.path.basename(key) }}"}
        realm.put("s3triggers", [trigger | {"job_id": "job", "parameters": rendered}])
        done = subprocess.run(
            [
                *(python, "-I", "-S", "-c", RUN.format(module=module)),
                *(str(PACKAGE), str(CHECKOUT / "events" / "s3-created.json")),
            ],
            env={
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_ENDPOINT_URL": aws.endpoint,
                "AWS_LAMBDA_FUNCTION_NAME": "as in Lambda",
                "AWS_REGION": REGION,
                "AWS_SECRET_ACCESS_KEY": "test",
                "LAVA_REALM": realm.name,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, "null\n"), done.stderr
        (message,) = realm.receive("core")
        assert json.loads(message["Body"])["parameters"] == {"key": "order+1.csv"}

    def test_bad_settings_stop_the_package_with_one_line(self, python: str) -> None:
        done = subprocess.run(
            [python, "-I", "-S", "-c", RUN.format(module="s3trigger"), str(PACKAGE), ""],
            env={"AWS_LAMBDA_FUNCTION_NAME": "x", "LAVA_REALM": "r", "LOGLEVEL": "loud"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].endswith(
            "LOGLEVEL is 'loud': it must be one of debug, info, warning, error, critical"
        )


class TestContents:
    """The package has what the function needs, for every architecture, and nothing else."""

    def test_the_package_is_pure_python(self) -> None:
        assert not list(PACKAGE.rglob("*.so"))

    def test_the_package_lacks_the_command_line(self) -> None:
        names = {path.name for path in PACKAGE.iterdir()}
        assert not names & {"click", "rich", "yaml", "boto3", "pytest"}
        assert not (PACKAGE / "lava_s3trigger" / "cli").exists()
