"""MariaDB and MySQL databases as targets. Only what stands here is imported without the driver, PyMySQL."""

from __future__ import annotations

from typing import Final

from engine.domain.engines import EngineName, EngineSpec

SPEC: Final = EngineSpec(
    name=EngineName.MYSQL,
    label="MariaDB and MySQL",
    kind="a MariaDB or MySQL server",
    lacks="MariaDB and MySQL have nothing like it",
    schemes=("mysql", "mariadb"),
    target="engine.targets.mysql.target:MySqlTarget",
    databases="engine.targets.mysql.databases",
    needs_database=True,
    driver="the driver for MariaDB and MySQL, PyMySQL with PyNaCl,",
    extra="mysql",
    times_as_size=3.0,
)
