from __future__ import annotations

from tests.faults.history.outcome import RoomOutcome
from tests.faults.history.report import HEADING, put_section

PAGE = """# Reliability

## Results

some

## How it is done

in some way
"""


def test_the_section_of_rooms_is_put_before_how_it_is_done_and_the_rest_stays() -> None:
    page = put_section(PAGE, [RoomOutcome("rooms-drops", published=1234)])
    before, _, after = page.partition(HEADING)
    assert before + after[after.index("## How it is done") :] == PAGE
    assert "1,234" in after
    assert "held" in after


def test_another_run_replaces_the_section() -> None:
    first = put_section(PAGE, [RoomOutcome("rooms-drops", published=1234)])
    second = put_section(first, [RoomOutcome("rooms-drops", published=5678, problems=["2 lies"])])
    assert second.count(HEADING) == 1
    assert "1,234" not in second
    assert "- rooms-drops: 2 lies" in second
    assert "FAILED" in second
