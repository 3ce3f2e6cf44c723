"""The command line as a whole: how long it takes to start."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("arguments", "not_imported"),
    [
        (["--help"], ["jinja2", "ruamel.yaml", "botocore", "rich"]),
        (["explain", "--help"], ["jinja2", "ruamel.yaml", "botocore", "rich"]),
        (["explain", "s3://b/k", "--triggers=t.json"], ["ruamel.yaml", "botocore", "rich"]),
        (["explain", "s3://b/k", "--triggers=t.yaml"], ["botocore", "rich"]),
    ],
    ids=str,
)
def test_a_command_does_not_import_what_it_does_not_use(
    tmp_path: Path, arguments: list[str], not_imported: list[str]
) -> None:
    for name in ("t.json", "t.yaml"):
        (tmp_path / name).write_text('{"trigger_id": "t", "bucket": "b", "prefix": "p"}')
    (tmp_path / "lava-s3trigger.toml").write_text("[doctor]\n[explain]\nsize = 5\n")
    program = (
        "import sys\n"
        "from lava_s3trigger.cli import main\n"
        "try:\n"
        f"    main({arguments})\n"
        "finally:\n"
        f"    sys.exit(str([n for n in {not_imported} if n in sys.modules]))\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr == "[]\n"
