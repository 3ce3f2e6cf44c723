"""Build the function's package, the folder that Lambda runs.

The package is pure Python, the same for every architecture, without MarkupSafe's
compiled speedups. It holds botocore's descriptions of the operations that the function
calls and of no others, since each cold start reads them. The function does not import
boto3, so the package does not hold it.
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
"""The operations that the function calls, by service."""
EXCLUDED = ("boto3", "boto3-*", "s3transfer", "s3transfer-*", "bin")

REPLACEMENTS = {
    # Docstrings of client methods, and the 15 modules that write them.
    "botocore/docs/__init__.py": "",
    "botocore/docs/docstring.py": """\
class _None(str):
    def __new__(cls, *args, **kwargs):
        return super().__new__(cls)


class ClientMethodDocstring(_None): ...


class PaginatorDocstring(_None): ...


class WaiterDocstring(_None): ...
""",
    # HTTP/2, which is off; it imports importlib.metadata, which imports zipfile.
    "urllib3/http2/__init__.py": "",
}
"""Replacements for modules that are imported and not used."""


def main() -> None:
    """Build the package in the folder that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uv", required=True, help="the uv command")
    parser.add_argument("folder", type=Path, help="the folder to create; replaces an existing one")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    install_dependencies(arguments.uv, folder)
    remove_excluded(folder)
    reduce_descriptions(folder / "botocore" / "data")
    replace_modules(folder)
    add_function(folder)
    compile_bytecode(arguments.uv, folder)


def install_dependencies(uv: str, folder: Path) -> None:
    """Install the function's dependencies as the lock file pins them."""
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


def remove_excluded(folder: Path) -> None:
    """Remove the files that the function does not use."""
    for pattern in EXCLUDED:
        for path in folder.glob(pattern):
            shutil.rmtree(path)
    for pattern in ("*.so", "*.c", "*.pyi", ".lock"):
        for path in folder.rglob(pattern):
            path.unlink()
    for path in (folder / "botocore" / "data").iterdir():
        if path.is_dir() and path.name not in OPERATIONS:
            shutil.rmtree(path)
    shutil.rmtree(folder / "__pycache__", ignore_errors=True)


def replace_modules(folder: Path) -> None:
    """Replace modules that are imported and not used."""
    for name, text in REPLACEMENTS.items():
        path = folder / name
        path.unlink()  # do not write to it: it may be a link into uv's cache
        path.write_text(text)


def reduce_descriptions(data: Path) -> None:
    """Reduce botocore's descriptions to the operations that the function calls.

    Reading them takes a third of the time to make the two clients.
    """
    for service, operations in OPERATIONS.items():
        for path in (data / service).glob("*/service-2.json.gz"):
            model = with_operations(json.loads(gzip.decompress(path.read_bytes())), operations)
            # Not compressed, since Lambda compresses the package as a whole.
            path.with_suffix("").write_text(json.dumps(model, separators=(",", ":")))
            path.unlink()
    path = data / "endpoints.json"
    endpoints = json.loads(path.read_text())
    for partition in endpoints["partitions"]:
        services = partition["services"]
        partition["services"] = {name: services[name] for name in OPERATIONS if name in services}
    path.unlink()  # do not write to it: it may be a link into uv's cache
    path.write_text(json.dumps(endpoints, separators=(",", ":")))


def with_operations(model: dict[str, Any], names: set[str]) -> dict[str, Any]:
    """Return a service's model with only some operations and the shapes that they use.

    Raises:
        KeyError: There is no such operation.
    """
    operations = {name: without_documentation(model["operations"][name]) for name in sorted(names)}
    shapes: dict[str, Any] = {}
    wanted = shapes_of(operations)
    while wanted:
        name = wanted.pop()
        if name not in shapes:
            shapes[name] = without_documentation(model["shapes"][name])
            wanted |= shapes_of(shapes[name])
    rest = {name: part for name, part in model.items() if name != "documentation"}
    return rest | {"operations": operations, "shapes": dict(sorted(shapes.items()))}


def without_documentation(part: Any) -> Any:
    """Return a part of a model without its documentation texts.

    A shape can have a member of the name ``documentation`` too, which is a map.
    """
    if isinstance(part, list):
        return [without_documentation(item) for item in part]
    if not isinstance(part, dict):
        return part
    return {
        name: without_documentation(value)
        for name, value in part.items()
        if not (name == "documentation" and isinstance(value, str))
    }


def shapes_of(part: Any) -> set[str]:
    """Return the names of the shapes that a part of a model refers to."""
    if isinstance(part, list):
        return set().union(*map(shapes_of, part))
    if not isinstance(part, dict):
        return set()
    found = set().union(*map(shapes_of, part.values()))
    return found | {part["shape"]} if isinstance(part.get("shape"), str) else found


def add_function(folder: Path) -> None:
    """Copy the function without its command line."""
    ignored = shutil.ignore_patterns("cli", "__pycache__")
    shutil.copytree(ROOT / "lava_s3trigger", folder / "lava_s3trigger", ignore=ignored)
    shutil.copy2(ROOT / "s3trigger.py", folder)
    shutil.copy2(ROOT / "LICENSE", folder / "lava_s3trigger")


def compile_bytecode(uv: str, folder: Path) -> None:
    """Compile for the runtime's Python, since the folder is read-only in Lambda."""
    python = find_runtime(uv)
    if python is None:
        print(
            f"Python {RUNTIME} is missing, so the package has no bytecode, and each cold start"
            f" compiles the modules. Install it, for example with: pyenv install {RUNTIME}",
            file=sys.stderr,
        )
        return
    # Unchecked: deployment changes file times, and nobody edits a deployed package.
    options = ["-q", "--invalidation-mode", "unchecked-hash"]
    subprocess.run([python, "-m", "compileall", *options, str(folder)], check=True)


def find_runtime(uv: str) -> str | None:
    """Find the runtime's Python, on the PATH or among pyenv's versions."""
    find = [uv, "python", "find", "--no-project", RUNTIME]
    found = subprocess.run(find, check=False, capture_output=True, text=True)
    if found.returncode == 0:
        return found.stdout.strip()
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    return next(map(str, versions.glob(f"{RUNTIME}*/bin/python{RUNTIME}")), None)


if __name__ == "__main__":
    main()
