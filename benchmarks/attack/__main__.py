"""All attacks, one after the other: python -m benchmarks.attack [--count N] [--seed N] [NAME...]

Each makes so many mutants, and tells how many findings there were. Ends with exit code 1 where there was one.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from benchmarks.attack import (
    backups,
    batches,
    command_lines,
    configs,
    databases,
    exchanges,
    foreign,
    full_disks,
    limits,
    metrics,
    mysql_kills,
    notifications,
    overwrites,
    owners,
    pools,
    postgres_damage,
    roles,
    rowids,
    schedules,
    schemas,
    server_outages,
    servers,
    shared_store,
    stores,
    waits,
)

Attack = Callable[[int, int], Iterable[str]]
"""Takes how many mutants to make, and a seed; gives what was found, as it is found."""

ATTACKS: Final[Mapping[str, Attack]] = {
    "stores": stores.attack,
    "command-lines": command_lines.attack,
    "configs": configs.attack,
    "owners": owners.attack,
    "limits": limits.attack,
    "databases": databases.attack,
    "database-runs": databases.attack_runs,
    "backups": backups.attack,
    "schemas": schemas.attack,
    "postgres-damage": postgres_damage.attack,
    "rowids": rowids.attack,
    "server-outages": server_outages.attack,
    "mysql-kills": mysql_kills.attack,
    "overwrites": overwrites.attack,
    "exchanges": exchanges.attack,
    "exchange-kills": exchanges.attack_by_kills,
    "foreign": foreign.attack,
    "full-disks": full_disks.attack,
    "pools": pools.attack,
    "batches": batches.attack,
    "servers": servers.attack,
    "schedules": schedules.attack,
    "shared-store": shared_store.attack,
    "roles-and-grants": roles.attack,
    "notifications": notifications.attack,
    "metrics": metrics.attack,
    "waits": waits.attack,
}
TOLD: Final = 20
"""Findings that are told one by one."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(ATTACKS))
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    options = parser.parse_args()
    if unknown := set(options.names) - set(ATTACKS):
        parser.error(f"no attack is called {', '.join(sorted(unknown))}")
    any_found = False
    for name in options.names or ATTACKS:
        begin = time.perf_counter()
        found = 0
        for finding in ATTACKS[name](options.count, options.seed):
            found += 1
            if found <= TOLD:
                print(f"  {finding}", flush=True)
        any_found |= bool(found)
        seconds = time.perf_counter() - begin
        print(f"{name}: {options.count:,} mutants, seed {options.seed}, {seconds:.0f} s: {found} findings", flush=True)
    sys.exit(any_found)


if __name__ == "__main__":
    main()
