"""The databases of tests."""

from __future__ import annotations

from engine import Operation
from tests.engine.targets.server_session import plan
from tests.postgres_databases import new_database
from tests.postgres_server import PostgresServer


async def test_a_new_database_needs_nothing_whatever_others_have_left(postgres: PostgresServer) -> None:
    """Databases share the catalogs of roles, databases and what is said of them."""
    with new_database(postgres) as other:
        for _ in range(60):
            other("CREATE ROLE joe", f"ALTER DATABASE {other.name} SET work_mem = '5MB'", "GRANT pg_monitor TO joe")
            other(f"COMMENT ON DATABASE {other.name} IS 'busy'", f"COMMENT ON DATABASE {other.name} IS NULL")
            other(f"ALTER DATABASE {other.name} RESET ALL", "DROP ROLE joe")
    with new_database(postgres) as database:
        planned = await plan(database.url, Operation.OPTIMIZE)
    assert (planned.steps, planned.not_needed) == ((), "nothing is needed")
