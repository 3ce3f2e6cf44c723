"""Build the function's package: the folder that AWS Lambda is given.

It is pure Python, the same for every architecture: MarkupSafe's compiled speedups
stay out. Of botocore's service descriptions it holds those of the two services
that the function calls; boto3 itself, which it does not import, stays out.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUNTIME = "3.13"
SERVICES = {"dynamodb", "sqs"}
NOT_NEEDED = ("boto3", "boto3-*", "s3transfer", "s3transfer-*", "bin")


def main() -> None:
    """Build the package into the folder that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uv", required=True, help="the uv command")
    parser.add_argument("folder", type=Path, help="the folder to make; what it held is lost")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    install_dependencies(arguments.uv, folder)
    leave_out(folder)
    add_function(folder)
    compile_bytecode(arguments.uv, folder)


def install_dependencies(uv: str, folder: Path) -> None:
    """Install what the lock file pins for the function."""
    export = [uv, "export", "--quiet", "--locked", "--no-dev", "--no-emit-project"]
    requirements = subprocess.run(
        [*export, "--project", str(ROOT)], check=True, capture_output=True, text=True
    ).stdout
    install = [uv, "pip", "install", "--quiet", "--require-hashes", "--no-deps", "--no-build"]
    subprocess.run(
        [*install, "--python-version", RUNTIME, "--target", str(folder), "-r", "-"],
        check=True,
        input=requirements,
        text=True,
    )


def leave_out(folder: Path) -> None:
    """Remove what the function does not use."""
    for pattern in NOT_NEEDED:
        for path in folder.glob(pattern):
            shutil.rmtree(path)
    for pattern in ("*.so", "*.c", "*.pyi", ".lock"):
        for path in folder.rglob(pattern):
            path.unlink()
    for path in (folder / "botocore" / "data").iterdir():
        if path.is_dir() and path.name not in SERVICES:
            shutil.rmtree(path)
    shutil.rmtree(folder / "__pycache__", ignore_errors=True)


def add_function(folder: Path) -> None:
    """Copy the function itself, without its command line."""
    ignored = shutil.ignore_patterns("cli", "__pycache__")
    shutil.copytree(ROOT / "lava_s3trigger", folder / "lava_s3trigger", ignore=ignored)
    shutil.copy2(ROOT / "s3trigger.py", folder)
    shutil.copy2(ROOT / "LICENSE", folder / "lava_s3trigger")


def compile_bytecode(uv: str, folder: Path) -> None:
    """Compile for the runtime's Python: in Lambda the folder cannot be written."""
    python = find_runtime(uv)
    if python is None:
        print(
            f"no Python {RUNTIME} here, so the package holds no bytecode: each cold start will"
            f" compile it. Install one, as with: pyenv install {RUNTIME}",
            file=sys.stderr,
        )
        return
    # Unchecked: file times change on the way, and nobody edits a deployed package.
    options = ["-q", "--invalidation-mode", "unchecked-hash"]
    subprocess.run([python, "-m", "compileall", *options, str(folder)], check=True)


def find_runtime(uv: str) -> str | None:
    """Find the runtime's Python, on the PATH or among pyenv's."""
    find = [uv, "python", "find", "--no-project", RUNTIME]
    found = subprocess.run(find, check=False, capture_output=True, text=True)
    if found.returncode == 0:
        return found.stdout.strip()
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    return next(map(str, versions.glob(f"{RUNTIME}*/bin/python{RUNTIME}")), None)


if __name__ == "__main__":
    main()
