"""Build the function's package, the folder that Lambda runs.

The package is pure Python, the same for every architecture, without MarkupSafe's
compiled speedups. It holds botocore's descriptions of the operations that the function
calls and of no others, since each cold start reads them. The function does not import
boto3, so the package does not hold it; a layer or wrapper may import its own.

The same sources give the same bytes, in any folder.
"""

from __future__ import annotations

import argparse
import ast
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RUNTIME = "3.13"
TASK_ROOT = "/var/task"
"""Where Lambda puts the package."""
OPERATIONS = {
    "dynamodb": {"GetItem", "Query", "UpdateItem"},
    "sqs": {"GetQueueUrl", "SendMessageBatch"},
}
"""The operations that the function calls, by service."""
OPERATIONS_OF_S3 = {"HeadBucket", "HeadObject"}
"""The operations that it calls only for tasks of S3 Batch Operations. botocore itself calls
HeadBucket for a bucket of another region."""
EXCLUDED = ("boto3", "boto3-*", "s3transfer", "s3transfer-*", "bin")

_ORIGINAL = """
def __getattr__(name):
    if name not in {names!r}:
        raise AttributeError(name)
    from importlib import import_module

    return getattr(import_module({original!r}), name)
"""
"""The end of a stand-in: what it lacks comes from the original, imported when asked for."""

STAND_INS = {
    # Docstrings of client methods, and the 15 modules that write them.
    "botocore.docs": "",
    "botocore.docs.docstring": """\
class _None(str):
    def __new__(cls, *args, **kwargs):
        return super().__new__(cls)


class ClientMethodDocstring(_None): ...


class PaginatorDocstring(_None): ...


class WaiterDocstring(_None): ...

""",
    # HTTP/2, which is off; it imports importlib.metadata, which imports zipfile.
    "urllib3.http2": "",
}
"""Modules that the function imports and does not use, with their replacements.

Others may use them: boto3 does, which a layer or wrapper may import.
"""

OTHER_SERVICES = '''

# Appended by the build of lava_s3trigger, whose package has the descriptions of two services.
_load_service_model = Loader.load_service_model


def _load_any_service_model(self, service_name, type_name, api_version=None):
    """Load a service model; where this package lacks it, from the next botocore on the path."""
    try:
        return _load_service_model(self, service_name, type_name, api_version)
    except UnknownServiceError:
        import sys

        for folder in sys.path:
            data = os.path.join(folder, 'botocore', 'data')
            if not os.path.isdir(os.path.join(data, service_name)):
                continue
            other = Loader(extra_search_paths=[data], include_default_search_paths=False)
            return _load_service_model(other, service_name, type_name, api_version)
        raise UnknownServiceError(
            service_name=service_name,
            known_service_names=(
                'dynamodb, sqs. This is the botocore of lava_s3trigger, which has only the'
                ' operations that the function calls. Other services need a whole botocore'
                ' in a layer or in the runtime'
            ),
        ) from None


Loader.load_service_model = _load_any_service_model
'''
"""The end of ``botocore.loaders``: clients of other services, for layers and wrappers.

Their botocore comes after this one on Lambda's path, so they get this one.
"""


class BuildError(Exception):
    """The package cannot be built; the message says why."""


def main() -> None:
    """Build the package in the folder that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uv", required=True, help="the uv command")
    parser.add_argument("folder", type=Path, help="the folder to create; replaces an existing one")
    arguments = parser.parse_args()
    try:
        build(arguments.uv, arguments.folder.resolve())
    except BuildError as error:
        sys.exit(f"cannot build the package: {error}")


def build(uv: str, folder: Path) -> None:
    """Build the package, and replace the folder with it only when it is complete.

    Raises:
        BuildError: It cannot be built. The folder is as it was.
    """
    python = find_runtime(uv)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Next to the folder, since a folder cannot be renamed across file systems.
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
        new = Path(temporary, "new")
        new.mkdir()
        install_dependencies(uv, new)
        add_description_of_s3(new / "botocore" / "data", new / "lava_s3trigger")
        remove_excluded(new)
        reduce_descriptions(new / "botocore" / "data")
        add_stand_ins(new)
        add_function(new)
        if python:
            compile_bytecode(python, new)
        swap(new, folder, Path(temporary, "old"))
    if not python:
        # Not to stderr, which `sam build` does not show where the build succeeds.
        print(
            f"WARNING: no bytecode in the package, since Python {RUNTIME} is missing. The function"
            " works, but each cold start compiles its modules. Install that Python, for example"
            f" with: pyenv install {RUNTIME}; then build again.",
            flush=True,
        )


def swap(new: Path, folder: Path, old: Path) -> None:
    """Put the new package in the place of the folder, which becomes the old one."""
    if not folder.exists():
        new.rename(folder)
        return
    folder.rename(old)
    try:
        new.rename(folder)
    except OSError:
        old.rename(folder)
        raise


def install_dependencies(uv: str, folder: Path) -> None:
    """Install the function's dependencies as the lock file pins them."""
    export = [uv, "export", "--quiet", "--locked", "--no-dev", "--no-emit-project"]
    requirements = run([*export, "--project", str(ROOT)], "cannot read uv.lock")
    install = [uv, "pip", "install", "--quiet", "--require-hashes", "--no-deps", "--no-build"]
    run(
        [*install, "--python-version", RUNTIME, "--target", str(folder), "-r", "-"],
        "cannot install the dependencies",
        requirements,
    )


def run(command: list[str], failure: str, text: str = "") -> str:
    """Run a command with a text as its input, and return its output.

    Raises:
        BuildError: It fails; the message has its error output, in one line.
    """
    done = subprocess.run(command, check=False, capture_output=True, input=text, text=True)
    if done.returncode != 0:
        lines = filter(None, map(str.strip, done.stderr.splitlines()))
        raise BuildError(f"{failure}: {'; '.join(lines)}")
    return done.stdout


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


def add_stand_ins(folder: Path) -> None:
    """Put stand-ins before modules that are imported and not used, and extend the loader."""
    for name, text in STAND_INS.items():
        path = folder / name.replace(".", "/")
        package, _, module = name.rpartition(".")
        if path.is_dir():
            path, package, module = path / "__init__", name, "package"
        original = f"_original_{module}"
        source = path.with_suffix(".py").rename(path.with_name(f"{original}.py")).read_text()
        forward = _ORIGINAL.format(names=names_of(source), original=f"{package}.{original}")
        path.with_suffix(".py").write_text(text + forward)
    path = folder / "botocore" / "loaders.py"
    source = path.read_text()
    path.unlink()  # do not write to it: it may be a link into uv's cache
    path.write_text(source + OTHER_SERVICES)


def names_of(source: str) -> list[str]:
    """Return the names that a module defines, without those that it imports."""
    names = []
    for node in ast.parse(source).body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.append(name)
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                names.append(name)
    return [name for name in names if not name.startswith("__")]


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
        if "aws-global" in services["s3"]["endpoints"]:
            # Clients of S3, which others may make, need it in us-east-1. Clients of other
            # services need nothing of this file.
            endpoints_of_s3 = {"aws-global": services["s3"]["endpoints"]["aws-global"]}
            partition["services"]["s3"] = services["s3"] | {"endpoints": endpoints_of_s3}
    path.unlink()  # do not write to it: it may be a link into uv's cache
    path.write_text(json.dumps(endpoints, separators=(",", ":")))


def add_description_of_s3(data: Path, package: Path) -> None:
    """Give the function its own description of S3, which other clients do not find.

    A wrapper's client of S3 needs more than these operations.
    """
    folder = package / "aws" / "models" / "s3"
    for path in (data / "s3").glob("*/*.json.gz"):
        version = folder / path.parent.name
        version.mkdir(parents=True, exist_ok=True)
        if path.name == "service-2.json.gz":
            model = with_operations(
                json.loads(gzip.decompress(path.read_bytes())), OPERATIONS_OF_S3
            )
            (version / "service-2.json").write_text(json.dumps(model, separators=(",", ":")))
        elif path.name == "endpoint-rule-set-1.json.gz":
            # Unchanged: it has 0.9 MB, and is read only for these tasks.
            shutil.copy2(path, version)


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
    shapes = set().union(*map(shapes_of, part.values()))
    return shapes | {part["shape"]} if isinstance(part.get("shape"), str) else shapes


def add_function(folder: Path) -> None:
    """Copy the function without its command line."""
    ignored = shutil.ignore_patterns("cli", "__main__.py", "__pycache__")
    shutil.copytree(
        ROOT / "lava_s3trigger", folder / "lava_s3trigger", ignore=ignored, dirs_exist_ok=True
    )
    shutil.copy2(ROOT / "s3trigger.py", folder)
    shutil.copy2(ROOT / "LICENSE", folder / "lava_s3trigger")


def compile_bytecode(python: str, folder: Path) -> None:
    """Compile for the runtime's Python, since the folder is read-only in Lambda."""
    # Unchecked: deployment changes file times, and nobody edits a deployed package.
    options = ["-q", "--invalidation-mode", "unchecked-hash"]
    # The paths that tracebacks show: those of Lambda, not of this machine.
    paths = ["-s", str(folder), "-p", TASK_ROOT]
    # Isolated: what the environment makes Python import leaves traces in the bytecode.
    run([python, "-I", "-S", "-m", "compileall", *options, *paths, str(folder)], "cannot compile")


def find_runtime(uv: str) -> str | None:
    """Find the runtime's Python, on the PATH or among pyenv's versions."""
    find = [uv, "python", "find", "--no-project", RUNTIME]
    done = subprocess.run(find, check=False, capture_output=True, text=True)
    if done.returncode == 0:
        return done.stdout.strip()
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    return next(map(str, versions.glob(f"{RUNTIME}*/bin/python{RUNTIME}")), None)


if __name__ == "__main__":
    main()
