"""The template as the tests read it: parsed, its functions in their long form, and what belongs to what."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

PATH = Path(__file__).parents[1] / "template.yaml"

type Resources = dict[str, dict[str, Any]]


class _Loader(yaml.SafeLoader):
    """Knows CloudFormation's short forms."""


def _long_form(loader: yaml.SafeLoader, name: str, node: yaml.Node) -> dict[str, Any]:
    match node:
        case yaml.ScalarNode():
            value: Any = loader.construct_scalar(node)
        case yaml.SequenceNode():
            value = loader.construct_sequence(node, deep=True)
        case _:
            value = loader.construct_mapping(node, deep=True)  # type: ignore[arg-type] # there is no fourth kind
    if name == "GetAtt":
        value = value.split(".", 1)
    return {name if name in {"Ref", "Condition"} else f"Fn::{name}": value}


_Loader.add_multi_constructor("!", _long_form)


@cache
def template() -> dict[str, Any]:
    """The whole of it."""
    parsed: dict[str, Any] = yaml.load(PATH.read_text(), _Loader)  # noqa: S506  # a SafeLoader
    return parsed


def resources(kind: str) -> Resources:
    """The properties of each resource of a type, by its name."""
    found = template()["Resources"].items()
    return {name: one.get("Properties", {}) for name, one in found if one["Type"] == kind}


def functions() -> Resources:
    """The properties of each function, the global ones included, by the folder of its handler."""
    shared = template()["Globals"]["Function"]
    own = resources("AWS::Serverless::Function").values()
    return {each["Handler"].split(".")[0]: {**shared, **each} for each in own}


def name_of(folder: str) -> str:
    """What the resources of a folder are called: its name in PascalCase."""
    return "".join(word.capitalize() for word in folder.split("_"))


def folder_of(function: str) -> str:
    """The folder of a function, by the function's name in the template."""
    handler: str = resources("AWS::Serverless::Function")[function]["Handler"]
    return handler.split(".", maxsplit=1)[0]


def target(value: Any) -> str:
    """The resource that a ``!Ref`` or a ``!GetAtt`` means."""
    return str(value["Ref"] if "Ref" in value else value["Fn::GetAtt"][0])


def default(value: Any) -> Any:
    """A value, or the default of the parameter that it refers to."""
    return template()["Parameters"][value["Ref"]]["Default"] if isinstance(value, dict) else value


def consumer_of(source: str) -> str | None:
    """The folder of the function that a queue or stream feeds."""
    for mapping in resources("AWS::Lambda::EventSourceMapping").values():
        if target(mapping["EventSourceArn"]) == source:
            return folder_of(target(mapping["FunctionName"]))
    return None


def statements(folder: str) -> list[dict[str, Any]]:
    """Everything that a function's role may do, the shared policies included."""
    found: list[dict[str, Any]] = []
    for policy in functions()[folder].get("Policies", []):
        document = resources("AWS::IAM::ManagedPolicy")[policy["Ref"]]["PolicyDocument"] if "Ref" in policy else policy
        found += document["Statement"]
    return found


def actions(statement: dict[str, Any]) -> list[str]:
    """A statement's actions as a list."""
    listed: str | list[str] = statement["Action"]
    return [listed] if isinstance(listed, str) else listed
