"""Every command: how it is called, what it does in a line, and the options it takes."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Final

from engine.config.keys import WORKER_KEYS
from engine.config.model import Defaults
from engine.domain.batches import Order
from engine.domain.frozen import frozen
from engine.domain.option_spec import shown_value
from engine.domain.option_specs import BY_NAME
from engine.domain.surveys import FleetLevel
from tui.commands.request_options import add_option, add_request_options
from tui.presentation import typed_values
from tui.presentation.exit_codes import MEANINGS

WORDS: Final[Mapping[str, str]] = {
    "TARGET": "a path or pattern, postgresql://..., service=NAME, a name or @GROUP",
    "JOB": "the id of a job, 42, or of one of its operations, 42.2",
    "FILTERS": "words as in the filter line of the console",
    "NAME": "a recipient: [notify.NAME] of the config file",
    "SHELL": "bash, zsh or fish",
    "SCHEDULE": "a schedule: [schedules.NAME] of the config file",
}
"""What the words after a command are, as its usage names them."""
TARGET_HELP: Final = f"TARGET: {WORDS['TARGET']}."


@frozen
class Command:
    """One command: how it is called, and what it takes."""

    usage: str
    summary: str
    add_options: Callable[[argparse.ArgumentParser], None]
    example: str
    notes: str = ""


def _completion_options(parser: argparse.ArgumentParser) -> None:
    # How the scripts ask for the names of the config file; no option for people.
    parser.add_argument("--targets", action="store_true", help=argparse.SUPPRESS)


def _run_options(parser: argparse.ArgumentParser) -> None:
    _request_options(parser)
    _batch_options(parser)
    _execution_options(parser)
    _json_option(parser)


def _batch_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("several targets")
    group.add_argument("--strict", action="store_true", help="do nothing at all if one target cannot be opened")
    group.add_argument("--quiet", action="store_true", help="print only the summary, and what failed")
    group.add_argument(
        "--max-failures", type=typed_values.many, metavar="N", help="begin no further target after N have failed"
    )
    group.add_argument(
        "--canary", type=typed_values.many, metavar="N", help="run N targets first, the others only if these completed"
    )
    group.add_argument(
        "--max-per-host", type=typed_values.many, metavar="N", help="how many databases at once on one server"
    )
    group.add_argument(
        "--order", type=typed_values.order, metavar="|".join(Order),
        help="which target comes first; oldest: whose turn it is (default: as named; with a time limit oldest)",
    )  # fmt: skip


def _plan_options(parser: argparse.ArgumentParser) -> None:
    """All that `run` takes, so that one word makes a plan of a run; what changes no plan is not shown."""
    _request_options(parser)
    _batch_options(parser)
    _worker_defaults(parser, shown=False)
    parser.add_argument("--detach", action="store_true", help=argparse.SUPPRESS)
    _json_option(parser)


def _targets_options(parser: argparse.ArgumentParser) -> None:
    """How the words of a command name targets."""
    parser.add_argument(
        "--exclude", action="append", type=typed_values.text, metavar="PATTERN",
        help="leave out targets by name, path or database, such as 'test_*'; repeatable",
    )  # fmt: skip
    parser.add_argument("--all-databases", action="store_true", help="all databases of each server that is named")


def _request_options(parser: argparse.ArgumentParser) -> None:
    _targets_options(parser)
    parser.add_argument(
        "--op", dest="operations", action="append", type=typed_values.operation, metavar="OPERATION",
        help=f"one of {', '.join(typed_values.OPERATIONS)}; repeatable, order kept"
        " (default: vacuum, analyze; on a server also reindex, optimize)",
    )  # fmt: skip
    parser.add_argument(
        "--needed", action="store_true",
        help="only operations that `dbtend advise` calls for, now or soon; those of --op always run",
    )  # fmt: skip
    add_request_options(parser)


def _execution_options(parser: argparse.ArgumentParser) -> None:
    _worker_defaults(parser)
    parser.add_argument(
        "--detach", action="store_true", help="print the job ids and return: a worker process does the work"
    )


def _worker_defaults(parser: argparse.ArgumentParser, *, shown: bool = True) -> None:
    """The keys of [defaults] for worker processes."""
    for name, key in WORKER_KEYS.items():
        meaning = f"{key.help} (default: {shown_value(getattr(Defaults(), name))})" if shown else argparse.SUPPRESS
        parser.add_argument(f"--{name}", type=key.type.parse, metavar=key.type.metavar, help=meaning)


def _json_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--json-schema", action="store_true", help="print the JSON schema of that document, do nothing")


def _console_options(parser: argparse.ArgumentParser) -> None:
    _targets_options(parser)
    _many_option(parser)
    _mouse_option(parser)


def _mouse_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-mouse", action="store_true", help="leave the mouse to the terminal")


def _advise_options(parser: argparse.ArgumentParser) -> None:
    _targets_options(parser)
    parser.add_argument(
        "--thorough", action="store_true", help="count all rows and read all pages, however long it takes"
    )
    _many_option(parser)
    _json_option(parser)


def _many_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", dest="confirmed", action="store_true", help="confirm more than 10,000 targets")


def _fleet_options(parser: argparse.ArgumentParser) -> None:
    _targets_options(parser)
    _many_option(parser)
    parser.add_argument(
        "--only", action="append", type=typed_values.fleet_level, metavar="LEVEL",
        help=f"only targets of this level: {', '.join(FleetLevel)}; repeatable",
    )  # fmt: skip
    parser.add_argument("--refresh", action="store_true", help="survey all targets again")
    _json_option(parser)


def _schedules_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", type=typed_values.text, metavar="NAME", help="run it now, and wait for it")
    parser.add_argument(
        "--as-due",
        action="store_true",
        help="with --run: only if it is due, or was within catch_up, and its window is open; for systemd and cron",
    )
    parser.add_argument(
        "--yes", dest="confirmed", action="store_true", help="with --run: also while its window is closed"
    )
    parser.add_argument("--enable", type=typed_values.text, metavar="NAME", help="let it be due again, from now on")
    parser.add_argument("--disable", type=typed_values.text, metavar="NAME", help="let it be due no more")
    parser.add_argument(
        "--systemd", action="store_true", help="print units of systemd that run them without a permanent worker"
    )
    parser.add_argument("--cron", action="store_true", help="print lines of a crontab that do")
    _json_option(parser)


def _demo_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--keep", type=typed_values.path, metavar="DIR", help="build it in DIR and leave it there")
    _mouse_option(parser)
    _json_option(parser)


def _history_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--target", type=typed_values.text, metavar="T", help="only this target")
    parser.add_argument("--status", type=typed_values.status, metavar="STATUS", help="only jobs with this status")
    parser.add_argument(
        "--op", dest="operation", type=typed_values.operation, metavar="OPERATION", help="only jobs with this operation"
    )
    parser.add_argument("--since", type=typed_values.since, metavar="DATE|7d", help="only jobs created then or later")
    parser.add_argument(
        "--until",
        type=typed_values.until,
        metavar="DATE",
        help="only jobs created then or earlier; a date includes its whole day",
    )
    parser.add_argument(
        "--grep", type=typed_values.text, metavar="TEXT", help="only jobs with an error or reason that contains TEXT"
    )
    parser.add_argument(
        "--limit", type=typed_values.limit, metavar="N", help="at most N jobs (default: 50; with --csv all)"
    )
    parser.add_argument(
        "--before", type=typed_values.parent_id, metavar="JOB", help="only jobs older than this one: the next page"
    )
    parser.add_argument("--csv", action="store_true", help="print a table for spreadsheets: a line for each operation")
    _json_option(parser)


def _retry_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--failed", action="store_true", help="only the operations and steps that did not complete")
    parser.add_argument("--quiet", action="store_true", help="print only the summary, and what failed")
    add_option(parser, BY_NAME["confirmed"])
    _execution_options(parser)
    _json_option(parser)


def _cancel_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--force", action="store_true", help="kill its process if it does not stop")
    parser.add_argument(
        "--confirm",
        type=typed_values.text,
        metavar="JOB",
        help="the id of the operation that runs, so that --force does not ask",
    )
    _json_option(parser)


def _worker_options(parser: argparse.ArgumentParser) -> None:
    # For the process that starts a worker: to pass passwords to it, and to learn why it ended. Not for people.
    parser.add_argument("--passwords-from-stdin", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument(
        "--idle-exit", type=typed_values.seconds, metavar="SECONDS", help="end after this time without work"
    )
    parser.add_argument(
        "--metrics", type=typed_values.listen_address, metavar="[ADDRESS:]PORT",
        help="serve Prometheus metrics by HTTP, on the loopback unless ADDRESS says otherwise",
    )  # fmt: skip
    _worker_defaults(parser)


def _notify_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--test", action="store_true", help="deliver a test message now")
    _json_option(parser)


def _report_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--since", type=typed_values.since, metavar="DATE|7d", help="jobs that ended then or later (default: 7d)"
    )
    parser.add_argument("--html", type=typed_values.path, metavar="FILE", help="write the page to FILE")


def _metrics_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--textfile", type=typed_values.path, metavar="FILE", help="write them to FILE at once, for node_exporter"
    )


def _prune_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="remove nothing, only count")
    _json_option(parser)


COMMANDS: Final[Mapping[str, Command]] = {
    "demo": Command(
        "[--keep DIR]", "try everything on a sample database", _demo_options, "dbtend demo",
        "Without a terminal on stdout it runs the operations and prints the result.",
    ),
    "plan": Command(
        "TARGET... [OPTIONS]", "show exactly what `run` would do, and change nothing", _plan_options,
        "dbtend plan sales.db --op vacuum", TARGET_HELP,
    ),
    "run": Command(
        "TARGET... [OPTIONS]", "run maintenance in the foreground and wait for it", _run_options,
        "dbtend run sales.db --op vacuum --until 06:00",
        TARGET_HELP + "\n\nCtrl-C asks for a safe cancel. SIGTERM gives running operations the grace period. The\n"
        "rest continues in a worker process if one runs, else it is cancelled. A second signal\n"
        "leaves at once. A run goes on if its terminal is lost.\n\n"
        "Exit codes:\n" + "\n".join(f"{code:5}  {meaning}" for code, meaning in MEANINGS.items()),
    ),
    "advise": Command(
        "TARGET... [--thorough]", "what needs which operation, and why", _advise_options,
        "dbtend advise sales.db",
        TARGET_HELP + "\n\nWhat takes long, such as counting rows, has a budget of half a second for each target.",
    ),
    "fleet": Command(
        "[TARGET...] [FILTERS]", "many targets, the most urgent first", _fleet_options,
        "dbtend fleet '/srv/tenants/*.db' --only now",
        TARGET_HELP + " Without one: those of the config file.\n\n"
        "FILTERS: level:now, engine:postgresql, label:PROD, size:>1GB, checked:>30d. A survey is kept for an hour, or\n"
        "until its file is written or a job has run. Thresholds are in [advice] of the config file.\n\n"
        "Levels: critical (damage found, transaction ids running out, disk nearly full), now, soon, ok,\n"
        "unknown (locked, refused, or not measured), unreachable. Exit code 1: a target could not be reached.",
    ),
    "schedules": Command(
        "[SCHEDULE]", "when each schedule is due, and how its nights went", _schedules_options,
        "dbtend schedules nightly",
        "With SCHEDULE also the last night and the next one as timelines, the next one by estimate. Schedules are in\n"
        "[schedules.NAME] of the config file; a permanent worker (dbtend worker) starts them. Exit codes of --run are\n"
        "those of dbtend run.",
    ),
    "history": Command(
        "[FILTERS]", "all jobs that ever ran, newest first", _history_options,
        "dbtend history status:failed op:vacuum since:7d disk full",
        "FILTERS are the options below, or words as in the filter line of the console: target:PART of a\n"
        "name, status:, op:, batch:, schedule:, since:, until:. All other words are text of an error or reason; one\n"
        "operation must have them all.",
    ),
    "show": Command(
        "JOB", "one job (42 or 42.2): steps, log, effects; or a batch (b17)", _json_option,
        "dbtend show 42",
    ),
    "cancel": Command(
        "JOB [--force]", "ask a job (42 or 42.2) or a batch (b17) to end safely", _cancel_options, "dbtend cancel 42",
        "With --force, an operation that cannot be interrupted ends, too: dbtend kills its process, undoes what\n"
        "it has begun, and checks the database for damage. It asks first. Without a terminal, confirm it with\n"
        "the id of the operation that runs: dbtend cancel 42 --force --confirm 42.1",
    ),
    "retry": Command(
        "JOB [--failed]", "run an earlier job or batch again", _retry_options, "dbtend retry 42 --failed",
        "The new job has the same request and options. A time limit starts again. Of a batch, --failed repeats\n"
        "the jobs that did not complete.",
    ),
    "pin": Command("JOB", "keep a job in the history, whatever its age", _json_option, "dbtend pin 42"),
    "unpin": Command("JOB", "remove the pin of a job", _json_option, "dbtend unpin 42"),
    "prune": Command(
        "[--dry-run]", "remove old history now", _prune_options, "dbtend prune --dry-run",
        "[retention] in the config file says how long jobs are kept.",
    ),
    "notify": Command(
        "[NAME] [--test]", "who is told of what happens, and whether messages arrive", _notify_options,
        "dbtend notify ops --test",
        "Recipients are in [notify.NAME] of the config file. A permanent `dbtend worker` tells them; `dbtend run`\n"
        "and `dbtend schedules --run NAME` do so where from_runs is true. With NAME also its ten newest messages.\n"
        "Exit code 1: a message could not be delivered, or was refused for some of its addresses.",
    ),
    "report": Command(
        "[--since 7d] --html FILE", "what happened in the last days, as one page of HTML", _report_options,
        "dbtend report --since 7d --html report.html",
        "The page has no script and needs nothing from elsewhere: it can be mailed and printed.",
    ),
    "metrics": Command(
        "[--textfile FILE]", "the state of targets, jobs and schedules for Prometheus", _metrics_options,
        "dbtend metrics --textfile /var/lib/node_exporter/dbtend.prom",
        "Nothing is opened: sizes and levels are those of the last survey, such as by `dbtend fleet`. With targets in\n"
        "the config file, only these are told of. To serve the same by HTTP: `dbtend worker --metrics 9187`.",
    ),
    "worker": Command(
        "[--idle-exit SECONDS]", "run jobs in the background until stopped", _worker_options,
        "dbtend worker --workers 4",
    ),
    "workers": Command(
        "", "the worker processes, and what they run", _json_option, "dbtend workers"
    ),
    "pause": Command("", "start no new job, in any process; running operations go on", _json_option, "dbtend pause"),
    "resume": Command("", "start jobs again", _json_option, "dbtend resume"),
    "doctor": Command(
        "[TARGET...]", "check versions, paths and permissions, and name the fixes", _json_option,
        "dbtend doctor sales.db",
    ),
    "completion": Command(
        "SHELL", "print the completion script of a shell: bash, zsh or fish", _completion_options,
        "dbtend completion bash",
    ),
}  # fmt: skip
CONSOLE: Final = Command("[TARGET...]", "open the console", _console_options, "dbtend sales.db")
