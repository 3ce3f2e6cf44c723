"""The template of a release: plain CloudFormation, made of the SAM template.

AWS's own translator makes the function's resources. All others stay as they are written,
with their comments.
"""

from __future__ import annotations

import copy
import io
import os
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.nodes import SequenceNode
from samtranslator.translator.transform import transform

_SAM: Final = "AWS::Serverless::"
_REGION: Final = "us-east-1"
"""The translator wants to know one; it leaves no trace."""

_PARAMETERS: Final = {
    "CodeBucket": {
        "Description": (
            "Name of the bucket that has the function's zip. It must be in the region of the stack."
        ),
        "Type": "String",
        "AllowedPattern": "[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
        "ConstraintDescription": "must be the name of a bucket.",
    },
    "CodeKey": {
        "Description": "Key of the zip in that bucket. Empty is {code}, the zip of this version.",
        "Type": "String",
        "Default": "",
    },
}
_LABELS: Final = {"CodeBucket": "Bucket of the code", "CodeKey": "Key of the code"}


class TemplateError(Exception):
    """The template cannot be made plain; the message says why."""


class _Constructor(SafeConstructor):
    """Reads the short forms of CloudFormation's functions."""


def _function(constructor: _Constructor, name: str, node: Any) -> dict[str, Any]:
    value: Any
    if isinstance(node, SequenceNode):
        value = constructor.construct_sequence(node, deep=True)
    else:
        value = node.value.split(".", 1) if name == "GetAtt" else node.value
    return {name if name in ("Ref", "Condition") else f"Fn::{name}": value}


_Constructor.add_multi_constructor("!", _function)


def plain_template(text: str, code: str, heading: str) -> str:
    """Return the SAM template as plain CloudFormation, in YAML.

    Args:
        text: The SAM template.
        code: Name of the function's zip: its key, unless the parameter CodeKey names
            another one. A new template then takes the new code automatically.
        heading: A comment for the first line.

    Raises:
        TemplateError: The translation changes more than the resources of SAM.
    """
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096  # else it may break a line between a tag and its value
    yaml.indent(mapping=2, sequence=4, offset=2)
    template = yaml.load(text)
    del template["Transform"]
    _take_code(template, code)
    source = _read(_write(yaml, template))
    translated = _translate(source)
    for section in source:
        if section != "Resources" and translated.get(section) != source[section]:
            raise TemplateError(f"the translation changes the section {section}")
    _replace(template["Resources"], source["Resources"], translated["Resources"])
    return f"# {heading}\n{_write(yaml, template)}"


def _take_code(template: Any, code: str) -> None:
    """Let the template take the function's code from a bucket."""
    interface = template["Metadata"]["AWS::CloudFormation::Interface"]
    interface["ParameterGroups"].insert(
        0, {"Label": {"default": "Code"}, "Parameters": list(_PARAMETERS)}
    )
    for position, (name, parameter) in enumerate(_PARAMETERS.items()):
        described = {"Description": parameter["Description"].format(code=code)}
        template["Parameters"].insert(position, name, parameter | described)
        interface["ParameterLabels"].insert(position, name, {"default": _LABELS[name]})
    template["Conditions"].insert(0, "HasDefaultCodeKey", {"Fn::Equals": [{"Ref": "CodeKey"}, ""]})
    function = template["Resources"]["Function"]
    del function["Metadata"]["BuildMethod"]
    function["Properties"]["CodeUri"] = {
        "Bucket": {"Ref": "CodeBucket"},
        "Key": {"Fn::If": ["HasDefaultCodeKey", code, {"Ref": "CodeKey"}]},
    }


def _replace(resources: Any, source: dict[str, Any], translated: dict[str, Any]) -> None:
    """Put what was translated in the place of the resources of SAM."""
    for name, resource in source.items():
        if resource["Type"].startswith(_SAM):
            resources[name] = translated[name]
        elif translated.get(name) != resource:
            raise TemplateError(f"the translation changes the resource {name}")
    for name in sorted(translated.keys() - source.keys()):
        owner = max((resource for resource in source if name.startswith(resource)), key=len)
        resources.insert(list(resources).index(owner) + 1, name, translated[name])


def _translate(template: dict[str, Any]) -> dict[str, Any]:
    os.environ.setdefault("AWS_DEFAULT_REGION", _REGION)
    sam = copy.deepcopy(template) | {"Transform": "AWS::Serverless-2016-10-31"}
    translated: dict[str, Any] = transform(sam, {}, None)
    return translated


def _read(text: str) -> Any:
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _Constructor
    return yaml.load(text)


def _write(yaml: YAML, template: Any) -> str:
    buffer = io.StringIO()
    yaml.dump(template, buffer)
    return buffer.getvalue()
