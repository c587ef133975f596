"""Which addresses the provider can reach: those that it would refuse are told before anything is called."""

import ipaddress
import socket
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr


def address(*schemes: str) -> AfterValidator:
    """A check that a URL begins as it must and names a host that the provider could reach."""

    def check(url: SecretStr) -> SecretStr:
        if not url.get_secret_value().startswith(schemes):
            raise ValueError(f"must begin with {' or '.join(schemes)}")
        if not _is_public(_host(url)):
            raise ValueError("must name a public host: no private, loopback or link-local address")
        return url

    return AfterValidator(check)


def _bare(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:  # its text quotes the URL
        raise ValueError("must be a URL") from None
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must hold no user, password or query: the token has a field of its own")
    return url


BARE = AfterValidator(_bare)
"""A check that an address, which is shown, holds nothing that opens anything."""


def _host(url: SecretStr) -> str:
    try:
        return (urlsplit(url.get_secret_value()).hostname or "").rstrip(".")
    except ValueError:  # its text quotes the URL
        return ""


def _is_public(host: str) -> bool:
    """Whether an address is reachable from outside; of a name, only whether it is ``localhost``: no DNS is asked.

    The provider refuses what is not (its docs: camera sources).
    """
    try:
        literal = ipaddress.ip_address(host)
    except ValueError:
        return _is_public_shorthand(host)
    mapped = getattr(literal, "ipv4_mapped", None) or literal
    return bool(mapped.is_global) and not mapped.is_multicast


def _is_public_shorthand(host: str) -> bool:
    """For names, and for what resolvers take for an IPv4 address as well: ``127.1``, ``0x7f000001``."""
    try:
        return ipaddress.ip_address(socket.inet_aton(host)).is_global
    except (OSError, UnicodeError):
        return bool(host) and host != "localhost" and not host.endswith(".localhost")
