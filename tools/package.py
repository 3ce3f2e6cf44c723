"""Build the function's package: the folder that AWS Lambda is given.

It is pure Python, the same for every architecture: MarkupSafe's compiled speedups
stay out. Of botocore's service descriptions it holds those of the operations that
the function calls, since each cold start reads them; boto3 itself, which it does
not import, stays out.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RUNTIME = "3.13"
OPERATIONS = {
    "dynamodb": {"GetItem", "Query", "UpdateItem"},
    "sqs": {"GetQueueUrl", "SendMessageBatch"},
}
"""What the function calls of each service; of others, botocore's descriptions stay out."""
NOT_NEEDED = ("boto3", "boto3-*", "s3transfer", "s3transfer-*", "bin")

INSTEAD = {
    # Docstrings for methods of clients, and what writes them: 15 modules.
    "botocore/docs/__init__.py": "",
    "botocore/docs/docstring.py": """\
class _None(str):
    def __new__(cls, *args, **kwargs):
        return super().__new__(cls)


class ClientMethodDocstring(_None): ...


class PaginatorDocstring(_None): ...


class WaiterDocstring(_None): ...
""",
    # What turns HTTP/2 on, which is off; it imports importlib.metadata, and that zipfile.
    "urllib3/http2/__init__.py": "",
}
"""What stands in the package instead of modules that it imports and does not use."""


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
    describe_less(folder / "botocore" / "data")
    put_instead(folder)
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
        if path.is_dir() and path.name not in OPERATIONS:
            shutil.rmtree(path)
    shutil.rmtree(folder / "__pycache__", ignore_errors=True)


def put_instead(folder: Path) -> None:
    """Put less in the place of what is imported and not used."""
    for name, text in INSTEAD.items():
        path = folder / name
        path.unlink()  # and not written to: it may be a link into uv's cache
        path.write_text(text)


def describe_less(data: Path) -> None:
    """Shorten botocore's descriptions to the operations that the function calls.

    A third of the time that it takes to make the two clients goes to reading these.
    """
    for service, operations in OPERATIONS.items():
        for path in (data / service).glob("*/service-2.json.gz"):
            described = of_operations(json.loads(gzip.decompress(path.read_bytes())), operations)
            # Not compressed: the package is, on its way.
            path.with_suffix("").write_text(json.dumps(described, separators=(",", ":")))
            path.unlink()
    path = data / "endpoints.json"
    endpoints = json.loads(path.read_text())
    for partition in endpoints["partitions"]:
        services = partition["services"]
        partition["services"] = {name: services[name] for name in OPERATIONS if name in services}
    path.unlink()  # it may be a link into uv's cache, which is not ours to change
    path.write_text(json.dumps(endpoints, separators=(",", ":")))


def of_operations(model: dict[str, Any], names: set[str]) -> dict[str, Any]:
    """Give a service's model with some of its operations, and the shapes that these use.

    Raises:
        KeyError: There is no such operation.
    """
    operations = {name: without_prose(model["operations"][name]) for name in sorted(names)}
    shapes: dict[str, Any] = {}
    wanted = shapes_of(operations)
    while wanted:
        name = wanted.pop()
        if name not in shapes:
            shapes[name] = without_prose(model["shapes"][name])
            wanted |= shapes_of(shapes[name])
    rest = {name: part for name, part in model.items() if name != "documentation"}
    return rest | {"operations": operations, "shapes": dict(sorted(shapes.items()))}


def without_prose(part: Any) -> Any:
    """Leave out what is for readers, which is text; a member of that name is a map."""
    if isinstance(part, list):
        return [without_prose(each) for each in part]
    if not isinstance(part, dict):
        return part
    return {
        name: without_prose(each)
        for name, each in part.items()
        if not (name == "documentation" and isinstance(each, str))
    }


def shapes_of(part: Any) -> set[str]:
    """Give the names of the shapes that a part of a model refers to."""
    if isinstance(part, list):
        return set().union(*map(shapes_of, part))
    if not isinstance(part, dict):
        return set()
    found = set().union(*map(shapes_of, part.values()))
    return found | {part["shape"]} if isinstance(part.get("shape"), str) else found


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
