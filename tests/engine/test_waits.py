"""No wait of the engine is without an end: each has a limit and hears a cancel, or stands here with its reason."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ENGINE = Path(__file__).parents[2] / "engine"
OF_ATTEMPTS = ("worker.py", "plan_run.py", "step_runner.py", "recovery.py", "outcomes.py")
IDLE = "a process without work: its task is cancelled when it ends"
REAPING = "the process is killed, or has closed its output: it is at its end"
OTHER_PROCESS = "a process of its own, which its parent ends"
LOCK_TIMEOUT = "ends at the lock timeout; a cancel cancels its task (Attempt.unless_cancelled)"
BESIDE = "a task beside a step, which is ended with it"
ALLOWED = {
    "engine.py": (1, IDLE),
    "execution/processor.py": (1, IDLE),
    "execution/reporter.py": (1, IDLE),
    "execution/step_runner.py": (1, BESIDE),
    "notify/delivery.py": (1, REAPING),
    "notify/notifier.py": (2, "one of several, of which one has a limit; and deliveries that are cancelled"),
    "notify/sending/__main__.py": (2, OTHER_PROCESS),
    "notify/sending/send_command.py": (1, OTHER_PROCESS),
    "store/postgres/admission.py": (1, "for a task that connects, which has a limit"),
    "store/postgres/change_watch.py": (1, IDLE),
    "store/postgres/held_claims.py": (1, "for a claim on its way: each statement of the store has a limit"),
    "store/postgres/hint_queue.py": (3, IDLE),
    "store/postgres/leadership.py": (1, "a limit that is set when leadership is lost"),
    "store/sqlite/store.py": (1, IDLE),
    "store/sqlite/writer.py": (4, "a thread of its own, which is idle; and pauses until the busy timeout of the store"),
    "system/background.py": (3, "the end of a cancelled task; of a write that must not be cut; and `pause_loop`"),
    "system/daemon_threads.py": (2, "a place among the threads: the caller has a limit; and an idle thread"),
    "system/locks.py": (2, "1 ms, a bounded number of times"),
    "system/sqlite_threads.py": (
        2,
        "an idle thread; the interpreter ends: what SQLite does in a thread must not be cut",
    ),
    "targets/attempt.py": (4, "what all others go through"),
    "targets/attempt_lock.py": (1, LOCK_TIMEOUT),
    "targets/command_monitor.py": (2, BESIDE),
    "targets/mysql/running/orphan_cleanup.py": (
        1,
        "ends after its own limit; a cancel cancels its task, or shortens it",
    ),
    "targets/outage.py": (1, "the tries of a server that is down: a task that ends with all who wait for it"),
    "targets/postgres/reading/counters.py": (1, "0.6 s once, before PostgreSQL 15"),
    "targets/postgres/running/orphan_cleanup.py": (1, "ends after 30 s; a cancel cancels its task"),
    "targets/postgres/running/pg_repack.py": (
        2,
        "what the client prints, until a stop ends it; " + REAPING,
    ),
    "targets/postgres/session.py": (1, "for a task that reads the catalog, which has a limit"),
    "targets/server_operation.py": (1, "a turn of the event loop"),
    "targets/sqlite/connection/bundled.py": (2, REAPING),
    "targets/sqlite/connection/bundled_process.py": (1, OTHER_PROCESS),
    "targets/sqlite/connection/target_lock.py": (1, LOCK_TIMEOUT),
    "targets/sqlite/running/exchange_process.py": (2, REAPING),
    "targets/sqlite/running/sampling.py": (2, BESIDE),
    "targets/sqlite/running/swap.py": (2, "a few ms, a bounded number of times; and work that hears the cancel itself"),
    "targets/sqlite/system/exchange.py": (3, OTHER_PROCESS),
    "targets/stop_signal.py": (
        2,
        "the answer to a command that runs: a cancel asks the server, and gives up after 60 s",
    ),
    "targets/waits.py": (1, "what `Attempt` is made of"),
}
"""Raw waits in each file, and what ends them."""


def raw_waits(tree: ast.AST) -> Iterator[ast.Call]:
    """The calls that wait by themselves: those that go through `Attempt` are none.

    Who awaits a task or a lock waits for what its holder waits for, which is found there.
    """
    bounded = {
        id(inner)
        for block in ast.walk(tree)
        if isinstance(block, ast.AsyncWith) and any(_is_limit(item.context_expr) for item in block.items)
        for inner in ast.walk(block)
    }
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and _waits(call) and not (id(call) in bounded and _name(call).endswith(".wait")):
            yield call


def _is_limit(expression: ast.expr) -> bool:
    return (
        isinstance(expression, ast.Call)
        and _name(expression) == "asyncio.timeout"
        and not (isinstance(expression.args[0], ast.Constant) and expression.args[0].value is None)
    )


def _name(call: ast.Call) -> str:
    return ast.unparse(call.func)


def _waits(call: ast.Call) -> bool:
    name, keywords = _name(call), {keyword.arg for keyword in call.keywords}
    method = name.rpartition(".")[2]
    has_limit = "timeout" in keywords
    match method:
        case "sleep":
            return name in {"asyncio.sleep", "time.sleep"}
        case "wait_for":
            return name == "asyncio.wait_for"
        case "wait":
            return not has_limit and not keywords & {"seconds", "task"} and not (call.args and name != "asyncio.wait")
        case "acquire" | "join":
            return not call.args and not has_limit and "blocking" not in keywords
        case "communicate" | "run" | "check_output" | "check_call" | "call":
            return (name.startswith("subprocess.") and not has_limit) or (method == "communicate" and not has_limit)
        case "flock" | "lockf":
            return "LOCK_NB" not in ast.unparse(call) and "LOCK_UN" not in ast.unparse(call)
        case "timeout":
            return name == "asyncio.timeout" and not _is_limit(call)
        case "get":
            return not call.args and not call.keywords  # a queue: the `get` of a mapping takes a name
        case "readline" | "recv" | "recv_fds":
            return True
        case "select":
            return name == "select.select" and len(call.args) < 4
    return False


def test_r32_no_other_wait_is_without_cancel_and_limit() -> None:
    found = Counter(
        str(path.relative_to(ENGINE)) for path in ENGINE.rglob("*.py") for _ in raw_waits(ast.parse(path.read_text()))
    )
    assert found == {name: number for name, (number, _) in ALLOWED.items()}, (
        "wait by Attempt.wait or Attempt.pause, or in a loop of the process by pause_loop"
    )


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
        ("time.sleep(1)", 1),
        ("await event.wait()", 1),
        ("await asyncio.wait_for(event.wait(), 5)", 2),
        ("await asyncio.wait({task})", 1),
        ("await asyncio.wait({task}, timeout=5)", 0),
        ("async with asyncio.timeout(5):\n    await event.wait()", 0),
        ("async with asyncio.timeout(None):\n    await event.wait()", 2),
        ("thread.join()", 1),
        ("', '.join(names)", 0),
        ("process.communicate()", 1),
        ("process.wait(timeout=5)", 0),
        ("fcntl.flock(file, fcntl.LOCK_EX)", 1),
        ("fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)", 0),
        ("queue.get()", 1),
        ("mapping.get(name)", 0),
        ("await stdout.readline()", 1),
        ("channel.recv(100)", 1),
        ("await context.pause(1)", 0),
        ("await context.wait(seconds=1)", 0),
        ("await context.wait(task=task)", 0),
    ],
)
def test_what_counts_as_a_wait(code: str, number: int) -> None:
    inside = "\n".join(f"    {line}" for line in code.splitlines())
    assert len(list(raw_waits(ast.parse(f"async def f():\n{inside}")))) == number
