"""MariaDB survives a damaged page: its table is critical and left out, and the others are maintained."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import Engine, Status
from engine.domain.damage import DamageSource
from engine.domain.statuses import Reason
from engine.targets.mysql.connection.server import Flavor
from tests.engine.schedules.suspect_tables import two_nights
from tests.engine.targets.mysql.test_server_died import shop  # noqa: F401 - the fixture
from tests.mysql_databases import MySqlDatabase

pytestmark = pytest.mark.parametrize("server", [Flavor.MARIADB], ids=str, indirect=True, scope="session")


async def test_a_damaged_table_is_critical_and_left_out_and_the_others_are_checked_while_the_server_stays_up(
    shop: MySqlDatabase,  # noqa: F811
    tmp_path: Path,
) -> None:
    process = shop.server.process
    first, second = await two_nights(tmp_path, shop.url, '"needed"')
    assert process is not None
    assert process.poll() is None
    assert first is not None
    assert first.reason is Reason.OPERATION_ERROR
    assert {step.object: step.status for step in first.steps} == {"inn": Status.FAILED, "well": Status.COMPLETED}
    assert second is None  # another check would repeat the finding
    async with Engine.open(tmp_path / "jobs.db") as engine:
        assert [(one.object, one.source) for one in await engine.known_damage(shop.url)] == [
            ("inn", DamageSource.CHECK)
        ]
        for advice in await engine.advise(shop.url):
            assert "inn" not in advice.objects
