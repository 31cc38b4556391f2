"""The pages whose WebSockets may use the cookies of their visitors.

A browser sends the cookies of a site with every WebSocket to it, whichever page opens it, and no CSRF token protects
these. So the origin of the page decides, which browsers always send (RFC 6455, section 10.2).
"""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host
from django.utils.http import is_same_domain

from crosswire.server.handshake import Handshake

_DEBUG_HOSTS = [".localhost", "127.0.0.1", "[::1]"]
"""Hosts that Django allows with ``DEBUG`` where ``ALLOWED_HOSTS`` is empty."""


def may_use_cookies(handshake: Handshake) -> bool:
    """Return whether Django trusts the page that opened the WebSocket.

    It does if the page's origin is one of ``CSRF_TRUSTED_ORIGINS``, or if its host is one of ``ALLOWED_HOSTS``, over
    TLS if the WebSocket is. With ``*`` in ``ALLOWED_HOSTS``, the page's host must be that of the WebSocket. A client
    that sends no origin is no browser, and nobody else's page.
    """
    if "origin" not in handshake.headers:
        return True
    origin = handshake.headers["origin"]
    try:
        page = urlsplit(origin)
    except ValueError:  # such as an IPv6 address that is none
        return False
    return _is_trusted(origin, page) or _is_own(page, handshake)


def _is_trusted(origin: str, page: SplitResult) -> bool:
    """Compare an origin with ``CSRF_TRUSTED_ORIGINS`` as Django does."""
    for trusted in settings.CSRF_TRUSTED_ORIGINS:
        if "*" not in trusted:
            if origin == trusted:
                return True
            continue
        pattern = urlsplit(trusted)
        if page.scheme == pattern.scheme and is_same_domain(page.netloc, pattern.netloc.lstrip("*")):
            return True
    return False


def _is_own(page: SplitResult, handshake: Handshake) -> bool:
    if page.scheme not in ("http", "https") or (handshake.scheme == "https" and page.scheme == "http"):
        return False
    host, _ = split_domain_port(page.netloc)
    if not host:
        return False
    allowed = settings.ALLOWED_HOSTS or (_DEBUG_HOSTS if settings.DEBUG else [])
    if "*" in allowed:
        return host == split_domain_port(handshake.headers.get("host", ""))[0]
    return validate_host(host, allowed)
