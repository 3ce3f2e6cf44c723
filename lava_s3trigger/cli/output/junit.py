"""Results as JUnit's XML, which CI servers read."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree as ET

from .escaping import safe

if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import TextIO


class JunitCase(NamedTuple):
    """A test case."""

    suite: str
    name: str
    failure: str | None = None
    """Why it failed, in one line; None if it passed."""
    failure_type: str | None = None
    text: str = ""
    """All details of the failure."""
    output: str = ""
    place: tuple[str, int] | None = None
    """File and line."""


def write_junit(file: TextIO, name: str, cases: Collection[JunitCase]) -> None:
    """Write cases, by suite."""
    root = ET.Element("testsuites", {"name": name, **_counts(cases)})
    by_suite: dict[str, list[JunitCase]] = defaultdict(list)
    for case in cases:
        by_suite[case.suite].append(case)
    for title, of_suite in by_suite.items():
        attributes = {"name": safe(title), **_counts(of_suite), "skipped": "0"}
        suite = ET.SubElement(root, "testsuite", attributes)
        for case in of_suite:
            _add(suite, case)
    ET.indent(root)
    file.write('<?xml version="1.0" encoding="UTF-8"?>\n')
    file.write(ET.tostring(root, encoding="unicode") + "\n")


def _add(suite: ET.Element, case: JunitCase) -> None:
    attributes = {"classname": safe(case.suite), "name": safe(case.name)}
    if case.place:
        attributes |= {"file": safe(case.place[0]), "line": str(case.place[1])}
    element = ET.SubElement(suite, "testcase", attributes)
    if case.failure is not None:
        of_type = {"type": case.failure_type} if case.failure_type else {}
        failure = ET.SubElement(element, "failure", of_type, message=safe(case.failure))
        failure.text = safe(case.text, keep="\n")
    if case.output:
        ET.SubElement(element, "system-out").text = safe(case.output, keep="\n")


def _counts(cases: Collection[JunitCase]) -> dict[str, str]:
    failures = sum(case.failure is not None for case in cases)
    return {"tests": str(len(cases)), "failures": str(failures), "errors": "0"}
