"""When VACUUM is advised: at each threshold."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.advice import Level, PastJob, TargetHistory
from engine.domain.requests import Operation
from engine.targets.sqlite.advising.condition import Condition, Leaves
from engine.targets.sqlite.advising.space_advice import space_advice
from engine.targets.sqlite.advising.thresholds import MB

PAGE = 1000
END = 1_795_000_000_000_000
MINUTE = 60_000_000
NEVER = TargetHistory(now=END)


def freed(pages: int, free_pages: int, **more: object) -> Condition:
    return Condition(**{"pages": pages, "page_size": PAGE, "free_pages": free_pages, "leaves": ()} | more)  # type: ignore[arg-type]


def half_empty(pages: int, share: float = 0.5) -> Leaves:
    """Pages of many small rows, of which this share is empty."""
    return Leaves(pages=pages, cells=10 * pages, unused=round(share * pages * PAGE))


@pytest.mark.parametrize(
    ("pages", "free_pages", "level"),
    [
        (64_000, 16_000, Level.SOON),  # 25 % and 16 MB
        (64_001, 16_000, Level.NONE),
        (63_996, 15_999, Level.NONE),
        (512_000, 256_000, Level.NOW),  # 50 % and 256 MB
        (512_001, 256_000, Level.SOON),
        (511_998, 255_999, Level.SOON),
        (20_000, 10_000, Level.NONE),  # half of a small file
    ],
)
def test_free_pages(pages: int, free_pages: int, level: Level) -> None:
    _, vacuum = space_advice(freed(pages, free_pages), NEVER)
    assert vacuum.level is level
    assert vacuum.facts["reclaimable_bytes"] == free_pages * PAGE


def test_half_filled_pages_count_as_what_packing_them_gives_back() -> None:
    condition = freed(100_000, 0, leaves=(half_empty(100_000),))
    _, vacuum = space_advice(condition, NEVER)
    assert vacuum.level is Level.SOON
    assert vacuum.facts["unused"] == 50 * MB
    assert vacuum.facts["reclaimable_bytes"] == 50 * MB
    assert vacuum.reason == "about 50% of the file is reclaimable: 50.0 MB in partly filled pages"
    assert vacuum.gain == "about 50.0 MB back"


def test_what_is_said_to_be_wasted_is_what_is_said_to_come_back() -> None:
    condition = freed(100_000, 10_000, leaves=(half_empty(90_000, 0.2),))
    _, vacuum = space_advice(condition, NEVER)
    assert (
        vacuum.reason
        == "about 25% of the file is reclaimable: 10.0 MB in free pages and 15.0 MB in partly filled pages"
    )
    assert vacuum.gain == "about 25.0 MB back"


def test_rows_that_no_two_of_fit_on_a_page_leave_room_for_ever() -> None:
    just_vacuumed = Leaves(pages=100_000, cells=100_000, unused=40 * MB)
    _, vacuum = space_advice(freed(100_000, 0, leaves=(just_vacuumed,)), NEVER)
    assert vacuum.level is Level.NONE
    assert vacuum.facts["reclaimable_bytes"] == 0


def test_nobody_looked_into_the_pages() -> None:
    _, vacuum = space_advice(freed(100_000, 30_000, leaves=None, unseen="it would take too long"), NEVER)
    assert vacuum.level is Level.SOON
    assert vacuum.reason == (
        "at least 30% of the file is reclaimable: 30.0 MB in free pages; "
        "partly filled pages were not measured (it would take too long)"
    )
    assert vacuum.gain.startswith("at least 30.0 MB")
    assert vacuum.facts["unused"] is None


@pytest.mark.parametrize(
    ("pages", "free_pages", "reason"),
    [
        (100_000, 3_000, "at least 3% of the file is reclaimable: 3.00 MB in free pages; partly filled pages"),
        (100_000, 10, "10.0 kB are in free pages; partly filled pages"),
        (100_000, 0, "no page is free; partly filled pages"),
    ],
)
def test_what_nobody_looked_at_is_not_known_to_be_well(pages: int, free_pages: int, reason: str) -> None:
    incremental, vacuum = space_advice(freed(pages, free_pages, leaves=None, unseen="it would take too long"), NEVER)
    assert (incremental.level, vacuum.level) == (Level.NONE, Level.UNKNOWN)
    assert vacuum.reason.startswith(reason)
    assert "worth it" not in vacuum.reason
    assert vacuum.gain == ""


def test_half_filled_pages_of_a_file_that_is_too_small_anyway_do_not_matter() -> None:
    _, vacuum = space_advice(freed(15_999, 3_000, leaves=None, unseen="it would take too long"), NEVER)
    assert vacuum.level is Level.NONE
    assert vacuum.reason.endswith(" 25% and 16 MB on")


def test_why_it_is_not_worth_it() -> None:
    _, vacuum = space_advice(freed(100_000, 3_000), NEVER)
    assert vacuum.reason == (
        "about 3% of the file is reclaimable: 3.00 MB in free pages; VACUUM is worth it from 25% and 16 MB on"
    )
    assert vacuum.gain == ""


def test_free_pages_are_given_back_page_by_page_where_that_is_possible() -> None:
    incremental, vacuum = space_advice(freed(100_000, 40_000, gives_pages_back=True), NEVER)
    assert (incremental.level, vacuum.level) == (Level.SOON, Level.NONE)
    assert incremental.gain == "about 40.0 MB back"
    assert vacuum.covered_by is Operation.INCREMENTAL_VACUUM


@pytest.mark.parametrize(("free_pages", "by_pages"), [(40_000, True), (39_000, False)])
def test_page_by_page_only_where_four_fifths_of_it_are_free_pages(free_pages: int, by_pages: bool) -> None:
    condition = freed(100_000, free_pages, gives_pages_back=True)
    rest = Leaves(pages=60_000, cells=600_000, unused=10 * MB)
    incremental, vacuum = space_advice(replace(condition, leaves=(rest,)), NEVER)
    assert incremental.is_needed is by_pages
    assert vacuum.is_needed is not by_pages


def test_only_vacuum_gives_space_back_elsewhere() -> None:
    incremental, vacuum = space_advice(freed(100_000, 40_000), NEVER)
    assert (incremental.level, vacuum.level) == (Level.NONE, Level.SOON)
    assert "not incremental" in incremental.reason


conditions = st.builds(
    lambda pages, free, leaves, incremental: Condition(
        pages=pages, page_size=PAGE, free_pages=min(pages, free), leaves=leaves, gives_pages_back=incremental
    ),
    st.integers(1, 2_000_000),
    st.integers(0, 2_000_000),
    st.none()
    | st.lists(
        st.builds(
            lambda pages, cells, share: Leaves(pages=pages, cells=cells, unused=round(share * pages * PAGE)),
            st.integers(1, 500_000),
            st.integers(0, 5_000_000),
            st.floats(0, 1),
        ),
        max_size=3,
    ).map(tuple),
    st.booleans(),
)


@given(conditions)
def test_whatever_the_numbers(condition: Condition) -> None:
    incremental, vacuum = space_advice(condition, NEVER)
    assert not (incremental.is_needed and vacuum.is_needed)
    needed = incremental.is_needed or vacuum.is_needed
    gain = vacuum.facts["reclaimable_bytes"]
    assert isinstance(gain, int)
    assert gain >= condition.free
    assert needed == (gain >= 0.25 * condition.size and gain >= 16 * MB)
    assert (vacuum.level is Level.UNKNOWN) == (not needed and condition.leaves is None and condition.size >= 16 * MB)
    assert all("\n" not in one.reason and one.reason for one in (incremental, vacuum))


@given(conditions, st.integers(1, 100_000))
def test_more_free_pages_make_it_no_less_urgent(condition: Condition, more: int) -> None:
    more_free = replace(condition, pages=condition.pages + more, free_pages=condition.free_pages + more)
    order = [Level.NONE, Level.UNKNOWN, Level.SOON, Level.NOW]
    before, after = (
        max((one.level for one in space_advice(c, NEVER)), key=order.index)
        for c in (replace(condition, leaves=None), replace(more_free, leaves=None))
    )
    assert order.index(after) >= order.index(before)


def vacuumed(log: int = 0, **more: int) -> Condition:
    """Of which half filled pages were not looked at; `log`: bytes that were written to it later."""
    written: dict[str, object] = {"wal_size": log, "log_changed_at": END + 1} if log else {}
    unseen = {"leaves": None, "unseen": "it would take too long", "changed_at": END}
    return freed(100_000, **{"free_pages": 0} | unseen | written | more)  # type: ignore[arg-type]


def test_after_a_vacuum_of_ours_what_nobody_has_written_since_is_packed() -> None:
    after = TargetHistory(now=END + 2 * MINUTE, vacuumed=PastJob(42, END))
    _, vacuum = space_advice(vacuumed(), after)
    assert (vacuum.level, vacuum.reason) == (Level.NONE, "vacuumed by #42, and nothing was written since")
    _, vacuum = space_advice(vacuumed(changed_at=END + 1), after)
    assert vacuum.level is Level.UNKNOWN
    assert space_advice(vacuumed(), NEVER)[1].level is Level.UNKNOWN


def test_a_log_bounds_what_was_changed_since_a_vacuum() -> None:
    after = TargetHistory(now=END, vacuumed=PastJob(42, END))
    _, vacuum = space_advice(vacuumed(log=5 * MB), after)
    assert vacuum.level is Level.NONE
    assert vacuum.reason == "vacuumed by #42, and at most 5.00 MB were written since"
    assert space_advice(vacuumed(log=25 * MB), after)[1].level is Level.UNKNOWN
    _, vacuum = space_advice(vacuumed(log=25 * MB, log_changed_at=END), after)
    assert "nothing was written" in vacuum.reason


def test_free_pages_are_told_whatever_was_vacuumed() -> None:
    assert (
        space_advice(vacuumed(free_pages=30_000), TargetHistory(now=END, vacuumed=PastJob(42, END)))[1].level
        is Level.SOON
    )
