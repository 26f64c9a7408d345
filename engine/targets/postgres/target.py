"""A PostgreSQL database as a target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from engine.domain.engines import EngineName
from engine.domain.errors import TargetRefusedError, UsageError
from engine.domain.requests import Operation, Options, Request
from engine.system.dsn import Address, address, environment_of
from engine.targets import server_target
from engine.targets.postgres.connection.bounded import Connection
from engine.targets.postgres.connection.connecting import Server, connect
from engine.targets.postgres.planning import operation_specs
from engine.targets.postgres.reading.reader import Reader
from engine.targets.postgres.session import PostgresSession

_ONE: Final = "leave one of them out"


class PostgresTarget(server_target.ServerTarget[Connection, Server, PostgresSession]):
    """The database that `text` names: a URL, key=value as libpq reads it, or service=NAME."""

    engine = EngineName.POSTGRESQL
    operations = operation_specs.SPECS
    default_operations = operation_specs.DEFAULT_OPERATIONS
    reader_class = Reader
    session_class = PostgresSession
    _address: Address

    def __init__(self, text: str) -> None:
        super().__init__(address(text))

    @property
    def environment(self) -> Mapping[str, str]:
        return environment_of(self._address.parameters)

    def validate(self, request: Request) -> None:
        """Raise UsageError for options that contradict each other."""
        server = request.options.server
        if server.exclude_schemas and (server.schemas or request.options.objects):
            other = "--schema" if server.schemas else "--object"
            raise UsageError("--exclude-schema", f"does not go with {other}, which names all there is to do", _ONE)
        if not (server.process_main or server.process_toast):
            raise UsageError("--no-process-main", "leaves nothing to do with --no-process-toast", _ONE)
        if server.system and server.tablespace is not None:
            raise UsageError("--tablespace", "does not go with --system: the catalog cannot be moved", _ONE)

    def needs_confirmation(self, operation: Operation, options: Options) -> str:
        if operation in operation_specs.OF_CATALOGS and options.server.system:
            return operation_specs.LOCKS_CATALOG
        return super().needs_confirmation(operation, options)

    async def _connect(self, name: str, *, read_only: bool, before: Server | None) -> tuple[Connection, Server]:
        return await connect(
            self._address,
            name=name,
            lock_timeout=server_target.READING_LOCK_TIMEOUT,
            statement_timeout=server_target.READING_TIMEOUT,
            read_only=read_only,
            of_pool=before is not None and before.is_pooled,
        )

    def _check_writable(self, server: Server) -> None:
        if server.is_standby:
            why, hint = "it is a standby, which cannot be maintained", "give the primary; advise and check work here"
            raise TargetRefusedError(self.url, why, hint)
        if server.reads_only:
            why = f"{server.user} may only read there: default_transaction_read_only is on"
            raise TargetRefusedError(self.url, why, "connect as a role that may write")
