"""What an operation did, in a phrase: with all that is known, and with less."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine import ChildJob, Facts, LogLine, Operation, Progress, Reason, Status, Step
from engine.domain.steps import COURSE, FOLLOWED, WAITS, LogLevel
from tests.tui.jobs import START, child, parent
from tui.presentation.effect_summary import effect, findings, first_error, job_effect, step_effect, steps_taken
from tui.presentation.fact_format import changes, table
from tui.presentation.job_status import ending

MB = 1_000_000


def ended(
    operation: Operation,
    before: Facts | None = None,
    after: Facts | None = None,
    status: Status = Status.COMPLETED,
    **more: object,
) -> ChildJob:
    return replace(child(1, status, operation=operation), before=before, after=after, **more)  # type: ignore[arg-type]


def rebuilt(number: int, status: Status = Status.COMPLETED, attempt: int = 1) -> Step:
    return Step(
        number=number, attempt=attempt, object=f"i{number}", command=f'REINDEX main."i{number}"', status=status,
        started_at=START, finished_at=START, operation=Operation.REINDEX,
    )  # fmt: skip


def group(number: int, done: int, status: Status = Status.COMPLETED) -> Step:
    """A step for many indexes, so many of which were rebuilt."""
    return replace(rebuilt(number, status), effect={"objects": [f"i{n}" for n in range(done)]})


INDEXES: Facts = {"index_size": 40 * MB}
SMALLER: Facts = {"index_size": 25 * MB}


@pytest.mark.parametrize(
    ("done", "phrase"),
    [
        (ended(Operation.VACUUM, {"size": 1580 * MB}, {"size": 1100 * MB}), "1.58 GB -> 1.10 GB, 480 MB back"),
        (ended(Operation.VACUUM, {"size": MB}, {"size": 2 * MB}), "1.00 MB -> 2.00 MB, grew by 1.00 MB"),
        (ended(Operation.VACUUM, {"size": MB}, {"size": MB}), "1.00 MB as before"),
        (ended(Operation.VACUUM, {"size": MB}, None), ""),
        (
            ended(Operation.REINDEX, INDEXES, SMALLER, steps=(rebuilt(1), rebuilt(2))),
            "2 indexes rebuilt, 15.0 MB smaller",
        ),
        (ended(Operation.REINDEX, SMALLER, INDEXES), "indexes 15.0 MB larger"),
        (ended(Operation.REINDEX, INDEXES, INDEXES, steps=(rebuilt(1),)), "1 index rebuilt, as large as before"),
        (ended(Operation.REINDEX, steps=(rebuilt(1),)), "1 index rebuilt"),
        (ended(Operation.REINDEX, steps=(rebuilt(1), group(2, 841))), "842 indexes rebuilt"),
        (
            ended(Operation.REINDEX, status=Status.CANCELLED, steps=(group(1, 3, Status.FAILED), rebuilt(2))),
            "4 indexes rebuilt",
        ),
        (ended(Operation.REINDEX, {"size": MB}, {"size": MB}), ""),
        (ended(Operation.ANALYZE, {}, {"changed_stat_rows": 3, "stat_rows": 12}), "3 of 12 statistics changed"),
        (ended(Operation.OPTIMIZE, {}, {"changed_stat_rows": 3}), "3 statistics changed"),
        (ended(Operation.OPTIMIZE, {}, {"changed_stat_rows": 0, "stat_rows": 12}), "statistics unchanged"),
        (ended(Operation.ANALYZE, {"stat_rows": 1}, {"stat_rows": 2}), ""),
        (ended(Operation.CHECK, {}, {"findings": 0, "level": "full"}), "no findings (full)"),
        (ended(Operation.CHECK, {}, {"findings": 3, "level": "quick"}, Status.FAILED), "3 findings (quick)"),
        (ended(Operation.CHECK, {}, {"findings": 100}, Status.FAILED), "100 or more findings (quick)"),
        (ended(Operation.CHECK, {}, {"level": "quick"}), ""),
        (
            ended(Operation.CHECKPOINT, {"wal_size": 64 * MB}, {"wal_size": 0}),
            "64.0 MB of log written back",
        ),
        (ended(Operation.CHECKPOINT, {"wal_size": 0}, {"wal_size": 0}), "the log was empty"),
        (ended(Operation.CHECKPOINT, {"wal_size": 0}, {"wal_size": 4}), ""),
        (ended(Operation.CHECKPOINT, {"size": MB}, {"size": MB}), ""),
        (
            ended(
                Operation.INCREMENTAL_VACUUM,
                {"size": 100 * MB, "pages": 9020},
                {"size": 52 * MB, "pages": 0, "freed_pages": 9000},
            ),
            "9,000 pages freed, 48.0 MB back",
        ),
        (ended(Operation.INCREMENTAL_VACUUM, {"free_pages": 2}, {"free_pages": 1}), "1 page freed"),
        (ended(Operation.INCREMENTAL_VACUUM, {"free_pages": 2}, {"free_pages": 5}), ""),
        (ended(Operation.INCREMENTAL_VACUUM, {"free_pages": 2}, {}), ""),
        (ended(Operation.INCREMENTAL_VACUUM, {}, {"free_pages": 2}), ""),
        (ended(Operation.FTS_OPTIMIZE, {"fts_segments": 14}, {"fts_segments": 1}), "14 -> 1 segment"),
        (ended(Operation.FTS_OPTIMIZE, {"fts_segments": 1}, {"fts_segments": 1}), "1 segment as before"),
        (ended(Operation.FTS_OPTIMIZE, {}, {"fts_segments": 1}), ""),
        (
            ended(Operation.BACKUP, {}, {"backup": "/srv/copy\x1b.db", "backup_size": 138 * MB}),
            "138 MB to /srv/copy\\x1b.db, checked",
        ),
        (ended(Operation.BACKUP, {}, {"backup": "/srv/copy.db"}), "to /srv/copy.db, checked"),
        (ended(Operation.BACKUP, {}, {"backup": "/c.db", "backup_checked": False}), "to /c.db"),
        (
            ended(Operation.BACKUP, {}, {"backup": "/c.db", "backups_removed": ["a"]}),
            "to /c.db, checked, 1 old backup removed",
        ),
        (ended(Operation.BACKUP, {}, {"backup_size": 5}), ""),
    ],
)
def test_each_operation_says_what_it_did_as_far_as_that_is_known(done: ChildJob, phrase: str) -> None:
    assert effect(done) == phrase


def test_a_job_on_a_server_tells_what_each_of_its_operations_did() -> None:
    vacuumed = ended(Operation.VACUUM, {"size": MB}, {"size": MB, "steps_completed": 2, "rows_removed": 1})
    checked = ended(Operation.CHECK, {"size": MB}, {"size": MB, "steps_completed": 3, "findings": 0})
    assert job_effect(parent(vacuumed)) == "2 tables vacuumed, 1 dead row removed"
    assert job_effect(parent(vacuumed, checked)) == "2 tables vacuumed, 3 objects checked"
    assert job_effect(parent(vacuumed, checked), 20) == "2 tables vacuumed"
    stopped = ended(Operation.REINDEX, {"size": MB}, {"size": MB, "steps_cancelled": 1}, Status.CANCELLED)
    assert job_effect(parent(stopped)) == ""


def test_a_job_of_several_operations_on_a_server_tells_the_bytes_that_came_back() -> None:
    job = parent(
        ended(Operation.OPTIMIZE, after={"steps_completed": 3, "back_bytes": 87_000_000}),
        ended(Operation.CHECK, after={"steps_completed": 11, "findings": 0}),
    )
    assert job_effect(job) == "3 steps done, 11 objects checked, 87.0 MB back"
    assert job_effect(job, 40) == "3 steps done, 11 objects checked"


def test_what_several_operations_left_out_or_skipped_is_told_with_what_they_did() -> None:
    children = (
        ended(Operation.VACUUM, after={"steps_completed": 8, "left_out": 3}),
        ended(Operation.REINDEX, after={"steps_completed": 13, "steps_skipped": 2, "left_out": 1, "back_bytes": MB}),
    )
    told = "8 tables vacuumed, 13 indexes rebuilt, 2 skipped, 4 left out"
    assert job_effect(parent(*children)).startswith(f"{told}, ")
    assert job_effect(parent(*children), len(told)) == told
    assert job_effect(parent(*children), 40) == "8 tables vacuumed, 13 indexes rebuilt"


def test_rows_that_a_repair_lost_are_told() -> None:
    repaired = ended(Operation.REPAIR, after={"steps_completed": 1, "rows_lost": 95})
    assert effect(repaired) == "95 rows lost, 1 table repaired"
    checked = ended(Operation.CHECK, after={"steps_completed": 1, "findings": 0})
    assert "95 rows lost" in job_effect(parent(repaired, checked))
    assert step_effect({"rows_lost": 95}) == "95 rows lost"


@pytest.mark.parametrize("fact", [COURSE, FOLLOWED, WAITS])
def test_what_only_programs_use_is_not_shown(fact: str) -> None:
    assert step_effect({fact: 1, "rows": 2}) == "rows 2"


@pytest.mark.parametrize(("times", "said"), [(1, "gave way once"), (3, "gave way 3 times")])
def test_that_a_step_gave_way_is_told_in_the_result(times: int, said: str) -> None:
    job = ended(Operation.REBUILD, {}, {"steps_completed": 1, "gave_way": times})
    assert effect(job) == f"1 table rebuilt, {said}"


def test_a_check_that_failed_without_a_finding_says_why() -> None:
    for reason in (Reason.SERVER_LOST, Reason.OPERATION_ERROR):
        failed = child(1, Status.FAILED, reason, operation=Operation.CHECK, error="no space left")
        checked = replace(failed, after={"findings": 0, "complete": False, "check": "full"})
        assert "no space left" in ending(checked)
    assert "no space left" not in ending(replace(failed, after={"findings": 1, "complete": True, "check": "full"}))


def test_a_check_that_was_cancelled_after_it_had_found_something_says_both() -> None:
    facts: Facts = {"findings": 1, "level": "full", "complete": False}
    broken = ended(Operation.CHECK, {}, facts, Status.FAILED, cancel_requested_at=START)
    assert effect(broken) == "1 finding so far, cancelled"
    assert effect(broken, 20) == "1 finding, cancelled"
    assert first_error(parent(replace(broken, error="stopped"), child(2))) == "check: 1 finding so far, cancelled"
    through = replace(broken, after={**facts, "complete": True})
    assert effect(through) == effect(replace(broken, cancel_requested_at=None)) == "1 finding (full)"


@pytest.mark.parametrize(
    "unfinished",
    [
        ended(Operation.CHECK, {}, {"findings": 0}, Status.CANCELLED),
        ended(Operation.CHECK, {}, {"findings": 0}, Status.FAILED),
        ended(Operation.BACKUP, {}, {"backup": "/srv/x.db", "backup_size": 1}, Status.FAILED),
        ended(Operation.VACUUM, {"size": MB}, {"size": MB}, Status.CANCELLED),
        ended(Operation.CHECKPOINT, {"wal_size": MB}, {"wal_size": MB}, Status.FAILED),
        ended(Operation.CHECKPOINT, {"wal_size": 0}, {"wal_size": 0}, Status.FAILED),
        ended(Operation.VACUUM, {"size": MB}, {"size": 2 * MB}, Status.SKIPPED, reason=Reason.NOT_NEEDED),
        ended(Operation.VACUUM, {"size": MB}, {"size": 2 * MB}, Status.RUNNING),
    ],
)
def test_what_did_not_come_to_its_end_claims_nothing(unfinished: ChildJob) -> None:
    assert effect(unfinished) == ""


def test_a_job_with_other_operations_names_its_backup() -> None:
    same = {"size": 163 * MB}
    made: Facts = {**same, "backup": "/srv/c.db", "backup_size": 84 * MB, "backup_contents": "5e1f"}
    backup, check = ended(Operation.BACKUP, same, made), ended(Operation.CHECK, same, same)
    whole = "84.0 MB to /srv/c.db, checked, same contents"
    assert job_effect(parent(backup, check)) == whole
    assert job_effect(parent(backup, check), 25) == "84.0 MB to /srv/c.db"
    vacuum = ended(Operation.VACUUM, same, {"size": 85 * MB})
    assert job_effect(parent(backup, vacuum)) == f"163 MB -> 85.0 MB, 78.0 MB back, {whole}"
    assert job_effect(parent(backup, vacuum), 40) == "163 MB -> 85.0 MB, 78.0 MB back"
    broken = replace(check, status=Status.FAILED, error="stopped")
    assert job_effect(parent(backup, broken)) == f"check: stopped; {whole}"


def test_no_effect_is_reckoned_across_two_files() -> None:
    old: Facts = {"size": 51 * MB, "free_pages": 9, "file": "sqlite:1:7"}
    new: Facts = {"size": 10 * MB, "free_pages": 0, "file": "sqlite:1:8"}
    before, backup, after = (
        ended(Operation.CHECK, old, old),
        ended(Operation.BACKUP, old, None),
        ended(Operation.CHECK, new, new),
    )
    assert job_effect(parent(before, backup, after)) == ""
    assert effect(ended(Operation.VACUUM, old, new)) == ""
    assert effect(ended(Operation.INCREMENTAL_VACUUM, old, {**new, "freed_pages": 9})) == "9 pages freed"
    assert changes(old, new) == []


def test_a_file_that_vacuum_replaced_is_the_same_database() -> None:
    old: Facts = {"size": 51 * MB, "file": "sqlite:1:7"}
    new: Facts = {"size": 10 * MB, "file": "sqlite:1:8"}
    vacuum = ended(Operation.VACUUM, old, {**new, "replaced_file": "sqlite:1:7"})
    assert effect(vacuum) == "51.0 MB -> 10.0 MB, 41.0 MB back"
    job = parent(ended(Operation.CHECK, old, old), vacuum, ended(Operation.CHECK, new, new))
    assert job_effect(job) == "51.0 MB -> 10.0 MB, 41.0 MB back"


def test_a_backup_changes_no_size() -> None:
    """Its application wrote meanwhile."""
    backup = ended(Operation.BACKUP, {"size": 51 * MB}, {"size": 10 * MB}, Status.CANCELLED)
    assert job_effect(parent(backup)) == ""
    check = ended(Operation.CHECK, {"size": 10 * MB}, {"size": 10 * MB})
    assert job_effect(parent(backup, check)) == "10.0 MB"


def test_a_write_back_of_the_log_is_no_rebuilt_index() -> None:
    written_back = replace(rebuilt(3), object="main", operation=Operation.CHECKPOINT)
    steps = rebuilt(1), rebuilt(2), written_back
    assert effect(ended(Operation.REINDEX, steps=steps)) == "2 indexes rebuilt"
    assert effect(ended(Operation.REINDEX, steps=(replace(written_back, operation=Operation.REINDEX),))) == ""


def test_of_a_cancelled_reindex_only_the_finished_indexes_count_and_only_of_its_last_attempt() -> None:
    steps = (rebuilt(1, attempt=1), rebuilt(1, attempt=2), rebuilt(2, Status.CANCELLED, attempt=2))
    assert (
        effect(ended(Operation.REINDEX, status=Status.CANCELLED, steps=steps[1:], attempt=2, reason=None))
        == effect(ended(Operation.REINDEX, status=Status.CANCELLED, steps=steps, attempt=2))
        == "1 index rebuilt"
    )


def test_where_a_check_looked_no_further_a_narrow_place_says_so_too() -> None:
    assert effect(ended(Operation.CHECK, {}, {"findings": 101}, Status.FAILED), 12) == "101+ found"


@pytest.mark.parametrize(
    ("width", "phrase"),
    [
        (80, "24.1 MB -> 14.3 MB, 9.80 MB back"),
        (18, "24.1 MB -> 14.3 MB"),
        (17, "24.1 -> 14.3 MB"),
        (15, "24.1 -> 14.3 MB"),
        (11, "now 14.3 MB"),
        (5, "14.3 MB"),
    ],
)
def test_a_narrow_place_gets_a_shorter_phrase(width: int, phrase: str) -> None:
    assert effect(ended(Operation.VACUUM, {"size": 24.1 * MB}, {"size": 14.3 * MB}), width) == phrase


def test_a_backup_in_a_narrow_place_keeps_its_size_and_its_name() -> None:
    done = ended(Operation.BACKUP, {}, {"backup": "/srv/copies/sales.backup.db", "backup_size": 138 * MB})
    assert effect(done, 40) == "138 MB to /srv/copies/sales.backup.db"
    assert effect(done, 30) == "138 MB to sales.backup.db"


def test_steps_are_counted_where_nothing_better_is_known() -> None:
    assert steps_taken(ended(Operation.ANALYZE, progress=Progress(steps_done=2, steps_total=2))) == "2 steps"
    assert steps_taken(ended(Operation.ANALYZE, progress=Progress(steps_done=2, steps_total=9))) == "2/9 steps"
    assert steps_taken(ended(Operation.ANALYZE)) == ""


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"freed_pages": 1000}, "freed 1,000 pages"),
        ({"findings": 0}, "no findings"),
        ({"written_back": 64 * MB}, "64.0 MB of log written back"),
        ({"backup_size": 64 * MB}, "64.0 MB written"),
        ({"backup": "/x\x07.db", "backup_size": 64 * MB}, "complete as /x\\x07.db"),
        ({"backups_removed": ["a", "b\x1b"], "backups_removed_bytes": 64 * MB}, "2 old backups removed"),
        ({"backups_removed": [], "backups_removed_bytes": 0}, ""),
        ({"objects": ["a", "b\x1b"]}, "2 done"),
        ({"objects": "none of ours"}, ""),
        ({"findings": 1, "moved_bytes": 2_000_000}, "1 finding, moved bytes 2.00 MB"),
        ({"names": ["a\x1b", "b"], "nothing": None}, "names a\\x1b, b"),
        ({"waited": 40.2, "freed_pages": 1}, "waited 40.20 s of that, freed 1 page"),
        ({"size_before": 9 * MB, "size": 6 * MB, "waited": 75.0}, "9.00 MB -> 6.00 MB, waited 1:15 of that"),
        ({}, ""),
        (None, ""),
    ],
)
def test_the_effect_of_a_step(facts: Facts | None, words: str) -> None:
    assert step_effect(facts) == words


def test_findings_are_the_errors_in_the_log_of_the_last_attempt_of_a_check() -> None:
    log = tuple(
        LogLine(number=number, attempt=attempt, at=START, level=level, message=f"line {number} of {attempt}")
        for number, attempt, level in (
            (1, 1, LogLevel.ERROR), (1, 2, LogLevel.INFO), (2, 2, LogLevel.ERROR), (3, 2, LogLevel.ERROR),
        )
    )  # fmt: skip
    assert findings(ended(Operation.CHECK, log=log, attempt=2)) == ("line 2 of 2", "line 3 of 2")
    assert findings(ended(Operation.VACUUM, log=log, attempt=2)) == ()


def test_facts_that_changed_are_a_table_whatever_they_are_called() -> None:
    before: Facts = {"size": 24_100_000, "free_pages": 1620, "journal_mode": "wal", "gone": 1, "unused": 5000}
    after: Facts = {"size": 14_300_000, "free_pages": 0, "journal_mode": "wal", "unused": 0, "names": ["a", "b\x07"]}
    assert table(changes(before, after)) == [
        "size        24.1 MB -> 14.3 MB",
        "free pages    1,620 -> 0",
        "gone              1 -> none",
        "unused      5.00 kB -> 0 B",
        "names                  a, b\\x07",
    ]
    assert table(changes({}, {"found_rows": 3})) == ["found rows  3"]
    assert table(changes({}, {"findings": 3, "level": "full", "damaged_indexes": ["i"]})) == ["damaged indexes  i"]
    assert changes(None, after) == changes(before, None) == changes(before, before) == []


def test_what_differs_only_beyond_what_is_shown_has_not_changed() -> None:
    assert changes({"size": 24_100_000}, {"size": 24_100_400}) == []


def test_what_could_not_be_looked_at_afterwards_is_no_change() -> None:
    before = {"size": 119 * MB, "tables": 15, "dead_rows": 0}
    assert changes(before, {"steps_completed": 1, "steps_failed": 1}) == []
    assert [change.after for change in changes(before, {"size": 118 * MB, "dead_rows": 0})] == ["118 MB", ""]
