"""What can be known of a TLS context before anybody connects."""

from __future__ import annotations

import ssl

_NOTHING_TO_SHOW = ("NO_SHARED_CIPHER", "NO_SUITABLE_SIGNATURE_ALGORITHM", "NO_CERTIFICATE_SET")
_MOST_STEPS = 4


def has_certificate(context: ssl.SSLContext) -> bool:
    """Whether a server's context has a certificate, which no attribute of it tells: a handshake in memory does.

    One that chooses by the name of the host is taken at its word, and so is one that fails for another reason.
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
    for _ in range(_MOST_STEPS):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError as error:
                return error.reason not in _NOTHING_TO_SHOW
    return True
