"""Where a live input is sent on to (simulcast). Its keys belong to other platforms: none is told, none is passed on.

Source: Cloudflare's documentation, "Simulcast (restream) videos", and its API reference, "outputs".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from pydantic import JsonValue, SecretStr

from headwater.deadline import Deadline
from headwater.errors import Effect, NotAtProvider, ProviderError, ProviderQuotaExceeded, Upstream
from headwater.http import Answer
from headwater.simulcast import NewOutput, Output
from provision_cloudflare.live_inputs import ID, NAME, LiveInputs, unclear, unreadable
from provision_cloudflare.reading import as_object, text
from provision_cloudflare.wire import granted

MOST = 50
"""Outputs that a live input can have at once (same documentation)."""


@dataclass(frozen=True)
class _Found:
    """An output, as it is there."""

    id: str
    url: SecretStr
    key: SecretStr
    enabled: bool

    def is_to(self, wanted: NewOutput) -> bool:
        return (self.url, self.key) == (wanted.url, wanted.stream_key)

    def shown(self) -> Output:
        return Output(id=self.id, service=_service(self.url), enabled=self.enabled)


class Outputs:
    """Of the live inputs. Each raises ``NotAtProvider`` where Cloudflare does not have the live input ``ref``."""

    def __init__(self, inputs: LiveInputs) -> None:
        self._inputs = inputs

    def all(self, ref: str, deadline: Deadline) -> Sequence[Output]:
        """Every one of them: there are no pages."""
        return [found.shown() for found in self._listed(ref, deadline)]

    def add(self, ref: str, wanted: NewOutput, deadline: Deadline) -> Output:
        """One more, or the one that is to the same place with the same key already, switched as wanted.

        Nothing guards the call against a repeat, so it is made once; where its answer is lost, what came of it is
        looked for. Raises ``ProviderQuotaExceeded`` where there are 50, with nothing sent.
        """
        listed = self._listed(ref, deadline)
        if same := _same(listed, wanted):
            return self._brought_into_line(ref, same, wanted, deadline)
        if len(listed) >= MOST:
            raise ProviderQuotaExceeded(f"{NAME}: a live input has at most {MOST} outputs.")
        try:
            return self._made(ref, wanted, deadline)
        except ProviderError as error:
            if error.effect is Effect.NONE or not (made := self._left_by(ref, wanted, deadline)):
                raise
        return self._brought_into_line(ref, made, wanted, deadline)

    def switch(self, ref: str, output_id: str, enabled: bool, deadline: Deadline) -> Output | None:
        """One, on or off; None where there is none of this id."""
        if not ID.fullmatch(output_id):
            return None
        answer = self._ask("PUT", deadline, ref, output_id, json={"enabled": enabled})
        if answer is None:
            return None
        switched = _output(granted(answer))
        if switched is None:
            raise unclear(answer, "its answer names no output")
        return switched.shown()

    def remove(self, ref: str, output_id: str, deadline: Deadline) -> None:
        """One less. Cloudflare needs up to 30 s until nothing is sent there any more."""
        if ID.fullmatch(output_id):
            self._ask("DELETE", deadline, ref, output_id)

    def _made(self, ref: str, wanted: NewOutput, deadline: Deadline) -> Output:
        url, key = wanted.url.get_secret_value(), wanted.stream_key.get_secret_value()
        body: JsonValue = {"url": url, "streamKey": key, "enabled": wanted.enabled}
        answer = self._ask("POST", deadline, ref, json=body, repeatable=False)
        if answer is None:
            raise _without_live_input()
        made = _output(granted(answer))
        if made is None:
            raise unclear(answer, "its answer names no output")
        return made.shown()

    def _left_by(self, ref: str, wanted: NewOutput, deadline: Deadline) -> _Found | None:
        """What a call made that was not answered; None where that cannot be told either."""
        try:
            return _same(self._listed(ref, deadline), wanted)
        except (ProviderError, NotAtProvider):
            return None

    def _brought_into_line(self, ref: str, found: _Found, wanted: NewOutput, deadline: Deadline) -> Output:
        if found.enabled is wanted.enabled:
            return found.shown()
        switched = self.switch(ref, found.id, wanted.enabled, deadline)
        return switched or self._made(ref, wanted, deadline)

    def _listed(self, ref: str, deadline: Deadline) -> list[_Found]:
        answer = self._ask("GET", deadline, ref)
        if answer is None:
            raise _without_live_input()
        result = granted(answer)
        if not isinstance(result, list):
            raise unreadable(answer)
        return [found for found in map(_output, result) if found]

    def _ask(self, method: str, deadline: Deadline, ref: str, output_id: str = "", **how: Any) -> Answer | None:
        one = f"/{quote(output_id, safe='')}" if output_id else ""
        return self._inputs.ask(method, deadline, ref, f"/outputs{one}", private=True, **how)


def _same(listed: Sequence[_Found], wanted: NewOutput) -> _Found | None:
    return next((found for found in listed if found.is_to(wanted)), None)


def _output(result: JsonValue) -> _Found | None:
    """None where it has no id. One of which it is not told whether it is switched on is: that is the default."""
    found = as_object(result)
    output_id = text(found, "uid")
    if output_id is None:
        return None
    url, key = (SecretStr(text(found, name) or "") for name in ("url", "streamKey"))
    return _Found(output_id, url, key, found.get("enabled") is not False)


def _service(url: SecretStr) -> str | None:
    """The scheme and host; None where it has none. A user, a port or a path may be or hold a key."""
    try:
        split = urlsplit(url.get_secret_value())
        host = split.hostname
    except ValueError:
        return None
    if not (split.scheme and host):
        return None
    return f"{split.scheme}://[{host}]" if ":" in host else f"{split.scheme}://{host}"


def _without_live_input() -> NotAtProvider:
    return NotAtProvider(f"{NAME} does not have this live input any more.", upstream=Upstream(NAME, 404))
