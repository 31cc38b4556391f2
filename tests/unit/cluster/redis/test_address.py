from __future__ import annotations

import ssl
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.cluster.redis.address import Address, Place, SentinelService, Tls, parse
from crosswire.errors import ConfigError
from tests.support.certificates import tls_contexts

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://localhost", Address("", "localhost")),
        ("redis://localhost/", Address("", "localhost")),
        ("redis://10.0.0.1:7000/3", Address("", "10.0.0.1", 7000, db=3)),
        ("redis://10.0.0.1?db=3", Address("", "10.0.0.1", db=3)),
        ("redis://Example.COM:1", Address("", "example.com", 1)),
        ("redis://[::1]:7000", Address("", "::1", 7000)),
        ("redis://:pw@h", Address("", "h", password="pw")),
        ("redis://bob:pw@h", Address("", "h", user="bob", password="pw")),
        ("redis://bob@h", Address("", "h", user="bob", password="")),
        ("redis://b%40b:p%2F%3A%23@h", Address("", "h", user="b@b", password="p/:#")),
        ("redis://:p@ss@h", Address("", "h", password="p@ss")),
        ("unix:///run/redis.sock", Address("", path="/run/redis.sock")),
        ("unix:///a%20b?db=2", Address("", path="/a b", db=2)),
        ("unix://bob:pw@/r.sock", Address("", path="/r.sock", user="bob", password="pw")),
        ("unix://:pw@/r.sock", Address("", path="/r.sock", password="pw")),
        ("rediss://h", Address("", "h", tls=Tls())),
        ("rediss://h?ssl_cert_reqs=none", Address("", "h", tls=Tls(verify=False))),
        ("rediss://h?ssl_check_hostname=False&ssl_cert_reqs=required", Address("", "h", tls=Tls(check_hostname=False))),
        (
            "rediss://h/1?ssl_ca_certs=/ca.pem&ssl_certfile=/c.pem&ssl_keyfile=/k.pem",
            Address("", "h", db=1, tls=Tls("/ca.pem", "/c.pem", "/k.pem")),
        ),
    ],
)
def test_urls_are_parsed(url: str, expected: Address) -> None:
    found = parse(url)
    assert found.url == url
    for name in ("host", "port", "path", "db", "user", "password", "tls"):
        assert getattr(found, name) == getattr(expected, name), name


@pytest.mark.parametrize(
    ("url", "id", "shown"),
    [
        (f"redis://bob:{SECRET}@h", "h:6379", "redis://h:6379"),
        (f"rediss://:{SECRET}@h:1/2?ssl_cert_reqs=none", "h:1", "rediss://h:1/2"),
        (f"redis://:{SECRET}@[::1]", "[::1]:6379", "redis://[::1]:6379"),
        (f"unix://:{SECRET}@/r.sock?db=1", "unix:/r.sock", "unix:///r.sock?db=1"),
    ],
)
def test_a_shown_url_has_no_credentials(url: str, id: str, shown: str) -> None:
    address = parse(url)
    assert (address.id, address.shown) == (id, shown)
    assert SECRET not in repr(address) + str(address)


MAIN = SentinelService("main", (Place("h", 26379),))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis+sentinel://h/main", Address("", service=MAIN)),
        ("REDIS+sentinel://H:26379,h/main", Address("", service=MAIN)),
        ("redis+sentinel://h/main/2", Address("", db=2, service=MAIN)),
        ("rediss+sentinel://h/main", Address("", tls=Tls(), service=MAIN)),
        (
            "rediss+sentinel://h/main?ssl_cert_reqs=none&sentinel_user=s",
            Address("", tls=Tls(verify=False), service=SentinelService("main", MAIN.places, "s", "")),
        ),
        (
            "redis+sentinel://bob:p%2F%3A%23%2C@10.0.0.1:7000,[::1]:7001,[::2],h/my%2Fmaster"
            "?sentinel_user=s%26&sentinel_password=q%3F+r",
            Address(
                "",
                user="bob",
                password="p/:#,",
                service=SentinelService(
                    "my/master",
                    (Place("10.0.0.1", 7000), Place("::1", 7001), Place("::2", 26379), Place("h", 26379)),
                    "s&",
                    "q? r",
                ),
            ),
        ),
        ("redis+sentinel://:p@w@h/main", Address("", password="p@w", service=MAIN)),
        ("redis+sentinel://bob@h/main", Address("", user="bob", password="", service=MAIN)),
    ],
)
def test_urls_of_services_are_parsed(url: str, expected: Address) -> None:
    found = parse(url)
    assert found.url == url
    for name in ("db", "user", "password", "tls", "service"):
        assert getattr(found, name) == getattr(expected, name), name


def test_a_shown_url_of_a_service_has_no_credentials() -> None:
    url = f"redis+sentinel://bob:{SECRET}@a:1,[::1]/my%2Fmain/3?sentinel_user=x&sentinel_password={SECRET}"
    address = parse(url)
    assert address.shown == "redis+sentinel://a:1,[::1]:26379/my%2Fmain/3"
    assert parse(address.shown).shown == address.shown
    assert SECRET not in repr(address) + str(address) + repr(address.service)
    assert parse("rediss+sentinel://a/main").shown == "rediss+sentinel://a:26379/main"


def test_a_service_has_one_id_whichever_sentinels_are_named() -> None:
    ids = {parse(url).id for url in ("redis+sentinel://a,b/main", "redis+sentinel://x:y@c/main/1")}
    assert ids == {"sentinel:main"}


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://",
        "redis+sentinel://h",
        "redis+sentinel://h/",
        "redis+sentinel:///main",
        f"redis+sentinel://:{SECRET}@/main",
        "redis+sentinel://a,,b/main",
        "redis+sentinel://a:0/main",
        "redis+sentinel://a:65536/main",
        "redis+sentinel://a:b/main",
        "redis+sentinel://::1/main",
        "redis+sentinel://[::1/main",
        f"redis+sentinel://:{SECRET}/x@h/main",
        f"redis+sentinel://:{SECRET}?x@h/main",
        f"redis+sentinel://:{SECRET}#x@h/main",
        "redis+sentinel://h/main/x",
        "redis+sentinel://h/main/1/2",
        f"redis+sentinel://h/main?{SECRET}=1",
        f"redis+sentinel://h/main?sentinel_password={SECRET}&sentinel_password={SECRET}",
        "redis+sentinel://h/main?ssl_cert_reqs=none",
        "unix+sentinel://h/main",
    ],
)
def test_an_invalid_url_of_a_service_is_refused_and_not_quoted(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(url)
    assert SECRET not in str(caught.value)


def test_a_redis_has_one_id_whatever_the_user() -> None:
    assert parse("redis://a:b@h/1").id == parse("rediss://H:6379/2").id


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:6379",
        "http://h",
        "REDIS:/h",
        "redis://",
        "redis://:6379",
        "redis://h:port",
        "redis://h:99999",
        "redis://h:-1",
        "redis://h/zero",
        "redis://h/1/2",
        "redis://h/-1",
        "redis://h/²",
        "redis://h/1?db=1",
        "redis://h?db=1&db=2",
        "redis://h?ssl_cert_reqs=none",
        "redis://h?timeout=1",
        "redis://h#x",
        "redis://h\n",
        "redis://h /0",
        "redis://[::1",
        "rediss://h?ssl_cert_reqs=optional",
        "rediss://h?ssl_check_hostname=maybe",
        "unix://",
        "unix:///",
        "unix://run/redis.sock",
        "unix://:pw@run/redis.sock",
        "unix:///r.sock?ssl_cert_reqs=none",
    ],
)
def test_an_invalid_url_of_a_redis_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        parse(url)


@pytest.mark.parametrize("value", [None, 6379, b"redis://h", ["redis://h"]])
def test_only_strings_are_urls(value: object) -> None:
    with pytest.raises(ConfigError, match="must be a string"):
        parse(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("mark", ["/", "?", "#", ":", "@", " ", "\n", "[", "]", "%", "&db="])
@pytest.mark.parametrize("form", ["redis://bob:{}@host", "rediss://:{}@host:1/0", "unix://:{}@/path", "redis://{}"])
def test_no_error_quotes_what_could_be_a_password(form: str, mark: str) -> None:
    url = form.format(f"{SECRET}{mark}{SECRET}")
    shown = ""
    try:
        shown = parse(url).shown
    except ConfigError as error:
        # A traceback also prints what it was raised from, unless that is suppressed.
        shown = f"{error} {error.__cause__} {'' if error.__suppress_context__ else error.__context__}"
    assert SECRET not in shown or form == "redis://{}"


@given(st.text(min_size=1), st.text(min_size=1), st.integers(1, 65535), st.integers(0, 1000))
def test_percent_encoding_carries_any_user_and_password(user: str, password: str, port: int, db: int) -> None:
    address = parse(f"redis://{quote(user, safe='', errors='replace')}:{quote(password, safe='')}@host:{port}/{db}")
    assert (address.user, address.password, address.port, address.db) == (user, password, port, db)


def test_tls_checks_the_server_unless_told_otherwise(tmp_path: Path) -> None:
    tls_contexts(tmp_path)
    certificate, key = str(tmp_path / "certificate.pem"), str(tmp_path / "key.pem")
    strict = Tls(ca_certs=certificate, certfile=certificate, keyfile=key).context()
    assert (strict.verify_mode, strict.check_hostname) == (ssl.CERT_REQUIRED, True)
    any_host = Tls(check_hostname=False).context()
    assert (any_host.verify_mode, any_host.check_hostname) == (ssl.CERT_REQUIRED, False)
    anybody = Tls(verify=False).context()
    assert (anybody.verify_mode, anybody.check_hostname) == (ssl.CERT_NONE, False)


@pytest.mark.parametrize("tls", [Tls(ca_certs="/nowhere.pem"), Tls(certfile="/nowhere.pem")])
def test_missing_tls_files_are_named(tls: Tls) -> None:
    with pytest.raises(ConfigError, match=r"/nowhere\.pem"):
        tls.context()
