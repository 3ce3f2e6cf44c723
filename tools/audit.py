"""Check the packages of the lock file for known vulnerabilities.

Fails where there is one. Where the vulnerability data is unreachable, it says so and
does not fail, so that checks also run without a network.
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


def audit(pip_audit: str, requirements: Path) -> list[dict[str, Any]] | None:
    """Return pip-audit's findings by package; None where the data is unreachable."""
    done = subprocess.run(
        [
            *(pip_audit, "--requirement", str(requirements), "--format", "json"),
            *("--disable-pip", "--require-hashes", "--progress-spinner", "off"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        sys.stderr.write("\n".join(done.stderr.splitlines()[-1:]) + "\n")
        return None
    return packages


def report(packages: list[dict[str, Any]] | None) -> int:
    """Print the findings and return the exit status: 1 where there is a vulnerability."""
    skipped = [package["name"] for package in packages or () if "skip_reason" in package]
    if packages is None or len(skipped) == len(packages):
        print("AUDIT SKIPPED: the vulnerability data is unreachable")
        return 0
    if skipped:
        print(f"NOT AUDITED, unknown to the vulnerability data: {', '.join(skipped)}")
    vulnerable = [package for package in packages if package.get("vulns")]
    for package in vulnerable:
        for vulnerability in package["vulns"]:
            fixed = ", ".join(vulnerability.get("fix_versions", [])) or "no version"
            name, version = package["name"], package["version"]
            print(f"{name} {version}: {vulnerability['id']}, fixed in {fixed}")
    if not vulnerable:
        print(f"audited {len(packages) - len(skipped)} packages: no known vulnerability")
    return 1 if vulnerable else 0


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uv", required=True, help="the uv command")
    parser.add_argument("--pip-audit", required=True, help="the pip-audit command")
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
        sys.exit(report(audit(arguments.pip_audit, requirements)))


if __name__ == "__main__":
    main()
