"""Secrets of a request that are not kept: who would send one is stopped before the mask goes in its place. Pure."""

from typing import Any, NoReturn

from pydantic import BaseModel, JsonValue, Secret, SecretStr

from headwater.errors import CapabilityNotSupported
from headwater.provider import Options
from headwater.requests import MASK


class ForgottenText(SecretStr):
    """Stands for a text that was a secret."""

    def get_secret_value(self) -> NoReturn:
        """Raises ``CapabilityNotSupported``."""
        raise _gone()


class ForgottenValue(Secret[JsonValue]):
    """Stands for any other value that was a secret."""

    def get_secret_value(self) -> NoReturn:
        """Raises ``CapabilityNotSupported``."""
        raise _gone()


def forgetting[O: Options](options: O) -> O:
    """``options`` with what cannot be looked at in place of each secret of which only the mask is left."""
    forgot: O = _forgetting(options)
    return forgot


def holds_mask(value: JsonValue) -> bool:
    """Whether a secret is masked in it, as options are shown."""
    if isinstance(value, dict | list):
        return any(holds_mask(member) for member in (value.values() if isinstance(value, dict) else value))
    return value == MASK


def _forgetting(value: Any) -> Any:
    if isinstance(value, Secret | SecretStr):
        if value.get_secret_value() != MASK:
            return value
        return ForgottenText(MASK) if isinstance(value, SecretStr) else ForgottenValue(MASK)
    if isinstance(value, BaseModel):
        given = {name: getattr(value, name) for name in value.model_fields_set}
        return value.model_copy(update={name: _forgetting(member) for name, member in given.items()})
    if isinstance(value, dict):
        return {key: _forgetting(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_forgetting(member) for member in value)
    return value


def _gone() -> CapabilityNotSupported:
    return CapabilityNotSupported("This needs a secret of the stream's request, which is not kept: give it anew.")
