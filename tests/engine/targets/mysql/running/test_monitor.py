"""What a command does, and which sessions wait behind it."""

from __future__ import annotations

import pytest

from engine.targets.mysql.reading.tables import Table
from engine.targets.mysql.running.monitor import Waiter, Watched, is_behind
from engine.targets.mysql.running.progress import Progress, Seen
from tests.engine.targets.mysql.running.test_progress import STEP

ITEM = Table(database="shop", name="item", engine="InnoDB")
HERE, ELSEWHERE = True, False


@pytest.mark.parametrize(
    ("waiter", "waited", "expected"),
    [
        (Waiter(HERE, "CALL nightly()", 9), 5.0, True),
        (Waiter(HERE, "CALL nightly()", 9), None, False),
        (Waiter(HERE, "SELECT * FROM item", 9), None, True),
        (Waiter(ELSEWHERE, "SELECT * FROM shop.Item", 9), None, True),
        (Waiter(ELSEWHERE, "ALTER TABLE workshop.parts FORCE", 9), None, False),  # names the database, shop, by chance
        (Waiter(ELSEWHERE, "SELECT * FROM seen", 2), 5.0, True),  # perhaps a view of the table
        (Waiter(ELSEWHERE, "SELECT * FROM seen", 9), 5.0, False),
        (Waiter(ELSEWHERE, "/* dbtend 1 1/1 */ ALTER TABLE crm.parts FORCE", 2), 5.0, False),
    ],
)
def test_behind_a_command_is_who_names_its_table_or_waits_after_it(
    waiter: Waiter, waited: float | None, *, expected: bool
) -> None:
    assert is_behind(waiter, ITEM, waited, is_sure=False) is expected


def test_where_the_server_names_who_waits_for_a_table_no_other_session_counts_but_those_of_the_database() -> None:
    assert not is_behind(Waiter(ELSEWHERE, "SELECT * FROM seen", 2), ITEM, 5.0, is_sure=True)
    assert is_behind(Waiter(HERE, "SELECT * FROM seen", 2), ITEM, 5.0, is_sure=True)


def test_a_command_that_still_waits_for_its_lock_has_not_begun() -> None:
    watched = Watched(step=STEP, progress=Progress(STEP, began=0.0, seconds=None), report=lambda _: None)
    found = []
    for state in ("Waiting for table metadata lock", "Waiting for disk space", "Waiting for table metadata lock"):
        watched.note(Seen(state=state), 1.0)
        found.append((watched.has_begun, watched.only_waited))
    assert found == [(False, True), (True, False), (True, False)]
