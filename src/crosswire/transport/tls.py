"""Checks a TLS context before a client connects."""

from __future__ import annotations

import ssl

_NO_CERTIFICATE_REASONS = ("NO_SHARED_CIPHER", "NO_SUITABLE_SIGNATURE_ALGORITHM", "NO_CERTIFICATE_SET")
_MAX_STEPS = 4
"""Number of steps in which a handshake in memory ends."""


def has_certificate(context: ssl.SSLContext) -> bool:
    """Return whether a server's context has a certificate, by a handshake in memory, as no attribute shows it.

    The result is True for a context that chooses a certificate by host name, and if the handshake fails for another
    reason.
    """
    if context.sni_callback is not None:
        return True
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server),
        context.wrap_bio(to_server, to_client, server_side=True),
    )
    for _ in range(_MAX_STEPS):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError as error:
                return error.reason not in _NO_CERTIFICATE_REASONS
    return True
