"""Who is worth a word because dead rows are kept."""

from __future__ import annotations

from engine.domain.requests import Operation, Options
from engine.targets.postgres.reading import xmin_horizon
from engine.targets.postgres.reading.xmin_horizon import OLD_AFTER, OLD_AGE, Holder, Reach, XminHorizon
from engine.targets.step_execution import StepContext
from tests.engine.targets.server_session import connected
from tests.postgres_databases import Database


def told(*holders: Holder) -> list[str]:
    return xmin_horizon.warnings(XminHorizon(holders, is_complete=True))


def test_who_holds_nothing_back_for_long_is_no_warning() -> None:
    young = (
        Holder("pid 1", 3, 0.2, "psql, ann, idle in transaction"),
        Holder("replication slot feedback", 3, None, "active"),
        Holder("standby east", 3, None, "hot_standby_feedback"),
    )
    assert told(*young) == []
    assert told(Holder("replication slot feedback", OLD_AGE, None, "active")) == [
        "newer dead rows are held back by replication slot feedback (active)"
    ]
    assert told(Holder("pid 1", 3, OLD_AFTER, "psql, ann, idle in transaction"))
    assert told(Holder("replication slot left", 3, None, "inactive", Reach.ALL, is_unused=True))


async def test_a_few_rows_that_somebody_may_still_see_for_a_moment_are_no_warning(database: Database) -> None:
    database("CREATE TABLE item WITH (vacuum_truncate = off) AS SELECT generate_series(1, 1000) AS a", "ANALYZE item")
    async with connected(database.url) as session:
        for deleted, warnings in ((100, 0), (900, 1)):
            with database.session("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SELECT FROM item"):
                database(f"DELETE FROM item WHERE a <= {deleted}")
                step = (await session.plan(Operation.VACUUM, Options(objects=("item",)))).steps[0]
                result = await session.execute(step, StepContext())
            assert result.effect is not None
            assert result.effect["rows_kept"]
            assert len(result.warnings) == warnings
