"""The built package, and how it is built."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

import pytest

from tests.build import job_entry, trigger_entry
from tests.release import UV
from tools.local.realm import Realm
from tools.local.server import CHECKOUT, REGION, LocalAws

Done = subprocess.CompletedProcess[str]
PACKAGE: Final = CHECKOUT / "build" / "package"
KEYS: Final = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
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


each_interpreter = pytest.mark.parametrize(
    "python", interpreters(), ids=lambda path: str(Path(path).resolve().name)
)


def run(*command: str | Path, **environment: str) -> Done:
    """Run a command in this checkout, with nothing else in its environment."""
    return subprocess.run(
        command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False
    )


def isolated(python: str, code: str, *arguments: str | Path, **environment: str) -> Done:
    """Run code in an interpreter that has the standard library only."""
    return run(python, "-I", "-B", "-S", "-c", code, *arguments, **environment)


@each_interpreter
class TestPackage:
    """The built package contains everything that it needs."""

    @pytest.mark.parametrize("module", ["s3trigger", "lava_s3trigger.handler"])
    def test_the_package_dispatches(
        self, python: str, module: str, aws: LocalAws, realm: Realm
    ) -> None:
        realm.put("jobs", [job_entry("job")])
        rendered = {"key": "{{ utils.path.basename(key) }}"}
        realm.put("s3triggers", [trigger_entry("t", "*", job_id="job", parameters=rendered)])
        done = isolated(
            *(python, RUN.format(module=module), PACKAGE, "events/s3-created.json"),
            **KEYS,
            AWS_ENDPOINT_URL=aws.endpoint,
            AWS_LAMBDA_FUNCTION_NAME="as in Lambda",
            AWS_REGION=REGION,
            LAVA_REALM=realm.name,
        )
        assert (done.returncode, done.stdout) == (0, "null\n"), done.stderr
        [message] = realm.receive("core")
        assert json.loads(message["Body"])["parameters"] == {"key": "order+1.csv"}

    def test_bad_settings_stop_the_package_with_one_line(self, python: str) -> None:
        settings = {"AWS_LAMBDA_FUNCTION_NAME": "x", "LAVA_REALM": "r", "LOGLEVEL": "loud"}
        done = isolated(python, RUN.format(module="s3trigger"), PACKAGE, "", **settings)
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


@each_interpreter
class TestWrappers:
    """A layer or wrapper may import boto3, although the package has parts of botocore alone."""

    def test_boto3_works_behind_the_package(self, python: str, aws: LocalAws) -> None:
        import boto3  # noqa: PLC0415 - to know where it is

        whole = Path(boto3.__file__).parents[1]
        done = isolated(python, WRAPPED, PACKAGE, whole, aws.endpoint, **KEYS)

        assert (done.returncode, done.stdout) == (0, "text\n1\n"), done.stderr

    def test_without_a_whole_botocore_the_error_says_why(self, python: str) -> None:
        code = (
            "import sys; sys.path.insert(0, sys.argv[1]); import botocore.session;"
            "botocore.session.get_session().create_client('s3', region_name='us-east-1')"
        )

        done = isolated(python, code, PACKAGE)

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
        script = project["scripts"]["lava-s3trigger"]
        # The dependencies of the function alone, as `pip install .` installs them.
        path = "import sys; sys.path[:0] = sys.argv[1:3];"

        done = isolated(sys.executable, path + code, CHECKOUT, PACKAGE, script)

        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == (
            "Error: the command line needs click, which is not installed."
            " Run: pip install 'lava-s3trigger[cli]'\n"
        )


def build(folder: Path, **environment: str) -> Done:
    """Build the package in a folder."""
    command = (sys.executable, "tools/package.py", "--uv", UV, folder)
    return run(*command, **{**os.environ, **environment})


@pytest.mark.slow("builds packages")
class TestBuild:
    """The build gives a package, or says why it gives none."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """A folder with an old package."""
        folder = tmp_path / "package"
        folder.mkdir()
        (folder / "old.py").write_text("pass\n")
        return folder

    def test_a_package_takes_the_place_of_an_old_one(self, folder: Path) -> None:
        assert build(folder).returncode == 0

        assert (folder / "s3trigger.py").exists()
        assert not (folder / "old.py").exists()
        assert list(folder.parent.iterdir()) == [folder]

    def test_a_build_that_fails_leaves_the_old_package_and_one_line(self, folder: Path) -> None:
        done = build(folder, UV_OFFLINE="1", UV_NO_CACHE="1")

        assert (done.returncode, done.stdout) == (1, "")
        (line,) = done.stderr.splitlines()
        assert line.startswith("cannot build the package: cannot install the dependencies: ")
        assert "network" in line
        assert [path.name for path in folder.parent.rglob("*")] == ["package", "old.py"]

    @pytest.mark.skipif(sys.version_info[:2] == (3, 13), reason="this Python compiles it")
    def test_a_package_without_bytecode_is_reported_where_sam_build_shows_it(
        self, folder: Path
    ) -> None:
        """`sam build` shows the standard output of a build, and its errors only if it fails."""
        names = ("PATH", "PYENV_ROOT", "UV_PYTHON_INSTALL_DIR")
        nowhere = dict.fromkeys(names, str(folder.with_name("nowhere")))

        done = build(folder, **nowhere, UV_PYTHON="")

        assert (done.returncode, done.stderr) == (0, "")
        (line,) = done.stdout.splitlines()
        assert line.startswith("WARNING: no bytecode in the package, since Python 3.13 is missing")
        assert not list(folder.rglob("*.pyc"))


class TestContents:
    """The package has what the function needs, for every architecture, and nothing else."""

    def test_the_package_is_pure_python(self) -> None:
        assert not list(PACKAGE.rglob("*.so"))

    def test_the_package_lacks_the_command_line(self) -> None:
        libraries = ("click", "rich", "ruamel", "boto3", "pytest")
        ours = ("lava_s3trigger/cli", "lava_s3trigger/__main__.py")
        assert not [name for name in (*libraries, *ours) if (PACKAGE / name).exists()]
