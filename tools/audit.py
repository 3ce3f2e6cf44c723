"""Look up what the lock file names among known vulnerabilities.

Fails where there is one. Where the data is out of reach, it says so and does not
fail: what could not be looked up is no worse than it was yesterday.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def found(pip_audit: str, requirements: Path) -> list[dict[str, Any]] | None:
    """Give what pip-audit says of each package, or nothing where it could not ask."""
    asked = subprocess.run(
        [
            *(pip_audit, "--requirement", str(requirements), "--format", "json"),
            *("--disable-pip", "--require-hashes", "--progress-spinner", "off"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        packages: list[dict[str, Any]] = json.loads(asked.stdout)["dependencies"]
    except (ValueError, KeyError):
        sys.stderr.write("\n".join(asked.stderr.splitlines()[-1:]) + "\n")
        return None
    return packages


def judge(packages: list[dict[str, Any]] | None) -> int:
    """Say what was found; give the exit code."""
    skipped = [each["name"] for each in packages or () if "skip_reason" in each]
    if packages is None or len(skipped) == len(packages):
        print("AUDIT SKIPPED: the data about vulnerabilities is out of reach from here")
        return 0
    if skipped:
        print(f"NOT AUDITED, as nothing is known of them: {', '.join(skipped)}")
    bad = [each for each in packages if each.get("vulns")]
    for package in bad:
        for each in package["vulns"]:
            fixed = ", ".join(each.get("fix_versions", [])) or "no version"
            print(f"{package['name']} {package['version']}: {each['id']}, fixed in {fixed}")
    if not bad:
        print(f"audited {len(packages) - len(skipped)} packages: no known vulnerability")
    return 1 if bad else 0


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uv", required=True, help="what exports the lock file")
    parser.add_argument("--pip-audit", required=True)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder, "requirements.txt")
        subprocess.run(
            [
                *(arguments.uv, "export", "--quiet", "--frozen", "--all-extras", "--all-groups"),
                *("--no-emit-project", "--output-file", str(requirements)),
            ],
            cwd=ROOT,
            check=True,
        )
        sys.exit(judge(found(arguments.pip_audit, requirements)))


if __name__ == "__main__":
    main()
