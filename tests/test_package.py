"""The built package, and how it is built."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tools.local.server import CHECKOUT, REGION

if TYPE_CHECKING:
    from tools.local.realm import Realm
    from tools.local.server import LocalAws

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


def dispatched(
    python: str, module: str, package: Path, aws: LocalAws, realm: Realm
) -> dict[str, Any]:
    """Run a package with a sample event in a clean interpreter; return what it dispatches."""
    done = subprocess.run(
        [
            *(python, "-I", "-B", "-S", "-c", RUN.format(module=module)),
            *(package, CHECKOUT / "events" / "s3-created.json"),
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
    body: dict[str, Any] = json.loads(message["Body"])
    return body


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
        message = dispatched(python, module, PACKAGE, aws, realm)
        assert message["parameters"] == {"key": "order+1.csv"}

    def test_bad_settings_stop_the_package_with_one_line(self, python: str) -> None:
        done = subprocess.run(
            [python, "-I", "-B", "-S", "-c", RUN.format(module="s3trigger"), str(PACKAGE), ""],
            env={"AWS_LAMBDA_FUNCTION_NAME": "x", "LAVA_REALM": "r", "LOGLEVEL": "loud"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].endswith(
            "LOGLEVEL is 'loud': it must be one of debug, info, warning, error, critical"
        )


WRAPPED: Final = """
import sys
sys.path[:0] = sys.argv[1:3]
import s3trigger, botocore, lava_s3trigger.handler as handler
handler.make_clients(region_name="us-east-1")
assert botocore.__file__.startswith(sys.argv[1]), botocore.__file__
extra = [name for name in sys.modules if "original" in name or name == "importlib.metadata"]
assert not extra, extra
import boto3
s3 = boto3.client("s3", region_name="us-east-1", endpoint_url=sys.argv[3])
s3.create_bucket(Bucket="wrapped")
s3.put_object(Bucket="wrapped", Key="a", Body=b"text")
print(s3.get_object(Bucket="wrapped", Key="a")["Body"].read().decode())
print(len(list(s3.get_paginator("list_objects_v2").paginate(Bucket="wrapped"))))
boto3.client("sts", region_name="us-east-1")
boto3.resource("s3", region_name="us-east-1")
boto3.client("sqs", region_name="us-east-1").send_message_batch.__doc__
import boto3.docs.docstring
from botocore.docs import DEPRECATED_SERVICE_NAMES, generate_docs
from urllib3.http2 import inject_into_urllib3
"""
"""What a wrapper of the function does: the package first on the path, a whole boto3 second."""


@pytest.mark.parametrize("python", interpreters(), ids=lambda path: str(Path(path).resolve().name))
class TestWrappers:
    """A layer or wrapper may import boto3, although the package has parts of botocore alone."""

    def run(self, python: str, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [python, "-I", "-B", "-S", "-c", code, str(PACKAGE), *arguments],
            env={"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"},
            capture_output=True,
            text=True,
            check=False,
        )

    def test_boto3_works_behind_the_package(self, python: str, aws: LocalAws) -> None:
        import boto3  # noqa: PLC0415 - to know where it is

        whole = str(Path(boto3.__file__).parents[1])

        done = self.run(python, WRAPPED, whole, aws.endpoint)

        assert (done.returncode, done.stdout) == (0, "text\n1\n"), done.stderr

    def test_without_a_whole_botocore_the_error_says_why(self, python: str) -> None:
        code = (
            "import sys; sys.path.insert(0, sys.argv[1]); import botocore.session;"
            "botocore.session.get_session().create_client('s3', region_name='us-east-1')"
        )

        done = self.run(python, code)

        assert done.returncode == 1
        said = done.stderr.splitlines()[-1]
        assert "Unknown service: 's3'" in said
        assert "This is the botocore of lava_s3trigger" in said


class TestWithoutTheCommandLine:
    """Without the extra ``cli``, the command says which one it needs."""

    @pytest.mark.parametrize(
        "code",
        [
            "import runpy; runpy.run_module('lava_s3trigger', run_name='__main__', alter_sys=True)",
            "import pkgutil; pkgutil.resolve_name(sys.argv[3])()",
        ],
        ids=["python-m", "lava-s3trigger"],
    )
    def test_the_command_names_the_extra(self, code: str) -> None:
        project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
        # The dependencies of the function alone, as `pip install .` installs them.
        path = "import sys; sys.path[:0] = sys.argv[1:3];"

        done = subprocess.run(
            [
                *(sys.executable, "-I", "-B", "-S", "-c", path + code, str(CHECKOUT), str(PACKAGE)),
                project["scripts"]["lava-s3trigger"],
            ],
            capture_output=True,
            text=True,
            check=False,
        )

        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == (
            "Error: the command line needs click, which is not installed."
            " Run: pip install 'lava-s3trigger[cli]'\n"
        )


class Builder:
    """Runs the build."""

    def __call__(self, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
        uv = CHECKOUT / ".venv-uv" / "bin" / "uv"
        return subprocess.run(
            [sys.executable, "tools/package.py", "--uv", str(uv), str(folder)],
            cwd=CHECKOUT,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )


def checksums(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.slow("builds packages")
class TestBuild:
    """The build gives the same package everywhere, or says why it gives none."""

    def test_two_folders_hold_the_same_bytes(self, tmp_path: Path) -> None:
        one, two = tmp_path / "one", tmp_path / "deeper" / "two"

        for folder in (one, two):
            assert Builder()(folder).returncode == 0

        assert checksums(one) == checksums(two)
        assert any(name.endswith(".pyc") for name in checksums(one))

    def test_a_build_that_fails_leaves_the_old_package_and_one_line(self, tmp_path: Path) -> None:
        folder = tmp_path / "package"
        folder.mkdir()
        (folder / "old.py").write_text("pass\n")

        done = Builder()(folder, UV_OFFLINE="1", UV_NO_CACHE="1")

        assert (done.returncode, done.stdout) == (1, "")
        (line,) = done.stderr.splitlines()
        assert line.startswith("cannot build the package: cannot install the dependencies: ")
        assert "network" in line
        assert [path.name for path in tmp_path.rglob("*")] == ["package", "old.py"]

    def test_a_build_replaces_the_old_package(self, tmp_path: Path) -> None:
        folder = tmp_path / "package"
        folder.mkdir()
        (folder / "old.py").write_text("pass\n")

        assert Builder()(folder).returncode == 0

        assert [path.name for path in tmp_path.iterdir()] == ["package"]
        assert (folder / "s3trigger.py").exists()
        assert not (folder / "old.py").exists()

    @pytest.mark.skipif(
        sys.version_info[:2] == (3, 13),
        reason="what builds the package here is the Python that compiles it",
    )
    def test_a_package_without_bytecode_is_reported_where_sam_build_shows_it(
        self, tmp_path: Path
    ) -> None:
        """`sam build` shows the standard output of a build, and its errors only if it fails."""
        folder = tmp_path / "package"
        nowhere = str(tmp_path / "nowhere")

        done = Builder()(
            folder, PATH=nowhere, PYENV_ROOT=nowhere, UV_PYTHON_INSTALL_DIR=nowhere, UV_PYTHON=""
        )

        assert (done.returncode, done.stderr) == (0, "")
        (line,) = done.stdout.splitlines()
        assert line.startswith("WARNING: no bytecode in the package, since Python 3.13 is missing")
        assert not list(folder.rglob("*.pyc"))


class TestContents:
    """The package has what the function needs, for every architecture, and nothing else."""

    def test_the_package_is_pure_python(self) -> None:
        assert not list(PACKAGE.rglob("*.so"))

    def test_the_package_lacks_the_command_line(self) -> None:
        names = {path.name for path in PACKAGE.iterdir()}
        assert not names & {"click", "rich", "ruamel", "boto3", "pytest"}
        assert not (PACKAGE / "lava_s3trigger" / "cli").exists()
        assert not (PACKAGE / "lava_s3trigger" / "__main__.py").exists()
