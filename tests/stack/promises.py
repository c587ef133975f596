"""What subscribers were promised, held against what the bus carried."""

from typing import Any

from jsonschema import Draft202012Validator

from tests.contract.promises import BY_NAME, schema

Json = dict[str, Any]


def kept(event: Json) -> Json:
    """The detail of an event of ours. Raises jsonschema's ``ValidationError`` where it is not as promised."""
    detail: Json = event["detail"]
    Draft202012Validator(schema(BY_NAME[event["detail-type"]])).validate(detail)
    return detail
