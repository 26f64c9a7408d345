"""The percent of a statement, from counters that are read while it runs: pure models of what SQLite does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final

from engine.domain.frozen import frozen
from engine.domain.steps import WRITING_BACK
from engine.targets.progress import ReportedFraction, approach_end
from engine.targets.step_execution import StepProgress

Curve = Sequence[tuple[float, float]]
"""Points, from left to right, joined by straight lines."""
COPYING: Final = "copying"
CHECKING_COPY: Final = "checking the copy"
COMPARING_COPY: Final = "comparing the copy"
_SYNCED_AFTER: Final = 0.83
"""The share of its time in which a copy is written; then it is synced, and only the time tells how far that is."""
_WRITTEN: Final = 0.97
"""The share of bytes from which they may be complete: how many they are is an estimate."""
_ALMOST: Final = 0.9
"""The share of opcodes from which the part without any may have begun."""
_AS_FAST: Final = 0.25
"""The share of their usual pace up to which opcodes belong to the part that executes them."""
_POINTS_OF_REINDEX: Final = 6
_WRITTEN_BY_THEN: Final = 0.35
"""The share of opcodes that write, after which nothing is read any more, however many opcodes have read."""
_FURTHER: Final = 0.25
"""How many more or fewer opcodes may read than expected, as a share."""
_TOUCHED_BY_WORK: Final = 262_144  # bytes
_HEADERS: Final = 16_384  # bytes: a journal or log that is longer holds pages, and not only the start of itself


@frozen(kw_only=True)
class Sample:
    """Counters at one moment. Those that the system does not report, or that were not requested, are None."""

    elapsed: float
    """Seconds that the statement has worked."""
    ticks: int
    """Opcodes that the statement has executed so far."""
    read: int | None = None
    """Bytes that its thread has read since it began, from the page cache or not; mapped pages are not counted."""
    written: int | None = None
    side_file: int = 0
    """Bytes of the rollback journal, or of the write-ahead log, now."""
    touched: int | None = None
    """Bytes of memory that its thread alone has touched since: its own memory, and mapped files by the window."""


def has_moved(before: Sample, now: Sample) -> bool:
    """Whether the statement has worked in between. What touches a little memory may still wait for a lock."""
    touched = (now.touched or 0) - (before.touched or 0)
    return (before.ticks, before.written) != (now.ticks, now.written) or touched > _TOUCHED_BY_WORK


class Model:
    """The reported estimates of one statement."""

    def __init__(self, look: Callable[[Sample], StepProgress]) -> None:
        self._look = look
        self._fraction = ReportedFraction()

    def update(self, sample: Sample) -> StepProgress:
        estimate = self._look(sample)
        self._fraction.update(estimate.fraction)
        return StepProgress(fraction=self._fraction.value, phase=estimate.phase)


def _by_fraction(fraction: Callable[[Sample], float | None], phase: str | None = None) -> Model:
    return Model(lambda sample: StepProgress(fraction=fraction(sample), phase=phase))


def by_opcodes(course: Curve, phase: str | None = None) -> Model:
    """A model of a statement with a known curve of seconds over executed opcodes.

    `course`: (opcodes, seconds), from the start to the end; empty if unknown. If the last part has no opcodes, it is
    told by its time.
    """
    return _by_fraction(_ByOpcodes(course) if course and course[-1][1] else lambda _: None, phase)


class _ByOpcodes:
    def __init__(self, course: Curve) -> None:
        whole = course[-1][1]
        is_silent = course[-2][0] == course[-1][0]
        self._course = [(opcodes, seconds / whole) for opcodes, seconds in (course[:-1] if is_silent else course)]
        self._last: Sample | None = None
        self._silent_from = 0.0

    def __call__(self, sample: Sample) -> float:
        counted = self._course[-1]
        is_counting = sample.ticks < _ALMOST * counted[0] or self._executes_as_ever(sample)
        self._last = sample
        if counted[1] == 1 or is_counting:
            self._silent_from = sample.elapsed
            return _on(self._course, sample.ticks)
        expected = self._silent_from * (1 - counted[1]) / counted[1] if counted[1] else 0.0
        silent = approach_end((sample.elapsed - self._silent_from) / expected) if expected else 0.0
        return counted[1] + (1 - counted[1]) * silent

    def _executes_as_ever(self, sample: Sample) -> bool:
        """Whether opcodes were executed since the last sample about as fast as before."""
        if self._last is None:
            return True
        now, seconds = sample.ticks - self._last.ticks, sample.elapsed - self._last.elapsed
        return now * sample.elapsed > _AS_FAST * sample.ticks * seconds


def of_reindex(course: Curve, volume: int) -> Model:
    """The progress of a REINDEX of an index of about `volume` bytes.

    Between reading and writing, it puts the whole old index into the journal, or into the log. `course`: see
    `costs.reindex`.
    """
    is_known = len(course) == _POINTS_OF_REINDEX and volume
    return _by_fraction(_Reindex(course, volume)) if is_known else by_opcodes(course)


class _Reindex:
    def __init__(self, course: Curve, volume: int) -> None:
        *self._course, (_, removed), (_, in_order), (_, whole) = course
        executed = self._course[-1][1]
        self._executing, self._removing, self._sorting = (
            seconds / whole for seconds in (executed, removed - executed, in_order - removed)
        )
        read = self._course[-2][1] / executed
        self._surely_writes = read + _WRITTEN_BY_THEN * (1 - read)
        self._writes = False
        self._volume = volume
        self._first: int | None = None
        self._last: Sample | None = None
        self._further = 0.0
        self._moved_at = 0.0

    def __call__(self, sample: Sample) -> float:
        first = self._first = sample.side_file if self._first is None else self._first
        last, self._last = self._last or sample, sample
        executes, grows = sample.ticks != last.ticks, sample.side_file > last.side_file
        has_grown = sample.side_file > first + _HEADERS
        if grows and has_grown and not executes:  # it removes the old index
            self._further = self._further or self._more_than_expected(sample.ticks)
        executed = _on(self._course, sample.ticks - self._further) / self._course[-1][1]
        if not grows and ((executes and has_grown) or executed > self._surely_writes):
            self._writes = True
        removed = 1.0 if self._writes else _share(sample.side_file - first, self._volume)
        done = self._executing * executed + self._removing * removed + (self._sorting if self._writes else 0.0)
        if executes or grows:
            self._moved_at = sample.elapsed
        if self._writes:
            silent = 1 - done if executed > _ALMOST else 0.0
        else:
            silent = self._sorting if removed > _WRITTEN else 0.0
        expected = self._moved_at * silent / done if done else 0.0
        return done + (silent * approach_end((sample.elapsed - self._moved_at) / expected) if expected else 0.0)

    def _more_than_expected(self, ticks: int) -> float:
        """The opcodes of reading, which is over, beyond those expected: a real number takes one more in each row."""
        reading = self._course[-2][0]
        return ticks - reading if abs(ticks - reading) <= _FURTHER * reading else 0.0


def of_copy(volume: int) -> Model:
    """The progress of a VACUUM INTO that reads `volume` bytes, writes its used pages, and syncs them."""
    written = _Written([(1.0, _SYNCED_AFTER, 1.0)])

    def done(sample: Sample) -> float | None:
        return None if sample.read is None else written(_share(sample.read, volume), sample.elapsed)

    return _by_fraction(done, COPYING)


def of_exchange(course: Curve) -> Model:
    """The progress of the VACUUM INTO of an exchange: the course of written bytes ends with its sync, and then with
    what follows it. See `copy_costs.exchange`. Pages that are filled and not written yet are in memory, which
    matters where they are large: SQLite keeps a number of them."""
    *writing, (_, synced), (_, _) = course
    written = _Written([(1.0, writing[-1][1] / synced, 1.0)])
    share = share_of_copying(course)

    def done(sample: Sample) -> float | None:
        if sample.written is None:
            return None
        filled = sample.written + (sample.touched or 0)
        return share * written(_on(writing, filled) / writing[-1][1], sample.elapsed)

    return _by_fraction(done, COPYING)


def share_of_copying(course: Curve) -> float:
    """The share of its time in which an exchange copies."""
    return course[-2][1] / course[-1][1]


class _Written:
    """The elapsed share of the time in which data are written and synced, from the share that is written.

    `syncs`: for each sync the share that is written before it, and the shares of the time at which it begins and ends.
    During a sync no counter moves: its progress is estimated from its time.
    """

    def __init__(self, syncs: Sequence[tuple[float, float, float]]) -> None:
        self._syncs = syncs
        self._last = 0.0, 0.0
        self._began_after: dict[float, float] = {}

    def __call__(self, written: float, seconds: float) -> float:
        """The share after `seconds`."""
        before, end = 0.0, 0.0
        for complete, begin, next_end in self._syncs:
            if written < _WRITTEN * complete:
                self._last = written, seconds
                return end + (begin - end) * max(written - before, 0.0) / (complete - before)
            if written * _WRITTEN < complete:
                began_after = self._began_after.setdefault(complete, self._reached(complete, seconds))
                expected = began_after * (next_end / begin - 1)
                synced = approach_end((seconds - began_after) / expected) if expected else 0.0
                return begin + (next_end - begin) * synced
            before, end = complete, next_end
        return end

    def _reached(self, complete: float, seconds: float) -> float:
        """After how many seconds all was written, which may be a while before this sample."""
        written, last = self._last
        return min(last * complete / written, seconds) if written else seconds


def of_checkpoint(volume: int) -> Model:
    """The progress of a checkpoint of `volume` bytes of log: each page is written once, then the file is synced."""
    return _by_fraction(lambda sample: None if sample.written is None else _share(sample.written, volume))


def of_vacuum(course: Curve, volume: int, copied: int = 0, *, wal: bool, in_memory: bool) -> Model:
    """The progress of a VACUUM of `volume` bytes in used pages; about `copied` bytes remain, 0 if unknown.

    `course`: see `copy_costs.vacuum`. `in_memory`: where its temporary files are.
    """
    return Model(_Vacuum(course, volume, copied, wal=wal, in_memory=in_memory))


_COPYING: Final = {
    # (WAL mode, temporary files in memory): seconds of copying for each second of writing back, as a share of the usual
    (False, False): 1.1,
    (False, True): 1.0,
    (True, False): 1.3,
    (True, True): 1.35,
}
_TOUCHED_FOR_COPIED: Final = 1.15  # bytes of memory that are touched for a byte of a temporary database
# The share of the time of writing back. In WAL mode all goes into the log, which is synced, and then, much faster, into
# the file, which is synced, too.
_WRITING_BACK_IN_WAL: Final = ((0.5, 0.66, 0.74), (1.0, 0.97, 1.0))
_OBSERVED_FROM: Final = 0.25
"""The share of a phase from which its own speed alone tells how long it takes."""


class _Vacuum:
    """First SQLite copies all that is in use into a temporary database; then it writes that back, page by page into
    the file, or into the log and from there into the file. How fast that is, is known only then.
    """

    def __init__(self, course: Curve, volume: int, copied: int, *, wal: bool, in_memory: bool) -> None:
        *copying, (_, written), (_, end) = course
        self._volume = volume
        self._copied_in_all = copied
        self._in_memory = in_memory
        copied_after = copying[-1][1]
        self._copying = [(size, seconds / copied_after) for size, seconds in copying]
        ratio = _COPYING[wal, in_memory] * copied_after / (end - copied_after)
        self._copying_share = ratio / (1 + ratio)
        in_place = (1.0, (written - copied_after) / (end - copied_after), 1.0)
        self._writing_back = _Written(_WRITING_BACK_IN_WAL if wal else [in_place])
        self._first: Sample | None = None
        self._turn: Sample | None = None
        self._to_write = 0

    def __call__(self, sample: Sample) -> StepProgress:
        if sample.written is None or (self._in_memory and sample.touched is None):
            return StepProgress()
        first = self._first = self._first or sample
        if self._turn is None and sample.side_file > first.side_file + _HEADERS:
            self._turn = sample
            self._to_write = 2 * (self._copied_in_all or self._plausible(self._copied(sample)))
        if self._turn is None:
            copied = _on(self._copying, self._copied(sample))
            return StepProgress(fraction=self._copying_share * copied, phase=COPYING)
        written = _share(sample.written - (self._turn.written or 0), self._to_write)
        copying, writing_back = self._turn.elapsed, max(sample.elapsed - self._turn.elapsed, 0.0)
        done = self._writing_back(written, writing_back)
        return StepProgress(fraction=two_phases(self._copying_share, copying, writing_back, done), phase=WRITING_BACK)

    def _copied(self, sample: Sample) -> int:
        """Bytes of the temporary database. Bytes read would say less: mapped pages are not counted."""
        return round((sample.touched or 0) / _TOUCHED_FOR_COPIED) if self._in_memory else sample.written or 0

    def _plausible(self, size: int) -> int:
        """Memory that was there already is not touched first, and then a copy seems smaller than it is."""
        return size if self._volume / 4 <= size <= self._volume else self._volume


def two_phases(share: float, first: float, second: float, done: float) -> float:
    """The elapsed share of the time of two phases, in the second one.

    Args:
        share: of the first phase, as expected.
        first: seconds that it took.
        second: seconds of the second phase so far.
        done: the share of its work.
    """
    expected = first * (1 - share) / share if share else 0.0
    if not done or not expected:
        return share + (1 - share) * done
    trust = min(done / _OBSERVED_FROM, 1.0)
    whole = (1 - trust) * expected + trust * second / done
    return (first + min(second, whole)) / (first + whole)


def _share(part: int | None, whole: int) -> float:
    return min(max(part or 0, 0) / whole, 1.0) if whole > 0 else 1.0


def _on(curve: Curve, x: float) -> float:
    """The height of `curve` at `x`; to the right of it that of its end."""
    for (x0, y0), (x1, y1) in pairwise(curve):
        if x < x1:
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return curve[-1][1]
