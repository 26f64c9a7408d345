"""Every command: how it is called, what it does in a line, and the options it takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from engine.config.model import Defaults
from engine.config.worker_keys import WORKER_KEYS
from engine.domain.batches import Order
from engine.domain.frozen import frozen
from engine.domain.option_spec import shown_value
from engine.domain.option_specs import BY_NAME
from engine.domain.surveys import FleetLevel
from tui.commands.options import HIDDEN, REQUEST_OPTIONS, Option, flag, grouped, of_spec, repeatable, value
from tui.presentation import typed_values
from tui.presentation.exit_codes import MEANINGS

WORDS: Final[Mapping[str, str]] = {
    "TARGET": "a path, pattern, postgresql://, mysql://, service=NAME, name or @GROUP",
    "JOB": "the id of a job, 42, or of one of its operations, 42.2",
    "FILTERS": "words as in the filter line of the console",
    "NAME": "a recipient: [notify.NAME] of the config file",
    "SHELL": "bash, zsh or fish",
    "ACTION": "init, check or copy, and the stores that it takes",
    "SCHEDULE": "a schedule: [schedules.NAME] of the config file",
}
"""What the words after a command are, as its usage names them."""
TARGET_HELP: Final = f"TARGET: {WORDS['TARGET']}."


@frozen
class Command:
    """One command: how it is called, and what it takes."""

    usage: str
    summary: str
    options: tuple[Option, ...]
    example: str
    notes: str = ""


def _worker_options(*, is_shown: bool = True) -> tuple[Option, ...]:
    """The keys of [defaults] for worker processes."""
    defaults = Defaults()
    return tuple(
        value(
            f"--{name}", key.type.metavar, key.type.parse,
            f"{key.help} (default: {shown_value(getattr(defaults, name))})" if is_shown else HIDDEN,
        )
        for name, key in WORKER_KEYS.items()
    )  # fmt: skip


_JSON: Final = (
    flag("--json", "print one JSON document"),
    flag("--json-schema", "print the JSON schema of that document, do nothing"),
)
EVERYWHERE: Final = (
    value(
        "--store",
        "STORE",
        typed_values.store,
        "another store of jobs: a path, or the URL of a shared one (also DBTEND_STORE)",
    ),
    value("--config", "PATH", typed_values.path, "another config file (also DBTEND_CONFIG)"),
    flag("--read-only", "show everything, change nothing (also DBTEND_READ_ONLY=1)"),
    flag("--debug", "show the traceback of an error"),
)
"""The last options of every command."""
_MOUSE: Final = flag("--no-mouse", "leave the mouse to the terminal")
_MANY: Final = flag("--yes", "confirm more than 10,000 targets", dest="confirmed")
_QUIET: Final = flag("--quiet", "print only the summary, and what failed")
_EXECUTION: Final = (
    *_worker_options(),
    flag("--detach", "print the job ids and return: a worker process does the work"),
)
_TARGETS: Final = (
    repeatable(
        "--exclude", "PATTERN", typed_values.text,
        "leave out targets by name, path or database, such as 'test_*'; repeatable",
    ),
    flag("--all-databases", "all databases of each server that is named"),
)  # fmt: skip
"""How the words of a command name targets."""
_REQUEST: Final = (
    *_TARGETS,
    repeatable(
        "--op", "OPERATION", typed_values.operation,
        f"one of {', '.join(typed_values.OPERATIONS)}; repeatable, order kept"
        " (default: vacuum, analyze; on PostgreSQL also reindex, optimize; on MariaDB and MySQL analyze, check,"
        " optimize)",
        dest="operations",
    ),
    flag("--needed", "only what `dbtend advise` calls for, also if small or unchecked; those of --op always run"),
    *REQUEST_OPTIONS,
    *grouped(
        "several targets",
        flag("--strict", "do nothing at all if one target cannot be opened"),
        _QUIET,
        value("--max-failures", "N", typed_values.many, "begin no further target after N have failed"),
        value("--canary", "N", typed_values.many, "run N targets first, the others only if these completed"),
        value("--max-per-host", "N", typed_values.many, "how many databases at once on one server"),
        value(
            "--order", "|".join(Order), typed_values.order,
            "which target comes first; oldest: whose turn it is (default: as named; with a time limit oldest)",
        ),
    ),
)  # fmt: skip
_RETRY: Final = (
    flag("--failed", "only the operations and steps that did not complete"),
    *(_QUIET, *(of_spec(BY_NAME[name]) for name in ("until", "jobs", "server_wait", "force", "confirmed"))),
    *(*_EXECUTION, *_JSON),
)
_CANCEL: Final = (
    flag("--force", "kill its process if it does not stop"),
    value("--confirm", "JOB", typed_values.text, "the id of the operation that runs, so that --force does not ask"),
    *_JSON,
)
_REPORT: Final = (
    value("--since", "DATE|7d", typed_values.since, "jobs that ended then or later (default: 7d)"),
    value("--html", "FILE", typed_values.path, "write the page to FILE"),
)
# All that `run` takes, so that one word makes a plan of a run; what changes no plan is not shown.
_PLAN: Final = (*_REQUEST, *_worker_options(is_shown=False), flag("--detach", HIDDEN), *_JSON)
_SHOW: Final = (flag("--commands", "show every step, with its whole command"), *_JSON)
_HISTORY: Final = (
    value("--target", "T", typed_values.text, "only this target: a path, a URL, or a name as the history shows it"),
    value("--status", "STATUS", typed_values.status, "only jobs with this status"),
    value("--op", "OPERATION", typed_values.operation, "only jobs with this operation", dest="operation"),
    value("--since", "DATE|7d", typed_values.since, "only jobs created then or later"),
    value("--until", "DATE", typed_values.until, "only jobs created then or earlier; a date includes its whole day"),
    value("--grep", "TEXT", typed_values.text, "only jobs with an error or reason that contains TEXT"),
    value("--limit", "N", typed_values.limit, "at most N jobs (default: 50; with --csv all)"),
    value("--before", "JOB", typed_values.parent_id, "only jobs older than this one: the next page"),
    flag("--csv", "print a table for spreadsheets: a line for each operation"),
    *_JSON,
)
_SCHEDULES: Final = (
    value("--run", "NAME", typed_values.text, "run it now, and wait for it"),
    flag(
        "--as-due",
        "with --run: only if it is due, or was within catch_up, and its window is open; for systemd and cron",
    ),
    flag("--yes", "with --run: also while its window is closed", dest="confirmed"),
    value("--enable", "NAME", typed_values.text, "let it be due again, from now on"),
    value("--disable", "NAME", typed_values.text, "let it be due no more"),
    flag("--systemd", "print units of systemd that run them without a permanent worker"),
    flag("--cron", "print lines of a crontab that do"),
    *_JSON,
)
_FLEET: Final = (
    *(*_TARGETS, _MANY),
    repeatable(
        "--only", "LEVEL", typed_values.fleet_level, f"only targets of this level: {', '.join(FleetLevel)}; repeatable"
    ),
    flag("--refresh", "survey all targets again"),
    flag("--forget", "of the named databases, forget those that are gone, emptied or overwritten: they may go"),
    flag(
        "--accept-damage",
        "take note of all known damage of the named databases, such as lost rows: it keeps nothing from being written"
        " any more, until a check finds it again",
    ),
    *_JSON,
)
_WORKER: Final = (
    # Options for the process that starts a worker: it passes passwords to it, and learns why it ended.
    *(flag("--passwords-from-stdin", HIDDEN), flag("--json", HIDDEN)),
    value(
        "--idle-exit", "SECONDS", typed_values.seconds,
        "end after this time without work, or after an hour without the server of a shared store",
    ),
    repeatable(
        "--queue", "NAME", typed_values.queue,
        "of a shared store: take the jobs of this queue instead of those for any host, which is the queue `any`;"
        " repeatable",
    ),
    value(
        "--drain", "HOST", typed_values.text,
        "let the workers of a host of a shared store take no more jobs, and leave when what they run has ended",
    ),
    value("--undrain", "HOST", typed_values.text, "let workers of that host take jobs again"),
    value(
        "--metrics", "[ADDRESS:]PORT", typed_values.listen_address,
        "serve Prometheus metrics by HTTP, on the loopback unless ADDRESS says otherwise",
    ),
    repeatable(
        "--metrics-host", "NAME", typed_values.text,
        "a host name by which --metrics is asked for, beside those of this host and any IP address; repeatable",
    ),
    *_worker_options(),
)  # fmt: skip


COMMANDS: Final[Mapping[str, Command]] = {
    "demo": Command(
        "[--keep DIR]", "try everything on a sample database",
        (value("--keep", "DIR", typed_values.path, "build it in DIR and leave it there"), _MOUSE, *_JSON),
        "dbtend demo",
        "Without a terminal on stdout it runs the operations and prints the result.",
    ),
    "plan": Command(
        "TARGET... [OPTIONS]", "show exactly what `run` would do, and change nothing", _PLAN,
        "dbtend plan sales.db --op vacuum",
        TARGET_HELP + "\n\nA SQLite file in which a crash left something half done is refused: a run rolls that back.",
    ),
    "run": Command(
        "TARGET... [OPTIONS]", "run maintenance in the foreground and wait for it", (*_REQUEST, *_EXECUTION, *_JSON),
        "dbtend run sales.db --op vacuum --until 06:00",
        TARGET_HELP + "\n\nCtrl-C asks for a safe cancel. SIGTERM gives running operations the grace period. The\n"
        "rest continues in a worker process if one runs, else it is cancelled. A second signal\n"
        "leaves at once: the next run or worker removes the files that it left unfinished. A run goes on\n"
        "if its terminal is lost.\n\n"
        "Exit codes:\n" + "\n".join(f"{code:5}  {meaning}" for code, meaning in MEANINGS.items()),
    ),
    "advise": Command(
        "TARGET... [--thorough]", "what needs which operation, and why",
        (*_TARGETS, flag("--thorough", "count all rows and read all pages, however long it takes"), _MANY, *_JSON),
        "dbtend advise sales.db",
        TARGET_HELP + "\n\nWhat takes long, such as counting rows, has a budget of half a second for each target.",
    ),
    "fleet": Command(
        "[TARGET...] [FILTERS]", "many targets, the most urgent first", _FLEET,
        "dbtend fleet '/srv/tenants/*.db' --only now",
        TARGET_HELP + " Without one: those of the config file.\n\n"
        "FILTERS: level:now, engine:postgresql, label:PROD, size:>1GB, checked:>30d. A survey is kept for an hour, or\n"
        "until its file is written or a job has run. Thresholds are in [advice] of the config file.\n\n"
        "A survey changes nothing: the hot journal of a crash is soon, and a check rolls it back.\n"
        "Levels: critical (damage found, transaction ids running out, disk nearly full), now, soon,\n"
        "unchecked (a check is due), small (only small objects need something), ok,\n"
        "unknown (locked, refused, or not measured), unreachable. Exit code 1: one is critical or unreachable.",
    ),
    "map": Command(
        "TARGET [--read-times]", "what the pages of a SQLite file hold, and in what order",
        (
            flag("--read-times", "read some of the pages, for 2 seconds at most, to measure what their order costs"),
            *_JSON,
        ),
        "dbtend map sales.db",
        "TARGET: a path, or a name of the config file. Nothing is written: after a crash that must be rolled\n"
        "back first, it is refused. Where a table or index is out of order, VACUUM puts it in order. --read-times\n"
        "reads up to 16 MB of the table or index with the most pages out of order: in key order, and as much in the\n"
        "order of the file. It says how much of that came from the disk.",
    ),
    "schedules": Command(
        "[SCHEDULE]", "when each schedule is due, and how its nights went", _SCHEDULES,
        "dbtend schedules nightly",
        "With SCHEDULE also the last night and the next one as timelines, the next one by estimate. Schedules are in\n"
        "[schedules.NAME] of the config file; a permanent worker (dbtend worker) starts them. Exit codes of --run are\n"
        "those of dbtend run.",
    ),
    "history": Command(
        "[FILTERS]", "all jobs that ever ran, newest first", _HISTORY,
        "dbtend history status:failed op:vacuum since:7d disk full",
        "FILTERS are the options below, or words as in the filter line of the console: target:PART of a\n"
        "name, status:, op:, batch:, schedule:, since:, until:. All other words are text of an error or reason; one\n"
        "operation must have them all.",
    ),
    "show": Command("JOB", "one job (42 or 42.2): steps, log, effects; or a batch (b17)", _SHOW, "dbtend show 42"),
    "cancel": Command(
        "JOB [--force]", "ask a job (42 or 42.2) or a batch (b17) to end safely", _CANCEL, "dbtend cancel 42",
        "With --force, an operation that cannot be interrupted ends, too: dbtend kills its process, undoes what\n"
        "it has begun, and checks the database for damage. It asks first. Without a terminal, confirm it with\n"
        "the id of the operation that runs: dbtend cancel 42 --force --confirm 42.1",
    ),
    "retry": Command(
        "JOB [--failed]", "run an earlier job or batch again", _RETRY, "dbtend retry 42 --failed",
        "The new job has the same request and options, apart from those that are given. A time limit starts again.\n"
        "Of a batch, --failed repeats the jobs that did not complete.",
    ),
    "pin": Command("JOB", "keep a job in the history, whatever its age", _JSON, "dbtend pin 42"),
    "unpin": Command("JOB", "remove the pin of a job", _JSON, "dbtend unpin 42"),
    "prune": Command(
        "[--dry-run]", "remove old history now", (flag("--dry-run", "remove nothing, only count"), *_JSON),
        "dbtend prune --dry-run",
        "[retention] in the config file says how long jobs are kept.",
    ),
    "notify": Command(
        "[NAME] [--test]", "the recipients of messages, and whether these arrive",
        (flag("--test", "deliver a test message now"), *_JSON),
        "dbtend notify ops --test",
        "Recipients are in [notify.NAME] of the config file. A permanent `dbtend worker` tells them; `dbtend run`\n"
        "and `dbtend schedules --run NAME` do so where from_runs is true. With NAME also its ten newest messages.\n"
        "Exit code 1: a message could not be delivered, or was refused for some of its addresses.",
    ),
    "report": Command(
        "[--since 7d] --html FILE", "what happened in the last days, as one page of HTML", _REPORT,
        "dbtend report --since 7d --html report.html",
        "The page has no script and needs nothing from elsewhere: it can be mailed and printed.",
    ),
    "metrics": Command(
        "[--textfile FILE]", "the state of targets, jobs and schedules for Prometheus",
        (value("--textfile", "FILE", typed_values.path, "write them to FILE at once, for node_exporter"),),
        "dbtend metrics --textfile /var/lib/node_exporter/dbtend.prom",
        "Nothing is opened: sizes and levels are those of the last survey, such as by `dbtend fleet`. With targets in\n"
        "the config file, only these are exported. To serve the same by HTTP: `dbtend worker --metrics 9187`.",
    ),
    "worker": Command(
        "[--idle-exit SECONDS]", "run jobs in the background until stopped", _WORKER, "dbtend worker --workers 4",
    ),
    "workers": Command("", "the worker processes, and what they run", _JSON, "dbtend workers"),
    "pause": Command("", "start no new job, in any process; running operations go on", _JSON, "dbtend pause"),
    "resume": Command("", "start jobs again", _JSON, "dbtend resume"),
    "store": Command(
        "ACTION [STORE...]", "make, check or fill a store that many hosts share", _JSON,
        "dbtend store init postgresql://dba@db1/dbtend",
        "init URL      make the store in an empty database, or upgrade it; makes the roles dbtend_viewer,\n"
        "              dbtend_operator and dbtend_worker if it may\n"
        "check [URL]   is it reached, and does all hold: version, rights, round trip, clock, workers, rules\n"
        "copy FROM TO  the history of the store FROM, a file or a URL, into the new store TO; ids stay the same.\n"
        "              Interrupted, it goes on when it is called again.\n\n"
        "The database must be reached itself, and not through a connection pooler. Exit code of check: 1 if there is\n"
        "a problem.",
    ),
    "doctor": Command(
        "[TARGET...]", "check versions, paths and permissions, and name the fixes", _JSON,
        "dbtend doctor sales.db",
    ),
    "completion": Command(
        "SHELL", "print the completion script of a shell: bash, zsh or fish", (flag("--targets", HIDDEN),),
        "dbtend completion bash",
    ),
}  # fmt: skip
CONSOLE: Final = Command("[TARGET...]", "open the console", (*_TARGETS, _MANY, _MOUSE), "dbtend sales.db")
