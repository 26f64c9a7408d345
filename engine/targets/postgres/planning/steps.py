"""Steps as the session executes them: what a plan shows, and what its execution goes by."""

from __future__ import annotations

from enum import StrEnum

from engine.domain.frozen import frozen
from engine.targets.protocol import PlannedStep


class Method(StrEnum):
    """The ways in which a command is carried out."""

    VACUUM = "vacuum"
    """VACUUM and ANALYZE: what they leave out they only warn of."""
    VACUUM_FULL = "vacuum_full"
    CLUSTER = "cluster"
    REINDEX = "reindex"
    """REINDEX that is not concurrent."""
    REINDEX_CONCURRENTLY = "reindex_concurrently"
    """Leaves an invalid index behind where it does not get through."""
    DROP_LEFTOVER = "drop_leftover"
    CHECK = "check"
    RECORD_VERSION = "record_version"
    """That everything which a collation orders was rebuilt by its version of now."""
    STATISTICS = "statistics"
    """What many VACUUMs left to be done once."""

    @property
    def is_rebuild(self) -> bool:
        """Whether it makes new indexes."""
        return self in {Method.VACUUM_FULL, Method.CLUSTER, Method.REINDEX, Method.REINDEX_CONCURRENTLY}


class Model(StrEnum):
    """How the progress of a command is told."""

    VACUUM = "vacuum"
    VACUUM_ANALYZE = "vacuum_analyze"
    ANALYZE = "analyze"
    REWRITE = "rewrite"
    """VACUUM FULL and CLUSTER."""
    REINDEX = "reindex"
    REINDEX_CONCURRENTLY = "reindex_concurrently"
    NONE = "none"


@frozen(kw_only=True)
class Subject:
    """The table or index that a step works on, and how large it is, by which its progress is reckoned."""

    oid: int
    schema: str
    name: str
    table: str
    """As people know it: of an index, of a TOAST table, the table they belong to."""
    table_pages: int = 0
    index_pages: int = 0
    indexes: int = 0
    rows: float = 0
    table_oid: int = 0
    """Of an index, the table that it belongs to."""
    dead_rows: int = 0
    dead_share: float = 0.0
    """Of the rows of a table."""
    visible_share: float = 0.0
    """Of the pages of a table, those that VACUUM need not look at."""
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
    """A planned step, with what its execution goes by."""

    method: Method
    model: Model = Model.NONE
    subject: Subject | None = None
    """None: the whole database."""
    is_measured: bool = True
    """Whether its subject may take less afterwards, so that it is worth to ask for that before and after."""
    verbose_command: str = ""
    """The same as a command that tells what it does: run where the server said nothing but a warning, which may mean
    that it did nothing."""
    first_command: str = ""
    follow_up_command: str = ""
    """Of a `command` that is two: the second runs once the first has completed. If it fails, that is a warning."""
    settings: tuple[tuple[str, str], ...] = ()
    """What its connection is set to for it."""
    collations: tuple[str, ...] = ()
    """Of a rebuild, what it is remembered by, where an index is ordered by rules that have changed."""
    required_objects: tuple[str, ...] = ()
    """The objects whose steps have to be completed before, or this one is not run."""
    reads_whole_table: bool = False
    """Of a check, whether it is of a whole table."""
    uncompared_command: str = ""
    """Of a check that compares its subject with another: the same of its subject only."""
    is_compared_with: bool = False
    """Of a check: what it finds in its subject makes doubtful what the others of its table compare."""

    @property
    def is_repeatable(self) -> bool:
        """Whether it may simply be begun once more after its connection was lost."""
        return self.model is not Model.REWRITE
