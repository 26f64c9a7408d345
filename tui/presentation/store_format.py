"""Sentences about a shared store: what `dbtend store` made, found and copied."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from engine.config.model import WorkerConfig
from engine.domain.humanize import counted, size
from engine.domain.option_specs import BY_NAME
from engine.domain.store_reports import Foreign, Invariant, StoreCheck, StoreCopied, StoreMade
from tui.presentation.health_check import Check, Level
from tui.presentation.text import plain, precise_duration

_SLOW: Final = 0.2
"""Seconds of a round trip from which a console gets slow."""
_FAR_OFF: Final = 60.0
"""Seconds between the clocks from which the times of plans and windows surprise."""
_RULES: Final = {
    Invariant.RUNNING_HAS_WORKER: "running operations whose worker process is unknown",
    Invariant.DUE_IS_FIRST_OPEN: "operations that are marked as next and are not, or the reverse",
    Invariant.PARENT_STATUS: "jobs whose status is not that of their operations",
    Invariant.EVENTS_WITHOUT_GAP: "numbers missing among the changes",
    Invariant.RESERVED_FOR_RUN: "operations reserved for a run that is unknown",
}
_FOREIGN: Final = {
    Foreign.TRIGGER: "trigger",
    Foreign.RULE: "rule",
    Foreign.POLICY: "row policy",
    Foreign.DEFAULT_RIGHTS: "default privileges",
    Foreign.OWNER: "another owner",
    Foreign.ROLE: "role",
    Foreign.RIGHT: "right",
}
_MOST_FOREIGN: Final = 10
"""Lines about what others have added."""
_INIT: Final = "run `dbtend store init`"


def made_lines(made: StoreMade, store: str) -> Iterator[str]:
    """What `dbtend store init` did."""
    if made.earlier_version is None:
        yield f"made: store version {made.version}, in the schema dbtend of {store}"
    elif made.earlier_version < made.version:
        yield f"upgraded: store version {made.earlier_version} to {made.version}"
    else:
        yield f"nothing to upgrade: store version {made.version}; functions and rights are set again"
    if made.missing_roles:
        yield f"roles missing: {', '.join(made.missing_roles)}"
        yield f"  an administrator makes them, then run this again: {made.roles_sql}"
    else:
        yield "roles: dbtend_viewer reads, dbtend_operator submits and cancels, dbtend_worker runs jobs"
    if made.owner_is_superuser:
        yield f"warning: {_superuser(made.owner)}; {_OF_ITS_OWN}"


def store_checks(found: StoreCheck, store: str) -> list[Check]:
    return [
        Check(
            Level.OK, "store",
            f"{store}: version {found.version}, {counted(found.jobs, 'job')}, {found.open_jobs:,} open,"
            f" {counted(found.events, 'change')}, {size(found.size)}",
        ),
        Check(Level.OK, "server", f"PostgreSQL {plain(found.server_version)}, database {plain(found.database)}"),
        _round_trip(found),
        _clock(found),
        _keepalives(found),
        *_replication(found),
        _user(found),
        *_owner(found),
        *_roles(found),
        _workers(found),
        *_copy(found),
        *_namesake(found),
        *_rules(found),
        *_foreign(found),
    ]  # fmt: skip


def lent(config: WorkerConfig) -> Check:
    """What the workers with this config file do for other logins."""
    allowed = ", ".join(BY_NAME[one].option for one in config.allow) or "no --pause-while, no --backup-to"
    below = ", ".join(map(plain, config.directories))
    files = f"files below {below}" if below else "no file that [targets] does not name"
    return Check(Level.OK, "other logins", f"workers with this config file take from them: {allowed}; {files}")


def _round_trip(found: StoreCheck) -> Check:
    text = f"{precise_duration(found.round_trip)} round trip"
    level = Level.WARN if found.round_trip > _SLOW else Level.OK
    return Check(level, "network", text, "use the store from nearer by" if level is Level.WARN else "")


def _clock(found: StoreCheck) -> Check:
    off = abs(found.clock_offset)
    if off < _FAR_OFF:
        return Check(Level.OK, "clock", f"{precise_duration(off)} from the server's")
    which = "ahead of" if found.clock_offset > 0 else "behind"
    return Check(Level.WARN, "clock", f"{precise_duration(off)} {which} the server's", "set the clock of this host")


def _keepalives(found: StoreCheck) -> Check:
    if found.keepalives is None:
        return Check(Level.OK, "keepalives", "not needed: the server is on this host")
    if found.keepalives:
        return Check(Level.OK, "keepalives", "a host that is gone is noticed after about 14 s")
    fix = "use a server whose system has TCP keepalives"
    return Check(Level.PROBLEM, "keepalives", "the server does not notice a host that is gone", fix)


def _replication(found: StoreCheck) -> Iterator[Check]:
    names, connected = plain(found.synchronous_standbys), f"{counted(found.standbys, 'standby server')} connected"
    if names and not found.standbys:
        fix = "connect a standby, or empty synchronous_standby_names at the server"
        yield Check(Level.PROBLEM, "replication", f"{connected}: each write waits for {names}", fix)
    elif names:
        yield Check(Level.OK, "replication", f"{connected}; each write waits for {names}: a failover loses nothing")
    elif found.standbys:
        yield Check(Level.OK, "replication", f"{connected}, asynchronous: a failover may lose the newest changes")


def _user(found: StoreCheck) -> Check:
    may = ", ".join(found.roles) or "nothing"
    return Check(Level.OK, "user", f"{plain(found.user)} has the rights of {may}")


def _roles(found: StoreCheck) -> Iterator[Check]:
    if found.missing_roles:
        fix = f"an administrator runs: {found.roles_sql} then {_INIT}"
        yield Check(Level.WARN, "roles", f"missing: {', '.join(found.missing_roles)}", fix)


def _workers(found: StoreCheck) -> Check:
    text = f"{found.workers:,} alive"
    if found.dead_workers:
        return Check(Level.WARN, "workers", f"{text}; jobs of {found.dead_workers:,} that died wait for rescue")
    if found.open_jobs and not found.workers:
        return Check(Level.WARN, "workers", f"none, and {found.open_jobs:,} open", "start one: dbtend worker")
    return Check(Level.OK, "workers", text)


def _copy(found: StoreCheck) -> Iterator[Check]:
    if found.unfinished_copy:
        why = f"that of {plain(found.unfinished_copy)} is not complete"
        yield Check(Level.PROBLEM, "copy", why, "run `dbtend store copy` again, before jobs run here")


def _namesake(found: StoreCheck) -> Iterator[Check]:
    if found.has_namesake:
        why = f"another machine that works for this store is called {plain(found.host)}, too"
        yield Check(Level.PROBLEM, "host", why, "give each its own name, such as DBTEND_HOST=NAME")


def _rules(found: StoreCheck) -> Iterator[Check]:
    broken = {rule: number for rule, number in found.broken.items() if number}
    if not broken:
        yield Check(Level.OK, "rules", f"all {len(found.broken)} hold")
    for rule, number in broken.items():
        yield Check(Level.PROBLEM, "rules", f"{number:,} {_RULES[rule]}", "report this as a bug, unless it was you")


def _owner(found: StoreCheck) -> Iterator[Check]:
    if found.owner_is_superuser:
        yield Check(Level.WARN, "owner", _superuser(found.owner), _OF_ITS_OWN)


def _superuser(owner: str) -> str:
    return f"the store belongs to {plain(owner)}, a superuser, with whose rights its functions run"


_OF_ITS_OWN: Final = "give it an owner without that: see From one machine to many"


def _foreign(found: StoreCheck) -> Iterator[Check]:
    for one in found.foreign[:_MOST_FOREIGN]:
        why = f"{_FOREIGN[one.kind]}: {plain(one.text)}: not made by `dbtend store init`"
        fix = _TAKEN_BACK if one.kind is Foreign.RIGHT else "find out who made it, and remove it"
        yield Check(Level.PROBLEM, "rights", why, fix)
    if (more := len(found.foreign) - _MOST_FOREIGN) > 0:
        yield Check(Level.PROBLEM, "rights", f"{more:,} more of that kind")
    if not found.foreign:
        yield Check(Level.OK, "rights", "each role has those that it needs, and nothing was added")


_TAKEN_BACK: Final = "find out who gave it; `dbtend store init` takes back those of its own roles"


def copied_lines(done: StoreCopied) -> Iterator[str]:
    if done.was_complete:
        yield "copied before: nothing to do"
        return
    rows = done.rows
    yield (
        f"copied: {counted(rows['parent_job'], 'job')} with {counted(rows['child_job'], 'operation')},"
        f" {counted(rows['step'], 'step')}, {counted(rows['log'], 'log line')}, {counted(rows['event'], 'change')}"
    )
    yield "counted and compared on both sides: equal; ids of jobs and batches are the same"
