"""What `make release` makes: the same everywhere, complete, fit to deploy, also as examples do."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any, Final

import pytest

from tests.release import VERSION, Release, copy_sources, make_release
from tests.test_template import PARAMETERS, TEMPLATE, _read
from tools.local.server import CHECKOUT
from tools.notes import NotesError, notes

pytestmark = pytest.mark.slow("makes releases, and runs the CDK")


@pytest.fixture
def template(release: Release) -> Any:
    """The template of the release."""
    return _read(release.template.read_text())


def output(*command: str | Path, **environment: str) -> str:
    """Run a command, and return its output."""
    own = os.environ | environment
    done = subprocess.run(command, env=own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class TestBytes:
    """The bytes of a release depend on the sources alone."""

    def test_another_folder_and_umask_give_the_same_files(
        self, release: Release, tmp_path: Path
    ) -> None:
        elsewhere = copy_sources(tmp_path / "deeper" / "elsewhere")

        done = make_release(elsewhere, umask=0o077)

        assert done.returncode == 0, done.stderr
        other = Release(elsewhere / "dist")
        assert other.checksums == release.checksums
        for path in (other.folder, *other.folder.iterdir()):
            assert path.stat().st_mode & 0o044 == 0o044, path.name

    def test_the_checksums_are_those_of_all_other_files(self, release: Release) -> None:
        others = [path for path in release.folder.iterdir() if path.name != "SHA256SUMS"]
        assert release.checksums == {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in others
        }


class TestVersion:
    """One place states the version, and all others take it from there."""

    def test_all_files_of_a_release_have_it(self, release: Release) -> None:
        named = {path.name for path in release.folder.iterdir()} - {"SHA256SUMS"}
        assert len(named) == 6
        assert all(VERSION in name for name in named)
        assert VERSION in release.notes.read_text().splitlines()[0]

    @pytest.mark.parametrize(
        ("tag", "says"),
        [
            (
                "v99.0.0",
                "the tag is v99.0.0, and lava_s3trigger/__init__.py says {}: one must change",
            ),
            (f"v{VERSION}", "CHANGELOG.md has no section [{}]"),
        ],
        ids=["another version", "not in the changelog"],
    )
    def test_a_tag_that_does_not_fit_stops_the_release(
        self, sources: Path, release: Release, tag: str, says: str
    ) -> None:
        changelog = sources / "CHANGELOG.md"
        whole = changelog.read_text()
        changelog.write_text(whole.replace(f"## [{VERSION}]", "## [0.0.0]"))
        before = release.checksums

        done = make_release(sources, "--tag", tag)

        changelog.write_text(whole)
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"cannot make the release: {says.format(VERSION)}")
        assert release.checksums == before


class TestZipContents:
    """What is in the function's zip."""

    def test_every_module_has_its_bytecode(self, release: Release) -> None:
        names = zipfile.ZipFile(release.zip).namelist()
        bytecode = re.compile(r"__pycache__/([^/]+)\.cpython-313\.pyc$")
        compiled = {bytecode.sub(r"\1.py", name) for name in names if name.endswith(".pyc")}
        assert {name for name in names if name.endswith(".py")} == compiled

    def test_it_is_less_than_a_fifth_of_what_lambda_takes(self, release: Release) -> None:
        # https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
        assert release.zip.stat().st_size < 50_000_000 / 5

    def test_every_file_is_readable_by_the_function(self, release: Release) -> None:
        # Lambda runs the function as another user than the one that unpacks the zip.
        modes = {each.external_attr >> 16 for each in zipfile.ZipFile(release.zip).infolist()}
        assert modes == {0o100644}


class TestBillOfMaterials:
    """The bill of materials names what the zip contains, with licences."""

    @pytest.fixture
    def bill(self, release: Release) -> Any:
        return json.loads(release.contents.read_text())

    def test_it_is_of_this_zip(self, release: Release, bill: Any) -> None:
        component = bill["metadata"]["component"]
        assert (component["name"], component["version"]) == ("lava-s3trigger", VERSION)
        (hashed,) = component["hashes"]
        assert hashed == {"alg": "SHA-256", "content": release.checksums[release.zip.name]}

    def test_it_has_each_package_in_its_version(self, release: Release, bill: Any) -> None:
        names = zipfile.ZipFile(release.zip).namelist()
        found = {name.partition(".dist-info/")[0] for name in names if ".dist-info/" in name}
        listed = {f"{each['name']}-{each['version']}" for each in bill["components"]}
        assert listed == {name.replace("_", "-") for name in found}
        # And nothing is there that no package owns.
        owned = {each["name"].removeprefix("python-") for each in bill["components"]}
        top = {name.partition("/")[0].removesuffix(".py") for name in names}
        others = {name for name in top if not name.endswith(".dist-info")} - owned
        assert others == {"lava_s3trigger", "s3trigger", "__pycache__"}

    def test_each_package_has_a_licence(self, bill: Any) -> None:
        for component in bill["components"]:
            for each in component["licenses"]:
                license_ = each.get("license", each)
                is_spdx = "id" in license_ or "expression" in license_
                assert is_spdx or license_["text"]["content"], component["name"]


class TestTemplate:
    """The template of the release is the project's, without SAM."""

    def test_it_needs_no_transform(self, template: Any) -> None:
        assert "Transform" not in template
        types = {each["Type"] for each in template["Resources"].values()}
        assert not {name for name in types if name.startswith("AWS::Serverless")}

    def test_it_takes_the_code_of_its_own_version(self, template: Any) -> None:
        key = {"Fn::If": ["HasDefaultCodeKey", f"s3trigger-{VERSION}.zip", {"Ref": "CodeKey"}]}
        code = {"S3Bucket": {"Ref": "CodeBucket"}, "S3Key": key}
        assert template["Resources"]["Function"]["Properties"]["Code"] == code

    def test_all_else_is_as_in_the_projects_template(self, template: Any) -> None:
        resources, parameters = template["Resources"], template["Parameters"]
        assert all(parameters.pop(name) for name in ("CodeBucket", "CodeKey"))
        assert (parameters, template["Outputs"]) == (PARAMETERS, TEMPLATE["Outputs"])
        function = resources.pop("Function")["Properties"]
        retries = resources.pop("FunctionEventInvokeConfig")["Properties"]
        expected = dict(TEMPLATE["Resources"])
        ours = expected.pop("Function")["Properties"]
        assert resources == expected
        # SAM has other names for these.
        assert function["DeadLetterConfig"] == {"TargetArn": ours["DeadLetterQueue"]["TargetArn"]}
        assert function["TracingConfig"] == {"Mode": ours["Tracing"]}
        assert ours["EventInvokeConfig"].items() <= retries.items()
        others = {"CodeUri", "DeadLetterQueue", "EventInvokeConfig", "Tags", "Tracing"}
        for name in ours.keys() - others:
            assert function[name] == ours[name], name

    def test_cfn_lint_has_nothing_to_say(self, release: Release) -> None:
        program, rules = Path(sys.executable).with_name("cfn-lint"), "cfn_lint_serverless.rules"
        assert output(program, "--append-rules", rules, "--", release.template) == ""


class TestCommandLine:
    """Wheel and sdist have the command line, and no more."""

    def test_the_wheel_runs(self, release: Release) -> None:
        site = next(each for each in sys.path if each.endswith("site-packages"))
        code = (
            "import sys; sys.path[:0] = sys.argv[1:3]; sys.argv[1:] = ['--help'];"
            "import lava_s3trigger.__main__ as m; assert '.whl' in m.__file__; m.main()"
        )
        arguments = ("-I", "-S", "-c", code, release.wheel, site)
        assert "lava's S3 triggers" in output(sys.executable, *arguments)
        names = zipfile.ZipFile(release.wheel).namelist()
        assert "lava_s3trigger/cli/explain/schema.json" in names

    def test_the_sdist_has_the_sources_alone(self, release: Release) -> None:
        with tarfile.open(release.sdist) as archive:
            top = {name.split("/")[1] for name in archive.getnames()}
        assert top == {
            *(".gitignore", "CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md"),
            *("lava_s3trigger", "pyproject.toml", "s3trigger.py"),
        }


class TestNotes:
    """The notes of a release are its section of the changelog."""

    TEXT: Final = (
        "\n## [Unreleased]\n\n- [New](docs/new.md).\n\n"
        "## [1.1.0] - 2026-03-14\n\n- [x](https://y).\n\n## [1.0.0] - 2026-01-01\n"
    )

    def test_a_version_has_its_section(self) -> None:
        released = notes(self.TEXT, "1.1.0", is_released=True)
        assert released == "# lava-s3trigger 1.1.0 - 2026-03-14\n\n- [x](https://y).\n"
        unreleased = notes(self.TEXT, "2.0.0", is_released=False)
        assert unreleased == "# lava-s3trigger 2.0.0, not released\n\n- New.\n"

    def test_a_release_without_notes_is_refused(self) -> None:
        with pytest.raises(NotesError, match=r"section \[1.0.0\] of CHANGELOG.md is empty"):
            notes(self.TEXT, "1.0.0", is_released=True)


PYTHON: Final = CHECKOUT / ".venv-as-code" / "bin" / "python"
READ_HCL: Final = """
import hcl2, json, sys
options = hcl2.SerializationOptions(strip_string_quotes=True, explicit_blocks=False)
with open(sys.argv[1]) as file:
    print(json.dumps(hcl2.load(file, serialization_options=options)))
"""


@pytest.fixture(scope="module")
def assembly(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the CDK writes."""
    folder = tmp_path_factory.mktemp("cdk")
    own = {"CDK_OUTDIR": str(folder / "out"), "HOME": str(folder), "RELEASE": str(release.folder)}
    output(PYTHON, CHECKOUT / "examples" / "cdk" / "app.py", **own)
    return folder / "out"


@pytest.fixture(scope="module")
def configuration() -> Any:
    """The configuration of Terraform, as data."""
    return json.loads(
        output(PYTHON, "-c", READ_HCL, CHECKOUT / "examples" / "terraform" / "main.tf")
    )


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
        kind = "aws_cloudformation_stack"
        [stack] = [each[kind] for each in configuration["resource"] if kind in each]
        return stack["s3trigger"]

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
