"""The shared store derives the status of a parent as `statuses.py:parent_status` does."""

from __future__ import annotations

from itertools import combinations_with_replacement

from engine.domain.statuses import Status, parent_status
from tests.postgres_databases import as_admin

CHILDREN = [(status, started) for status in Status for started in (False, True)]


def test_r3_the_server_derives_the_same_status_from_all_children(store_url: str) -> None:
    families = [family for size in (1, 2, 3) for family in combinations_with_replacement(CHILDREN, size)]
    with as_admin(store_url) as admin:
        for family in families:
            asked = [[str(status) for status, _ in family], any(started for _, started in family)]
            answer = admin.execute("SELECT dbtend.parent_status(%s, %s)", asked).fetchone()
            assert answer == (parent_status(family),), family
