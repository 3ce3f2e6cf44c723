"""Releases made in folders of their own, for tests."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import lava_s3trigger
from tools.local.server import CHECKOUT

VERSION: Final = lava_s3trigger.__version__
PYTHON: Final = CHECKOUT / ".venv-release" / "bin" / "python"
UV: Final = CHECKOUT / ".venv-uv" / "bin" / "uv"
_NOT_SOURCES: Final = shutil.ignore_patterns(
    ".*cache", ".git", ".venv*", "__pycache__", "build", "dist"
)


def copy_sources(folder: Path) -> Path:
    """Copy the sources of this checkout into a folder that does not exist yet."""
    return shutil.copytree(CHECKOUT, folder, ignore=_NOT_SOURCES)


def make_release(sources: Path, *options: str, umask: int = -1) -> subprocess.CompletedProcess[str]:
    """Make a release of a copy of the sources, in its folder ``dist``."""
    return subprocess.run(
        [PYTHON, "-m", "tools.release", "--uv", UV, *options, "dist"],
        cwd=sources,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        umask=umask,
        capture_output=True,
        text=True,
        check=False,
    )


class Release:
    """A release, in its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.zip = folder / f"s3trigger-{VERSION}.zip"
        self.template = folder / f"lava-s3trigger-{VERSION}.yaml"
        self.contents = folder / f"lava-s3trigger-{VERSION}.cdx.json"
        self.notes = folder / f"lava-s3trigger-{VERSION}-notes.md"
        self.wheel = folder / f"lava_s3trigger-{VERSION}-py3-none-any.whl"
        self.sdist = folder / f"lava_s3trigger-{VERSION}.tar.gz"

    @property
    def checksums(self) -> dict[str, str]:
        """The checksum of each file, by its name."""
        words = (self.folder / "SHA256SUMS").read_text().split()
        return dict(zip(words[1::2], words[::2], strict=True))
