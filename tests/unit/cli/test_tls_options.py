from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pytest

from crosswire.cli.failures import USAGE, CommandFailed
from crosswire.cli.tls_options import chosen_tls
from crosswire.cli.workers.link import TlsPaths
from tests.support.certificates import tls_contexts


def options(certificate: str | None = None, key: str | None = None, client_ca: str | None = None) -> Namespace:
    return Namespace(tls_certificate=certificate, tls_key=key, tls_client_ca=client_ca)


def failure(given: Namespace) -> str:
    with pytest.raises(CommandFailed) as caught:
        chosen_tls(given)
    assert caught.value.exit_code == USAGE
    return caught.value.text


def test_without_options_the_server_keeps_its_own() -> None:
    assert chosen_tls(options()) is None


def test_paths_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tls_contexts(tmp_path)
    monkeypatch.chdir(tmp_path)
    paths = chosen_tls(options("certificate.pem", "key.pem", "certificate.pem"))
    certificate = str(tmp_path / "certificate.pem")
    assert paths == TlsPaths(certificate, str(tmp_path / "key.pem"), certificate)


def test_the_key_may_be_in_the_file_of_the_certificate(tmp_path: Path) -> None:
    tls_contexts(tmp_path)
    both = tmp_path / "both.pem"
    both.write_bytes((tmp_path / "key.pem").read_bytes() + (tmp_path / "certificate.pem").read_bytes())
    assert chosen_tls(options(str(both))) == TlsPaths(str(both))


def test_other_files_need_a_certificate() -> None:
    assert failure(options(key="key.pem")) == "--tls-key needs --tls-certificate FILE too"
    assert failure(options(client_ca="ca.pem")) == "--tls-client-ca needs --tls-certificate FILE too"


def test_files_that_can_not_be_used_are_refused_before_anything_runs(tmp_path: Path) -> None:
    assert f"{tmp_path / 'none.pem'} can't be used" in failure(options(str(tmp_path / "none.pem")))
