"""JSON Web Tokens of clients: where they come from, what is refused, how they are renewed and revoked."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from crosswire import CloseCode, ConfigError, Handshake, Identity, Limits, Reject, Server, Socket, UsageError
from crosswire.server.authorities import Authorities
from crosswire.testing import connect as connect_in_memory
from tests.integration.server.support import HookRecorder, Peer, connect, make_server
from tests.support.aio import wait_until
from tests.support.moved_clock import MovedClock
from tests.support.tokens import make_token, token_server

ALL_SOURCES = {"sources": ["header", "subprotocol", "query", "message"]}
RENEWAL = 45
"""Seconds after which a client is asked for a new token instead of one that lasts a minute."""
CHECKED_WITHIN = 0.3
"""Seconds in which the server looks at its clock, if nothing holds it up."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> MovedClock:
    """The server's clock."""
    return MovedClock(monkeypatch)


def way_of(source: str, token: str) -> dict[str, Any]:
    """How a client connects whose token comes from that source."""
    ways: dict[str, dict[str, Any]] = {
        "header": {"additional_headers": {"Authorization": f"Bearer {token}"}},
        "subprotocol": {"subprotocols": ["bearer", token]},
        "query": {"path": f"/?token={token}"},
    }
    return ways[source]


async def answer_renewal(peer: Peer, parameters: Any) -> None:
    """Wait for the server to ask for a new token, and answer."""
    asked = await peer.receive()
    assert asked == {"event": "$renew", "payload": None, "callId": asked["callId"]}
    await peer.send_text(json.dumps({"callId": asked["callId"], "payload": parameters}))


def authorities_of(server: Server) -> Authorities:
    """What a server keeps to itself: the identities of its connections."""
    return server.instruments._parts.authorities


@pytest.mark.parametrize("source", ["header", "subprotocol", "query"])
async def test_a_token_is_found_where_it_may_be(source: str) -> None:
    way = way_of(source, make_token(role="editor"))
    async with token_server(jwt_options=ALL_SOURCES) as server, connect(server, **way) as peer:
        assert (await peer.call("claims"))["role"] == "editor"
        assert [socket.user for socket in server.sockets] == ["ada"]


@pytest.mark.parametrize("source", ["header", "subprotocol", "query"])
async def test_a_token_is_not_looked_for_where_it_may_not_be(source: str) -> None:
    other = {"header": "query", "subprotocol": "header", "query": "header"}[source]
    way = way_of(source, make_token())
    async with token_server(jwt_options={"sources": [other]}) as server, connect(server, **way) as peer:
        assert await peer.closed() == (CloseCode.AUTH_FAILED, "a token is needed")


async def test_the_subprotocol_that_is_agreed_on_is_never_the_token() -> None:
    token = make_token()
    async with token_server(subprotocols=["chat"]) as server:
        async with connect(server, subprotocols=["bearer", token]) as peer:
            assert peer.ws.subprotocol == "bearer"
        async with connect(server, subprotocols=["bearer", token, "chat"]) as peer:
            assert peer.ws.subprotocol == "chat"


@pytest.mark.parametrize("payload", ["the token itself", "an object with it"])
async def test_a_token_may_come_in_the_first_message(payload: str) -> None:
    token = make_token()
    server = token_server(jwt_options=ALL_SOURCES)
    connected: list[Socket] = []
    raw: list[Any] = []
    server.on_connect(connected.append)
    server.on_message(lambda socket, message: raw.append(message))
    async with server, connect(server, path="/?_cw=1") as peer:
        await peer.send("authenticate", token if payload == "the token itself" else {"token": token})
        await peer.send("claims", callbackId="1")
        assert await peer.event() == ("$ready", None)
        assert (await peer.receive())["payload"]["sub"] == "ada"
        assert [socket.user for socket in connected] == ["ada"]
        assert len(raw) == 1, "the message with the token is no message of the application"


async def test_a_first_message_may_be_a_call_and_is_answered_when_the_client_is_let_in() -> None:
    async with token_server(jwt_options=ALL_SOURCES) as server, connect(server, path="/?_cw=1") as peer:
        await peer.send("authenticate", make_token(), callbackId="first")
        assert await peer.event() == ("$ready", None)
        assert await peer.receive() == {"payload": None, "callbackId": "first"}


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ('{"event":"authenticate","payload":"x.y.z"}', "the token is not valid"),
        ('{"event":"authenticate","payload":{"token":17}}', "a token is needed"),
        ('{"event":"authenticate"}', "a token is needed"),
        ('{"event":"say","payload":1}', "the first message has to be the event 'authenticate', with a token"),
        ("no json", "the first message has to be the event 'authenticate', with a token"),
    ],
)
async def test_another_first_message_is_refused(message: str, reason: str) -> None:
    server = token_server(jwt_options=ALL_SOURCES)
    hooks = HookRecorder(server)
    async with server, connect(server) as peer:
        await peer.send_text(message)
        assert await peer.closed() == (CloseCode.AUTH_FAILED, reason)
    assert hooks.connected == []
    assert hooks.errors == []


async def test_who_sends_no_first_message_is_not_let_in_and_may_try_again() -> None:
    server = token_server(jwt_options=ALL_SOURCES, limits=Limits(auth_timeout=0.3))
    async with server, connect(server) as peer:
        assert (await peer.closed()).code == CloseCode.TRY_AGAIN_LATER
        assert not server.sockets


async def test_a_token_may_come_in_the_first_message_over_asgi() -> None:
    async with token_server(jwt_options=ALL_SOURCES) as server, connect_in_memory(server, "/?_cw=1") as client:
        client.send("authenticate", make_token())
        assert (await client.call("claims"))["sub"] == "ada"


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": time.time() - 10}, "the token has expired"),
        ({"exp": None}, "the token lacks a claim"),
        ({"sub": None}, "the token lacks a claim"),
        ({"sub": ""}, "the token is not valid"),
        ({"nbf": time.time() + 1000}, "the token is not valid yet"),
        ({"aud": "others"}, "the token is for another audience"),
        ({"aud": None}, "the token lacks a claim"),
        ({"iss": "nobody"}, "the token is of another issuer"),
    ],
)
async def test_a_token_that_is_not_good_is_refused(claims: dict[str, Any], reason: str) -> None:
    options = {"audience": "chat", "issuer": "us"}
    good: dict[str, Any] = {"aud": "chat", "iss": "us"}
    async with token_server(jwt_options=options) as server:
        async with connect(server, path=f"/?token={make_token(**good)}") as peer:
            assert (await peer.call("claims"))["aud"] == "chat"
        async with connect(server, path=f"/?token={make_token(**{**good, **claims})}") as peer:
            assert await peer.closed() == (CloseCode.AUTH_FAILED, reason)


# The end of a token, and its renewal


def ticket_server(clock: MovedClock, **options: Any) -> Server:
    """A server whose clients say in their query who they are and for how long; a user "!" is thrown out."""
    server = Server(**{"name": "test", "port": 0, **options})

    @server.authenticate
    async def who(handshake: Handshake) -> Identity:
        await asyncio.sleep(0)
        query = handshake.query
        if query["user"] == "!":
            raise Reject(CloseCode.FORCED_LOGOUT, "go")
        if query["user"] == "?":
            raise Reject(CloseCode.AUTH_FAILED, "who?")
        expires = clock.time() + float(query["lasts"])
        return Identity(query["user"], expires=expires, token_id=query.get("id"), claims=query)

    server.on("claims", lambda socket: socket.identity.claims)
    return server


async def test_a_token_that_expires_closes_its_connection(clock: MovedClock) -> None:
    async with token_server() as server, connect(server, path=f"/?token={make_token()}") as peer:
        assert await peer.call("claims")
        clock.advance(60)
        assert await peer.closed() == (CloseCode.TOKEN_EXPIRED, "the token has expired")


async def test_the_leeway_counts_at_both_ends_of_a_connection(clock: MovedClock) -> None:
    token = make_token(exp=int(time.time()) - 1)
    async with token_server(jwt_options={"leeway": 60}) as server, connect(server, path=f"/?token={token}") as peer:
        await asyncio.sleep(CHECKED_WITHIN)
        assert await peer.call("claims")
        clock.advance(60)
        assert (await peer.closed()).code == CloseCode.TOKEN_EXPIRED


async def test_a_client_with_a_token_renews(clock: MovedClock) -> None:
    path = f"/?_cw_renew=1&token={make_token(stage=1)}"
    async with token_server() as server, connect(server, path=path) as peer:
        [socket] = server.sockets
        assert socket.identity is not None
        assert socket.identity.claims["stage"] == 1
        clock.advance(RENEWAL)
        await answer_renewal(peer, {"token": make_token(stage=2)})
        await wait_until(lambda: (identity := socket.identity) is not None and identity.claims["stage"] == 2)


async def test_a_client_that_renews_keeps_its_connection_and_has_its_new_claims(clock: MovedClock) -> None:
    headers: dict[str, Any] = {"additional_headers": {"Authorization": "Basic abc", "X-Page": "1"}}
    path = "/?room=5&_cw_renew=1&user=ada&lasts=60&stage=1"
    async with ticket_server(clock) as server, connect(server, path=path, **headers) as peer:
        [socket] = server.sockets
        assert socket.handshake.query.keys() == {"room", "user", "lasts", "stage"}
        for lasts, stage in ((60, 2), (600, [2, 3])):
            clock.advance(RENEWAL)
            before = socket.identity
            await answer_renewal(peer, {"lasts": lasts, "stage": stage})
            await wait_until(lambda: socket.identity is not before)  # noqa: B023 - it is called here
        clock.advance(60)
        await asyncio.sleep(CHECKED_WITHIN)
        assert await peer.call("claims") == {"room": "5", "user": "ada", "lasts": "600", "stage": "3"}


async def test_the_hook_sees_a_renewal_as_the_request_with_other_parameters(clock: MovedClock) -> None:
    seen: list[Handshake] = []
    server = Server("test", port=0)

    @server.authenticate
    def who(handshake: Handshake) -> Identity:
        seen.append(handshake)
        return Identity("ada", expires=clock.time() + 60)

    headers: dict[str, Any] = {"additional_headers": {"Authorization": "Basic abc", "X-Page": "1"}}
    async with server, connect(server, path="/a%20b?room=5&_cw_renew=1", **headers) as peer:
        clock.advance(RENEWAL)
        await answer_renewal(peer, {"yes": True, "tags": ["a", 1, False], "text": "a&b=c/é"})
        await wait_until(lambda: len(seen) == 2)
        first, second = seen
        assert (first.is_renewal, second.is_renewal) == (False, True)
        assert second.query_all == {"room": ["5"], "yes": ["true"], "tags": ["a", "1", "false"], "text": ["a&b=c/é"]}
        assert (second.path, second.remote, second.scheme) == ("/a b", first.remote, "http")
        assert second.headers["x-page"] == "1"
        assert "authorization" in first.headers
        assert "authorization" not in second.headers


@pytest.mark.parametrize("answer", ["nothing", "a refusal", "no parameters"])
async def test_a_client_that_does_not_renew_is_closed_at_the_expiry(clock: MovedClock, answer: str) -> None:
    async with ticket_server(clock) as server, connect(server, path="/?_cw_renew=1&user=ada&lasts=60") as peer:
        clock.advance(RENEWAL)
        asked = await peer.receive()
        if answer == "a refusal":
            refusal = {"code": "HANDLER_ERROR", "message": "no"}
            await peer.send_text(json.dumps({"callId": asked["callId"], "error": refusal}))
        elif answer == "no parameters":
            await peer.send_text(json.dumps({"callId": asked["callId"], "payload": "?"}))
        await asyncio.sleep(CHECKED_WITHIN)
        assert await peer.call("claims")
        clock.advance(60 - RENEWAL)
        assert await peer.closed() == (CloseCode.TOKEN_EXPIRED, "the token has expired")


@pytest.mark.parametrize(
    ("user", "close"),
    [
        ("bob", (CloseCode.TOKEN_EXPIRED, "the new token is another user's")),
        ("?", (CloseCode.TOKEN_EXPIRED, "the new token was refused")),
        ("!", (CloseCode.FORCED_LOGOUT, "go")),
    ],
)
async def test_a_new_token_that_is_not_good_ends_the_connection(
    clock: MovedClock, user: str, close: tuple[int, str]
) -> None:
    async with ticket_server(clock) as server, connect(server, path="/?_cw_renew=1&user=ada&lasts=60") as peer:
        clock.advance(RENEWAL)
        await answer_renewal(peer, {"user": user})
        assert await peer.closed() == close


async def test_a_token_that_lasts_no_longer_is_not_asked_for_again_and_expires(clock: MovedClock) -> None:
    server = Server("test", port=0)
    expires = clock.time() + 60
    server.authenticate(lambda: Identity("ada", expires=expires))
    async with server, connect(server, path="/?_cw_renew=1") as peer:
        clock.advance(RENEWAL)
        await answer_renewal(peer, {})
        clock.advance(10)
        await asyncio.sleep(CHECKED_WITHIN)
        assert await peer.rest() == []
        clock.advance(50 - RENEWAL)
        assert (await peer.closed()).code == CloseCode.TOKEN_EXPIRED


async def test_a_hook_that_fails_at_a_renewal_is_reported(clock: MovedClock, caplog: pytest.LogCaptureFixture) -> None:
    async with ticket_server(clock) as server, connect(server, path="/?_cw_renew=1&user=ada&lasts=60") as peer:
        clock.advance(RENEWAL)
        await answer_renewal(peer, {"lasts": "long"})
        await wait_until(lambda: caplog.records)
        clock.advance(60 - RENEWAL)
        assert (await peer.closed()).code == CloseCode.TOKEN_EXPIRED
    assert [record.message for record in caplog.records if record.exc_info] == ["authenticate failed"]


async def test_an_open_connection_may_come_to_last_for_ever(clock: MovedClock) -> None:
    server = Server("test", port=0)
    server.authenticate(lambda handshake: "ada" if handshake.is_renewal else Identity("ada", expires=clock.time() + 60))
    async with server, connect(server, path="/?_cw_renew=1") as peer:
        clock.advance(RENEWAL)
        await answer_renewal(peer, {})
        await wait_until(lambda: len(authorities_of(server)._due) == 0)
        clock.advance(60)
        await asyncio.sleep(CHECKED_WITHIN)
        assert len(server.sockets) == 1


@pytest.mark.parametrize("expires", ["soon", True, float("nan"), float("inf")])
async def test_an_identity_that_makes_no_sense_lets_nobody_in(expires: Any, caplog: pytest.LogCaptureFixture) -> None:
    server = Server("test", port=0)

    async def who(handshake: Handshake) -> Identity:
        return Identity("ada", expires=expires)

    server.authenticate(who)
    async with server, connect(server) as peer:
        assert (await peer.closed()).code == CloseCode.INTERNAL_ERROR
    assert "expires of an Identity is in seconds" in caplog.text


async def test_a_clock_that_jumps_ends_tokens_when_it_says_so(clock: MovedClock) -> None:
    async with token_server() as server, connect(server, path=f"/?token={make_token(lasts=3000)}") as peer:
        clock.advance(-3600)
        await asyncio.sleep(CHECKED_WITHIN)
        assert await peer.call("claims"), "the clock went back"
        clock.advance(7200)
        assert (await peer.closed()).code == CloseCode.TOKEN_EXPIRED
        assert len(authorities_of(server)) == 0


# Revocation


async def test_a_revoked_user_is_logged_out_and_comes_back_with_a_new_token_only() -> None:
    old = make_token()
    async with token_server() as server:
        async with connect(server, path=f"/?token={old}") as peer, connect(server, path=f"/?token={make_token('b')}"):
            assert await peer.call("claims")
            replies = await server.revoke(user="ada")
            assert dict(replies) == {"test": 1}
            assert replies.complete
            assert await peer.closed() == (CloseCode.FORCED_LOGOUT, "the token was revoked")
            assert [socket.user for socket in server.sockets] == ["b"]
        async with connect(server, path=f"/?token={old}") as peer:
            assert await peer.closed() == (CloseCode.AUTH_FAILED, "the token was revoked")
        async with connect(server, path=f"/?token={make_token(iat=None)}") as peer:
            assert (await peer.closed()).code == CloseCode.AUTH_FAILED, "it can't be told from an old one"
        async with connect(server, path=f"/?token={make_token(iat=time.time())}") as peer:
            assert await peer.call("claims")


async def test_one_token_of_a_user_is_revoked() -> None:
    async with (
        token_server(duplicates="allow") as server,
        connect(server, path=f"/?token={make_token(jti='phone')}") as phone,
        connect(server, path=f"/?token={make_token(jti='laptop')}") as laptop,
    ):
        await phone.call("claims")
        await laptop.call("claims")
        assert dict(await server.revoke(token_id="phone", user="bob")) == {"test": 0}
        assert dict(await server.revoke(token_id="phone")) == {"test": 1}
        assert (await phone.closed()).code == CloseCode.FORCED_LOGOUT
        assert await laptop.call("claims")


async def test_a_revoked_token_can_not_be_the_new_one(clock: MovedClock) -> None:
    async with ticket_server(clock) as server, connect(server, path="/?_cw_renew=1&user=ada&lasts=60") as peer:
        await server.revoke(token_id="stolen")
        clock.advance(RENEWAL)
        await answer_renewal(peer, {"id": "stolen", "lasts": 60})
        assert await peer.closed() == (CloseCode.FORCED_LOGOUT, "the token was revoked")


async def test_a_token_that_is_revoked_while_it_is_verified_lets_nobody_in() -> None:
    server = Server("test", port=0)
    asked, go = asyncio.Event(), asyncio.Event()

    @server.authenticate
    async def who(handshake: Handshake) -> Identity:
        asked.set()
        await go.wait()
        return Identity("ada", token_id="t", issued_at=time.time() - 10)

    async with server, connect(server) as peer:
        await asked.wait()
        await server.revoke(token_id="t")
        go.set()
        assert (await peer.closed()).code == CloseCode.AUTH_FAILED


async def test_a_user_without_a_token_is_logged_out_and_may_log_in_again() -> None:
    async with make_server(duplicates="allow") as server:
        async with connect(server, "ada") as first, connect(server, "ada") as second:
            await wait_until(lambda: len(server.sockets) == 2)
            assert dict(await server.revoke(user="ada")) == {"test": 2}
            assert (await first.closed()).code == (await second.closed()).code == CloseCode.FORCED_LOGOUT
        async with connect(server, "ada"):
            await wait_until(lambda: len(server.sockets) == 1)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"user": ""},
        {"user": "a" * 1025},
        {"token_id": 5},
        {"user": "ada", "lifetime": -1},
        {"user": "a", "lifetime": "x"},
    ],
)
async def test_a_revocation_that_makes_no_sense_is_refused(arguments: dict[str, Any]) -> None:
    async with token_server() as server:
        with pytest.raises((UsageError, ConfigError)):
            await server.revoke(**arguments)


async def test_nothing_is_kept_of_connections_that_are_gone() -> None:
    async with token_server() as server:
        async with connect(server, path=f"/?token={make_token()}") as peer:
            assert await peer.call("claims")
            authorities = authorities_of(server)
            assert len(authorities) == len(authorities._due) == 1
        await wait_until(lambda: len(authorities) == len(authorities._due) == 0)
