"""The options of the hook, the keys that it uses, and hostile tokens."""

from __future__ import annotations

import base64
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from crosswire.core.headers import Headers
from crosswire.errors import ConfigError, Reject
from crosswire.integrations import jwt_keys
from crosswire.integrations.jwt import JwtAuthentication
from crosswire.integrations.jwt_keys import MAX_AGE, MIN_FETCH_INTERVAL, RemoteKeys
from crosswire.integrations.jwt_tokens import MAX_TOKEN
from crosswire.server.handshake import Handshake
from crosswire.types import Identity
from tests.support.tokens import SECRET, make_token

RSA_KEYS = [rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2)]
EC_KEY = ec.generate_private_key(ec.SECP256R1())


def public_pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def signed(key: Any, algorithm: str = "RS256", kid: str | None = None, **claims: Any) -> str:
    headers = {} if kid is None else {"kid": kid}
    return jwt.encode({"sub": "ada", "exp": int(time.time()) + 60, **claims}, key, algorithm, headers)


def jwk(key: Any, kid: str | None, **more: Any) -> dict[str, Any]:
    public: Any = key.public_key()
    to_jwk = RSAAlgorithm.to_jwk if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm.to_jwk
    fields = json.loads(to_jwk(public))
    return {**fields, **({} if kid is None else {"kid": kid}), **more}


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "options",
    [
        {"key": SECRET, "algorithms": []},
        {"key": SECRET, "algorithms": ["none"]},
        {"key": SECRET, "algorithms": ["HS256", "none"]},
        {"key": SECRET, "algorithms": "HS256"},
        {"key": SECRET, "algorithms": ["ROT13"]},
        {"key": SECRET, "algorithms": ["HS256", "RS256"]},
        {"key": SECRET, "algorithms": ["RS256"]},
        {"key": public_pem(RSA_KEYS[0]), "algorithms": ["HS256"]},
        {"key": public_pem(RSA_KEYS[0]).decode(), "algorithms": ["HS512"]},
        {"key": public_pem(RSA_KEYS[0]), "algorithms": ["ES256"]},
        {"key": "", "algorithms": ["HS256"]},
        {"key": None, "algorithms": ["HS256"]},
        {"key": SECRET, "jwks": "https://id.example.com/keys", "algorithms": ["HS256"]},
        {"jwks": "https://id.example.com/keys", "algorithms": ["HS256"]},
        {"jwks": "file:///etc/passwd", "algorithms": ["RS256"]},
        {"jwks": "https://", "algorithms": ["RS256"]},
        {"key": SECRET, "algorithms": ["HS256"], "leeway": -1},
        {"key": SECRET, "algorithms": ["HS256"], "sources": []},
        {"key": SECRET, "algorithms": ["HS256"], "sources": ["cookie"]},
        {"key": SECRET, "algorithms": ["HS256"], "sources": "query"},
        {"key": SECRET, "algorithms": ["HS256"], "parameter": ""},
        {"key": SECRET, "algorithms": ["HS256"], "audience": ""},
        {"key": SECRET, "algorithms": ["HS256"], "user_claim": ""},
    ],
)
def test_options_that_make_no_sense_are_refused_without_the_key(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as refused:
        JwtAuthentication(**options)
    assert SECRET not in str(refused.value)
    assert refused.value.__cause__ is None


def test_without_pyjwt_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("crosswire.integrations.jwt", "crosswire.integrations.jwt_keys", "crosswire.integrations.jwt_tokens"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "jwt", None)
    with pytest.raises(ConfigError, match=r"pip install 'crosswire\[jwt\]'"):
        __import__("crosswire.integrations.jwt")


async def test_a_public_key_verifies() -> None:
    hook = JwtAuthentication(public_pem(RSA_KEYS[0]), algorithms=["RS256"])
    identity = await hook.verify(signed(RSA_KEYS[0], jti="t", iat=5, role="x"))
    assert (identity.user, identity.token_id, identity.issued_at) == ("ada", "t", 5)
    assert identity.claims["role"] == "x"
    assert "role" not in repr(identity)
    with pytest.raises(Reject, match="the token is not valid"):
        await hook.verify(signed(RSA_KEYS[1]))
    with pytest.raises(Reject, match="another algorithm"):
        await hook.verify(signed(RSA_KEYS[0], "RS512"))
    with pytest.raises(Reject, match="another algorithm"):
        await hook.verify(jwt.encode({"sub": "ada", "exp": 1 << 33}, "x" * 40, "HS256"))


def forged(head: dict[str, Any], signature: str = "") -> str:
    return f"{encoded(head)}.{encoded({'sub': 'ada', 'exp': 1 << 33})}.{signature}"


@pytest.mark.parametrize(
    "token",
    [
        forged({"alg": "none"}),
        forged({"alg": "None"}),
        forged({"alg": "HS256"}),
        forged({}),
        forged({"alg": ["HS256"]}),
        forged({"alg": "HS256", "kid": 5}),
        forged({"alg": "HS256", "crit": ["x"], "x": 1}),
        forged({"alg": "HS256", "b64": False}),
        "a.b.c",
        "",
        "....",
        "\x00",
        "é",
        "[" * 5000,
        f"{encoded([1])}.e30.",
        base64.urlsafe_b64encode(b"[" * 9000).decode() + ".e30.x",
        "x" * (MAX_TOKEN + 1),
        make_token(exp="later"),
        make_token(exp=float("inf")),
        make_token(iat="now"),
        make_token(sub="a" * 3, iat=float("nan")),
        make_token(sub=""),
        make_token(exp=10**400),
        make_token(iat=10**400),
        make_token(sub="\ud800"),
        make_token(jti="\ud800"),
        jwt.encode({"sub": "ada", "exp": 1 << 33}, "x" * 40, "HS256"),
    ],
)
async def test_a_hostile_token_is_refused_and_nothing_of_it_is_told(token: str) -> None:
    with pytest.raises(Reject) as refused:
        await JwtAuthentication(SECRET, algorithms=["HS256"]).verify(token)
    assert refused.value.close_code == 4011
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None
    assert refused.value.reason.startswith("the token")
    assert token not in refused.value.reason or len(token) < 5


@given(st.text(max_size=300), st.lists(st.text(alphabet="eyJhbGciOiJIUzI1NiJ9._-A", max_size=60), max_size=4))
def test_whatever_a_token_is_it_is_refused(text: str, parts: list[str]) -> None:
    hook = JwtAuthentication(SECRET, algorithms=["HS256"])
    for token in (text, ".".join(parts), f"{encoded({'alg': 'HS256'})}.{text}"):
        handshake = Handshake("/", Headers([("Authorization", f"Bearer x{token}".replace("\n", ""))]), "")
        with pytest.raises(Reject):
            hook(handshake)


# A key set


class KeySet:
    """A key set as its URL gives it, or an error; and the clock of those who fetch it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *algorithms: str) -> None:
        self.answer: Any = b"{}"
        self.fetches = 0
        self.now = 1000.0
        self.hook = JwtAuthentication(jwks="https://id.example.com/keys?secret=1", algorithms=algorithms)
        self.hook._keys = RemoteKeys("https://id.example.com/keys?secret=1", algorithms, lambda: self.now)
        monkeypatch.setattr(jwt_keys, "_download", self._download)

    def give(self, *keys: dict[str, Any]) -> None:
        self.answer = json.dumps({"keys": keys}).encode()

    async def users_of(self, token: str) -> str:
        return (await self.hook.verify(token)).user

    def _download(self, url: str) -> bytes:
        self.fetches += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return bytes(self.answer)


@pytest.fixture
def key_set(monkeypatch: pytest.MonkeyPatch) -> KeySet:
    return KeySet(monkeypatch, "RS256", "ES256")


async def test_keys_are_fetched_when_they_are_needed_and_kept(key_set: KeySet) -> None:
    key_set.give(jwk(RSA_KEYS[0], "a"), jwk(EC_KEY, "c", alg="ES256", use="sig"))
    for _ in range(3):
        assert await key_set.users_of(signed(RSA_KEYS[0], kid="a")) == "ada"
        assert await key_set.users_of(signed(EC_KEY, "ES256", kid="c")) == "ada"
    assert key_set.fetches == 1


async def test_a_new_key_is_found_and_unknown_keys_do_not_flood_its_owner(key_set: KeySet) -> None:
    key_set.give(jwk(RSA_KEYS[0], "a"))
    await key_set.users_of(signed(RSA_KEYS[0], kid="a"))
    key_set.give(jwk(RSA_KEYS[0], "a"), jwk(RSA_KEYS[1], "b"))
    for number in range(50):
        with pytest.raises(Reject, match="an unknown key"):
            await key_set.users_of(signed(RSA_KEYS[1], kid=f"x{number}"))
    assert key_set.fetches == 1
    key_set.now += MIN_FETCH_INTERVAL
    assert await key_set.users_of(signed(RSA_KEYS[1], kid="b")) == "ada"
    assert key_set.fetches == 2


async def test_a_withdrawn_key_is_forgotten(key_set: KeySet) -> None:
    key_set.give(jwk(RSA_KEYS[0], "a"))
    await key_set.users_of(signed(RSA_KEYS[0], kid="a"))
    key_set.give(jwk(RSA_KEYS[1], "b"))
    key_set.now += MAX_AGE
    assert await key_set.users_of(signed(RSA_KEYS[0], kid="a")) == "ada", "meanwhile the set is fetched"
    assert isinstance(key_set.hook._keys, RemoteKeys)
    assert key_set.hook._keys._fetching is not None
    await key_set.hook._keys._fetching
    with pytest.raises(Reject, match="an unknown key"):
        await key_set.users_of(signed(RSA_KEYS[0], kid="a"))


@pytest.mark.parametrize(
    "failure",
    [OSError("no route"), TimeoutError(), ValueError("?"), b"", b"[]", b"{", b"[" * 100_000, b'{"keys":[]}', b"\xff"],
)
async def test_while_its_url_fails_the_known_keys_stay(
    key_set: KeySet, failure: object, caplog: pytest.LogCaptureFixture
) -> None:
    key_set.give(jwk(RSA_KEYS[0], "a"))
    await key_set.users_of(signed(RSA_KEYS[0], kid="a"))
    key_set.answer = failure
    key_set.now += MAX_AGE
    with pytest.raises(Reject):
        await key_set.users_of(signed(RSA_KEYS[1], kid="b"))
    assert await key_set.users_of(signed(RSA_KEYS[0], kid="a")) == "ada"
    assert [record.levelname for record in caplog.records if record.name == "crosswire.jwt"].count("WARNING") == 1
    assert "secret" not in caplog.text


async def test_a_key_is_used_for_its_own_algorithm_alone(key_set: KeySet) -> None:
    key_set.give(
        jwk(RSA_KEYS[0], "other", alg="RS512"),
        jwk(RSA_KEYS[0], "encrypts", use="enc"),
        {"kty": "oct", "k": "c2VjcmV0", "kid": "secret", "alg": "HS256"},
        {"kty": "?"},
        {"kty": "RSA", "n": 5},
        jwk(RSA_KEYS[1], "good"),
    )
    assert await key_set.users_of(signed(RSA_KEYS[1], kid="good")) == "ada"
    for kid in ("other", "encrypts", "secret"):
        with pytest.raises(Reject):
            await key_set.users_of(signed(RSA_KEYS[0], kid=kid))
    with pytest.raises(Reject):
        await key_set.users_of(signed(EC_KEY, "ES256", kid="good"))


@pytest.mark.parametrize("make", [lambda: jwk(RSA_KEYS[0], None), lambda: jwk(RSA_KEYS[0], "a")])
async def test_a_token_that_names_no_key_is_verified_with_the_only_one(
    key_set: KeySet, make: Callable[[], dict[str, Any]]
) -> None:
    key_set.give(make())
    assert await key_set.users_of(signed(RSA_KEYS[0])) == "ada"
    key_set.give(make(), jwk(RSA_KEYS[1], "b"))
    key_set.now += MAX_AGE
    with pytest.raises(Reject):
        await key_set.users_of(signed(RSA_KEYS[0], kid="unknown"))
    with pytest.raises(Reject):
        await key_set.users_of(signed(RSA_KEYS[0]))


def test_the_hook_says_nothing_of_its_key() -> None:
    hook = JwtAuthentication(SECRET, algorithms=["HS256"])
    assert SECRET not in repr(hook)
    assert isinstance(hook(Handshake(f"/?token={make_token()}", Headers(), "")), Identity)
