"""Check the template with checkov, with every optional part of the stack.

checkov leaves out resources whose condition does not hold for the defaults of the
parameters. So it gets the template with all conditions true.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
_CONDITIONS: Final = re.compile(r"^Conditions:\n((?:  .*\n|\n)+)", re.MULTILINE)
_CONDITION: Final = re.compile(r"^(  \w+:) .*$", re.MULTILINE)


def with_all_parts(template: str) -> str:
    """Return the template with all conditions true, each line in its place."""
    told = template.replace('Default: ""', "Default: given")
    return _CONDITIONS.sub(lambda section: _CONDITION.sub(r'\1 !Equals ["", ""]', section[0]), told)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkov", required=True, help="the checkov command")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        template = Path(folder, "template.yaml")
        template.write_text(with_all_parts((ROOT / "template.yaml").read_text()))
        done = subprocess.run(
            [
                *(arguments.checkov, "--framework", "cloudformation", "--file", str(template)),
                *("--compact", "--quiet", "--skip-download"),
            ],
            check=False,
        )
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
