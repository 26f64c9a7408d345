"""What a survey without an inspection takes from the one before."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.domain.engines import EngineName
from engine.domain.surveys import FleetLevel, Survey, with_figures_of

EARLIER = Survey(
    target="sqlite:///a.db",
    engine=EngineName.SQLITE,
    surveyed_at=1_000,
    level=FleetLevel.OK,
    size=4096,
    reclaimable=512,
)
SILENT = replace(EARLIER, surveyed_at=2_000, level=FleetLevel.UNKNOWN, size=None, reclaimable=0)


def test_it_has_the_earlier_figures_and_their_time() -> None:
    found = with_figures_of(SILENT, EARLIER)
    assert (found.size, found.reclaimable, found.figures_at, found.level) == (4096, 512, 1_000, FleetLevel.UNKNOWN)
    assert with_figures_of(replace(SILENT, surveyed_at=3_000), found).figures_at == 1_000


@pytest.mark.parametrize(
    ("now", "earlier", "expected"),
    [
        ((None, False), (500, False), (500, False)),  # nothing is known of checks now
        ((None, False), (None, True), (None, True)),
        ((None, True), (500, False), (None, True)),  # a check found something since
        ((1_500, False), (None, True), (1_500, False)),  # a check was clean since
    ],
)
def test_what_is_known_of_checks_now_replaces_all_that_was(
    now: tuple[int | None, bool], earlier: tuple[int | None, bool], expected: tuple[int | None, bool]
) -> None:
    survey = replace(SILENT, checked_at=now[0], is_unclean=now[1])
    found = with_figures_of(survey, replace(EARLIER, checked_at=earlier[0], is_unclean=earlier[1]))
    assert (found.checked_at, found.is_unclean) == expected
