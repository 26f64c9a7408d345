"""One `dbtend run @all --needed` for the files of three hosts and databases of a server, asked for on a fourth host:
python -m benchmarks.many_hosts [--files N] [--databases N] [--workers N]

Hosts are network namespaces, with a worker pool each; the fourth carries out nothing but its run. As root.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.fleet_batch import make_files
from tests.network_hosts import NETWORK, Host, free_port, network_hosts
from tests.postgres_databases import as_admin
from tests.postgres_server import PostgresServer, servers_found
from tests.shared_stores import copied_store, make_template

HOSTS = 3
WHERE_EACH_RAN = """SELECT p.target, p.status, p.batch_id, c.host, c.status, c.operation FROM dbtend.parent_job AS p
JOIN dbtend.child_job AS c ON c.parent_id = p.id"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--databases", type=int, default=30)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    binaries = servers_found()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        hosts = stack.enter_context(network_hosts(HOSTS + 1))
        server = PostgresServer(binaries[max(binaries)], ["max_connections=300", "autovacuum=on"])
        stack.callback(server.discard)
        server.listen_to(NETWORK, free_port())
        server.start()
        make_template(server)
        store = stack.enter_context(copied_store(server))
        tend(directory, hosts, server, store, options)


def tend(
    directory: Path, hosts: Sequence[Host], server: PostgresServer, store: str, options: argparse.Namespace
) -> None:
    *tending, asking = hosts
    for host in hosts:
        subprocess.run([*host.command, "ip", "route", "add", "default", "via", host.server], check=True)
    urls = {"store": at(asking, server, store.partition("?")[0].rpartition("/")[2])}
    config = directory / "config.toml"
    config.write_text(entries(directory, tending, asking, server, options))
    processes = [start(host, directory, urls["store"], "worker", "--workers", str(options.workers)) for host in tending]
    try:
        with as_admin(store) as admin:
            while admin.execute("SELECT count(*) FROM dbtend.worker").fetchone() != (HOSTS * options.workers,):
                time.sleep(0.1)
        begin = time.perf_counter()
        run = start(asking, directory, urls["store"], "run", "@all", "--needed", "--quiet", "--config", str(config))
        run.wait()
        seconds = time.perf_counter() - begin
        print((directory / f"run-{asking.name}.log").read_text().strip())
        print(f"exit code {run.returncode}, {seconds:.0f} s")
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()
    judge(store)


def entries(
    directory: Path, tending: Sequence[Host], asking: Host, server: PostgresServer, options: argparse.Namespace
) -> str:
    """The config file; makes what it names."""
    found = ["[defaults]\nworkers = 1\n"]
    for number, host in enumerate(tending):
        count = options.files // HOSTS + (number < options.files % HOSTS)
        make_files(directory / host.name, count)
        for n in range(1, count + 1):
            path = directory / host.name / f"t{n}.db"
            found.append(f'[targets.h{number}-t{n}]\nurl = "sqlite://{host.name}{path}"\ngroups = ["all"]\n')
    for n in range(options.databases):
        with as_admin(server.url()) as admin:
            admin.execute(f"CREATE DATABASE d{n}")
        with as_admin(server.url(f"d{n}")) as admin:
            admin.execute("CREATE TABLE t AS SELECT generate_series(1, 100000) AS a")
        found.append(f'[targets.d{n}]\nurl = "{at(asking, server, f"d{n}")}"\ngroups = ["all"]\n')
    return "".join(found)


def at(host: Host, server: PostgresServer, database: str) -> str:
    return f"postgresql://postgres@{host.server}:{server.tcp_port}/{database}"


def start(host: Host, directory: Path, store: str, *words: str) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "DBTEND_HOST": host.name,
        "DBTEND_STORE": store,
        "XDG_STATE_HOME": str(directory / f"state-{host.name}"),
        "XDG_CONFIG_HOME": str(directory / f"config-{host.name}"),
    }
    command = [*host.command, sys.executable, "-m", "tui.cli", *words]
    with (directory / f"{words[0]}-{host.name}.log").open("w") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


def judge(store: str) -> None:
    with as_admin(store) as admin:
        rows = admin.execute(WHERE_EACH_RAN).fetchall()
    parents = {target: status for target, status, *_ in rows}
    print(f"{len(parents):,} jobs: {dict(Counter(parents.values()))}, {len({row[2] for row in rows})} batch")
    print(f"{len(rows):,} operations: {dict(Counter(row[4] for row in rows))}")
    print(f"needed: {dict(Counter(row[5] for row in rows if row[4] == 'completed'))}")
    of_files = [(target.split("/")[2], host) for target, _, _, host, *_ in rows if target.startswith("sqlite")]
    print(f"operations on files: {len(of_files):,}, elsewhere than on their host: {sum(a != b for a, b in of_files)}")
    print(f"operations on databases: {by_host(rows)}")


def by_host(rows: Sequence[tuple[str, ...]]) -> Mapping[str, int]:
    return dict(Counter(row[3] for row in rows if row[0].startswith("postgresql")))


if __name__ == "__main__":
    main()
