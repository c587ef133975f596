"""A stream's change: its tags by what is different, all else one versioned call after another, each by a fresh look.

The service takes a retention as a difference, so a call that is repeated might change it twice. But each call says of
which version it is, and a version is changed once: whatever comes late, or twice, is refused.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from headwater.deadline import Deadline
from headwater.errors import CapabilityNotSupported, Effect, Fault, ProviderConflict, ProviderError
from headwater.provider import Order, Resource
from headwater.retry import with_retries
from provision_kinesis_video import settings, wire
from provision_kinesis_video.calls import Calls
from provision_kinesis_video.looks import Looks
from provision_kinesis_video.options import KinesisVideoOptions

if TYPE_CHECKING:
    from mypy_boto3_kinesisvideo.client import KinesisVideoClient
    from mypy_boto3_kinesisvideo.literals import DefaultStorageTierType

LOOKS = 60
"""A change looks so often at the most; every caller's deadline is sooner."""

WORDS = {settings.DEVICE_NAME: "DeviceName", settings.MEDIA_TYPE: "MediaType"}
"""What UpdateStream sets. It has no way to take one away."""

type Step = Callable[[], Mapping[str, Any]]


class Change:
    """One change of one stream, to be carried out once. Another like it comes to the same."""

    def __init__(
        self,
        client: "KinesisVideoClient",
        calls: Calls,
        looks: Looks,
        arn: str,
        order: Order[KinesisVideoOptions],
        changed: frozenset[str],
    ) -> None:
        """Raises ``CapabilityNotSupported`` with what would have to be taken away and cannot be."""
        self._client = client
        self._calls = calls
        self._looks = looks
        self._arn = arn
        self._wanted = settings.wanted(order)
        self._wanted_tags = wire.tags_of(order)
        self._changed = changed
        self._tags_are_brought = False
        self._sent = False
        self._require_possible()

    def carried_out(self, tell: Callable[[wire.Info], Resource], deadline: Deadline) -> Resource | None:
        """What ``tell`` says of the stream as it then is; None where it is gone, or going.

        What is in use, or of another version by now, is looked at again every ``BUSY_SECONDS`` within the deadline.
        Raises ``ProviderUnavailable`` where that does not suffice.
        """

        def go() -> Resource | None:
            try:
                info = self._brought(deadline)
                return tell(info) if info else None
            except ProviderError as error:
                self._concern_all(error)
                raise

        return with_retries(go, deadline, repeatable=True, attempts=LOOKS)

    def _require_possible(self) -> None:
        kept = [at for at in WORDS if at in self._changed and self._wanted[at] is None]
        if kept:
            faults = tuple(Fault(at, "not-changeable", "the service can replace it, not take it away") for at in kept)
            raise CapabilityNotSupported(f"{wire.PROVIDER} cannot take away {', '.join(kept)}.", faults=faults)

    def _concern_all(self, error: ProviderError) -> None:
        """Have one call's failure tell of the whole change, of which others were carried out."""
        if self._sent:
            error.effect = Effect.UNKNOWN
        if error.retryable:
            error.retry_after = max(error.retry_after or 0, wire.BUSY_SECONDS)

    def _brought(self, deadline: Deadline) -> wire.Info | None:
        """The stream, one step nearer to what is wanted. Raises ``ProviderUnavailable`` where that is not all."""
        info = self._looks.standing(self._arn, deadline)
        if info is None:
            return None
        self._bring_tags(deadline)
        if step := self._next(info, deadline):
            if info.status != wire.ACTIVE:
                raise wire.busy(f"{info.status} and cannot be changed yet")
            self._send(step, deadline)
            info = self._looks.standing(self._arn, deadline)
            if info and self._next(info, deadline):
                raise wire.busy("being changed")
        return info

    def _send(self, step: Step, deadline: Deadline) -> None:
        try:
            wire.there(self._calls.looked_up(step, deadline, changes=True))
        except ProviderConflict as refusal:
            raise wire.busy("being changed by somebody else", refusal.upstream) from None
        self._sent = True

    # -- what has a version

    def _next(self, info: wire.Info, deadline: Deadline) -> Step | None:
        """The call that brings it nearer to what is wanted; None where it is there."""
        found = settings.described(info)
        if any(at in self._changed and self._wanted[at] != found[at] for at in WORDS):
            return self._update(info)
        if settings.RETENTION in self._changed and self._wanted[settings.RETENTION] != info.retention_hours:
            return self._retention(info)
        tier = self._wanted[settings.TIER]
        if self._is_changed(settings.STORAGE) and tier != wire.there(self._looks.tier(self._arn, deadline)):
            return self._storage(info)
        return None

    def _update(self, info: wire.Info) -> Step:
        """What is not to change is said too: whether the service keeps what it is not told is not documented."""
        found, version = settings.described(info), _version(info)
        words = {name: (self._wanted if at in self._changed else found)[at] for at, name in WORDS.items()}
        said: Any = {name: word for name, word in words.items() if word is not None}
        return lambda: self._client.update_stream(StreamARN=self._arn, CurrentVersion=version, **said)

    def _retention(self, info: wire.Info) -> Step:
        more, version = cast("int", self._wanted[settings.RETENTION]) - info.retention_hours, _version(info)
        return lambda: self._client.update_data_retention(
            StreamARN=self._arn,
            CurrentVersion=version,
            Operation="INCREASE_DATA_RETENTION" if more > 0 else "DECREASE_DATA_RETENTION",
            DataRetentionChangeInHours=abs(more),
        )

    def _storage(self, info: wire.Info) -> Step:
        tier, version = cast("DefaultStorageTierType", self._wanted[settings.TIER]), _version(info)
        return lambda: self._client.update_stream_storage_configuration(
            StreamARN=self._arn,
            CurrentVersion=version,
            StreamStorageConfiguration={"DefaultStorageTier": tier},
        )

    # -- what has none

    def _bring_tags(self, deadline: Deadline) -> None:
        """To what is wanted, where that is not done."""
        if self._tags_are_brought or not self._is_changed(settings.TAGS):
            return
        found = wire.there(self._looks.tags(self._arn, deadline))
        keys = {key for at in self._changed if (key := settings.tag_at(at))}
        if settings.TAGS in self._changed:
            keys |= self._wanted_tags.keys() | settings.callers(found).keys()
        gone = sorted((keys & found.keys()) - self._wanted_tags.keys())
        new = {key: self._wanted_tags[key] for key in sorted(keys & self._wanted_tags.keys())}
        new = {key: value for key, value in new.items() if found.get(key) != value}
        # What goes goes first: there is room for 50.
        if gone:
            self._send(lambda: self._client.untag_stream(StreamARN=self._arn, TagKeyList=gone), deadline)
        if new:
            self._send(lambda: self._client.tag_stream(StreamARN=self._arn, Tags=new), deadline)
        self._tags_are_brought = True

    def _is_changed(self, setting: str) -> bool:
        """Whether it is to change, or anything below it."""
        return any(at == setting or at.startswith(f"{setting}/") for at in self._changed)


def _version(info: wire.Info) -> str:
    """Raises ``ProviderUnavailable`` where none was told."""
    if info.version is None:
        raise wire.unreadable(changes=False)
    return info.version
