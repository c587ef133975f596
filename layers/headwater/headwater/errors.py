"""Every failure that Headwater answers, sorted by who can act on it. Nobody reads its text to decide anything.

HeadwaterError
├── CallerError                      the caller changes the request
│   ├── MalformedBody                400
│   ├── IdempotencyKeyMissing        400
│   ├── IdempotencyKeyInvalid        400
│   ├── Unauthenticated              401
│   ├── NotificationRefused          401
│   ├── AdoptionNotAllowed           403
│   ├── RouteNotFound                404
│   ├── ProviderUnknown              404
│   ├── StreamNotFound               404
│   ├── OutputNotFound               404
│   ├── NotAtProvider                404
│   ├── CreationInProgress           409  + Retry-After
│   ├── NameTaken                    409
│   ├── CapabilityNotSupported       409
│   ├── CreationAbandoned            409
│   ├── StreamLive                   409
│   ├── AlreadyRecorded              409
│   ├── StreamEnded                  410
│   ├── PreconditionFailed           412
│   ├── BodyTooLarge                 413
│   ├── IdempotencyKeyReused         422
│   └── InvalidRequest               422
├── ProviderError                    the provider said no, or said nothing
│   ├── ProviderPaymentRequired      402  whoever pays the provider
│   ├── ProviderNotEntitled          403  whoever holds the provider's account
│   ├── ProviderConflict             409
│   ├── GuardSpent                   409  + Retry-After
│   ├── ProviderQuotaExceeded        409
│   ├── ProviderRejected             422  the caller changes the options
│   ├── ProviderUnauthorized         502  the operator: the stored secret is refused
│   ├── ProviderRateLimited          503  + Retry-After
│   ├── ProviderUnavailable          503  + Retry-After
│   ├── ProviderOutcomeUnknown       504
│   └── CreateUndecided              504  + Retry-After
└── OperatorError                    whoever runs this deployment
    ├── ProviderSecretInvalid        500
    ├── ProviderSecretUnavailable    503  + Retry-After
    └── InternalError                500
"""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, ClassVar

TYPE_BASE = "urn:headwater:problem:"


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a request: where (RFC 6901 pointer into it), which rule, and in words."""

    pointer: str
    code: str
    detail: str


@dataclass(frozen=True)
class Upstream:
    """What the provider itself answered. ``status`` is None where no answer came."""

    provider: str
    status: int | None = None
    code: str | None = None
    request_id: str | None = None


class Effect(StrEnum):
    """What a failed call may have done at the provider."""

    NONE = "none"
    """Provably nothing: it was refused, or never sent."""
    UNKNOWN = "unknown"
    """It may have been carried out."""


class HeadwaterError(Exception):
    """Base of every failure. ``retry_after`` is in seconds."""

    code: ClassVar[str]
    status: ClassVar[int]
    title: ClassVar[str]
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        detail: str,
        *,
        faults: tuple[Fault, ...] = (),
        retry_after: float | None = None,
        upstream: Upstream | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.faults = faults
        self.retry_after = retry_after
        self.upstream = upstream
        self.extra = extra
        self.settled = False
        """Whether it was recorded and announced as the stream's failure: to try again is a new attempt."""

    def problem(self, request_id: str) -> dict[str, Any]:
        """This failure as an RFC 9457 problem."""
        upstream = {"upstream": asdict(self.upstream)} if self.upstream else {}
        return {
            "type": TYPE_BASE + self.code,
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            "request_id": request_id,
            "retryable": self.retryable,
            "errors": [asdict(fault) for fault in self.faults],
            **self.extra,
            **upstream,
        }


class CallerError(HeadwaterError):
    """The caller can mend it."""


class MalformedBody(CallerError):
    code, status, title = "malformed-body", 400, "The body is not a JSON object"


class IdempotencyKeyMissing(CallerError):
    code, status, title = "idempotency-key-missing", 400, "A create needs an Idempotency-Key header"


class IdempotencyKeyInvalid(CallerError):
    code, status, title = "idempotency-key-invalid", 400, "The Idempotency-Key cannot be used"


class Unauthenticated(CallerError):
    code, status, title = "unauthenticated", 401, "It cannot be told who is calling"


class NotificationRefused(CallerError):
    code, status, title = "notification-refused", 401, "The notification does not prove where it comes from"


class AdoptionNotAllowed(CallerError):
    code, status, title = "adoption-not-allowed", 403, "Only AWS principals may adopt"


class RouteNotFound(CallerError):
    code, status, title = "route-not-found", 404, "There is nothing at this address"


class ProviderUnknown(CallerError):
    code, status, title = "provider-unknown", 404, "No such provider"


class StreamNotFound(CallerError):
    code, status, title = "stream-not-found", 404, "No such stream"


class OutputNotFound(CallerError):
    code, status, title = "output-not-found", 404, "The stream is sent on to no such output"


class NotAtProvider(CallerError):
    code, status, title = "not-at-provider", 404, "The provider has nothing of this id"


class CreationInProgress(CallerError):
    code, status, title = "creation-in-progress", 409, "This stream is still being created"
    retryable = True


class NameTaken(CallerError):
    code, status, title = "name-taken", 409, "The provider has a stream of this name that is not yours"


class CapabilityNotSupported(CallerError):
    code, status, title = "capability-not-supported", 409, "The provider cannot do this"


class CreationAbandoned(CallerError):
    code, status, title = "creation-abandoned", 409, "The creation of this stream was given up"


class StreamLive(CallerError):
    code, status, title = "stream-live", 409, "Somebody is sending to this stream"


class AlreadyRecorded(CallerError):
    code, status, title = "already-recorded", 409, "This resource belongs to a stream already"


class StreamEnded(CallerError):
    code, status, title = "stream-ended", 410, "This stream has ended"


class PreconditionFailed(CallerError):
    code, status, title = "precondition-failed", 412, "The stream changed meanwhile"
    retryable = True


class BodyTooLarge(CallerError):
    code, status, title = "body-too-large", 413, "The body is too large"


class IdempotencyKeyReused(CallerError):
    code, status, title = "idempotency-key-reused", 422, "This Idempotency-Key was used for another request"


class InvalidRequest(CallerError):
    code, status, title = "invalid-request", 422, "The request is not valid"


class ProviderError(HeadwaterError):
    """The provider refused or did not answer; ``effect`` says what the call may have done there."""

    transient: ClassVar[bool] = False
    """Whether the very same call may succeed later, with nobody changing anything."""

    def __init__(self, detail: str, *, effect: Effect = Effect.NONE, **rest: Any) -> None:
        super().__init__(detail, **rest)
        self.effect = effect


class ProviderPaymentRequired(ProviderError):
    code, status, title = "provider-payment-required", 402, "The provider asks for payment"


class ProviderNotEntitled(ProviderError):
    code, status, title = "provider-not-entitled", 403, "The provider does not allow this account to do it"


class ProviderConflict(ProviderError):
    code, status, title = "provider-conflict", 409, "The provider reports a conflict"


class GuardSpent(ProviderError):
    code, status, title = "provider-guard-spent", 409, "The provider still holds this key for a stream that is gone"
    retryable = transient = True


class ProviderQuotaExceeded(ProviderError):
    code, status, title = "provider-quota-exceeded", 409, "A limit of the provider's account is reached"


class ProviderRejected(ProviderError):
    code, status, title = "provider-rejected", 422, "The provider does not accept this request"


class ProviderUnauthorized(ProviderError):
    code, status, title = "provider-unauthorized", 502, "The provider refuses this deployment's secret"
    transient = True


class ProviderRateLimited(ProviderError):
    code, status, title = "provider-rate-limited", 503, "The provider asks to slow down"
    retryable = transient = True


class ProviderUnavailable(ProviderError):
    code, status, title = "provider-unavailable", 503, "The provider cannot be reached or is failing"
    retryable = transient = True


class ProviderOutcomeUnknown(ProviderError):
    """It may have been carried out, unless ``effect`` says otherwise."""

    code, status, title = "provider-outcome-unknown", 504, "It is not known whether the provider did it"
    retryable = transient = True

    def __init__(self, detail: str, *, effect: Effect = Effect.UNKNOWN, **rest: Any) -> None:
        super().__init__(detail, effect=effect, **rest)


class CreateUndecided(ProviderError):
    """What an earlier attempt made cannot be found or ruled out, and its guard is over: creating might make another."""

    code, status, title = "provider-outcome-undecided", 504, "It cannot be found out whether the provider did it"
    retryable = transient = True


class OperatorError(HeadwaterError):
    """Whoever runs this deployment can mend it."""


class ProviderSecretInvalid(OperatorError):
    code, status, title = "provider-secret-invalid", 500, "The provider's secret is missing or malformed"


class ProviderSecretUnavailable(OperatorError):
    code, status, title = "provider-secret-unavailable", 503, "The provider's secret cannot be read just now"
    retryable = True


class InternalError(OperatorError):
    code, status, title = "internal-error", 500, "Headwater failed"
    retryable = True
