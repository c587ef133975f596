"""Items in DynamoDB's typed form, and back: the few types that ours are of. Pure.

boto3 has the same, and all of boto3 with it: a quarter of a function's start, for these forty lines.
"""

from typing import Any

type Item = dict[str, Any]


def to_attributes(item: Item) -> Any:
    """A plain item in DynamoDB's typed form. Raises ``TypeError`` on a value of a type that ours never have."""
    return {name: _typed(value) for name, value in item.items()}


def from_attributes(attributes: Any) -> Item:
    """A plain item from DynamoDB's typed form. Raises ``TypeError`` likewise."""
    return {name: _plain(typed) for name, typed in attributes.items()}


def _typed(value: object) -> dict[str, Any]:
    match value:
        case str():
            return {"S": value}
        case bool():
            return {"BOOL": value}
        case int():
            return {"N": str(value)}
        case bytes():
            return {"B": value}
        case dict():
            return {"M": to_attributes(value)}
    raise TypeError(f"nothing of ours is a {type(value).__name__}")


def _plain(typed: dict[str, Any]) -> Any:
    [(kind, value)] = typed.items()
    match kind:
        case "S" | "B" | "BOOL":
            return value
        case "N":
            return int(value)
        case "M":
            return from_attributes(value)
    raise TypeError(f"nothing of ours is of type {kind}")
