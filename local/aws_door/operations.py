"""What a request to AWS asks for: service and call, as in `dynamodb.PutItem`."""

import re
from urllib.parse import parse_qs, urlsplit

from local.aws_door.messages import Message

_SCOPE = re.compile(r"Credential=[^/,\s]+/\d+/[^/]+/([^/]+)/aws4_request")


def operation_of(request: Message) -> str:
    """The service is that of the signature ("unsigned" without one). The call is named by the header that JSON
    services have, or the parameter that query services have; a REST service's call is method and path."""
    signed = _SCOPE.search(request.headers.get("authorization", ""))
    service = signed[1] if signed else "unsigned"
    if target := request.headers.get("x-amz-target"):
        return f"{service}.{target.rpartition('.')[2]}"
    asked = urlsplit(request.target)
    form = request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    parameters = parse_qs(request.body.decode(errors="replace") if form else asked.query)
    call = parameters.get("Action", [f"{request.method} {asked.path}"])[0]
    return f"{service}.{call}"
