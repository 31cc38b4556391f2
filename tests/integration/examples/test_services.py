"""examples/systemd, docker and kubernetes: what they start exists, and leaves the time that a drain takes.

Neither a Docker daemon nor a cluster is needed: the files are parsed, and checked by what is at hand.
"""

from __future__ import annotations

import argparse
import configparser
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from crosswire.cli.arguments import parse
from crosswire.cli.target import load_server

ROOT = Path(__file__).parents[3]
DOCKER = ROOT / "examples" / "docker"
UNIT = ROOT / "examples" / "systemd" / "chat.service"
KILL_MARGIN = 5
"""Seconds after the drain until the supervisor kills a worker that hangs."""


def serve_options(words: list[str]) -> argparse.Namespace:
    """Parse a command as the program does; it ends the test if the command can't be used."""
    assert Path(words[0]).name == "crosswire"
    options = parse(words[1:])
    assert options.target == "chat:server"
    return options


def seconds(text: str) -> int:
    found = re.fullmatch(r"(\d+)s?", text)
    assert found
    return int(found[1])


def unit() -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNIT)
    return parser


# systemd


def test_the_unit_gives_the_drain_its_time_and_signals_the_supervisor_alone() -> None:
    service = unit()["Service"]
    options = serve_options(shlex.split(service["ExecStart"]))
    assert seconds(service["TimeoutStopSec"]) >= options.drain + KILL_MARGIN
    assert service["KillMode"] == "mixed"
    assert service["Restart"] == "always"
    assert options.name == "%H"
    assert options.workers > 1
    assert "CROSSWIRE_REDIS=" in service["Environment"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    text = UNIT.read_text()
    program = unit()["Service"]["ExecStart"].split()[0]
    own = tmp_path / "chat.service"
    own.write_text(text.replace(program, str(Path(sys.executable).parent / "crosswire")))
    checked = subprocess.run(["systemd-analyze", "verify", own], capture_output=True, text=True, check=False)
    assert [line for line in checked.stderr.splitlines() if own.name in line] == []


# Docker


def dockerfile() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile, each with its arguments."""
    text = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^\s*#.*\n", "", (DOCKER / "Dockerfile").read_text()))
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in text.splitlines() if line]


def test_the_image_is_made_of_files_of_the_repository() -> None:
    copies = [arguments.split() for name, arguments in dockerfile() if name == "COPY"]
    sources = {source for *words, _ in copies for source in words if not source.startswith("--")}
    assert {"src", "pyproject.toml", "examples/docker/chat.py"} <= sources
    assert [source for source in sources if not (ROOT / source).exists()] == []
    build = next(arguments for name, arguments in dockerfile() if name == "RUN")
    assert "pip wheel" in build


def test_the_command_of_the_image_serves_the_example(monkeypatch: pytest.MonkeyPatch) -> None:
    command = json.loads(next(arguments for name, arguments in dockerfile() if name == "CMD"))
    options = serve_options(command)
    assert options.host == "0.0.0.0"
    assert str(options.port) in next(arguments for name, arguments in dockerfile() if name == "EXPOSE")
    monkeypatch.chdir(DOCKER)
    monkeypatch.syspath_prepend(str(DOCKER))
    monkeypatch.delitem(sys.modules, "chat", raising=False)
    assert load_server(options.target).port == 9000


def test_compose_builds_the_image_waits_for_redis_and_drains() -> None:
    compose = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    chat = compose["services"]["chat"]
    context = DOCKER / chat["build"]["context"]
    assert (context / chat["build"]["dockerfile"]).resolve() == DOCKER / "Dockerfile"
    shell, flag, line = chat["command"]
    assert (shell, flag) == ("sh", "-c")
    words = shlex.split(line.replace("$$(hostname)", "container"))
    options = serve_options(words[1:])  # without `exec`
    assert words[0] == "exec"
    assert options.name == "container"
    assert seconds(chat["stop_grace_period"]) >= options.drain + KILL_MARGIN
    assert chat["environment"]["CROSSWIRE_REDIS"] == "redis://redis:6379"
    assert chat["depends_on"]["redis"]["condition"] == "service_healthy"
    assert "healthcheck" in compose["services"]["redis"]
    probe = chat["healthcheck"]["test"]
    assert probe[:3] == ["CMD", "python", "-c"]
    compile(probe[3], "healthcheck", "exec")
    assert f":{options.port}/healthz" in probe[3]


# Kubernetes


def manifests() -> dict[str, dict[str, Any]]:
    text = (ROOT / "examples" / "kubernetes" / "chat.yaml").read_text()
    return {document["kind"]: document for document in yaml.safe_load_all(text)}


@pytest.mark.parametrize("version", ["1.31", kubernetes_validate.latest_version()])
@pytest.mark.parametrize("kind", ["Deployment", "Service", "PodDisruptionBudget", "Ingress"])
def test_kubernetes_knows_every_field(kind: str, version: str) -> None:
    kubernetes_validate.validate(manifests()[kind], version, strict=True)


def test_a_pod_has_the_time_that_its_drain_takes() -> None:
    pod = manifests()["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    words = [word.replace("$(POD_NAME)", "pod") for word in container["command"] + container["args"]]
    options = serve_options(words)
    sleep, pause = container["lifecycle"]["preStop"]["exec"]["command"]
    assert sleep == "sleep"
    assert pod["terminationGracePeriodSeconds"] >= float(pause) + options.drain + KILL_MARGIN
    assert options.name == "pod"
    (port,) = container["ports"]
    assert port["containerPort"] == options.port


def test_probes_ask_what_they_should_and_the_service_finds_the_pods() -> None:
    documents = manifests()
    spec = documents["Deployment"]["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    paths = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("liveness", "readiness", "startup")}
    assert paths == {"liveness": "/healthz", "readiness": "/readyz", "startup": "/healthz"}
    names = {port["name"] for port in container["ports"]}
    assert {container[f"{name}Probe"]["httpGet"]["port"] for name in paths} <= names
    labels = spec["template"]["metadata"]["labels"]
    service = documents["Service"]["spec"]
    assert service["selector"] == spec["selector"]["matchLabels"] == labels
    assert service["ports"][0]["targetPort"] in names
    assert "sessionAffinity" not in service
    assert documents["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    backend = documents["Ingress"]["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    assert backend == {"name": documents["Service"]["metadata"]["name"], "port": {"name": service["ports"][0]["name"]}}
