"""The commands whose behaviour is recorded, in the order in which they run: each sees what those before it did.

`shop`, `blog` and so on are targets of the config file, built by `databases.py`. Other tests compare the rest:
the console (`tests/tui/console`, snapshots) and the options of every command (`docs/reference/command-line.md`,
`docs/dbtend.1`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """Of databases; each has a store of its own and runs its commands in order."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"
    MARIADB = "mariadb"
    MYSQL = "mysql"
    SHARED = "shared-store"
    """SQLite files, and a store in PostgreSQL."""


S, P, A, M, H = Kind
SERVERS: Final = (P, A, M)
ENGINES: Final = (S, *SERVERS)


WRONG_CONFIGS: Final = {
    "syntax": "[targets.shop\n",
    "key": '[targets.shop]\nurl = "shop.db"\nlok_timeout = 1\n',
    "value": '[targets.shop]\nurl = "shop.db"\nlock_timeout = "soon"\n',
    "password": '[targets.shop]\nurl = "postgresql://ann:secret@db1/shop"\n',
}


@dataclass(frozen=True, slots=True)
class Command:
    """One recorded file for each kind."""

    name: str
    kinds: tuple[Kind, ...]
    lines: tuple[str, ...]
    """Calls of `dbtend`; `{job}` is the newest job printed, `{store}` the store. `cat FILE`: what one wrote."""
    locked: bool
    """Meanwhile another session holds locks on all tables of `shop`."""
    served: bool
    """Meanwhile a worker process runs."""


def _command(name: str, kinds: tuple[Kind, ...], *lines: str, locked: bool = False, served: bool = False) -> Command:
    return Command(name, kinds, lines, locked, served)


COMMANDS: Final = (
    _command("store-init", (H,), "store check", "run shop", "store init {store}", "store init {store}", "store check"),
    # before anything has run
    _command("help", (S,), "--help", "run --help", "fleet --help", "schedules --help", "store --help"),
    _command("wrong-usage", (S,), "rnu shop", "run", "run shop --op vacum", "run shop --keep 0", "show x", "prune now"),
    _command("wrong-option", ENGINES, "plan shop --op analyze --keep 3 --truncate", "run shop --time-limit 0s"),
    _command("wrong-target", ENGINES, "run nobody", "plan gone", "run @nobody", "advise shop gone"),
    _command("wrong-config", (S,), *(f"plan shop --config {name}.toml" for name in WRONG_CONFIGS)),
    _command("history-empty", (S, H), "history", "history --json", "history --csv", "show 1", "workers"),
    _command("advise", ENGINES, "advise shop blog"),
    _command("advise-json", ENGINES, "advise shop --json"),
    _command("plan", ENGINES, "plan shop"),
    _command("plan-json", ENGINES, "plan shop --json"),
    _command("plan-needed", ENGINES, "plan shop blog --needed"),
    _command("map", ENGINES, "map shop", "map shop --json"),
    # each operation
    _command("run", (*ENGINES, H), "run shop", "show {job}", "show {job} --commands"),
    _command("run-json", ENGINES, "run shop --op analyze --json"),
    _command("run-check", ENGINES, "run shop --op check", "run shop --op check --check quick", "show {job}"),
    _command("run-clean-leftovers", (P,), "run blog --op clean-leftovers"),
    _command("run-optimize", ENGINES, "run blog --op optimize --object item", "run blog --op optimize", "show {job}"),
    _command("run-vacuum-verified", (S, P), "run blog --op vacuum --verify"),
    _command("run-swap", (S,), "run blog --op vacuum --swap"),
    _command("run-checkpoint", (S,), "run blog --op checkpoint --op incremental-vacuum --op fts-optimize"),
    _command("run-backup", (S,), *["run shop --op backup --backup-to copies --keep 1"] * 2),
    _command("run-vacuum-full", (P,), "run blog --op vacuum-full", "run blog --op vacuum-full --yes"),
    _command("run-cluster", (P,), "run blog --op cluster --yes", "run blog --op repack"),
    _command("run-rebuild", (A, M), "run blog --op rebuild", "run blog --op rebuild --offline --yes"),
    _command("run-purge-undo", (A, M), "run shop --op purge-undo --yes"),
    # other ends
    _command("run-failed", (S, P), "run bad --op reindex", "show {job}"),
    _command("run-damaged", (S, A, M), "run damaged --op check", "advise damaged", "run damaged --op analyze"),
    _command("run-repair", (S, A, M), "run damaged --op reindex", "run damaged --op repair --yes"),
    _command("run-refused", (S,), "run notes --op vacuum", "plan notes --op vacuum", "run notes --op vacuum --force"),
    _command("run-locked", ENGINES, "run shop --op analyze --object item --lock-timeout 1", "show {job}", locked=True),
    _command("run-nothing-needed", ENGINES, "run blog --needed"),
    _command("run-read-only", (S,), "run shop --read-only", "pin 1 --read-only"),
    _command("run-several", ENGINES, "run @all --op analyze --workers 1", "show b1", "show b1 --json"),
    _command("retry", ENGINES, "retry 1 --json", "retry 1 --failed"),
    _command("pause", (S, H), "pause", "run shop --op reindex --detach", "workers", "workers --json", served=True),
    _command("cancel", (S, H), "show {job}", "cancel {job}", "show {job}", "resume"),
    _command("cancel-ended", (S, H), "cancel 1", "cancel 999", "cancel 1 --force"),
    # what is told afterwards
    _command("history", (*ENGINES, H), "history"),
    _command("history-json", (S, H), "history --json --limit 2"),
    _command("history-csv", ENGINES, "history --csv"),
    _command("history-filters", (S, H), "history status:failed", "history --op reindex", "history --grep no"),
    _command("show-json", ENGINES, "show 1 --json"),
    _command("fleet", (*ENGINES, H), "fleet", "fleet --only now", "fleet level:small size:>1kB"),
    _command("fleet-json", ENGINES, "fleet --json"),
    _command("fleet-accept-damage", (S, A, M), "fleet damaged --accept-damage", "fleet damaged"),
    _command("schedules", (S, H), "schedules", "schedules leap", "schedules --json"),
    _command("schedules-run", (S, H), "schedules --run leap", "schedules --run leap --yes", "schedules --disable leap"),
    _command("schedules-units", (S,), "schedules --cron", "schedules --systemd"),
    _command("notify", (S, H), "notify", "notify ops --test", "notify ops"),
    _command("metrics", ENGINES, "metrics"),
    _command("report", ENGINES, "report --html week.html", "cat week.html"),
    _command("pin-and-prune", (S, H), "pin 1", "unpin 1", "prune --dry-run", "prune"),
    _command("worker", (S, H), "worker --idle-exit 0", "worker --drain elsewhere", "worker --undrain elsewhere"),
    _command("doctor", (*ENGINES, H), "doctor shop"),
    _command("demo", (S,), "demo"),
    _command("completion", (S,), "completion cmd"),
    _command("store-copy", (H,), "store copy jobs.db", "store copy jobs.db {store}", "store copy none.db {store}"),
)  # fmt: skip
