"""No wait of the engine is without an end: each has a limit and hears a cancel, or stands here with its reason."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from math import inf
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
ENGINE = TESTS.parent / "engine"
MOST = 65.0
"""Seconds that what cannot be cancelled may wait."""
OF_ATTEMPTS = ("worker.py", "plan_run.py", "step_runner.py", "recovery.py", "outcomes.py")
ENDS = "engine/execution/test_stopping.py::test_r14_stopped_at_any_moment_all_has_ended_or_is_handed_back"
IDLE = ("a process without work: its task is cancelled when it ends", ENDS)
CATALOG = (
    "for who reads the catalog, which has a limit",
    "engine/targets/postgres/test_hostile_servers.py::test_a_look_at_it_ends_in_a_sentence",
)
BESIDE = (
    "a task beside a step, which is ended with it",
    "engine/targets/postgres/test_cancel.py::test_a_running_step_is_stopped_and_leaves_nothing",
)
SENDS = (
    "its parent kills it at the limit of the recipient, and at a cancel",
    "engine/notify/test_delivery.py::test_a_program_that_hangs_is_killed_with_all_that_it_started",
)
LOCK = (
    "ends at the lock timeout; a cancel cancels its task (Limits.unless_cancelled)",
    "engine/targets/test_limits.py::test_r32_a_cancel_ends_what_runs_before_the_first_step",
)
SURVEY = (
    "the time limit of a survey",
    "engine/fleet/test_surveyor.py::test_disks_that_hang_keep_no_other_file_waiting_and_no_process_alive",
)
EXCHANGE = (
    "a process that is killed, or has closed its output; its parent ends it",
    "engine/targets/sqlite/test_vacuum_by_exchange.py"
    "::test_the_process_that_exchanges_ends_where_there_is_nothing_to_exchange",
)
BUNDLED = (
    "a process that is killed, or has closed its output; its parent ends it",
    "engine/targets/sqlite/test_bundled_library.py::test_a_cancel_stops_it_and_changes_nothing",
)
STORE_SERVER = (
    "ends at the lock timeout of the store, 10 s, or with its connection; without a proof of life its process ends",
    "engine/execution/test_stopping.py::test_r14_a_server_that_is_away_does_not_keep_a_process_from_ending",
)
DROPS = (
    "connecting has a limit where no context is given, and so has each command",
    "engine/targets/postgres/test_cancel.py"
    "::test_trap_a_reader_that_stays_makes_a_concurrent_rebuild_leave_something_that_is_told_and_cleaned",
)
NO_ANSWER = (
    "each answer has a limit (ANSWER_WITHIN); a command is stopped by the server (StopSignal)",
    "engine/targets/postgres/running/test_connection_pool.py"
    "::test_a_server_that_says_nothing_holds_up_no_cancel_and_no_time_limit",
)
NO_ANSWER_OF_MYSQL = (
    NO_ANSWER[0],
    "engine/targets/mysql/connection/test_connecting.py::test_a_statement_that_hangs_ends_with_its_connection",
)
ALLOWED = {
    "engine.py": (2, *IDLE),
    "execution/allowed.py": (1, "for a look at the config file, on a disk", ENDS),
    "execution/processor.py": (
        2,
        IDLE[0] + "; and the grace of a stop",
        "engine/execution/test_stopping.py::test_r14_what_has_not_ended_within_the_grace_is_handed_back",
    ),
    "execution/reporter.py": (1, *IDLE),
    "execution/step_runner.py": (1, *BESIDE),
    "execution/supervision.py": (1, *IDLE),
    "fleet/surveyor.py": (4, *SURVEY),
    "notify/delivery.py": (
        3,
        "the limit of the recipient; then the process is killed",
        "engine/notify/test_delivery.py::test_a_server_that_never_answers_is_a_failure_at_the_time_limit",
    ),
    "notify/notifier.py": (
        3,
        "one of several, of which one has a limit; and deliveries that are cancelled",
        "engine/notify/test_notifier.py::test_one_that_hangs_keeps_no_other_waiting",
    ),
    "notify/sending/__main__.py": (4, *SENDS),
    "notify/sending/send_command.py": (1, *SENDS),
    "store/copying/shared_source.py": (1, *STORE_SERVER),
    "store/postgres/store.py": (1, "for a task that connects, which has a limit", STORE_SERVER[1]),
    "store/postgres/change_watch.py": (2, *IDLE),
    "store/postgres/connections.py": (5, *STORE_SERVER),
    "store/postgres/store_base.py": (1, "for a claim on its way", STORE_SERVER[1]),
    "store/postgres/kill_requests.py": (2, *STORE_SERVER),
    "store/postgres/leadership.py": (
        2,
        "a limit that is set when leadership is lost",
        "engine/notify/test_on_a_shared_store.py"
        "::test_a_delivery_ends_before_a_host_gives_up_the_recipients_that_it_no_longer_has",
    ),
    "store/postgres/proof.py": (
        2,
        "until the proof of life is too old; a standby has 2 s to answer",
        "engine/store/postgres/test_liveness.py::test_a_worker_whose_link_is_down_ends_before_others_can_take_over",
    ),
    "store/postgres/schema.py": (
        1,
        "another upgrade: a person waits for it, and their Ctrl-C ends it",
        "engine/store/postgres/test_init.py::test_several_that_make_a_store_at_once_make_one",
    ),
    "store/postgres/worker_signal.py": (
        1,
        "2 s to connect, and 2 s for the answer (WITHIN)",
        "engine/store/postgres/test_noted_signals.py"
        "::test_r32_a_server_that_freezes_once_it_is_connected_to_is_waited_for_for_a_moment",
    ),
    "store/sqlite/store.py": (1, *IDLE),
    "store/sqlite/writer.py": (
        4,
        "a thread of its own, which is idle; and pauses until the busy timeout of the store",
        "engine/execution/test_stopping.py::test_r14_a_store_that_stays_locked_does_not_keep_a_process_from_ending",
    ),
    "system/file_headers.py": (1, "a process that its parent ends", SURVEY[1]),
    "system/background.py": (
        4,
        "the end of a cancelled task; of a write, or a thread of SQLite, that must not be cut; and `pause_loop`",
        "engine/system/test_background.py::test_a_cancel_during_work_that_must_end_comes_at_the_next_wait",
    ),
    "system/daemon_threads.py": (
        2,
        "a place among the threads: the caller has a limit; and an idle thread",
        "engine/system/test_daemon_threads.py::test_a_thread_is_kept_for_the_next_call_and_ends_with_who_started_it",
    ),
    "system/locks.py": (2, "1 ms, a bounded number of times", ENDS),
    "system/sqlite_threads.py": (
        3,
        "an idle thread; the interpreter ends: what SQLite does in a thread must not be cut",
        "engine/targets/sqlite/test_cancel.py::test_opening_that_is_cancelled_leaves_no_connection",
    ),
    "targets/limits.py": (
        4,
        "what all others go through",
        "engine/targets/test_limits.py::test_r32_a_wait_ends_by_what_comes_first",
    ),
    "targets/attempt_lock.py": (1, *LOCK),
    "targets/catalog_reader.py": (2, *CATALOG),
    "targets/command_monitor.py": (2, *BESIDE),
    "targets/connection_pool.py": (
        1,
        "for a server that is down: it has the context, and ends by it",
        "engine/targets/postgres/test_server_down.py::test_a_cancel_ends_the_wait_at_once",
    ),
    "targets/host_queue.py": (
        1,
        "each of those that run has a limit of its own",
        "engine/targets/test_host_queue.py::test_a_cancel_ends_the_look_after_the_one_that_is_under_way",
    ),
    "targets/mysql/connection/connection.py": (3, *NO_ANSWER_OF_MYSQL),
    "targets/mysql/reading/replicas.py": (1, *NO_ANSWER_OF_MYSQL),
    "targets/mysql/running/orphan_cleanup.py": (
        1,
        "ends after its own limit; a cancel cancels its task, or shortens it",
        "engine/targets/mysql/test_killed.py::test_killed_in_a_repair_it_is_waited_for_and_told",
    ),
    "targets/mysql/running/sizes.py": (
        1,
        NO_ANSWER_OF_MYSQL[0],
        "engine/targets/mysql/running/test_sizes_of_steps.py::test_r32_a_cancel_and_the_limit_end_the_pause",
    ),
    "targets/mysql/running/statement.py": (
        1,
        "a cancel kills it on the server; what must not be stopped waits for its lock 3 s at a time",
        "engine/targets/mysql/test_cancel.py::test_r32_a_repair_that_waits_for_its_table_is_cancelled",
    ),
    "targets/mysql/running/target_lock.py": (1, "KILL, which waits for nothing", NO_ANSWER_OF_MYSQL[1]),
    "targets/outage.py": (
        2,
        "the tries of a server that is down: a task that ends with all who wait for it, or after --server-wait",
        "engine/targets/postgres/test_server_down.py::test_the_time_limit_ends_the_wait_and_nothing_more_begins",
    ),
    "targets/postgres/advising/measuring.py": (
        1,
        "a person asked to measure all; their cancel ends it on the server",
        "engine/targets/postgres/test_hostile_servers.py"
        "::test_a_look_that_is_given_up_ends_at_once_whatever_the_server_does",
    ),
    "targets/postgres/connection/bounded.py": (4, *NO_ANSWER),
    "targets/postgres/connection/connecting.py": (1, *NO_ANSWER),
    "targets/postgres/reading/counters.py": (1, "0.6 s once, before PostgreSQL 15", NO_ANSWER[1]),
    "targets/postgres/running/command_runner.py": (1, *DROPS),
    "targets/postgres/running/invalid_index_cleanup.py": (1, *DROPS),
    "targets/postgres/running/invalid_indexes.py": (1, *DROPS),
    "targets/postgres/running/operation.py": (1, *CATALOG),
    "targets/postgres/running/orphan_cleanup.py": (1, "ends after 30 s; a cancel cancels its task", LOCK[1]),
    "targets/postgres/running/pg_repack.py": (
        3,
        "what the client prints, until a stop ends it; " + DROPS[0],
        "engine/targets/postgres/test_pg_repack.py::test_r32_a_client_that_does_not_exit_after_its_work_is_killed",
    ),
    "targets/postgres/session.py": (1, *CATALOG),
    "targets/server_operation.py": (1, "a turn of the event loop", BESIDE[1]),
    "targets/sqlite/connection/bundled.py": (3, *BUNDLED),
    "targets/sqlite/connection/bundled_process.py": (1, *BUNDLED),
    "targets/duckdb/copying.py": (
        1,
        "a process that copies, which a cancel kills",
        "engine/targets/duckdb/test_operations.py::test_a_cancel_changes_nothing_and_leaves_nothing",
    ),
    "targets/duckdb/connection.py": (
        1,
        LOCK[0],
        "engine/targets/duckdb/test_operations.py::test_a_process_that_writes_is_named_and_waited_for",
    ),
    "targets/sqlite/connection/target_lock.py": (
        1,
        LOCK[0],
        "engine/targets/sqlite/test_target_lock.py"
        "::test_somebody_who_holds_it_for_ever_is_named_and_waited_for_no_longer_than_the_lock_timeout",
    ),
    "targets/sqlite/running/exchange_process.py": (2, *EXCHANGE),
    "targets/sqlite/running/sampling.py": (2, *BESIDE),
    "targets/sqlite/running/swap.py": (
        2,
        "a few ms, a bounded number of times; and work that hears the cancel itself",
        "engine/targets/sqlite/test_cancel.py::test_a_copy_that_was_not_checked_yet_is_removed_and_that_is_told",
    ),
    "targets/sqlite/system/exchange.py": (3, *EXCHANGE),
    "targets/sqlite/system/unfinished_backup.py": (1, "held for one call of the system", ENDS),
    "targets/stop_signal.py": (
        2,
        "the answer to a command that runs: a cancel asks the server, and gives up after 60 s",
        "engine/targets/postgres/running/test_statement.py::test_whatever_is_set_first_stops_it_while_it_runs",
    ),
    "targets/waits.py": (
        2,
        "what `Limits` is made of",
        "engine/targets/test_limits.py::test_r32_a_wait_ends_when_its_seconds_have_passed",
    ),
}
"""Raw waits in each file, what ends them, and a test of that. Waits of `Limits` have theirs in docs/invariants.md."""


def _assigned() -> Iterator[tuple[str, ast.expr]]:
    for path in ENGINE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case (
                    ast.AnnAssign(target=target, value=ast.expr() as value) | ast.Assign(targets=[target], value=value)
                ):
                    yield ast.unparse(target).rpartition(".")[2], value


def _numbers() -> dict[str, float]:
    """All numbers of the engine that have a name, each as large as it is anywhere."""
    found: dict[str, float] = {}
    for name, value in _assigned():
        if name.isupper():
            with suppress(NameError, TypeError, AttributeError):
                number = eval(ast.unparse(value), {"__builtins__": {}}, found)  # noqa: S307 - the engine's own
                if isinstance(number, float | int):
                    found[name] = max(number, found.get(name, number))
    return found


NUMBERS = _numbers()
LOCKS = {
    name
    for name, value in _assigned()
    if isinstance(value, ast.Call)
    and ast.unparse(value.func).rpartition(".")[2] in {"Lock", "RLock", "Semaphore", "BoundedSemaphore", "Condition"}
}
SQL_WAITS = re.compile(r"pg_advisory_(?:xact_)?lock|pg_sleep|\bSLEEP\(|GET_LOCK\([^()]*, *[^0 ]", re.IGNORECASE)


def raw_waits(tree: ast.AST) -> Iterator[ast.expr]:
    """What waits by itself, and has no limit that can be read here: what goes through `Limits` does not.

    Who awaits a task waits for what the task waits for, which is found there.
    """
    limited = {
        id(inner)
        for block in ast.walk(tree)
        if isinstance(block, ast.AsyncWith) and any(_is_limit(item.context_expr) for item in block.items)
        for inner in ast.walk(block)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Call() if _waits(node) and not (id(node) in limited and _name(node).endswith(".wait")):
                yield node
            case ast.With() | ast.AsyncWith():
                yield from (item.context_expr for item in node.items if _is_lock(item.context_expr))
            case ast.Constant(value=str() as sql) if SQL_WAITS.search(sql):
                yield node
            case ast.AsyncFor() | ast.comprehension(is_async=1) if _is_stream(node.iter):
                yield node.iter


def _is_limit(expression: ast.expr) -> bool:
    return (
        isinstance(expression, ast.Call)
        and _name(expression) in {"asyncio.timeout", "timeout"}
        and _is_short(expression.args[0])
    )


def _is_lock(context: ast.expr) -> bool:
    name = ast.unparse(context).rpartition(".")[2]
    return not isinstance(context, ast.Call) and (name in LOCKS or name.lower().endswith("lock"))


def _is_short(limit: ast.expr | None) -> bool:
    """Whether it is a number of seconds that stands here or has a name, and not many."""
    match limit:
        case ast.Constant(value=float() | int() as seconds):
            return not isinstance(seconds, bool) and 0 <= seconds <= MOST
        case ast.Name(id=name):
            return NUMBERS.get(name, inf) <= MOST
    return False


def _is_stream(source: ast.expr) -> bool:
    """Whether it gives what another process or a server sends, whenever that comes."""
    match source:
        case ast.Name(id="stdout" | "stderr") | ast.Attribute(attr="stdout" | "stderr"):
            return True
        case ast.Call():
            return _name(source).endswith(".notifies") and not any(_is_short(item.value) for item in source.keywords)
    return False


def _name(call: ast.Call) -> str:
    return ast.unparse(call.func)


def _waits(call: ast.Call) -> bool:
    name, keywords = _name(call), {keyword.arg: keyword.value for keyword in call.keywords}
    owner, _, method = name.rpartition(".")
    first = call.args[0] if call.args else None
    limit = keywords.get("timeout", None if name == "asyncio.wait" else first)
    match method:
        case "sleep" | "wait_for" | "readline" | "recv" | "recv_fds" | "accept" | "readexactly" | "readuntil":
            return True
        case "getconn" | "run_coroutine_threadsafe":
            return True
        case "wait":
            return not keywords.keys() & {"seconds", "task"} and not _is_short(limit)
        case "acquire":
            return not _is_short(limit) and "blocking" not in keywords
        case "join":
            return first is None or (isinstance(first, ast.Constant) and not _is_short(limit)) or "timeout" in keywords
        case "communicate":
            return not _is_short(keywords.get("timeout"))
        case "run" | "check_output" | "check_call" | "call":
            return owner == "subprocess" and not _is_short(keywords.get("timeout"))
        case "flock" | "lockf":
            return "LOCK_NB" not in ast.unparse(call) and "LOCK_UN" not in ast.unparse(call)
        case "waitpid" | "waitid" | "wait4":
            return "WNOHANG" not in ast.unparse(call)
        case "timeout":
            return name in {"asyncio.timeout", "timeout"} and not _is_limit(call)
        case "get":
            return first is None or (isinstance(first, ast.Constant) and first.value is True) or "timeout" in keywords
        case "put":
            return "timeout" in keywords
        case "Queue" | "LifoQueue" | "PriorityQueue":
            return bool(call.args or call.keywords)  # its `put` waits
        case "read":
            return first is None and owner.rpartition(".")[2] in {"stdout", "stderr", "stdin", "buffer"}
        case "select":
            return name == "select.select" and not (len(call.args) == 4 and _is_short(call.args[3]))
        case "poll":
            return first is None and owner == "poll"
        case "pause" | "sigwait":
            return owner in {"signal", ""}
        case "connection":
            return owner.endswith("pool") and first is None
        case "connect":
            return owner.startswith(("psycopg", "pymysql"))  # what the connections of targets bound, these do not
        case "command":
            return owner.endswith("connection")  # of MySQL: neither a cancel nor a limit ends it
        case "within":
            return owner.endswith("connection") and not _is_short(first)
    return False


def test_r32_no_other_wait_is_without_cancel_and_limit() -> None:
    found = Counter(
        str(path.relative_to(ENGINE)) for path in ENGINE.rglob("*.py") for _ in raw_waits(ast.parse(path.read_text()))
    )
    assert found == {name: number for name, (number, *_) in ALLOWED.items()}, (
        "wait by Limits.wait or Limits.pause, or in a loop of the process by pause_loop"
    )


@pytest.mark.parametrize("test", sorted({test for _, _, test in ALLOWED.values()}))
def test_r32_every_other_wait_has_a_test(test: str) -> None:
    path, _, name = test.partition("::")
    assert f"def {name}(" in (TESTS / path).read_text()


def test_r32_what_belongs_to_an_attempt_pauses_by_it() -> None:
    """`pause_loop` hears no cancel and no limit of an attempt."""
    of_attempts = [*(ENGINE / "targets").rglob("*.py"), *(ENGINE / "execution" / name for name in OF_ATTEMPTS)]
    assert [path for path in of_attempts if "pause_loop" in path.read_text() and path.name != "attempt.py"] == []


def test_r32_no_step_runs_without_cancel_and_limit() -> None:
    """A `StepContext` made by the engine gets both from its attempt."""
    made = [
        f"{path.relative_to(ENGINE)}:{call.lineno}"
        for path in ENGINE.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        and _name(call).rpartition(".")[2] == "StepContext"
        and not {"cancel", "window"} <= {keyword.arg for keyword in call.keywords}
    ]
    assert [place.partition(":")[0] for place in made] == ["targets/outage.py"]  # it ends after --server-wait


@pytest.mark.parametrize(
    ("code", "number"),
    [
        ("await asyncio.sleep(1)", 1),
        ("await sleep(1)", 1),
        ("time.sleep(1)", 1),
        ("await event.wait()", 1),
        ("event.wait(3600)", 1),
        ("event.wait(MOMENT)", 0),
        ("await asyncio.wait_for(event.wait(), 5)", 2),
        ("await condition.wait_for(done)", 1),
        ("await asyncio.wait({task})", 1),
        ("await asyncio.wait({task}, timeout=5)", 0),
        ("await asyncio.wait({task}, timeout=3600)", 1),
        ("await asyncio.wait({task}, timeout=seconds)", 1),
        ("async with asyncio.timeout(5):\n    await event.wait()", 0),
        ("async with asyncio.timeout(None):\n    await event.wait()", 2),
        ("async with asyncio.timeout(3600):\n    await event.wait()", 2),
        ("async with self._lock:\n    pass", 1),
        ("with OPENING_LOCK:\n    pass", 1),
        ("await lock.acquire()", 1),
        ("lock.acquire(True)", 1),
        ("lock.acquire(timeout=-1)", 1),
        ("lock.acquire(blocking=False)", 0),
        ("thread.join()", 1),
        ("thread.join(3600)", 1),
        ("', '.join(names)", 0),
        ("process.communicate()", 1),
        ("process.communicate(timeout=3600)", 1),
        ("process.wait(timeout=5)", 0),
        ("process.wait(timeout=3600)", 1),
        ("subprocess.run(command, timeout=None)", 1),
        ("os.waitpid(number, 0)", 1),
        ("os.waitpid(number, os.WNOHANG)", 0),
        ("fcntl.flock(file, fcntl.LOCK_EX)", 1),
        ("fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)", 0),
        ("queue.get()", 1),
        ("queue.get(True)", 1),
        ("asyncio.Queue(10)", 1),
        ("mapping.get(name)", 0),
        ("await stdout.readline()", 1),
        ("await process.stdout.read()", 1),
        ("async for line in process.stdout:\n    pass", 1),
        ("async for said in connection.notifies():\n    pass", 1),
        ("channel.recv(100)", 1),
        ("select.select([channel], [], [])", 1),
        ("asyncio.run_coroutine_threadsafe(work, loop).result()", 1),
        ("await pool.getconn()", 1),
        ("async with self._pool.connection() as pooled:\n    pass", 1),
        ("async with self._pool.connection(context) as pooled:\n    pass", 0),
        ("await connection.command('CHECK TABLE item')", 1),
        ("with connection.within(None):\n    pass", 1),
        ("await psycopg.AsyncConnection.connect(url)", 1),
        ("await connection.row('SELECT pg_advisory_lock(1)')", 1),
        ("await connection.row('SELECT GET_LOCK(%s, 60)')", 1),
        ("await connection.row('SELECT GET_LOCK(%s, 0)')", 0),
        ("await context.pause(1)", 0),
        ("await context.wait(seconds=1)", 0),
        ("await context.wait(task=task)", 0),
    ],
)
def test_what_counts_as_a_wait(code: str, number: int) -> None:
    inside = "\n".join(f"    {line}" for line in code.splitlines())
    assert len(list(raw_waits(ast.parse(f"async def f():\n{inside}")))) == number
