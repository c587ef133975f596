"""Kinesis Video as an application, and the door before it."""

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from moto.core.base_backend import BackendDict
from moto.moto_server.werkzeug_app import (
    BackendRequest,
    DomainDispatcherApplication,
    create_backend_app,
)
from werkzeug.wrappers import Response

from local.door import Clock, Door
from local.killing import Victims, nobody
from local.kinesis_video import api
from local.kinesis_video.models import KinesisVideoBackend, Settings
from local.kinesis_video.responses import KinesisVideoResponse, answers

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

NAME = "kinesis-video"


class KinesisVideo:
    """A WSGI application: the operations on streams here, all else by moto's own server.

    Any credentials are accepted. The region is that of the signature; the account is moto's choice: MOTO_ACCOUNT_ID,
    the account whose access key signed, or moto's default. So moto's IAM and STS, which make such keys, are
    reached at the same address. One call is carried out at a time: two creates of one name make one stream.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.settings = Settings()
        self._backends = BackendDict(KinesisVideoBackend, "kinesisvideo")
        self._rest: WSGIApplication = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        operation = api.operation_of(environ["REQUEST_METHOD"], environ["PATH_INFO"])
        if not answers(operation):
            return self._rest(environ, start_response)
        return self._answer(operation, BackendRequest(environ))(environ, start_response)

    def alive(self) -> list[dict[str, Any]]:
        """The streams of all accounts and regions, without those that are being deleted."""
        with self._lock:
            backends = [(account, region) for account, region, _ in self._backends.iter_backends()]
            return [stream for place in backends for stream in self._backend(*place).alive()]

    def forget(self) -> None:
        with self._lock:
            self._backends.clear()

    def _answer(self, operation: str, request: BackendRequest) -> Response:
        with self._lock:
            response = KinesisVideoResponse(operation, self._backend)
            response.setup_class(request)
            status, headers, body = response.call_action()
        return Response(body, status, headers)

    def _backend(self, account: str, region: str) -> KinesisVideoBackend:
        return self._backends[account][region].at(self.clock.now_ms(), self.settings)


def kinesis_video(clock: Clock | None = None, victims: Victims = nobody) -> Door:
    """Kinesis Video behind its door, to be given to `local.door.serve`. Faults kill none but `victims`.

    Besides the door's own control routes: POST /_control/kinesis-video/raise_exception.
    """
    clock = clock or Clock()
    service = KinesisVideo(clock)

    def raise_exception(
        exception: str, operation: str = "*", containing: str = "", after: int = 0, times: int = 1
    ) -> None:
        """Makes a fault of a documented exception, such as NotAuthorizedException. ValueError for any other."""
        codes = api.exceptions()
        if exception not in codes:
            raise ValueError(f"exception: must be one of {', '.join(sorted(codes))}")
        door.fault(
            "status",
            operation,
            containing=containing,
            after=after,
            times=times,
            status=codes[exception],
            headers={"x-amzn-ErrorType": exception, "x-amzn-RequestId": str(uuid4())},
            body={"Message": f"{exception} on demand."},
        )

    door = Door(
        service,
        NAME,
        api.operation_of,
        clock=clock,
        resources=service.alive,
        forget=service.forget,
        settings=service.settings,
        actions=[raise_exception],
        victims=victims,
    )
    return door
