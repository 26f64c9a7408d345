"""Every command: how it is called, what it does in a line, and the options it takes."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Final

from engine.domain.frozen import frozen
from tui.commands.server_options import add_server_options, yes_option
from tui.presentation import typed_values
from tui.presentation.exit_codes import MEANINGS

WORDS: Final[Mapping[str, str]] = {
    "TARGET": "a path, postgresql://..., service=NAME, or a name from the config file",
    "JOB": "the id of a job, 42, or of one of its operations, 42.2",
    "FILTERS": "words as in the filter line of the console",
    "SHELL": "bash, zsh or fish",
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
    _execution_options(parser)
    _json_option(parser)


def _plan_options(parser: argparse.ArgumentParser) -> None:
    """All that `run` takes, so that one word makes a plan of a run; what changes no plan is not shown."""
    _request_options(parser)
    parser.add_argument("--workers", type=typed_values.workers, help=argparse.SUPPRESS)
    parser.add_argument("--grace", type=typed_values.seconds, help=argparse.SUPPRESS)
    parser.add_argument("--detach", action="store_true", help=argparse.SUPPRESS)
    _json_option(parser)


def _request_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--op", dest="operations", action="append", type=typed_values.operation, metavar="OPERATION",
        help=f"one of {', '.join(typed_values.OPERATIONS)}; repeatable, order kept"
        " (default: vacuum, analyze; on a server also reindex, optimize)",
    )  # fmt: skip
    parser.add_argument(
        "--needed", action="store_true",
        help="only what `dbtend advise` calls for, now or soon; what --op names runs all the same",
    )  # fmt: skip
    parser.add_argument(
        "--on-failure", type=typed_values.on_failure, metavar="continue|stop", help="what follows a failed operation"
    )
    parser.add_argument(
        "--on-step-failure", type=typed_values.on_step_failure, metavar="continue|stop",
        help="what follows, inside one operation, a table or index that failed (default: continue)",
    )  # fmt: skip
    parser.add_argument(
        "--lock-timeout", type=typed_values.seconds, metavar="SECONDS", help="how long to wait for a lock"
    )
    parser.add_argument(
        "--time-limit",
        type=typed_values.time_limit,
        metavar="DURATION",
        help="30m, 2h: after it no operation, and no step, begins",
    )
    parser.add_argument("--until", type=typed_values.time_of_day, metavar="HH:MM", help="from then on none begins")
    parser.add_argument("--stop-at-limit", action="store_true", help="at the limit, also ask what runs to stop safely")
    _how_options(parser)
    add_server_options(parser)


def _how_options(parser: argparse.ArgumentParser) -> None:
    """How the operations do their work."""
    parser.add_argument(
        "--verify", action=argparse.BooleanOptionalAction,
        help="check the database before and after; where the first check fails nothing else runs",
    )  # fmt: skip
    parser.add_argument(
        "--check", type=typed_values.check_level, metavar="quick|full",
        help="how thorough a check is: full also compares indexes with tables (default: full; quick with --verify)",
    )  # fmt: skip
    parser.add_argument(
        "--object", dest="objects", action="append", type=typed_values.text, metavar="NAME",
        help="only this table or index, where the operation can do that; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--analysis-limit", type=typed_values.analysis_limit, metavar="N",
        help="analyze: look at about N rows of each index (default: 0, all rows)",
    )  # fmt: skip
    parser.add_argument(
        "--backup-to", type=typed_values.path, metavar="PATH",
        help="backup: the new file, or the directory where it goes (default: beside the database)",
    )  # fmt: skip
    parser.add_argument(
        "--jobs", type=typed_values.jobs, metavar="N", help="how many objects at once inside one operation"
    )
    parser.add_argument(
        "--force", action="store_true", default=None,
        help="go on where space is missing, or where VACUUM changes rowids that something goes by",
    )  # fmt: skip


def _execution_options(parser: argparse.ArgumentParser) -> None:
    _workers_option(parser)
    _grace_option(parser)
    parser.add_argument(
        "--detach", action="store_true", help="print the job ids and leave: a worker process carries on"
    )


def _workers_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workers", type=typed_values.workers, metavar="N", help="how many targets at once")


def _grace_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--grace", type=typed_values.seconds, metavar="SECONDS", help="how long what runs may go on after SIGTERM"
    )


def _json_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def _console_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-mouse", action="store_true", help="leave the mouse to the terminal")


def _advise_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--thorough", action="store_true", help="count all rows and look into all pages, however long it takes"
    )
    _json_option(parser)


def _demo_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--keep", type=typed_values.path, metavar="DIR", help="build it in DIR and leave it there")
    _console_options(parser)
    _json_option(parser)


def _history_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--target", type=typed_values.text, metavar="T", help="only this target")
    parser.add_argument(
        "--status", type=typed_values.status, metavar="STATUS", help="only jobs that ended, or stand, like this"
    )
    parser.add_argument(
        "--op", dest="operation", type=typed_values.operation, metavar="OPERATION", help="with this operation"
    )
    parser.add_argument("--since", type=typed_values.since, metavar="DATE|7d", help="created then or later")
    parser.add_argument("--until", type=typed_values.until, metavar="DATE", help="created up to the end of then")
    parser.add_argument(
        "--grep", type=typed_values.text, metavar="TEXT", help="with an error or a reason that contains TEXT"
    )
    parser.add_argument(
        "--limit", type=typed_values.limit, default=50, metavar="N", help="at most so many (default: 50)"
    )
    parser.add_argument(
        "--before", type=typed_values.parent_id, metavar="JOB", help="older than this job: the next page"
    )
    _json_option(parser)


def _retry_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--failed", action="store_true", help="only the operations that did not complete")
    yes_option(parser)
    _execution_options(parser)
    _json_option(parser)


def _cancel_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--force", action="store_true", help="end it even if its process has to be killed for that")
    parser.add_argument(
        "--confirm", type=typed_values.text, metavar="JOB", help="which one, so that --force asks nothing"
    )
    _json_option(parser)


def _worker_options(parser: argparse.ArgumentParser) -> None:
    # How who starts a worker hands it what was typed, and learns why it ended; they are no options for people.
    parser.add_argument("--passwords-from-stdin", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument(
        "--idle-exit", type=typed_values.seconds, metavar="SECONDS", help="end after so long without work"
    )
    _workers_option(parser)
    _grace_option(parser)


def _prune_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="remove nothing, only count")
    _json_option(parser)


COMMANDS: Final[Mapping[str, Command]] = {
    "demo": Command(
        "[--keep DIR]", "try everything on a sample database made for it", _demo_options, "dbtend demo",
        "Without a terminal on stdout, all operations run headless and the result is printed.",
    ),
    "plan": Command(
        "TARGET... [OPTIONS]", "show exactly what `run` would do, and change nothing", _plan_options,
        "dbtend plan sales.db --op vacuum", TARGET_HELP,
    ),
    "run": Command(
        "TARGET... [OPTIONS]", "run maintenance in the foreground and wait for it", _run_options,
        "dbtend run sales.db --op vacuum --until 06:00",
        TARGET_HELP + "\n\nCtrl-C asks for a safe cancel. SIGTERM lets what runs end within the grace period; what\n"
        "is left goes on in a worker process if there is one, else it is cancelled. A second\n"
        "signal leaves at once. Without its terminal, when that is lost, a run goes on.\n\n"
        "Exit codes:\n" + "\n".join(f"{code:5}  {meaning}" for code, meaning in MEANINGS.items()),
    ),
    "advise": Command(
        "TARGET... [--thorough]", "what needs which operation, and why", _advise_options,
        "dbtend advise sales.db",
        TARGET_HELP + "\n\nLooks that take long, such as counting rows, are given half a second for each target.",
    ),
    "history": Command(
        "[FILTERS]", "all jobs that ever ran, newest first", _history_options,
        "dbtend history status:failed op:vacuum since:7d disk full",
        "FILTERS are the options below, or words as in the filter line of the console: target:PART of a\n"
        "name, status:, op:, since:, until:; all other words are text of one error, each of which it holds.",
    ),
    "show": Command("JOB", "one job (42 or 42.2): steps, log, effects", _json_option, "dbtend show 42"),
    "cancel": Command(
        "JOB [--force]", "ask a job (42 or 42.2) to end safely", _cancel_options, "dbtend cancel 42",
        "With --force, what cannot be interrupted is ended, too: its process is killed, what it has begun is\n"
        "undone, and its database is checked for damage. It asks first; without a terminal, confirm it with\n"
        "the id of the operation that runs: dbtend cancel 42 --force --confirm 42.1",
    ),
    "retry": Command(
        "JOB [--failed]", "run the request of an earlier job once more", _retry_options, "dbtend retry 42 --failed",
        "The request is the same, with its options; a time limit is counted anew.",
    ),
    "pin": Command("JOB", "keep a job: retention leaves it alone", _json_option, "dbtend pin 42"),
    "unpin": Command("JOB", "keep a job no longer than others", _json_option, "dbtend unpin 42"),
    "prune": Command(
        "[--dry-run]", "remove the history that need not be kept any more", _prune_options, "dbtend prune --dry-run",
        "What is kept for how long is said in [retention] of the config file.",
    ),
    "worker": Command(
        "[--idle-exit SECONDS]", "carry out jobs in the background until stopped", _worker_options,
        "dbtend worker --workers 4",
    ),
    "workers": Command(
        "", "the processes that carry out jobs, and what they run", _json_option, "dbtend workers"
    ),
    "pause": Command("", "let no job start, in any process; what runs goes on", _json_option, "dbtend pause"),
    "resume": Command("", "let jobs start again", _json_option, "dbtend resume"),
    "doctor": Command(
        "[TARGET...]", "versions, paths, permissions: what is wrong, and the fix", _json_option,
        "dbtend doctor sales.db",
    ),
    "completion": Command(
        "SHELL", "print the completion script of a shell: bash, zsh or fish", _completion_options,
        "dbtend completion bash",
    ),
}  # fmt: skip
CONSOLE: Final = Command("[TARGET...]", "open the console", _console_options, "dbtend sales.db")
