"""Advice on dead space in PostgreSQL against what a rewrite returns: python -m benchmarks.postgres_bloat [MAJOR]

Tables with indexes of each kind are made and changed, and VACUUM runs. What the advice then says of each is compared
with what VACUUM FULL gives back. It is asked twice: by a superuser, and by the owner, who may not read the server's
files, so that there are statistics alone. Beside it stands what pgstattuple finds, which reads all of a table or
index: free and dead space of tables, the density of the leaves of B-trees, the free space of hash indexes. Errors are
points of the size before; of each kind the mean of all that it tells anything of, the largest one, and how many it
tells nothing of.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final

from engine.domain.thresholds import Thresholds
from engine.targets.postgres.advising.collect import collect_condition
from engine.targets.postgres.reading.shapes import LEAST_PAGES
from tests.engine.targets.server_session import connected
from tests.postgres_databases import Database, new_database
from tests.postgres_server import NO_SERVER, running_server, servers_found

PLAIN: Final = """
SELECT g AS id, (random() * 1e6)::int AS n, md5(g::text) AS s, g % 50 AS few, (g % 1000)::numeric AS decimal,
    g / 20 AS a, g / 20 * 7 % 1000 AS b, g % 5000 AS c, CASE WHEN g % 3 > 0 THEN g END AS nullable,
    CASE WHEN random() < 0.4 THEN 'open' ELSE 'done' END AS state
FROM generate_series({0}, {1}) AS g
"""
RICH: Final = """
SELECT g AS id, (random() * 1e6)::int AS n, md5(g::text) AS s, g % 50 AS few, 'open' AS state,
    ARRAY[(random() * 500)::int, (random() * 20000)::int, g % 7] AS list,
    to_tsvector('simple', md5((g % 3000)::text) || ' ' || md5(g::text) || ' w' || g % 200) AS words,
    jsonb_build_object('kind', g % 1000, 'number', g) AS document, point(random() * 1000, random() * 1000) AS place,
    int4range((random() * 1e6)::int, (1e6 + random() * 1e6)::int) AS span
FROM generate_series({0}, {1}) AS g
"""
LONG: Final = """
SELECT g AS id, 0 AS n, '' AS s, 'open' AS state, substr(long, 1, 3000) AS three, substr(long, 1, 9000) AS nine,
    substr(long, 1, 2100 + g * 7919 % 15000) AS mixed
FROM generate_series({0}, {1}) AS g
CROSS JOIN LATERAL (SELECT string_agg(md5((g * 1000 + i)::text), '') FROM generate_series(1, 540) AS i) AS one (long)
"""

EXTENSIONS: Final = ("pg_trgm", "btree_gist", "pgstattuple")
ALL: Final = Thresholds(index_bloat=1, index_bloat_share=0.0, table_bloat=1, table_bloat_share=0.0)


@dataclass(frozen=True, slots=True)
class Content:
    """A table with its indexes, by kind."""

    rows: str
    number: int
    indexes: Mapping[str, Sequence[str]]


CONTENTS: Final = (
    Content(PLAIN, 200_000, {
        "B-tree": ("(id)", "(n)", "(s)", "(few)", "(decimal)", "(nullable)", "(n) INCLUDE (few)"),
        "B-tree, partial": ("(id) WHERE state = 'open'", "(s) WHERE state = 'open'", "(few) WHERE state = 'open'"),
        "B-tree, correlated": ("(a, b)", "(c, few)", "(few, state)", "(a, b, state)"),
        "B-tree, expression": ("(upper(s))", "((n % 100))", "((a + b), state)"),
    }),
    Content(RICH, 80_000, {
        "GIN": ("USING gin (list)", "USING gin (words)", "USING gin (document)", "USING gin (s gin_trgm_ops)"),
        "GiST": (
            "USING gist (place)", "USING gist (span)", "USING gist (words)", "USING gist (s gist_trgm_ops)",
            "USING gist (n)",
        ),
        "hash": ("USING hash (n)", "USING hash (s)", "USING hash (few)"),
        "SP-GiST": ("USING spgist (place)", "USING spgist (s)"),
        "BRIN": ("USING brin (id) WITH (pages_per_range = 1)",),
    }),
    Content(LONG, 3_000, {}),
)  # fmt: skip
CHANGES: Final = {
    "as made": (),
    "60% deleted": ("DELETE FROM item WHERE random() < 0.6",),
    "90% deleted": ("DELETE FROM item WHERE id % 10 > 0",),
    "a range deleted": ("DELETE FROM item WHERE id > {0} / 4 AND id < {0} * 3 / 4",),
    "updated": (
        "UPDATE item SET n = n + 1, s = md5(s), state = 'done'",
        "UPDATE item SET n = n + 1 WHERE random() < 0.5",
    ),
    "grown": ("INSERT INTO item {1}", "DELETE FROM item WHERE random() < 0.3"),
}


@dataclass(frozen=True, slots=True)
class Case:
    """One table or index after a change. Shares; None where the advice has none."""

    kind: str
    what: str
    said: Mapping[str, float | None]
    """By a superuser, by the owner, and by pgstattuple."""
    real: float


def cases(database: Database, content: Content, change: str) -> Iterator[Case]:
    database("DROP TABLE IF EXISTS item")
    first = content.number if change != "grown" else content.number // 10
    database(f"CREATE TABLE item AS {content.rows.format(1, first)}", "ALTER TABLE item OWNER TO joe")
    for column in ("three", "nine", "mixed") if content.rows is LONG else ():
        database(f"ALTER TABLE item ALTER {column} SET STORAGE EXTERNAL")
    if content.rows is LONG:
        database("CREATE TABLE copy AS TABLE item", "TRUNCATE item", "INSERT INTO item TABLE copy", "DROP TABLE copy")
    kinds = {
        f"item_{number}": (kind, index)
        for number, (kind, index) in enumerate(
            (kind, index) for kind, indexes in content.indexes.items() for index in indexes
        )
    }
    for name, (_, index) in kinds.items():
        how = index if index.startswith("USING") else f"USING btree {index}"
        database(f"CREATE INDEX {name} ON item {how}")
    for statement in CHANGES[change]:
        database(statement.format(content.number, content.rows.format(first + 1, content.number)), "VACUUM item")
    database("VACUUM ANALYZE item", "VACUUM ANALYZE item", "CHECKPOINT")
    before = sizes(database)
    said = {
        who: asyncio.run(bloat_by(url))
        for who, url in (("superuser", database.url), ("owner", database.as_user("joe")))
    }
    said["pgstattuple"] = dict(measured(database))
    database("VACUUM FULL item")
    after = sizes(database)
    for name, (oid, pages) in before.items():
        if pages >= LEAST_PAGES:
            kind, index = kinds.get(name, ("TOAST", "") if "toast" in name else ("table", ""))
            kind = "TOAST's index" if name == "toast index" else kind
            shares = {who: found.get(oid) for who, found in said.items()}
            yield Case(kind, f"{index or name} {change}", shares, 1 - after[name][1] / pages)


def sizes(database: Database) -> dict[str, tuple[int, int]]:
    """Oid and pages by name, of the table, its indexes, its TOAST table and that one's index."""
    rows = database("""
        SELECT CASE WHEN c.relkind = 't' THEN 'toast' WHEN c.relname ~ '^pg_toast' THEN 'toast index'
                ELSE c.relname END,
            c.oid::int8, pg_relation_size(c.oid) / 8192
        FROM pg_class AS t JOIN pg_class AS c ON c.oid IN (t.oid, t.reltoastrelid)
            OR c.oid IN (SELECT indexrelid FROM pg_index WHERE indrelid IN (t.oid, t.reltoastrelid))
        WHERE t.oid = 'item'::regclass
    """)
    return {name: (oid, pages) for name, oid, pages in rows}


async def bloat_by(url: str) -> Mapping[int, float]:
    async with connected(url, writing=False) as session:
        return {oid: one.share for oid, one in (await collect_condition(session._reader, ALL)).bloat.items()}


def measured(database: Database) -> Iterator[tuple[int, float]]:
    """Oid and share of what pgstattuple has a function for."""
    functions = {
        "heap": "(SELECT (dead_tuple_percent + free_percent) / 100 FROM pgstattuple({0}))",
        "btree": "(SELECT greatest(1 - avg_leaf_density / 90, 0) FROM pgstatindex({0}))",
        "hash": "(SELECT free_percent / 100 FROM pgstathashindex({0}))",
    }
    for oid, kind in database("""
        SELECT c.oid::int8, am.amname FROM pg_class AS t JOIN pg_class AS c ON c.oid IN (t.oid, t.reltoastrelid)
            OR c.oid IN (SELECT indexrelid FROM pg_index WHERE indrelid IN (t.oid, t.reltoastrelid))
        JOIN pg_am AS am ON am.oid = c.relam WHERE t.oid = 'item'::regclass
    """):
        if kind in functions and database.value(f"SELECT pg_relation_size({oid})"):
            share = database.value(f"SELECT {functions[kind].format(f'{oid}::oid::regclass')}::float8")
            yield oid, 0.0 if share != share else share  # an empty index has no density


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("major", nargs="?", type=int, help="of the server; the newest that is found")
    parser.add_argument("--each", action="store_true", help="print each case, too")
    given = parser.parse_args(arguments)
    servers = servers_found()
    if not servers:
        print(NO_SERVER)
        return
    found: list[Case] = []
    with running_server(servers[given.major or max(servers)]) as server, new_database(server) as database:
        database(
            "SET statement_timeout = 0",
            "CREATE EXTENSION pg_trgm",
            "CREATE EXTENSION btree_gist",
            "CREATE EXTENSION pgstattuple",
        )
        database("CREATE ROLE joe LOGIN", "GRANT CREATE ON SCHEMA public TO joe")
        print(f"PostgreSQL {database.major}")
        for content in CONTENTS:
            for change in CHANGES:
                for case in cases(database, content, change):
                    found.append(case)
                    if given.each:
                        print(f"  {case.kind}: {case.what}: {case.real:.0%}, said {told(case)}", flush=True)
        database("DROP TABLE item", "DROP OWNED BY joe", "DROP ROLE joe")
    for kind in dict.fromkeys(case.kind for case in found):
        print(summary(kind, [case for case in found if case.kind == kind]))


def told(case: Case) -> str:
    return ", ".join("nothing" if share is None else f"{share:.0%}" for share in case.said.values())


def summary(kind: str, of_kind: Sequence[Case]) -> str:
    texts = []
    for who in ("superuser", "owner", "pgstattuple"):
        said = [(share, case.real) for case in of_kind if (share := case.said[who]) is not None]
        errors = [100 * abs(share - max(real, 0.0)) for share, real in said]
        text = f"mean {fmean(errors):.1f}, worst {max(errors):.0f}" if errors else "nothing told"
        texts.append(
            f"{who} {text}" + (f", {len(of_kind) - len(errors)} not told" if 0 < len(errors) < len(of_kind) else "")
        )
    return f"{kind:20} {len(of_kind):3} cases  {'; '.join(texts)}"


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
