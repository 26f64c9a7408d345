"""PyMySQL, with answers that are bounded in size and are rows, whatever a server sends."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

import pymysql
from pymysql.connections import Connection, MySQLResult
from pymysql.constants import FIELD_TYPE
from pymysql.converters import encoders

if TYPE_CHECKING:
    _Connection = Connection[Any]
else:
    _Connection = Connection

_T = TypeVar("_T")

LONGEST_ANSWER: Final = 64 * 1024**2
"""Bytes of an answer."""
MOST_VALUES: Final = 4_000_000
"""Values of an answer at most: each takes more memory here than on its way."""
MOST_COLUMNS: Final = 1_000

STRANGE: Final = "it does not answer as MariaDB and MySQL do"
TOO_LONG: Final = f"its answer is longer than {LONGEST_ANSWER // 1024**2} MB"


class AnswerError(pymysql.err.InterfaceError):
    """No answer, or one that no MariaDB or MySQL server would give. The connection is closed."""


def _number(text: str) -> int | float:
    return int(text) if "." not in text else float(text)


_WHOLE: Final = ("TINY", "SHORT", "LONG", "LONGLONG", "INT24", "YEAR")
_OTHER: Final = ("FLOAT", "DOUBLE", "DECIMAL", "NEWDECIMAL")
_CONVERSIONS: Final[Mapping[Any, Any]] = {
    **encoders,
    **{getattr(FIELD_TYPE, name): int for name in _WHOLE},
    **{getattr(FIELD_TYPE, name): float for name in _OTHER[:2]},
    **{getattr(FIELD_TYPE, name): _number for name in _OTHER[2:]},
}
"""Values are integers, floats, texts or bytes; times are texts."""


class _Result(MySQLResult):
    """One answer."""

    field_count: int
    _values = 0

    def _read_load_local_packet(self, first_packet: object) -> None:
        raise AnswerError("it asks for a file of this machine, which no query of dbtend gives a reason for")

    def _get_descriptions(self) -> None:
        if not 0 < self.field_count <= MOST_COLUMNS:
            raise AnswerError(STRANGE)
        super()._get_descriptions()  # type: ignore[misc]

    def _read_row_from_packet(self, packet: object) -> tuple[Any, ...]:
        self._values += self.field_count
        if self._values > MOST_VALUES:
            raise AnswerError(f"its answer has more than {MOST_VALUES} values")
        row: tuple[Any, ...] = super()._read_row_from_packet(packet)  # type: ignore[misc]
        if len(row) != self.field_count:
            raise AnswerError(STRANGE)
        return row


class Wire(_Connection):
    """A connection whose calls block. Raises pymysql.MySQLError only."""

    _received = 0
    _secure: bool
    _ssl_required: bool
    _read_timeout: float | None
    _result: Any
    server_thread_id: tuple[int]

    if TYPE_CHECKING:

        def _force_close(self) -> None: ...

    def __init__(self, *, tls: ssl.SSLContext | None, needs_tls: bool, timeout: float, **how: Any) -> None:
        """`tls`: None on a unix socket, or without TLS. `timeout`: seconds that each message of the login may take."""
        super().__init__(
            defer_connect=True,
            conv=dict(_CONVERSIONS),
            charset="utf8mb4",
            autocommit=True,
            ssl=tls,
            ssl_disabled=tls is None,
            read_timeout=timeout,
            write_timeout=timeout,
            **how,
        )
        self._ssl_required = needs_tls

    def login(self, connected: socket.socket) -> None:
        """Log in on this socket."""
        self._secure = connected.family == socket.AF_UNIX
        self._guarded(lambda: self.connect(connected))
        self._read_timeout = None  # a statement may take any time; who asks for less has a limit of its own

    def ask(self, sql: str, args: Sequence[object] = (), *, is_query: bool = False) -> list[tuple[Any, ...]]:
        """The rows of one statement; none if it gives no rows, which a query always does."""

        def asked() -> list[tuple[Any, ...]]:
            self._received = 0
            self.query(sql % tuple(map(self.escape, args)) if args else sql)
            if self._result.has_next or (is_query and self._result.description is None):
                raise AnswerError(STRANGE)
            return list(self._result.rows or ())

        return self._guarded(asked)

    def ask_named(self, sql: str) -> list[dict[str, Any]]:
        """The rows of one statement whose columns differ between versions, by name."""
        rows = self.ask(sql)
        names = [field.name for field in self._result.fields or ()]
        return [dict(zip(names, row, strict=True)) for row in rows]

    def end(self) -> None:
        """Say goodbye if possible, and close the socket."""
        with suppress(pymysql.MySQLError):
            self.close()
        self._force_close()

    def _guarded(self, call: Callable[[], _T]) -> _T:
        try:
            return call()
        except AnswerError:
            self._force_close()
            raise
        except pymysql.MySQLError:
            raise
        except OSError as error:
            self._force_close()
            raise pymysql.OperationalError(2013, str(error)) from None
        except Exception:
            # PyMySQL raises errors of every kind for garbage.
            self._force_close()
            raise AnswerError(STRANGE) from None

    def _read_bytes(self, num_bytes: int) -> bytes:
        self._received += num_bytes
        if self._received > LONGEST_ANSWER:
            raise AnswerError(TOO_LONG)
        data: bytes = super()._read_bytes(num_bytes)  # type: ignore[misc]
        return data

    def _read_query_result(self, unbuffered: bool = False) -> int | None:
        self._result = None
        result: Any = _Result(self)
        result.read()
        self._result = result
        if result.server_status is not None:
            self.server_status = result.server_status
        affected: int | None = result.affected_rows
        return affected
