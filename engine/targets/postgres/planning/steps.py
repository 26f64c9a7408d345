"""Steps of a PostgreSQL plan, with the data that running them needs."""

from __future__ import annotations

from enum import StrEnum

from engine.domain.damage import ShortFile
from engine.domain.frozen import frozen
from engine.targets.plans import PlannedStep
from engine.targets.postgres.connection.names import Named
from engine.targets.postgres.reading.relations import Index, Table


class Method(StrEnum):
    """How a command works, and what remains where it does not complete."""

    VACUUM = "vacuum"
    """VACUUM and ANALYZE: they skip a table with a warning only."""
    VACUUM_FULL = "vacuum_full"
    CLUSTER = "cluster"
    REPACK = "repack"
    """A rewrite of a table that is in use."""
    PG_REPACK = "pg_repack"
    """A rewrite of a table that is in use, by the client of pg_repack."""
    REINDEX = "reindex"
    """REINDEX that is not concurrent."""
    REINDEX_CONCURRENTLY = "reindex_concurrently"
    """Leaves an invalid index behind if it does not complete."""
    DROP_LEFTOVER = "drop_leftover"
    DROP_PG_REPACK = "drop_pg_repack"
    """Drops what an interrupted pg_repack left of a table."""
    CHECK = "check"
    RECORD_VERSION = "record_version"
    """Records the current version of a collation after its indexes were rebuilt."""
    TEND_INDEX = "tend_index"
    """What VACUUM does to one index of the kinds GIN and BRIN."""
    STATISTICS = "statistics"
    """Database-wide statistics, once after many VACUUMs."""

    @property
    def is_rebuild(self) -> bool:
        """Whether it makes new indexes."""
        return self in {
            Method.VACUUM_FULL,
            Method.CLUSTER,
            Method.REPACK,
            Method.PG_REPACK,
            Method.REINDEX,
            Method.REINDEX_CONCURRENTLY,
        }


class Model(StrEnum):
    """Which model estimates the progress of a command."""

    VACUUM = "vacuum"
    VACUUM_ANALYZE = "vacuum_analyze"
    ANALYZE = "analyze"
    REWRITE = "rewrite"
    """VACUUM FULL, CLUSTER and REPACK."""
    PG_REPACK = "pg_repack"
    REINDEX = "reindex"
    REINDEX_CONCURRENTLY = "reindex_concurrently"
    NONE = "none"


@frozen(kw_only=True)
class Subject(Named):
    """The table or index that a step works on, with the sizes that its progress is computed from."""

    oid: int
    schema: str
    name: str
    table: str
    """The table as users name it: the owning table of an index or a TOAST table."""
    table_pages: int = 0
    index_pages: int = 0
    indexes: int = 0
    rows: float = 0
    table_oid: int = 0
    """The oid of the table of an index."""
    dead_rows: int = 0
    dead_share: float = 0.0
    """The share of the rows of a table that is dead."""
    visible_share: float = 0.0
    """The share of the pages of a table that VACUUM need not look at."""
    has_children: bool = False
    sorts_text: bool = False
    """Whether the first key of an index is compared by the rules of a language."""

    @property
    def is_index(self) -> bool:
        return self.table_oid != 0

    @property
    def lockable(self) -> int:
        """The table whose lock the step takes."""
        return self.table_oid or self.oid


@frozen(kw_only=True)
class PgStep(PlannedStep):
    """A planned step of PostgreSQL."""

    method: Method
    model: Model = Model.NONE
    subject: Subject | None = None
    """None: the whole database."""
    is_measured: bool = True
    """Whether the object may shrink, so that it is measured before and after."""
    verbose_command: str = ""
    """The command with VERBOSE. It runs where the server answered with a warning alone, which may mean that it did
    nothing."""
    first_command: str = ""
    """The SQL that is sent first, where `command` also shows settings or a second command, or is shortened; "" for
    `command` itself."""
    follow_up_command: str = ""
    """The second of two: it runs once the first has completed. If it fails, that is a warning."""
    group_command: str = ""
    """The beginning of the command for several tables that are as tiny; "" where it has one of its own in any case."""
    members: tuple[PgStep, ...] = ()
    """The step of each table of a group: it runs where the shared command did not do its table."""
    program: tuple[str, ...] = ()
    """The program that does it instead of the server, and its arguments without those of the connection."""
    settings: tuple[tuple[str, str], ...] = ()
    """Settings of its connection."""
    collations: tuple[str, ...] = ()
    """What a rebuild is remembered by, where an index is ordered by rules that have changed."""
    required_objects: tuple[str, ...] = ()
    """The objects whose steps must complete first; otherwise this one is skipped."""
    expects_vacuum: bool = False
    """Whether only the VACUUM of its table shows whether it is needed: it is looked at again then."""
    reads_whole_table: bool = False
    """Whether a check reads a whole table."""
    accepted_files: tuple[ShortFile, ...] = ()
    """Its short files that a person has accepted."""
    uncompared_command: str = ""
    """The command without the comparison, of a check that compares with another object."""
    is_followed: bool = False
    """Whether a further step does what this one leaves undone of its table."""
    is_compared_with: bool = False
    """Whether other checks compare with this object, so that its damage makes their findings doubtful."""

    @property
    def tables(self) -> tuple[str, ...]:
        return tuple(step.subject.table for step in self.members or (self,) if step.subject is not None)

    @property
    def is_rewrite(self) -> bool:
        """Whether it gives its table a new file. Such a step does not run again after its connection was lost."""
        return self.model in {Model.REWRITE, Model.PG_REPACK}


def table_subject(table: Table) -> Subject:
    return Subject(
        oid=table.oid,
        schema=table.schema,
        name=table.name,
        table=table.shown,
        table_pages=table.pages,
        index_pages=table.index_pages,
        indexes=table.indexes,
        rows=table.rows,
        dead_rows=table.dead_rows,
        dead_share=table.dead_share,
        visible_share=table.visible_share,
        has_children=table.has_children,
    )


def index_subject(index: Index, of: Table | None = None) -> Subject:
    return Subject(
        oid=index.oid,
        schema=index.schema,
        name=index.name,
        table=index.table_shown,
        table_pages=index.table_pages,
        index_pages=index.pages,
        indexes=1,
        rows=of.rows if of is not None else 0,
        table_oid=index.table_oid,
        sorts_text=index.sorts_text,
    )
