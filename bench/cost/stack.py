"""The template with its parameters at their defaults: conditions, references, and what each function is given."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.template import template

type Json = dict[str, Any]

PSEUDO = {
    "AWS::Partition": "aws",
    "AWS::AccountId": "123456789012",
    "AWS::URLSuffix": "amazonaws.com",
}


@dataclass
class Stack:
    """``parameters`` in the stead of defaults; ``name_of`` is what a resource is called once it is there, and by which
    attribute of it: an ``Arn``, a ``StreamArn``, or none."""

    parameters: Mapping[str, Any] = field(default_factory=dict)
    region: str = "us-east-1"
    name_of: Callable[[str, str | None], str] = lambda resource, attribute: f"{resource}.{attribute or 'Ref'}"

    def resources(self) -> dict[str, Json]:
        """Those that are there, by their names, with their types and their properties."""
        found = template()["Resources"]
        return {name: one for name, one in found.items() if self._holds(one.get("Condition"))}

    def of_type(self, kind: str) -> dict[str, Json]:
        """The properties of those of one type."""
        return {name: one.get("Properties", {}) for name, one in self.resources().items() if one["Type"] == kind}

    def functions(self) -> dict[str, Json]:
        """The properties of each function, what is common to all included, by its folder."""
        common = template()["Globals"]["Function"]
        own = self.of_type("AWS::Serverless::Function").values()
        return {each["Handler"].partition(".")[0]: {**common, **each} for each in own}

    def environment(self, folder: str) -> dict[str, str]:
        """The variables of a function."""
        own = self.functions()[folder].get("Environment", {}).get("Variables", {})
        given = {**template()["Globals"]["Function"]["Environment"]["Variables"], **own}
        return {name: str(self.value(each)) for name, each in given.items()}

    def value(self, given: Any) -> Any:
        """A value as it is deployed. Raises ``LookupError`` for a function of the template that is not known here."""
        if not isinstance(given, dict) or len(given) != 1:
            return given
        [(name, argument)] = given.items()
        if name == "Ref" or name.startswith("Fn::"):
            return self._worked_out(name, argument)
        return given

    def _worked_out(self, name: str, argument: Any) -> Any:
        match name:
            case "Ref":
                return self._referred_to(argument)
            case "Fn::GetAtt":
                return self.name_of(*argument)
            case "Fn::Sub":
                return self._filled(argument)
            case "Fn::If":
                condition, met, otherwise = argument
                return self.value(met if self._holds(condition) else otherwise)
            case "Fn::FindInMap":
                mapping, first, second = map(self.value, argument)
                return template()["Mappings"][mapping][first][second]
        raise LookupError(f"what {name} comes to is not known here")

    def _referred_to(self, name: str) -> Any:
        if name in template()["Parameters"]:
            return self.parameters.get(name, template()["Parameters"][name]["Default"])
        pseudo = {**PSEUDO, "AWS::Region": self.region, "AWS::NoValue": None}
        return pseudo[name] if name in pseudo else self.name_of(name, None)

    def _filled(self, text: str) -> str:
        while (begin := text.find("${")) >= 0:
            end = text.index("}", begin)
            resource, _, attribute = text[begin + 2 : end].partition(".")
            known = self.name_of(resource, attribute) if attribute else str(self._referred_to(resource))
            text = text[:begin] + known + text[end + 1 :]
        return text

    def _holds(self, condition: str | None) -> bool:
        return condition is None or self._true(template()["Conditions"][condition])

    def _true(self, given: Json) -> bool:
        [(name, argument)] = given.items()
        match name:
            case "Fn::Equals":
                one, other = map(self.value, argument)
                return bool(one == other)
            case "Fn::Not":
                return not self._true(argument[0])
            case "Fn::And":
                return all(map(self._true, argument))
            case "Fn::Or":
                return any(map(self._true, argument))
            case "Condition":
                return self._holds(argument)
        raise LookupError(f"what {name} comes to is not known here")
