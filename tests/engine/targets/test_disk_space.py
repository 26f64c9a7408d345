"""Needs are weighed against file systems, not against directories."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.targets.disk_space import (
    Need,
    Room,
    fit_at_once,
    free_bytes,
    largest_shortfalls,
    least_free,
    room_in,
    shortfalls,
    with_margin,
)

MB = 1_000_000
JOURNAL = Need("/srv", 138 * MB, "the database's journal")
TEMPORARY = Need("/var/tmp", 138 * MB, "temporary files")  # noqa: S108


def on_one(free: int | None) -> list[str]:
    return shortfalls([JOURNAL, TEMPORARY], lambda _: Room(1, free))


def test_needs_on_one_file_system_add_up() -> None:
    assert on_one(120 * MB) == [
        "it needs 280 MB on the file system of /srv (138 MB for the database's journal, 138 MB for temporary files, "
        "3.76 MB to spare), and 120 MB are free"
    ]


def test_needs_on_two_file_systems_are_told_apart() -> None:
    rooms = {"/srv": Room(1, 200 * MB), "/var/tmp": Room(2, 100 * MB)}  # noqa: S108
    assert shortfalls([JOURNAL, TEMPORARY], rooms.__getitem__) == [
        "it needs 140 MB on the file system of /var/tmp (138 MB for temporary files, 2.38 MB to spare), "
        "and 100 MB are free"
    ]
    full = {"/srv": Room(1, 0), "/var/tmp": Room(2, 0)}  # noqa: S108
    sentences = shortfalls([JOURNAL, TEMPORARY], full.__getitem__)
    assert [sentence.endswith("and 0 B are free") for sentence in sentences] == [True, True]


def test_of_those_that_come_one_after_another_the_largest_counts() -> None:
    each = [[Need("/srv", size * MB, "the journal")] for size in (20, 138, 1, 30)]
    assert largest_shortfalls(each, lambda _: Room(1, 10 * MB)) == [
        "it needs 140 MB on the file system of /srv (138 MB for the journal, 2.38 MB to spare), and 10.0 MB are free"
    ]
    assert largest_shortfalls(each, lambda _: Room(1, 200 * MB)) == []
    assert largest_shortfalls([[Need("/nowhere at all", MB, "the journal")], *each], room_or_none) == []


def test_at_once_run_as_many_as_fit_whichever_they_are() -> None:
    each = [[Need("/srv", 60 * MB, "a copy")], [Need("/fast", 50 * MB, "a copy")], [Need("/srv", 40 * MB, "a copy")]]
    rooms = {"/srv": Room(1, 90 * MB), "/fast": Room(2, 900 * MB)}
    assert fit_at_once(each, 3, rooms.__getitem__) == 1  # the two on /srv may run together
    rooms["/srv"] = Room(1, 110 * MB)
    assert fit_at_once(each, 3, rooms.__getitem__) == 3
    rooms["/srv"] = Room(1, None)
    assert fit_at_once(each, 2, rooms.__getitem__) == 2
    assert fit_at_once([[], [Need("/nowhere at all", MB, "a copy")]], 2) == 2


def room_or_none(directory: str) -> Room:
    return room_in(directory) if directory != "/srv" else Room(1, None)


def test_room_is_enough_from_the_need_and_its_margin_on() -> None:
    enough = with_margin([JOURNAL, TEMPORARY])
    assert enough == 276 * MB + 2_760_000 + MB
    assert on_one(enough) == []
    assert len(on_one(enough - 1)) == 1


def test_what_writes_nothing_fits_anywhere_even_where_there_is_no_directory() -> None:
    assert shortfalls([]) == []
    assert shortfalls([Need("/nowhere at all", 0, "temporary files")]) == []


def test_a_file_system_that_does_not_say_refuses_nothing() -> None:
    assert on_one(None) == []


def test_a_real_file_system_is_asked(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    here, below = str(tmp_path), str(tmp_path / "below")
    assert room_in(here).file_system == room_in(below).file_system == tmp_path.stat().st_dev
    total = os.statvfs(here).f_blocks * os.statvfs(here).f_frsize
    free = free_bytes(here)
    assert free is not None
    assert 0 < free <= total
    assert shortfalls([Need(here, 1, "a byte")]) == []
    (sentence,) = shortfalls([Need(here, total // 2, "one half"), Need(below, total // 2 + 1, "the other half")])
    assert sentence.startswith("it needs ")
    assert f"on the file system of {here} (" in sentence


def test_a_missing_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        shortfalls([Need(str(tmp_path / "nowhere"), 1, "a byte")])


def test_the_least_room_counts() -> None:
    rooms = {"/srv": Room(1, 7_000), "/var/tmp": Room(2, 5_000)}  # noqa: S108
    assert least_free([JOURNAL, TEMPORARY], rooms.__getitem__) == 5_000
    assert least_free([JOURNAL], rooms.__getitem__) == 7_000
    assert least_free([], rooms.__getitem__) is None
    assert least_free([JOURNAL], lambda _: Room(1, None)) is None
