"""The settings of operations on database servers, for one target or for all."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Final

from engine.domain.frozen import frozen
from engine.domain.requests import NO_SERVER_OPTIONS, ServerOptions, Speed

if TYPE_CHECKING:
    from engine.config.typed_table import Table

KB: Final = 1024
LEAST_BUFFERS: Final = 128 * KB
MOST_BUFFERS: Final = 16 * KB * KB * KB
MOST_LAG: Final = 1024 * KB * KB * KB
MOST_PARALLEL_WORKERS: Final = 1024


@frozen(kw_only=True)
class ServerSettings:
    """The fields of `ServerOptions` that can be configured; None: not set."""

    schemas: tuple[str, ...] | None = None
    truncate: bool | None = None
    parallel_workers: int | None = None
    skip_locked: bool | None = None
    buffer_usage_limit: int | None = None
    """Kilobytes."""
    speed: Speed | None = None
    max_lag: int | None = None
    """Bytes."""
    pause_while: str | None = None
    yield_after: float | None = None
    snapshot_wait: float | None = None
    server_wait: float | None = None

    def merged_over(self, others: ServerSettings) -> ServerSettings:
        """These settings, with those of `others` where they are not set."""
        return replace(others, **self._set_values)

    @property
    def options(self) -> ServerOptions:
        return replace(NO_SERVER_OPTIONS, **self._set_values)

    @property
    def _set_values(self) -> dict[str, Any]:
        return {name: value for name in SERVER_KEYS if (value := getattr(self, name)) is not None}


SERVER_KEYS: Final = tuple(field.name for field in fields(ServerSettings))
NO_SETTINGS: Final = ServerSettings()


def server_settings(table: Table) -> ServerSettings:
    """Raises ConfigError."""
    buffers = table.size("buffer_usage_limit", LEAST_BUFFERS, MOST_BUFFERS)
    return ServerSettings(
        schemas=table.names("schemas"),
        truncate=table.flag("truncate"),
        parallel_workers=table.count("parallel_workers", MOST_PARALLEL_WORKERS, least=0),
        skip_locked=table.flag("skip_locked"),
        buffer_usage_limit=None if buffers is None else buffers // KB,
        speed=table.choice("speed", Speed),
        max_lag=table.size("max_lag", 0, MOST_LAG),
        pause_while=table.text("pause_while"),
        yield_after=table.seconds("yield_after"),
        snapshot_wait=table.wait("snapshot_wait"),
        server_wait=table.wait("server_wait"),
    )
