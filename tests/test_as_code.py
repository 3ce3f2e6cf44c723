"""The examples of Terraform and the CDK deploy what a release consists of."""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from tests.release import VERSION, Release
from tests.test_template import _read
from tools.local.server import CHECKOUT

pytestmark = pytest.mark.slow("makes a release, and runs the CDK")

PYTHON: Final = CHECKOUT / ".venv-as-code" / "bin" / "python"
READ_HCL: Final = """
import hcl2, json, sys
options = hcl2.SerializationOptions(strip_string_quotes=True, explicit_blocks=False)
with open(sys.argv[1]) as file:
    print(json.dumps(hcl2.load(file, serialization_options=options)))
"""


@pytest.fixture(scope="module")
def template(release: Release) -> Any:
    return _read(release.template.read_text())


def run(*arguments: object, **environment: str) -> str:
    """Run Python with the CDK and a reader of Terraform; return its output."""
    command = [PYTHON, *map(str, arguments)]
    own = {"PATH": os.environ["PATH"], **environment}
    done = subprocess.run(command, env=own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def assembly(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the CDK writes."""
    folder = tmp_path_factory.mktemp("cdk")
    own = {"CDK_OUTDIR": str(folder / "out"), "HOME": str(folder), "RELEASE": str(release.folder)}
    run(CHECKOUT / "examples" / "cdk" / "app.py", **own)
    return folder / "out"


@pytest.fixture(scope="module")
def configuration() -> Any:
    """The configuration of Terraform, as data."""
    return json.loads(run("-c", READ_HCL, CHECKOUT / "examples" / "terraform" / "main.tf"))


@pytest.mark.skipif(shutil.which("node") is None, reason="the CDK needs node")
class TestCdk:
    """The app of the CDK, synthesised."""

    @pytest.fixture
    def stack(self, assembly: Path) -> Any:
        return json.loads((assembly / "lava-myrealm-s3trigger.template.json").read_text())

    def test_it_has_the_resources_of_the_release(self, stack: Any, template: Any) -> None:
        types, found = (
            {name: each["Type"] for name, each in of["Resources"].items()}
            for of in (template, stack)
        )
        found.pop("CDKMetadata", None)
        assert found == types

    def test_the_code_is_the_zip_of_the_release(
        self, assembly: Path, stack: Any, release: Release
    ) -> None:
        key = stack["Resources"]["Function"]["Properties"]["Code"]["S3Key"]["Fn::If"][2]
        asset = (assembly / f"asset.{key}").read_bytes()
        assert hashlib.sha256(asset).hexdigest() == release.checksums[release.zip.name]
        # With a key of its own, the condition of the default key does not hold.
        assert stack["Conditions"]["HasDefaultCodeKey"] == {"Fn::Equals": [key, ""]}

    def test_other_parameters_stay_parameters(self, stack: Any, template: Any) -> None:
        given = {"Realm", "CodeBucket", "CodeKey"}
        assert template["Parameters"].keys() - given <= stack["Parameters"].keys()
        assert not given & stack["Parameters"].keys()


class TestTerraform:
    """The configuration of Terraform, as far as it can be read without Terraform."""

    @pytest.fixture
    def stack(self, configuration: Any) -> Any:
        [stack] = [
            each["aws_cloudformation_stack"]["s3trigger"]
            for each in configuration["resource"]
            if "aws_cloudformation_stack" in each
        ]
        return stack

    def test_it_gives_parameters_of_the_template(self, stack: Any, template: Any) -> None:
        required = {name for name, each in template["Parameters"].items() if "Default" not in each}
        given = stack["parameters"].keys()
        assert required <= given <= template["Parameters"].keys()
        assert stack["capabilities"] == ["CAPABILITY_IAM"]

    def test_it_names_the_files_of_a_release(self, configuration: Any, release: Release) -> None:
        [names] = configuration["locals"]
        found = [
            names[name].replace("${var.release_version}", VERSION) for name in ("zip", "template")
        ]
        assert found == [release.zip.name, release.template.name]

    def test_its_output_is_one_of_the_template(self, configuration: Any, template: Any) -> None:
        [output] = configuration["output"]
        value = output["function_arn"]["value"]
        assert any(f'outputs["{name}"]' in value for name in template["Outputs"])
