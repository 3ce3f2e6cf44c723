"""What the function's zip contains, with licences: a bill of materials in CycloneDX."""

from __future__ import annotations

import base64
import hashlib
import re
import uuid
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Final

from cyclonedx.factory.license import LicenseFactory
from cyclonedx.model import AttachedText, HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType, Pedigree
from cyclonedx.model.license import DisjunctiveLicense, License
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

_SCHEMA: Final = SchemaVersion.V1_6
_CLASSIFIER: Final = "License :: "
_REDUCED: Final = "Without parts that the function does not use: docs/decisions.md, The package."


class ContentsError(Exception):
    """The bill of materials would not be valid; the message says why."""


def bill_of_materials(package: Path, version: str, sha256: str, python: str) -> str:
    """Return the bill of materials of the function's zip, in JSON.

    It names no time and no machine, so that the same zip has the same bill.

    Args:
        package: The folder that the zip was made of.
        version: Version of the function.
        sha256: Checksum of the zip.
        python: Version of the Python that compiled the bytecode.

    Raises:
        ContentsError: It is not valid CycloneDX.
    """
    function = Component(
        type=ComponentType.APPLICATION,
        name="lava-s3trigger",
        version=version,
        purl=PackageURL("pypi", name="lava-s3trigger", version=version),
        bom_ref="lava-s3trigger",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sha256)],
        licenses=[LicenseFactory().make_from_string("Apache-2.0")],
        properties=[Property(name="lava-s3trigger:bytecode", value=f"Python {python}")],
    )
    by_name = {
        _name(distribution): distribution for distribution in distributions(path=[str(package)])
    }
    components = {
        name: _component(name, distribution) for name, distribution in sorted(by_name.items())
    }
    bom = Bom(
        components=components.values(),
        # The same for the same zip.
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"sha256:{sha256}"),
    )
    bom.metadata.component = function
    bom.metadata.timestamp = None
    bom.register_dependency(function, components.values())
    for name, distribution in by_name.items():
        needed = [components[other] for other in _needs(distribution) if other in components]
        bom.register_dependency(components[name], needed)
    text: str = make_outputter(bom, OutputFormat.JSON, _SCHEMA).output_as_string(indent=2)
    error = JsonStrictValidator(_SCHEMA).validate_str(text)
    if error:
        raise ContentsError(str(error))
    return text + "\n"


def _name(distribution: Distribution) -> str:
    """Return the name of a distribution as package indexes normalize it."""
    return re.sub(r"[-_.]+", "-", distribution.metadata["Name"]).lower()


def _component(name: str, distribution: Distribution) -> Component:
    version = distribution.version
    purl = PackageURL("pypi", name=name, version=version)
    return Component(
        name=name,
        version=version,
        purl=purl,
        bom_ref=str(purl),
        licenses=_licenses(distribution),
        pedigree=Pedigree(notes=_REDUCED) if _is_reduced(distribution) else None,
    )


def _needs(distribution: Distribution) -> list[str]:
    """Return the names of what a distribution needs, without its extras."""
    needed = [
        requirement for requirement in distribution.requires or () if "extra ==" not in requirement
    ]
    return [
        re.sub(r"[-_.]+", "-", match[0]).lower()
        for requirement in needed
        if (match := re.match(r"[\w.-]+", requirement))
    ]


def _licenses(distribution: Distribution) -> list[License]:
    """Return the licences: an SPDX id or expression, else names with the text of the licence."""
    metadata = distribution.metadata
    factory = LicenseFactory()
    stated = metadata["License-Expression"] or metadata["License"]
    if stated:
        license_ = factory.make_from_string(stated)
        if not isinstance(license_, DisjunctiveLicense) or license_.id:
            return [license_]
    names = [
        classifier.rpartition(" :: ")[2]
        for classifier in metadata.get_all("Classifier") or ()
        if classifier.startswith(_CLASSIFIER)
    ]
    text = _license_text(distribution)
    return [DisjunctiveLicense(name=name, text=text) for name in names or [stated]]


def _license_text(distribution: Distribution) -> AttachedText | None:
    for file in distribution.files or ():
        path = Path(file.locate())
        if file.stem == "LICENSE" and path.exists():
            return AttachedText(content=path.read_text())
    return None


def _is_reduced(distribution: Distribution) -> bool:
    """Return whether files of a distribution are missing, or are not as they were published."""
    for file in distribution.files or ():
        path = Path(file.locate())
        if file.hash is None or file.suffix == ".pyc":
            continue
        if not path.exists():
            return True
        digest = hashlib.new(file.hash.mode, path.read_bytes()).digest()
        if base64.urlsafe_b64encode(digest).decode().rstrip("=") != file.hash.value:
            return True
    return False
