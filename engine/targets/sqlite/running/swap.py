"""VACUUM by exchange: a compact copy is made beside the database, checked, and put in its place.

A job that is killed before the exchange runs again and removes the copy; after it, `execution/recovery.py` ends it.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from engine.domain.errors import TargetBusyError
from engine.domain.humanize import listed
from engine.domain.statuses import Reason, Status
from engine.domain.steps import FILE, REPLACED_FILE, SIZE_BEFORE, Facts
from engine.system.background import wait_uncancelled
from engine.system.kept_attributes import keep_attributes
from engine.targets.limits import NotBegunError
from engine.targets.sqlite.connection import statement
from engine.targets.sqlite.connection.metered import MeteredConnection
from engine.targets.sqlite.connection.names import connection_uri
from engine.targets.sqlite.planning.backup_steps import CHECK
from engine.targets.sqlite.queries import query
from engine.targets.sqlite.reading import catalog
from engine.targets.sqlite.reading.contents import contents_of, row_counts
from engine.targets.sqlite.running.exchange_process import ExchangeProcess
from engine.targets.sqlite.running.lost_rows import unaccounted_pages
from engine.targets.sqlite.running.progress import CHECKING_COPY, share_of_copying
from engine.targets.sqlite.running.sampling import reports_by_time
from engine.targets.sqlite.running.work import Work
from engine.targets.sqlite.system import copying, exchange, swapping
from engine.targets.sqlite.system.exchange import Answer, Order
from engine.targets.sqlite.system.opened_file import OpenedFile, file_key
from engine.targets.sqlite.system.openers import is_open_elsewhere
from engine.targets.sqlite.system.page_cache import descriptors_of
from engine.targets.sqlite.system.unfinished_backup import UnfinishedCopy
from engine.targets.step_execution import StepResult

_PAUSE: Final = 0.05
_COARSE: Final = 50_000_000
"""Nanoseconds: a file system may give two writes the same time if no more lie between them."""
_LOOKS: Final = 100
_VERSION: Final = "PRAGMA main.data_version"


async def swap(work: Work) -> StepResult:
    """Copy the database, and put the copy in its place once no other process has it open; else nothing changes."""
    if problem := await asyncio.to_thread(swapping.problem_with, work.path):
        return _refused(problem)
    await asyncio.to_thread(copying.remove_leftovers, work.path, None)
    old = await _only_descriptor(work)
    if isinstance(old, str):
        return _busy(old, work) if old != exchange.CANCELLED else StepResult(status=Status.CANCELLED)
    if fcntl.fcntl(old, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        return _refused(swapping.CANNOT_BE_WRITTEN)
    if await asyncio.to_thread(swapping.keeps_journal, work.opened):
        return _refused(swapping.KEEPS_JOURNAL)
    state = await asyncio.to_thread(_settled, old)
    if state is None:
        return _busy(exchange.CHANGED, work)
    return await _swapped(work, old, state)


async def _swapped(work: Work, old: int, state: list[int]) -> StepResult:
    """Copy the database that `old` has open, and put the copy in its place. `state`: what it must still be then."""
    header = exchange.header_of(old)
    version = await work.rows(_VERSION)
    try:
        copy = UnfinishedCopy.begin(work.step.unfinished)
    except OSError as error:
        return StepResult(status=Status.FAILED, error=f"cannot write the copy: {error.strerror or error}")
    work.copy_begun = True
    try:
        process = ExchangeProcess.start()  # in this thread: between here and `finally` no cancel comes
    except OSError as error:
        copy.discard()
        return _failed(f"no process can be started ({error.strerror})")
    try:
        begin = time.monotonic()
        async with (
            work.progress_reports(),
            work.connection.uncounted(),  # else it would wait for Python, which maps the file
            work.layout.before_exchange(work.connection.aio, old),
        ):
            await work.run_vacuum()
        share = share_of_copying(work.step.course)
        left = (time.monotonic() - begin) * (1 - share) / share
        async with reports_by_time(work.context, CHECKING_COPY, share, left):
            problem, warnings = await _difference(work, copy)
            if await work.rows(_VERSION) != version:
                return _busy(exchange.CHANGED, work)
            if problem:
                return StepResult(status=Status.FAILED, error=f"the copy is not right, and nothing changed: {problem}")
            if problem := await asyncio.to_thread(_completed, copy, old, bytes.fromhex(header)):
                return _refused(f"{problem} cannot be given to a new file: use --no-swap")
            effect: Facts = {
                FILE: file_key(*copy.numbers),
                REPLACED_FILE: work.opened.key,
                SIZE_BEFORE: os.fstat(old).st_size,
            }
            work.context.save_recovery_data(effect)
            await work.context.store_results()  # this process may die once the copy is in place
            if work.cancel.is_set():
                return StepResult(status=Status.CANCELLED)
            exchanging = asyncio.ensure_future(_exchanged(work, process, copy, old, state, header, effect))
            result = await wait_uncancelled(exchanging)
            return replace(result, warnings=(*warnings, *result.warnings))
    except OSError as error:
        return StepResult(status=Status.FAILED, error=f"cannot complete the copy: {error.strerror or error}")
    finally:
        process.end()
        copy.discard()


def _refused(problem: str) -> StepResult:
    return StepResult(status=Status.FAILED, reason=Reason.REFUSED, error=problem)


def _busy(problem: str, work: Work) -> StepResult:
    """Others use the database; not where another file took its place, to which a retry would go."""
    if gone := work.opened.problem():
        return _failed(gone)
    return replace(_failed(problem), reason=Reason.TARGET_BUSY)


def _failed(problem: str) -> StepResult:
    return StepResult(status=Status.FAILED, error=f"{problem}: nothing changed")


async def _only_descriptor(work: Work) -> int | str:
    """The descriptor of the database, once nothing else has it open and its log is empty; else why there is none."""
    deadline = time.monotonic() + work.lock_timeout
    while True:
        descriptors = descriptors_of(work.opened.numbers)
        is_open = is_open_elsewhere(descriptors[0]) if descriptors else None
        if is_open is None:
            return "the kernel does not say whether another process has the database open"
        if not is_open:
            if not work.step.is_wal:
                return descriptors[0]
            busy, _, _ = await work.write_back()
            if not busy:
                return descriptors[0]
        if work.cancel.is_set():
            return exchange.CANCELLED
        if work.context.is_ending:
            raise NotBegunError
        if time.monotonic() >= deadline:
            if len(descriptors) > 1:
                return "dbtend itself has the database open twice"
            return await asyncio.to_thread(swapping.who_else_has_it_open, work.opened) or exchange.IN_USE
        await work.report_blockers()
        await work.context.pause(_PAUSE)


def _settled(file: int) -> list[int] | None:
    """The state of a file, once every later write must change it; None if writes never pause."""
    for _ in range(_LOOKS):
        status = os.fstat(file)
        if not 0 <= time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) < _COARSE:
            return exchange.state_of(file)
        time.sleep(_COARSE / 5e9)
    return None


async def _difference(work: Work, copy: UnfinishedCopy) -> tuple[str, tuple[str, ...]]:
    """Returns why the copy differs or is damaged, "" if it is sound, and warnings about parts that are not compared."""
    copy.require()
    uri = connection_uri(copy.path, writing=False)
    connection = await MeteredConnection.open(uri, statement.LockWait(work.lock_timeout, work.cancel), counts=False)
    try:
        await connection.set_up((f"PRAGMA main.mmap_size = {os.stat(copy.path).st_size}",))  # noqa: PTH116

        async def rows(sql: str) -> list[Any]:
            return await statement.fetch_all(connection.aio, sql, work.cancel)

        if await rows(query("schema_by_name")) != await work.rows(query("schema_by_name")):
            return "its schema differs", ()
        look = partial(contents_of, is_cancelled=work.cancel.is_set) if work.step.compared else row_counts
        counting = asyncio.ensure_future(statement.run_by(work.connection.aio, look, work.cancel))
        try:
            (file,) = descriptors_of(copy.numbers)
            async with work.layout.of_copy(connection.aio, file):
                problem = await _unsound(connection, work, file)
        finally:
            await asyncio.wait({counting})
            counting.exception()  # retrieved here, so that asyncio does not report it as lost
        expected = counting.result()
        if problem:
            return problem, ()
        different = expected.differences(await statement.run_by(connection.aio, look, work.cancel))
        return (f"it differs in {listed(different)}" if different else ""), expected.warnings
    finally:
        await connection.close()


async def _unsound(connection: MeteredConnection, work: Work, file: int) -> str:
    """What a look at each page finds; that takes a seventh of a quick check, which is made where there is no other."""
    if not catalog.has_dbstat():
        found = await statement.fetch_all(connection.aio, CHECK, work.cancel)
        return "" if found == [("ok",)] else str(found[0][0])
    count = partial(unaccounted_pages, file=file)
    return await statement.run_by(connection.aio, count, work.cancel)


def _completed(copy: UnfinishedCopy, old: int, header: bytes) -> str:
    """Give the copy all that the database has besides its content, and sync it. Returns the missing parts, as text.

    Raises OSError.
    """
    with copy.opened(writing=True) as file:
        changes = (int.from_bytes(header[24:28]) + 1) % 2**32
        os.pwrite(file, header[18:20], 18)  # of the journal mode, which VACUUM drops
        os.pwrite(file, changes.to_bytes(4), 24)
        os.pwrite(file, changes.to_bytes(4), 92)
        problem = keep_attributes(old, file)
        os.fsync(file)
    return problem


async def _exchanged(
    work: Work,
    process: ExchangeProcess,
    copy: UnfinishedCopy,
    descriptor: int,
    state: list[int],
    header: str,
    effect: Facts,
) -> StepResult:
    """Close the database, let the other process exchange it, and open the file that is then at its path."""
    await work.lock.move_to(OpenedFile(copy.path))
    # Closing the connection leaves the file open, and with that the lock of this attempt.
    old = os.dup(descriptor)
    directory = os.open(Path(work.path).parent, os.O_RDONLY | os.O_DIRECTORY)
    order = Order(
        old=old,
        directory=directory,
        name=Path(work.path).name,
        workshop=copy.descriptor,
        lock=copy.lock,
        copy=[*copy.numbers],
        state=state,
        header=header,
        timeout=work.lock_timeout,
        lingers=exchange.LINGERS,
    )
    try:
        await work.connection.close()
        answer = await process.answer(order, work.cancel)
        is_done = exchange.numbers_of(order["name"], directory) == order["copy"]
        if is_done and (answer is None or answer["refused"]):  # it was killed, or failed, after the exchange
            answer = await asyncio.to_thread(exchange.retire, old, directory)
    finally:
        os.close(directory)
        os.close(old)
        await work.connection.reopen()
    if not is_done:
        work.lock.release()
        with suppress(TargetBusyError):
            await work.lock.take(0.0, lambda _: None)
        return _not_exchanged(answer, work)
    work.opened.follow(copy.numbers)
    work.layout.exchanged()
    warnings = (answer["warning"],) if answer and answer["warning"] else ()
    return StepResult(status=Status.COMPLETED, effect=effect, warnings=warnings)


def _not_exchanged(answer: Answer | None, work: Work) -> StepResult:
    if answer is None:
        return _failed("the process that exchanges it was killed")
    if answer["refused"] == exchange.CANCELLED:
        return StepResult(status=Status.CANCELLED)
    return _busy(answer["refused"], work)
