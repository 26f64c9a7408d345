"""What a server must not run, in words that say what to do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine import Operation, Options, ServerOptions
from engine.domain.errors import UsageError
from engine.domain.requests import Request
from engine.submission.validation import validate_request
from engine.targets import resolve
from engine.targets.mysql.connection.connecting import cluster
from engine.targets.mysql.connection.server import Cluster, Server
from engine.targets.mysql.planning.planner import refusal
from engine.targets.mysql.planning.scope import scope
from engine.targets.mysql.reading.tables import Table
from tests.engine.targets.mysql.flavors import SERVER

QUIET = Options(server=ServerOptions(no_binlog=True))
TABLES = [Table(database="shop", name=name, engine="InnoDB") for name in ("item", "Item", "or`der")]


@pytest.mark.parametrize("cluster", list(Cluster))
def test_a_cluster_refuses_rebuilds_unless_forced(cluster: Cluster) -> None:
    member = replace(SERVER, cluster=cluster)
    assert "--force" in refusal(member, Operation.REBUILD, Options())
    for options in (Options(force=True), QUIET):
        assert refusal(member, Operation.REBUILD, options) == ""
    assert refusal(member, Operation.CHECK, Options()) == ""


@pytest.mark.parametrize(
    ("variables", "members", "found"),
    [
        ({"wsrep_on": "ON", "wsrep_provider": "/usr/lib/galera/libgalera_smm.so"}, 0, Cluster.GALERA),
        ({"wsrep_on": "ON", "wsrep_provider": "none"}, 0, None),
        ({"wsrep_on": "OFF", "wsrep_provider": "/usr/lib/galera/libgalera_smm.so"}, 0, None),
        ({"group_replication_group_name": "aaaa"}, 3, Cluster.GROUP_REPLICATION),
        ({"group_replication_group_name": "aaaa"}, 0, None),
        ({"group_replication_group_name": "aaaa"}, None, Cluster.GROUP_REPLICATION),
        ({}, 0, None),
    ],
)
def test_a_cluster_is_known_by_what_its_server_says(
    variables: dict[str, str], members: int | None, found: Cluster | None
) -> None:
    assert cluster(variables, members) is found


@pytest.mark.parametrize("replica", [replace(SERVER, is_replica=True), replace(SERVER, is_read_only=True)])
def test_a_replica_keeps_maintenance_out_of_its_binary_log(replica: Server) -> None:
    assert "--no-binlog" in refusal(replica, Operation.ANALYZE, Options())
    assert refusal(replica, Operation.ANALYZE, QUIET) == ""
    assert refusal(replica, Operation.CHECK, Options()) == ""


@pytest.mark.parametrize("operation", [Operation.VACUUM, Operation.VACUUM_FULL, Operation.REINDEX, Operation.CLUSTER])
def test_what_other_engines_call_otherwise_is_pointed_to_rebuild(operation: Operation) -> None:
    target = resolve("mysql://joe@db/shop")
    with pytest.raises(UsageError, match="here that is rebuild"):
        validate_request(Request(target=target.url, operations=(operation,)), target)


def test_a_backup_is_pointed_to_the_tools_of_the_server() -> None:
    target = resolve("mysql://joe@db/shop")
    with pytest.raises(UsageError, match="mariadb-backup"):
        validate_request(Request(target=target.url, operations=(Operation.BACKUP,)), target)


def test_names_are_those_of_the_server_and_in_any_case_where_only_one_is_meant() -> None:
    def found(*names: str) -> list[str]:
        return [table.name for table in scope(Operation.ANALYZE, Options(objects=names), TABLES)]

    assert found("item") == ["item"]
    assert found("Item", "shop.item") == ["item", "Item"]
    assert found("`or``der`") == found("OR`DER") == ["or`der"]
    with pytest.raises(UsageError, match="is no table"):
        found("ITEM")
    with pytest.raises(UsageError, match="named twice"):
        found("item", "shop.item")
