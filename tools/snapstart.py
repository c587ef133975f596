"""Give what was built a parameter SnapStart: ``python -m tools.snapstart [FILE]``, before ``sam deploy``.

Lambda takes snapshots of published versions alone, and SAM publishes them always or never: the alias that it is told of
cannot depend on a parameter. So a deployment without SnapStart has neither; docs/decisions/0021-snapstart.md says more.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

BUILT = Path(".aws-sam/build/template.yaml")
ALIAS = "live"
PARAMETER = {
    "Type": "String",
    "Default": "PublishedVersions",
    "AllowedValues": ["None", "PublishedVersions"],
    "Description": "Whether the functions that answer a call start from snapshots of their initialised processes.",
}
NAMED = {"AWS::DynamoDB::Table", "AWS::Events::EventBus", "AWS::KMS::Key"}
"""Kinds of resources whose names a function is told, and whose name may become another."""
TELLING = {"Architectures", "LoggingConfig", "MemorySize", "Runtime", "SnapStart", "Timeout", "Tracing"}
"""What of a function besides its variables may be a parameter's."""

type Template = dict[str, Any]


def main(file: Path) -> None:
    template: Template = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump(with_snapstart(template), sort_keys=False))
    print(f"{file} has a parameter SnapStart now, which is PublishedVersions unless `sam deploy` is told otherwise.")


def with_snapstart(template: Template) -> Template:
    """The template with versions of all that answers a call, an alias for each, and whatever leads there by the alias.

    It is changed in place; one that has all that stays as it is.
    """
    resources = template["Resources"]
    template["Parameters"]["SnapStart"] = PARAMETER
    shared = template.get("Globals", {}).get("Function", {})
    for one in resources.values():
        if one["Type"] == "AWS::Serverless::LayerVersion":
            one["Properties"]["PublishLambdaVersion"] = True  # its content is part of a version
    for name in (answering := set(_answering(resources))):
        own = resources[name]["Properties"]
        own |= {
            "SnapStart": {"ApplyOn": {"Ref": "SnapStart"}},
            "AutoPublishAlias": ALIAS,
            "AutoPublishAliasAllProperties": True,
            "VersionDeletionPolicy": "Delete",  # for as long as there is one, its snapshot is paid for
        }
        own["VersionDescription"] = {"Fn::Sub": " ".join(_told(template, shared, own))}
    for one in resources.values():
        fed = one["Properties"].get("FunctionName", {}) if one["Type"] == "AWS::Lambda::EventSourceMapping" else {}
        if fed.get("Ref") in answering:
            one["Properties"]["FunctionName"] = _alias_of(fed["Ref"])
    for authorizer in _authorizers(resources):
        authorizer["FunctionArn"] = _alias_of(_name(authorizer["FunctionArn"]))
    return template


def _answering(resources: Mapping[str, Any]) -> Iterator[str]:
    """The functions that somebody waits for: those that the API calls, and that decide whether it may be called."""
    for name, one in resources.items():
        events = one["Properties"].get("Events", {}) if one["Type"] == "AWS::Serverless::Function" else {}
        if any(event["Type"] == "Api" for event in events.values()):
            yield name
    yield from (_name(authorizer["FunctionArn"]) for authorizer in _authorizers(resources))


def _authorizers(resources: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for one in resources.values():
        if one["Type"] == "AWS::Serverless::Api":
            yield from one["Properties"].get("Auth", {}).get("Authorizers", {}).values()


def _alias_of(function: str) -> dict[str, str]:
    return {"Ref": f"{function}.Alias"}


def _name(function: Mapping[str, Any]) -> str:
    """The function that an ARN is of."""
    name: str = function["Fn::GetAtt"][0] if "Fn::GetAtt" in function else function["Ref"]
    return name.removesuffix(".Alias")


def _told(template: Template, shared: Mapping[str, Any], own: Mapping[str, Any]) -> list[str]:
    """What a function is told that a deployment may change without another template; of nothing else.

    SAM does not see it: it names a version by what the template says, parameters by their names. A version whose
    description is another is another one, for CloudFormation; and where the function is the same, that is refused.
    """
    variables = {**shared["Environment"]["Variables"], **own.get("Environment", {}).get("Variables", {})}
    function = {name: value for name, value in {**shared, **own}.items() if name in TELLING}
    known = {name for name, one in template["Resources"].items() if one["Type"] in NAMED} | set(template["Parameters"])
    return [f"${{{name}}}" for name in sorted(set(_referred([function, variables])) & known - {"DeploymentId"})]


def _referred(node: Any) -> Iterator[str]:
    """Every name that is referred to."""
    if isinstance(node, list):
        for one in node:
            yield from _referred(one)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "Ref":
                yield value
            elif key == "Fn::GetAtt":
                yield value[0] if isinstance(value, list) else value.split(".")[0]
            elif key == "Fn::Sub":
                yield from re.findall(r"\$\{([\w:]+)", value if isinstance(value, str) else value[0])
            yield from _referred(value)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else BUILT)
