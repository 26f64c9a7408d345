"""PostgreSQL databases as targets. Only what stands here is imported without the driver, psycopg."""

from __future__ import annotations

from typing import Final

from engine.domain.engines import EngineName, EngineSpec

SPEC: Final = EngineSpec(
    name=EngineName.POSTGRESQL,
    label="PostgreSQL",
    kind="a PostgreSQL server",
    lacks="PostgreSQL has nothing like it",
    short="pg",
    schemes=("postgresql", "postgres"),
    target="engine.targets.postgres.target:PostgresTarget",
    databases="engine.targets.postgres.databases",
    driver="the driver for PostgreSQL, psycopg,",
    extra="postgres",
    times_as_size=3.0,  # its tables are seldom all in memory
)
