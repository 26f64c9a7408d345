-- The durable record of jobs. Times are microseconds since the epoch, UTC; durations of operations are seconds.
-- Closed vocabularies, legal transitions and the event log are enforced by triggers that schema.py generates from
-- engine/domain, as a CHECK cannot learn a word.
-- The statuses are written out as `=` chains: for an IN list SQLite builds a temporary b-tree at every write.

-- One request on many targets. A batch goes with its last job (a trigger).
CREATE TABLE batch (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    created_at   INTEGER NOT NULL,
    retry_of     INTEGER REFERENCES batch (id) ON DELETE SET NULL,
    max_failures INTEGER CHECK (max_failures > 0),
    canary       INTEGER CHECK (canary > 0),
    max_per_host INTEGER CHECK (max_per_host > 0),
    unsubmitted  INTEGER NOT NULL DEFAULT 0 CHECK (unsubmitted >= 0), -- jobs still to come: it is submitted in portions
    next_job     INTEGER, -- the id of the next of them; their ids are kept free
    cancelled_by TEXT -- who cancelled it while jobs were still to come, '' here: these are cancelled, too
) STRICT;
CREATE INDEX batch_retry_of ON batch (retry_of) WHERE retry_of IS NOT NULL;

CREATE TABLE parent_job (
    id                  INTEGER PRIMARY KEY AUTOINCREMENT, -- ids are in time order and are never used again
    type                TEXT NOT NULL DEFAULT 'database_maintenance_parent'
                        CHECK (type = 'database_maintenance_parent'),
    target              TEXT NOT NULL CHECK (target <> ''), -- canonical URL, as shown
    target_key          TEXT NOT NULL CHECK (target_key <> ''), -- what mutual exclusion goes by
    engine              TEXT NOT NULL,
    operations          TEXT NOT NULL CHECK (json_array_length(operations) > 0),
    options             TEXT NOT NULL CHECK (json_valid(options)),
    status              TEXT NOT NULL DEFAULT 'pending'
                        CHECK (status = 'pending' OR status = 'running' OR status = 'completed'
                            OR status = 'failed' OR status = 'cancelled'),
    retry_of            INTEGER REFERENCES parent_job (id) ON DELETE SET NULL,
    batch_id            INTEGER REFERENCES batch (id),
    canary              INTEGER NOT NULL DEFAULT 0 CHECK (canary = 0 OR canary = 1), -- whether its batch runs it first
    is_pattern          INTEGER NOT NULL DEFAULT 0 -- whether its databases could not be listed
                        CHECK (is_pattern = 0 OR is_pattern = 1),
    schedule            TEXT,
    submission          TEXT, -- what a submit is found by
    pinned              INTEGER NOT NULL DEFAULT 0 CHECK (pinned = 0 OR pinned = 1),
    deadline_at         INTEGER, -- from then on no child starts
    created_at          INTEGER NOT NULL,
    changed_at          INTEGER NOT NULL,
    started_at          INTEGER,
    finished_at         INTEGER,
    cancel_requested_at INTEGER,
    CHECK ((finished_at IS NULL) = (status = 'pending' OR status = 'running'))
) STRICT;
-- The status only of jobs that are over: a job that moves on would be taken out of and put into these again and again.
CREATE INDEX parent_job_status ON parent_job (status, id) WHERE finished_at IS NOT NULL;
CREATE INDEX parent_job_ended ON parent_job (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX parent_job_target ON parent_job (target, id);
CREATE INDEX parent_job_created ON parent_job (created_at, id);
CREATE INDEX parent_job_retry_of ON parent_job (retry_of) WHERE retry_of IS NOT NULL;
CREATE INDEX parent_job_deadline ON parent_job (deadline_at) WHERE deadline_at IS NOT NULL AND finished_at IS NULL;
-- A submit joins open jobs that ask for the same, and those of a path, whatever file is there.
CREATE INDEX parent_job_open ON parent_job (target_key, operations, options) WHERE finished_at IS NULL;
CREATE INDEX parent_job_open_of_target ON parent_job (target) WHERE finished_at IS NULL;
CREATE INDEX parent_job_batch ON parent_job (batch_id, status) WHERE batch_id IS NOT NULL;
CREATE INDEX parent_job_canary ON parent_job (batch_id, status) WHERE canary = 1;
CREATE INDEX parent_job_schedule ON parent_job (schedule, id) WHERE schedule IS NOT NULL;

CREATE TABLE child_job (
    parent_id           INTEGER NOT NULL REFERENCES parent_job (id) ON DELETE CASCADE,
    ordinal             INTEGER NOT NULL CHECK (ordinal > 0),
    type                TEXT NOT NULL DEFAULT 'database_maintenance_operation'
                        CHECK (type = 'database_maintenance_operation'),
    target_key          TEXT NOT NULL,
    host_key            TEXT, -- its server, of which a batch may limit the load
    operation           TEXT NOT NULL,
    status              TEXT NOT NULL DEFAULT 'pending'
                        CHECK (status = 'pending' OR status = 'running' OR status = 'completed'
                            OR status = 'failed' OR status = 'cancelled' OR status = 'skipped'),
    held                INTEGER NOT NULL DEFAULT 0 -- whether it waits for the canaries of its batch, or its time to start
                        CHECK (held = 0 OR held = 1),
    starts_at           INTEGER, -- until then it is held
    reserved_by         TEXT, -- the `dbtend run` that alone may claim it
    recovering          INTEGER NOT NULL DEFAULT 0 -- whether its next attempt only looks after the database
                        CHECK (recovering = 0 OR recovering = 1),
    reason              TEXT,
    error               TEXT,
    warnings            TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(warnings)),
    attempt             INTEGER NOT NULL DEFAULT 0, -- executions begun; with owner, the fencing token
    max_attempts        INTEGER NOT NULL DEFAULT 2,
    owner               TEXT, -- the worker process that runs it; a running row is the lock on its target
    pid                 INTEGER, -- of the process that runs it, or ran it last
    host                TEXT,
    changed_at          INTEGER NOT NULL,
    started_at          INTEGER,
    finished_at         INTEGER,
    cancel_requested_at INTEGER,
    cancel_reason       TEXT CHECK (cancel_reason IS NULL OR cancel_reason = 'cancelled_by_user'
                            OR cancel_reason = 'time_limit' OR cancel_reason = 'shutdown'),
    force_requested_at  INTEGER,
    fraction            REAL CHECK (fraction BETWEEN 0 AND 1),
    object              TEXT,
    phase               TEXT,
    steps_done          INTEGER NOT NULL DEFAULT 0,
    steps_total         INTEGER NOT NULL DEFAULT 0,
    steps_left          INTEGER NOT NULL DEFAULT 0, -- of an operation that ended: those not begun
    waits_for           TEXT,
    waited              INTEGER NOT NULL DEFAULT 0, -- microseconds in which it merely waited for others
    estimate            REAL CHECK (estimate >= 0), -- how long it was expected to take,
    size_estimate       REAL CHECK (size_estimate >= 0), -- and by the sizes alone
    before              TEXT CHECK (json_valid(before)),
    after               TEXT CHECK (json_valid(after)),
    PRIMARY KEY (parent_id, ordinal),
    CHECK ((finished_at IS NULL) = (status = 'pending' OR status = 'running')),
    CHECK ((owner IS NOT NULL) = (status = 'running'))
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX child_job_one_running_per_target ON child_job (target_key) WHERE status = 'running';
CREATE INDEX child_job_running_on_host ON child_job (host_key) WHERE status = 'running' AND host_key IS NOT NULL;
-- What may be claimed by everybody, of one target, and by one run.
CREATE INDEX child_job_pending ON child_job (parent_id, ordinal)
    WHERE status = 'pending' AND reserved_by IS NULL AND held = 0;
CREATE INDEX child_job_pending_of_target ON child_job (target_key, parent_id, ordinal)
    WHERE status = 'pending' AND reserved_by IS NULL AND held = 0;
CREATE INDEX child_job_pending_of_run ON child_job (reserved_by, parent_id, ordinal)
    WHERE status = 'pending' AND reserved_by IS NOT NULL AND held = 0;
CREATE INDEX child_job_reserved ON child_job (reserved_by) WHERE reserved_by IS NOT NULL AND finished_at IS NULL;
CREATE INDEX child_job_starts ON child_job (starts_at)
    WHERE status = 'pending' AND held = 1 AND starts_at IS NOT NULL;
CREATE INDEX child_job_recovering ON child_job (parent_id, ordinal) WHERE status = 'pending' AND recovering = 1;
-- The history is searched through one index for each question; each holds all that its question asks.
CREATE INDEX child_job_operation ON child_job (operation, parent_id);
CREATE INDEX child_job_error ON child_job (parent_id, error, reason) WHERE error IS NOT NULL OR reason IS NOT NULL;
CREATE INDEX child_job_skipped ON child_job (parent_id, status, reason)
    WHERE status = 'skipped' OR (status = 'completed' AND reason IS NOT NULL);

CREATE TABLE step (
    parent_id        INTEGER NOT NULL,
    ordinal          INTEGER NOT NULL,
    attempt          INTEGER NOT NULL,
    number           INTEGER NOT NULL,
    operation        TEXT, -- the kind of work: an OPTIMIZE runs VACUUM, ANALYZE and REINDEX
    object           TEXT NOT NULL,
    command          TEXT NOT NULL,
    status           TEXT NOT NULL CHECK (status IN ('running', 'completed', 'failed', 'cancelled', 'skipped')),
    reason           TEXT,
    started_at       INTEGER NOT NULL,
    finished_at      INTEGER,
    error            TEXT,
    error_is_finding INTEGER NOT NULL DEFAULT 0 CHECK (error_is_finding IN (0, 1)),
    effect           TEXT CHECK (effect IS NULL OR json_valid(effect)),
    PRIMARY KEY (parent_id, ordinal, attempt, number),
    FOREIGN KEY (parent_id, ordinal) REFERENCES child_job (parent_id, ordinal) ON DELETE CASCADE,
    CHECK ((finished_at IS NOT NULL) = (status <> 'running'))
) STRICT, WITHOUT ROWID;

CREATE TABLE log (
    parent_id   INTEGER NOT NULL,
    ordinal     INTEGER NOT NULL,
    attempt     INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    level       TEXT NOT NULL CHECK (level IN ('info', 'warning', 'error')),
    message     TEXT NOT NULL,
    is_settings INTEGER NOT NULL DEFAULT 0 -- whether it only names settings of the connection: screens fold it
                CHECK (is_settings IN (0, 1)),
    PRIMARY KEY (parent_id, ordinal, attempt, number),
    FOREIGN KEY (parent_id, ordinal) REFERENCES child_job (parent_id, ordinal) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- Executions that ended without ending the child: the last one is told by the child itself.
CREATE TABLE attempt (
    parent_id   INTEGER NOT NULL,
    ordinal     INTEGER NOT NULL,
    attempt     INTEGER NOT NULL,
    pid         INTEGER,
    host        TEXT,
    started_at  INTEGER NOT NULL,
    finished_at INTEGER NOT NULL,
    status      TEXT NOT NULL CHECK (status = 'failed' OR status = 'cancelled'),
    reason      TEXT NOT NULL CHECK (reason = 'owner_lost' OR reason = 'shutdown'),
    signal      INTEGER, -- that ended its process
    PRIMARY KEY (parent_id, ordinal, attempt),
    FOREIGN KEY (parent_id, ordinal) REFERENCES child_job (parent_id, ordinal) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- One row for everything that happened to a job, in commit order; ordinal is NULL for the parent itself, parent_id and
-- new are NULL where it is the store that was paused or resumed.
CREATE TABLE event (
    seq       INTEGER PRIMARY KEY, -- given once, as the newest event is never removed
    at        INTEGER NOT NULL,
    parent_id INTEGER,
    ordinal   INTEGER,
    kind      TEXT NOT NULL CHECK (kind = 'status' OR kind = 'cancel_requested' OR kind = 'released'
              OR kind = 'paused' OR kind = 'resumed'),
    old       TEXT,
    new       TEXT,
    attempt   INTEGER NOT NULL,
    CHECK ((parent_id IS NULL) = (kind = 'paused' OR kind = 'resumed')),
    CHECK ((parent_id IS NULL) = (new IS NULL))
) STRICT;

-- Processes that execute children. That one is alive is proven by the lock it holds on its own file.
CREATE TABLE worker (
    id         TEXT PRIMARY KEY,
    pid        INTEGER NOT NULL,
    host       TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    serves_all INTEGER NOT NULL DEFAULT 1 CHECK (serves_all = 0 OR serves_all = 1),
    own_jobs   TEXT CHECK (own_jobs IS NULL OR json_valid(own_jobs)), -- their ids, where it does not take on every job
    pool       INTEGER, -- the process that started it and replaces it,
    pool_size  INTEGER -- and how many that keeps up
) STRICT, WITHOUT ROWID;

-- While there is a row, nothing new starts.
CREATE TABLE pause (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    at INTEGER NOT NULL,
    by TEXT NOT NULL
) STRICT;

-- What a look at everything saw of a database: as long as its state is the same it need not be seen again.
CREATE TABLE measured (
    target TEXT PRIMARY KEY,
    state  TEXT NOT NULL,
    at     INTEGER NOT NULL,
    found  TEXT NOT NULL
) STRICT;

-- What the last inspection of each target saw. Each can be made again: an old one may be removed.
CREATE TABLE survey (
    target      TEXT PRIMARY KEY,
    engine      TEXT NOT NULL,
    surveyed_at INTEGER NOT NULL,
    level       TEXT NOT NULL,
    reason      TEXT,
    size        INTEGER,
    reclaimable INTEGER NOT NULL,
    checked_at  INTEGER,
    facts       TEXT NOT NULL CHECK (json_valid(facts))
) STRICT, WITHOUT ROWID;
CREATE INDEX survey_surveyed_at ON survey (surveyed_at);
CREATE INDEX survey_critical ON survey (target) WHERE level = 'critical' OR reason = 'gone';

-- What is known to be damaged in each target, whoever saw it, until a check ends it or a person takes note of it.
CREATE TABLE damage (
    target   TEXT NOT NULL,
    object   TEXT NOT NULL,
    source   TEXT NOT NULL,
    found_at INTEGER NOT NULL,
    facts    TEXT NOT NULL CHECK (json_valid(facts)),
    PRIMARY KEY (target, object, source)
) STRICT, WITHOUT ROWID;

-- Which database each URL of a server names: the key of mutual exclusion.
CREATE TABLE database_name (
    target   TEXT PRIMARY KEY,
    database TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX database_name_database ON database_name (database);

-- How each operation ended last on each target, however many jobs came after it. Triggers keep it.
CREATE TABLE last_run (
    target       TEXT NOT NULL,
    operation    TEXT NOT NULL,
    status       TEXT NOT NULL,
    reason       TEXT,
    started_at   INTEGER,
    finished_at  INTEGER NOT NULL,
    completed_at INTEGER,
    ran_at       INTEGER, -- when it ended last after it had begun to run
    PRIMARY KEY (target, operation)
) STRICT, WITHOUT ROWID;

-- What a worker has read of each schedule, and whether a person has disabled it.
CREATE TABLE schedule (
    name        TEXT PRIMARY KEY,
    start       TEXT NOT NULL,
    config      TEXT NOT NULL,
    since       INTEGER NOT NULL,
    disabled_at INTEGER,
    disabled_by TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;

-- What became of each due time: one row at most, so that it fires once however many workers there are.
CREATE TABLE firing (
    schedule    TEXT NOT NULL,
    due_at      INTEGER NOT NULL,
    status      TEXT NOT NULL,
    reason      TEXT,
    error       TEXT,
    batch_id    INTEGER REFERENCES batch (id) ON DELETE SET NULL,
    jobs        INTEGER, -- how many it started, also when they have been removed; NULL: it did not fire
    recorded_at INTEGER NOT NULL,
    PRIMARY KEY (schedule, due_at)
) STRICT, WITHOUT ROWID;
CREATE INDEX firing_batch ON firing (batch_id) WHERE batch_id IS NOT NULL;
CREATE INDEX firing_newest_batch ON firing (schedule, batch_id) WHERE batch_id IS NOT NULL;
CREATE INDEX firing_due_at ON firing (due_at);

-- Who is told of events, and up to which change (event.seq) they were collected for each.
CREATE TABLE recipient (
    name          TEXT PRIMARY KEY,
    seen          INTEGER NOT NULL,
    registered_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE message (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    key         TEXT NOT NULL UNIQUE,
    recipient   TEXT NOT NULL,
    status      TEXT NOT NULL CHECK (status = 'waiting' OR status = 'sent' OR status = 'given_up'),
    created_at  INTEGER NOT NULL,
    attempts    INTEGER NOT NULL DEFAULT 0,
    sending     INTEGER NOT NULL DEFAULT 0 CHECK (sending = 0 OR sending = 1),
    next_try_at INTEGER NOT NULL,
    ended_at    INTEGER,
    error       TEXT,
    done        TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(done)),
    CHECK ((ended_at IS NULL) = (status = 'waiting'))
) STRICT;
CREATE INDEX message_waiting ON message (recipient, id) WHERE status = 'waiting';
CREATE INDEX message_outcome ON message (recipient, status, ended_at);
CREATE INDEX message_ended ON message (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE notification (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    recipient  TEXT NOT NULL,
    message_id INTEGER REFERENCES message (id) ON DELETE CASCADE,
    kind       TEXT NOT NULL,
    at         INTEGER NOT NULL,
    target     TEXT NOT NULL,
    parent_id  INTEGER,
    ordinal    INTEGER,
    schedule   TEXT NOT NULL,
    facts      TEXT NOT NULL CHECK (json_valid(facts)),
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX notification_collected ON notification (recipient, created_at) WHERE message_id IS NULL;
CREATE INDEX notification_message ON notification (message_id) WHERE message_id IS NOT NULL;
-- However often firings and running jobs are read, each is told once to a recipient.
CREATE UNIQUE INDEX notification_firing ON notification (recipient, schedule, at, kind) WHERE target = '';
CREATE UNIQUE INDEX notification_longer ON notification (recipient, parent_id, ordinal)
    WHERE kind = 'longer_than_usual';

-- Which critical databases a recipient was told of, until they are no longer critical.
CREATE TABLE told_critical (
    recipient TEXT NOT NULL,
    target    TEXT NOT NULL,
    at        INTEGER NOT NULL,
    PRIMARY KEY (recipient, target)
) STRICT, WITHOUT ROWID;
