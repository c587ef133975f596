"""The API as botocore's model describes it: operations, exceptions, and the check of a request.

The model gives each member's pattern and limits. A pattern is of the whole value, as everywhere at AWS, and its
`\\w` and `\\d` are ASCII, as in Java.
"""

import json
import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape
from moto.core.model import ServiceModel
from moto.core.utils import get_service_model

from local.kinesis_video.exceptions import InvalidArgumentException

UNKNOWN = "unknown"

_TYPES = {"structure": dict, "map": dict, "list": list, "string": str, "integer": int}
_STAND_INS = {"L": "a", "Z": " ", "N": "0"}
_CLASSES = {r"\p{L}": "a-zA-Z", r"\p{Z}": " ", r"\p{N}": "0-9"}


def model() -> ServiceModel:
    return get_service_model("kinesisvideo")


def operation_of(method: str, path: str) -> str:
    """The API's name of the operation at this path, "unknown" where there is none."""
    return _operations().get((method, path), UNKNOWN)


@cache
def _operations() -> dict[tuple[str, str], str]:
    http = {name: model().operation_model(name).http for name in model().operation_names}
    return {(at["method"], at["requestUri"]): name for name, at in http.items()}


def exceptions() -> dict[str, int]:
    """Every documented exception with its HTTP code."""
    return {shape.name: shape.metadata["error"]["httpStatusCode"] for shape in model().error_shapes}


def checked(operation: str, body: str) -> dict[str, Any]:
    """The request in `body`. Raises InvalidArgumentException that names everything wrong with it.

    Members that the model does not know are ignored, as the service does.
    """
    shape = model().operation_model(operation).input_shape
    request = _parsed(body)
    wrong = list(_violations(shape, request, "")) or list(_unnamed(shape, request))
    if wrong:
        count = f"{len(wrong)} validation error{'s' * (len(wrong) > 1)} detected"
        raise InvalidArgumentException(f"{count}: {'; '.join(wrong)}")
    return {name: value for name, value in request.items() if value is not None}


def _parsed(body: str) -> Any:
    try:
        return json.loads(body or "{}")
    except ValueError:
        raise InvalidArgumentException("The request is not JSON.") from None


def _unnamed(shape: Shape, request: dict[str, Any]) -> Iterator[str]:
    """The model cannot say that one of two members is needed; the operations' descriptions do."""
    either = {"StreamName", "StreamARN"}
    if isinstance(shape, StructureShape) and either <= shape.members.keys() and not any(map(request.get, either)):
        yield "Either StreamName or StreamARN must be specified"


def _violations(shape: Shape, value: Any, at: str) -> Iterator[str]:
    if not isinstance(value, _TYPES[shape.type_name]) or isinstance(value, bool):
        yield f"Value at '{at}' must be of type {shape.type_name}"
        return
    for constraint in _unmet(shape, value):
        yield f"Value at '{at}' failed to satisfy constraint: Member must {constraint}"
    for inner, member, name in _members(shape, value):
        yield from _violations(inner, member, f"{at}.{name}".lstrip("."))


def _unmet(shape: Shape, value: Any) -> Iterator[str]:
    limits = shape.metadata
    size = value if isinstance(value, int) else len(value)
    kind = "value" if isinstance(value, int) else "length"
    if size < limits.get("min", size):
        yield f"have {kind} greater than or equal to {limits['min']}"
    # How many tags a stream may have is another refusal, so no map is too long here.
    if size > limits.get("max", size) and not isinstance(shape, MapShape):
        yield f"have {kind} less than or equal to {limits['max']}"
    if value not in limits.get("enum", [value]):
        yield f"satisfy enum value set: [{', '.join(limits['enum'])}]"
    if "pattern" in limits and not _matches(limits["pattern"], value):
        yield f"satisfy regular expression pattern: {limits['pattern']}"
    for name in limits.get("required", ()):
        if value.get(name) is None:
            yield f"have {name}"


def _members(shape: Shape, value: Any) -> Iterator[tuple[Shape, Any, str]]:
    if isinstance(shape, StructureShape):
        for name, inner in shape.members.items():
            if value.get(name) is not None:
                yield inner, value[name], name
    elif isinstance(shape, MapShape):
        for name, member in value.items():
            yield shape.key, name, "key"
            yield shape.value, member, "value"
    elif isinstance(shape, ListShape):
        for index, member in enumerate(value):
            yield shape.member, member, str(index)


def _matches(pattern: str, text: str) -> bool:
    """Python's `re` has no Unicode categories. All that these patterns name outright is ASCII, so a character
    outside ASCII may be replaced by one inside that is of its category."""
    if r"\p{" in pattern:
        text = "".join(map(_folded, text))
        for category, plain in _CLASSES.items():
            pattern = pattern.replace(category, plain)
    return re.fullmatch(pattern, text, re.ASCII) is not None


def _folded(character: str) -> str:
    if character.isascii():
        return character
    return _STAND_INS.get(unicodedata.category(character)[0], "\0")
