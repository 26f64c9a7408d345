"""DuckDB files as targets. Only what stands here is imported without the driver, duckdb."""

from __future__ import annotations

from typing import Final

from engine.domain.engines import EngineName, EngineSpec
from engine.domain.requests import Operation

DUCKDB: Final = EngineName("duckdb")
SPEC: Final = EngineSpec(
    name=DUCKDB,
    label="DuckDB",
    kind="a DuckDB file",
    lacks="DuckDB has nothing like it",
    is_file=True,
    schemes=("duckdb",),
    suffixes=(".duckdb", ".ddb"),
    beside=(".wal", ".wal.checkpoint", ".wal.recovery"),
    magic=(8, b"DUCK"),
    target="engine.targets.duckdb.target:DuckDbTarget",
    driver="the driver for DuckDB, duckdb,",
    extra="duckdb",
    options={"objects": (Operation.CHECK,), "backup_to": (Operation.BACKUP,)},
    thresholds=("reclaim_soon", "reclaim_soon_share", "log_size", "log_share"),
)
