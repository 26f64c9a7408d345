"""How far a command is, from what the servers show of it."""

from __future__ import annotations

from engine.domain.requests import Options
from engine.domain.steps import WaitsFor
from engine.targets.mysql.connection.server import Flavor
from engine.targets.mysql.planning.operation_steps import rebuild_steps
from engine.targets.mysql.reading.tables import Table
from engine.targets.mysql.running.progress import COUNTED_BY, DISK_IS_FULL, Progress, Seen

SIZE = 264_000_000
(STEP,) = rebuild_steps(
    [Table(database="shop", name="item", engine="InnoDB", data_bytes=SIZE)], Options(), Flavor.MARIADB, {}
)
LASTS = 10.0


def fractions(of: list[Seen], seconds: float | None) -> list[float]:
    progress = Progress(STEP, began=0.0, seconds=seconds)
    return [progress.update(seen, LASTS * number / len(of)).fraction or 0.0 for number, seen in enumerate(of, 1)]


def mean_error(found: list[float]) -> float:
    return sum(abs(one - number / len(found)) for number, one in enumerate(found, 1)) / len(found)


def of_mysql(number: int) -> list[Seen]:
    """It has counted all pages after a quarter of its time."""
    shares = [min(step / number / COUNTED_BY, 1.0) for step in range(1, number + 1)]
    return [Seen(state="altering table", pages=round(9_000 * share), of_pages=9_000) for share in shares]


def test_a_server_whose_disk_is_full_is_shown_to_wait_for_space() -> None:
    for state in ("Waiting for someone to free space", "Waiting for disk space"):
        shown = Progress(STEP, began=0.0, seconds=None).update(Seen(state=state), 1.0)
        assert (shown.phase, shown.waits_for) == (DISK_IS_FULL, WaitsFor.SPACE)


def test_progress_never_goes_back_and_never_reaches_the_end() -> None:
    by_file = [Seen(state="altering table", new_file=SIZE * number // 40) for number in range(1, 51)]
    for seen in (by_file, of_mysql(50), [*of_mysql(50)[25:], *of_mysql(50)[:25]]):
        for seconds in (None, 2.0, LASTS):
            found = fractions(seen, seconds)
            assert found == sorted(found)
            assert found[-1] < 1


def test_with_a_history_progress_is_at_most_ten_points_off() -> None:
    by_file = [Seen(state="altering table", new_file=SIZE * number // 50) for number in range(1, 51)]
    unknown = [Seen(state="executing")] * 50
    for seen in (by_file, of_mysql(50), unknown):
        assert mean_error(fractions(seen, LASTS)) <= 0.1


def test_without_a_history_what_the_server_shows_counts_and_else_nothing_is_claimed() -> None:
    by_file = [Seen(state="altering table", new_file=SIZE * number // 50) for number in range(1, 51)]
    assert mean_error(fractions(by_file, None)) <= 0.1
    assert mean_error(fractions(of_mysql(50), None)) <= 0.15
    assert Progress(STEP, began=0.0, seconds=None).update(Seen(state="Executing"), 1.0).fraction is None


def test_a_wait_for_a_lock_is_no_progress() -> None:
    waits = Seen(state="Waiting for table metadata lock")
    told = Progress(STEP, began=0.0, seconds=LASTS).update(waits, 5.0, "connection 7 (ann@web)")
    assert (told.fraction, told.waits_for) == (None, WaitsFor.LOCK)
    assert "connection 7" in (told.phase or "")
