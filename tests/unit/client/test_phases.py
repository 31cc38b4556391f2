"""The phases of a client are those of ``spec/phases.json``."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from crosswire.client.phases import TRANSITIONS, Phase, PhaseMachine, Trigger

SPEC: dict[str, Any] = json.loads((Path(__file__).parents[3] / "spec" / "phases.json").read_text(encoding="utf-8"))


def test_the_phases_are_those_of_the_specification_in_their_order() -> None:
    assert [phase.value for phase in Phase] == [phase["name"] for phase in SPEC["phases"]]


def test_the_transitions_are_those_of_the_specification() -> None:
    specified = {
        (Phase(before), Trigger(each["trigger"])): Phase(each["to"])
        for each in SPEC["transitions"]
        for before in each["from"]
    }
    assert specified == TRANSITIONS


def test_the_plays_go_through_every_transition() -> None:
    played = set()
    for play in SPEC["plays"]:
        names = ["idle", *(name for step in play["steps"] for name in step.get("phases", ()))]
        played |= set(pairwise(names))
    assert played == {(before, each["to"]) for each in SPEC["transitions"] for before in each["from"]}


def test_a_client_begins_idle() -> None:
    machine = PhaseMachine()
    assert machine.is_idle
    assert not machine.is_open


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("trigger", Trigger)
def test_a_trigger_leads_to_the_phase_that_follows_or_cannot_occur(phase: Phase, trigger: Trigger) -> None:
    machine = PhaseMachine()
    machine.phase = phase
    if (phase, trigger) in TRANSITIONS:
        machine.move(trigger)
        assert machine.phase is TRANSITIONS[phase, trigger]
    else:
        with pytest.raises(KeyError):
            machine.move(trigger)
        assert machine.phase is phase
