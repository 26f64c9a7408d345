"""The pages of SQLite files in the report: which jobs have them, and what their pictures are made of."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from engine import Operation, Status
from engine.domain.kept_page_map import KeptMaps, packed
from engine.domain.page_map import DAMAGED, FREE, INTERNAL, LONG_VALUES, MappedObject, PageMap
from engine.domain.steps import PAGES_AFTER, PAGES_BEFORE
from tests.tui.jobs import child, parent
from tui.commands.report import instructions
from tui.presentation.page.layouts import MOST, layouts_of, legend, may_have_maps, pictures
from tui.presentation.page.runs import Run, run_of

TABLE, INDEX = 0, 1


def mapped(*owners: int, fill: float = 1.0, in_order: bool = True, name: str = "orders") -> PageMap:
    return PageMap(
        pages=len(owners),
        page_size=4096,
        free_pages=owners.count(FREE),
        owners=owners,
        fills=tuple(None if owner < 0 else fill for owner in owners),
        in_order=tuple(in_order or owner < 0 for owner in owners),
        objects=tuple(
            MappedObject(name=name, is_index=bool(number), pages=owners.count(number), jumps=0) for number in (0, 1)
        ),
    )


def svgs(maps: KeptMaps) -> list[str]:
    return re.findall(r"<svg.*?</svg>", pictures(maps))


def paths(svg: str) -> dict[str, str]:
    return dict(re.findall(r'<path class="([^"]*)" d="([^"]*)"', svg))


def test_each_kind_of_page_has_a_form_of_its_own() -> None:
    found = mapped(TABLE, TABLE, INDEX, INDEX, LONG_VALUES, FREE, INTERNAL, DAMAGED)
    before, _ = svgs(KeptMaps(found, found))
    assert paths(before) == {
        "table": "M0,9h19v-8h-19z",
        "index": "M22,9h4v-8h-4zM32,9h4v-8h-4z",
        "long-values": "M40,6h9v-2h-9z",
        "free": "M53,6h2v-2h-2z",
        "internal": "M60,8h9v-1h-9zM60,4h9v-1h-9z",
        "damaged": "M70,9l8,-8h1l-8,8zM70,1l8,8h1l-8,-8z",
    }


def test_an_emptier_page_is_lower_and_a_scattered_one_paler() -> None:
    before, after = svgs(KeptMaps(mapped(TABLE, fill=0.3, in_order=False), mapped(TABLE)))
    assert paths(before) == {"table scattered": "M0,9h9v-4h-9z"}
    assert paths(after) == {"table": "M0,9h9v-8h-9z"}


def test_both_are_drawn_at_one_scale() -> None:
    before, after = svgs(KeptMaps(mapped(*[TABLE] * 2048), mapped(*[TABLE] * 1024)))
    assert paths(before)["table"].count("M") == 16
    assert paths(after)["table"].count("M") == 8


def test_a_picture_is_bounded_whatever_lies_in_the_file() -> None:
    owners = [TABLE, INDEX] * 5_000
    html = pictures(KeptMaps(mapped(*owners, fill=0.5), mapped(*owners, fill=0.9)))
    assert len(html) < 60_000


def test_names_are_escaped() -> None:
    found = mapped(TABLE, name="<script>alert(1)</script>\x1b[31m")
    html = pictures(KeptMaps(found, found)) + legend()
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "\x1b" not in html


def job(number: int, target: str, operation: Operation, status: Status = Status.COMPLETED, back: float = 0.0) -> Run:
    found = parent(child(operation=operation, status=status))
    found = replace(found, id=number, request=replace(found.request, target=target))
    return replace(run_of(found, instructions), back=back)


def test_the_newest_job_of_each_file_may_have_maps_and_who_gave_most_back_comes_first() -> None:
    jobs = [
        job(9, "sqlite:///a", Operation.ANALYZE),
        job(8, "sqlite:///a", Operation.VACUUM, back=5),
        job(7, "sqlite:///a", Operation.VACUUM, back=500),
        job(6, "sqlite:///b", Operation.REINDEX, back=9),
        job(5, "sqlite:///c", Operation.VACUUM, Status.FAILED, back=99),
    ]
    assert may_have_maps(jobs) == [6, 8]


def test_no_more_files_are_shown_than_a_page_can_hold() -> None:
    done = replace(child(), after={PAGES_BEFORE: packed(mapped(TABLE, FREE)), PAGES_AFTER: packed(mapped(TABLE))})
    assert len(layouts_of([parent(done)] * 100)) == MOST


@pytest.mark.parametrize("after", [None, {}, {PAGES_BEFORE: "x", PAGES_AFTER: "y"}])
def test_a_job_without_maps_is_left_out(after: dict[str, str] | None) -> None:
    assert layouts_of([parent(replace(child(), after=after))]) == []
