"""What throttles the steps: threads that run, the delay of replicas, and the load query."""

from __future__ import annotations

from engine.domain.requests import ServerOptions
from engine.targets.mysql.planning.rights import sees_all_sessions, to_grant_everywhere
from engine.targets.mysql.reading import load_query
from engine.targets.mysql.reading.facts import status
from engine.targets.mysql.reading.reader import Reader
from engine.targets.mysql.reading.replicas import Replicas
from engine.targets.throttling import exceeded


async def throttled_by(reader: Reader, options: ServerOptions, replicas: Replicas, own: int) -> str:
    """Which limit is exceeded; "" for none. `own`: how many threads run for this operation. Raises TargetError."""
    if options.max_running is not None:
        others = await status(reader, "Threads_running") - own - 1  # one of them asks
        if others > options.max_running:
            return f"{others} threads of others are running (limit {options.max_running})"
    if options.max_delay is not None and (late := await replicas.late(options.max_delay, options.ignored_standbys)):
        return late
    load = None if options.pause_while is None else await load_query.ask(reader, options.pause_while)
    return exceeded(load)


async def options_problem(reader: Reader, options: ServerOptions, replicas: Replicas) -> str:
    """The problem with the throttling options; "" for none. Does not run the query. Raises TargetError."""
    if options.max_delay is not None and (problem := await replicas.problem(options.ignored_standbys)):
        return problem
    if options.yield_after is not None and not await sees_all_sessions(reader):
        right = to_grant_everywhere("PROCESS", reader.server.user)
        return f"--yield-after failed: the server does not show the sessions of others. {right}"
    return "" if options.pause_while is None else await load_query.check(reader, options.pause_while)
