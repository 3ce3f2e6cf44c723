"""Make a release in a folder: the function's zip, a template for it, the command line, and papers.

Run it by ``make release``, with the Python of its own environment. The same sources give the
same bytes in any folder. A release that fails leaves the folder as it was.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import lava_s3trigger
from tools.archive import checksum, checksums, write_zip
from tools.contents import ContentsError, bill_of_materials
from tools.notes import NotesError, notes
from tools.package import ROOT, RUNTIME, BuildError, build, find_runtime, run, swap
from tools.plain import TemplateError, plain_template

VERSION: Final = lava_s3trigger.__version__
# The name that lava's own stack gives the function's zip.
ZIP: Final = f"s3trigger-{VERSION}.zip"
TEMPLATE: Final = f"lava-s3trigger-{VERSION}.yaml"
CONTENTS: Final = f"lava-s3trigger-{VERSION}.cdx.json"
NOTES: Final = f"lava-s3trigger-{VERSION}-notes.md"
CHECKSUMS: Final = "SHA256SUMS"


class ReleaseError(Exception):
    """The release cannot be made; the message says why."""


def main() -> None:
    """Make the release in the folder that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uv", required=True, help="the uv command")
    parser.add_argument("--tag", default="", help="the tag that is released, such as v1.2.3")
    parser.add_argument("folder", type=Path, help="the folder to create; replaces an existing one")
    arguments = parser.parse_args()
    try:
        release(arguments.uv, arguments.folder.resolve(), arguments.tag)
    except (BuildError, ContentsError, NotesError, ReleaseError, TemplateError) as error:
        sys.exit(f"cannot make the release: {error}")
    print((arguments.folder / CHECKSUMS).read_text(), end="")


def release(uv: str, folder: Path, tag: str = "") -> None:
    """Make a release, and replace the folder with it only when it is complete.

    Args:
        uv: The uv command.
        folder: The folder.
        tag: The tag that is released: the version with a ``v`` before it. Without a tag,
            the changelog need not name the version yet.

    Raises:
        ReleaseError, BuildError, ContentsError, NotesError, TemplateError: It cannot be made.
            The folder is as it was.
    """
    if tag and tag != f"v{VERSION}":
        raise ReleaseError(
            f"the tag is {tag}, and lava_s3trigger/__init__.py says {VERSION}: one must change"
        )
    # First, since it is the most likely to be forgotten.
    told = notes((ROOT / "CHANGELOG.md").read_text(), VERSION, is_released=bool(tag))
    python = find_runtime(uv)
    if python is None:
        raise ReleaseError(
            f"Python {RUNTIME} is missing, which compiles the bytecode: install it, for example"
            f" with: pyenv install {RUNTIME}"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Next to the folder, since a folder cannot be renamed across file systems.
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
        package, new = Path(temporary, "package"), Path(temporary, "new")
        new.mkdir()
        build(uv, package)
        write_zip(package, new / ZIP)
        (new / CONTENTS).write_text(
            bill_of_materials(package, VERSION, checksum(new / ZIP), version_of(python))
        )
        (new / TEMPLATE).write_text(template())
        build_command_line(new)
        (new / NOTES).write_text(told)
        (new / CHECKSUMS).write_text(checksums(new))
        make_readable(new)
        swap(new, folder, Path(temporary, "old"))


def make_readable(folder: Path) -> None:
    """Let everyone read a folder and its files, with any umask of the user."""
    folder.chmod(0o755)
    for path in folder.iterdir():
        path.chmod(0o644)


def template() -> str:
    """Return the template of the release."""
    heading = f"lava s3trigger {VERSION}. Plain CloudFormation, made of template.yaml."
    return plain_template((ROOT / "template.yaml").read_text(), ZIP, heading)


def version_of(python: str) -> str:
    """Return the version of an interpreter, such as ``3.13.2``."""
    code = "import platform; print(platform.python_version())"
    return run([python, "-I", "-S", "-c", code], "cannot run Python").strip()


def build_command_line(folder: Path) -> None:
    """Build wheel and sdist of the command line, only from the sources.

    Raises:
        ReleaseError: They cannot be built.
    """
    # Not by `uv build`, which fetches a build backend of any version.
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)],
        cwd=ROOT,
        env={name: os.environ[name] for name in ("HOME", "PATH", "TMPDIR") if name in os.environ},
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise ReleaseError(f"cannot build the command line: {done.stderr.strip()}")
    for ignored in folder.glob(".gitignore"):
        ignored.unlink()


if __name__ == "__main__":
    main()
