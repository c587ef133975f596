"""What ``sam build`` made of the template: each function's code, layers and variables as Lambda would have them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

REGION = "eu-central-1"
ACCOUNT = "123456789012"
PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackName": "bench",
    "AWS::URLSuffix": "amazonaws.com",
}


@dataclass(frozen=True)
class Function:
    """One function of the built template."""

    handler: str
    code: Path
    layers: tuple[Path, ...]
    """What is unpacked below /opt, in the order in which it is."""
    variables: dict[str, str]

    @property
    def folder(self) -> str:
        """The folder of its handler."""
        return self.handler.partition(".")[0]


class Built:
    """The template in the folder that ``sam build`` made."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._template: dict[str, Any] = yaml.safe_load((folder / "template.yaml").read_text())
        self._globals: dict[str, Any] = self._template.get("Globals", {}).get("Function", {})

    def functions(self) -> list[Function]:
        """Each, by its handler's name."""
        resources = self._template["Resources"].values()
        made = [self._function(one["Properties"]) for one in resources if one["Type"] == "AWS::Serverless::Function"]
        return sorted(made, key=lambda one: one.handler)

    def _function(self, properties: dict[str, Any]) -> Function:
        of_all = self._globals.get("Environment", {}).get("Variables", {})
        own = properties.get("Environment", {}).get("Variables", {})
        layers = [*self._globals.get("Layers", []), *properties.get("Layers", [])]
        return Function(
            handler=properties["Handler"],
            code=self._folder / str(properties.get("CodeUri") or self._globals["CodeUri"]),
            layers=tuple(self._layer(layer["Ref"]) for layer in layers if isinstance(layer, dict) and "Ref" in layer),
            variables={name: str(self.value(value)) for name, value in {**of_all, **own}.items()},
        )

    def _layer(self, name: str) -> Path:
        return self._folder / str(self._template["Resources"][name]["Properties"]["ContentUri"])

    def value(self, told: Any) -> Any:
        """What an expression of the template comes to with the parameters' defaults; a resource has a made-up name."""
        if not isinstance(told, dict):
            return told
        ((kind, argument),) = told.items()
        return self._kinds()[kind](argument)

    def _kinds(self) -> "dict[str, Callable[[Any], Any]]":
        return {
            "Ref": self._named,
            "Condition": lambda name: self.value(self._template["Conditions"][name]),
            "Fn::GetAtt": self._attribute,
            "Fn::Sub": self._substituted,
            "Fn::If": lambda parts: self.value(parts[1] if self._kinds()["Condition"](parts[0]) else parts[2]),
            "Fn::Equals": lambda parts: str(self.value(parts[0])) == str(self.value(parts[1])),
            "Fn::Not": lambda parts: not self.value(parts[0]),
            "Fn::And": lambda parts: all(map(self.value, parts)),
            "Fn::Or": lambda parts: any(map(self.value, parts)),
            "Fn::Join": lambda parts: parts[0].join(str(self.value(part)) for part in parts[1]),
        }

    def _named(self, name: str) -> Any:
        if name in PSEUDO:
            return PSEUDO[name]
        if name in self._template.get("Parameters", {}):
            return self._template["Parameters"][name].get("Default", "")
        if self._template["Resources"][name]["Type"] == "AWS::SecretsManager::Secret":
            return f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}-abcdef"
        return f"bench-{name}"

    def _attribute(self, parts: "list[str] | str") -> str:
        name, attribute = parts.split(".", 1) if isinstance(parts, str) else parts
        resource = self._template["Resources"][name]["Type"]
        service = resource.split("::")[1].lower()
        if resource == "AWS::KMS::Key":
            return f"arn:aws:kms:{REGION}:{ACCOUNT}:key/00000000-0000-4000-8000-000000000000"
        return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{name}" if attribute == "Arn" else f"{name}-{attribute}"

    def _substituted(self, told: "str | list[Any]") -> str:
        text: str
        text, given = (told, {}) if isinstance(told, str) else told
        for name, value in given.items():
            text = text.replace("${" + name + "}", str(self.value(value)))
        while "${" in text:
            name = text.partition("${")[2].partition("}")[0]
            value = self._attribute(name) if "." in name else self._named(name)
            text = text.replace("${" + name + "}", str(value))
        return text


def moved(variables: dict[str, str], url: str, opt: Path) -> dict[str, str]:
    """The variables here: whatever is on the web is at ``url`` instead, and whatever is below /opt is below ``opt``."""
    here = {}
    for name, value in variables.items():
        if value.startswith("https://"):
            here[name] = url + urlsplit(value).path
        elif "/opt/" in value or value == "/opt":
            here[name] = value.replace("/opt", str(opt))
        else:
            here[name] = value
    return here


def provider_of(root: Path, folder: str) -> str | None:
    """The provider that a function's folder below ``root`` opens streams at; None where it opens none."""
    told = root / "functions" / folder / "capabilities.json"
    return str(json.loads(told.read_text())["provider"]) if told.exists() else None
