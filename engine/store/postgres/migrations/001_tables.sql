-- The durable record of jobs, shared by hosts and people. Times are microseconds since the epoch, UTC; texts that hold
-- JSON are text, as they are compared and read as they were written. A CHECK is read and planned anew by each statement
-- that writes to its table, so triggers check the rows of jobs (`check_parent`, `check_child`).

CREATE TABLE batch (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    created_at   bigint NOT NULL,
    retry_of     bigint REFERENCES batch ON DELETE SET NULL,
    max_failures integer CHECK (max_failures > 0),
    canary       integer CHECK (canary > 0),
    max_per_host integer CHECK (max_per_host > 0),
    unsubmitted  integer NOT NULL DEFAULT 0 CHECK (unsubmitted >= 0), -- jobs still to come: it is submitted in portions
    next_job     bigint, -- the id of the next of them; their ids are kept free
    cancelled_by text -- who cancelled it while jobs were still to come: these are cancelled, too
);
CREATE INDEX batch_retry_of ON batch (retry_of) WHERE retry_of IS NOT NULL;

CREATE TABLE parent_job (
    id                  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- in time order, as submits wait for each other
    type                text NOT NULL DEFAULT 'database_maintenance_parent',
    target              text COLLATE "C" NOT NULL, -- canonical URL, as shown
    target_key          text COLLATE "C" NOT NULL, -- what mutual exclusion goes by
    queue               text NOT NULL, -- which workers may run it
    engine              text NOT NULL,
    operations          text NOT NULL,
    options             text NOT NULL,
    status              text NOT NULL DEFAULT 'pending',
    retry_of            bigint REFERENCES parent_job ON DELETE SET NULL,
    batch_id            bigint REFERENCES batch,
    canary              boolean NOT NULL DEFAULT false, -- whether its batch runs it first
    is_pattern          boolean NOT NULL DEFAULT false,
    schedule            text COLLATE "C",
    deadline_at         bigint, -- from then on no child starts
    pinned              boolean NOT NULL DEFAULT false,
    submission          text,
    submitted_by        text NOT NULL DEFAULT '',
    login               text NOT NULL DEFAULT '', -- that submitted it, as the server knows it
    cancelled_by        text,
    created_at          bigint NOT NULL,
    changed_at          bigint NOT NULL,
    started_at          bigint,
    finished_at         bigint,
    cancel_requested_at bigint
);
CREATE INDEX parent_job_open ON parent_job (target_key) WHERE finished_at IS NULL;
CREATE INDEX parent_job_open_of_target ON parent_job (target) WHERE finished_at IS NULL; -- whatever file is there
CREATE INDEX parent_job_status ON parent_job (status, id) WHERE finished_at IS NOT NULL;
CREATE INDEX parent_job_target ON parent_job (target, id);
CREATE INDEX parent_job_ran ON parent_job (target, finished_at) WHERE started_at IS NOT NULL;
CREATE INDEX parent_job_ended ON parent_job (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX parent_job_created ON parent_job (created_at, id);
CREATE INDEX parent_job_retry_of ON parent_job (retry_of) WHERE retry_of IS NOT NULL;
CREATE INDEX parent_job_deadline ON parent_job (deadline_at) WHERE deadline_at IS NOT NULL AND finished_at IS NULL;
CREATE INDEX parent_job_batch ON parent_job (batch_id, status) WHERE batch_id IS NOT NULL;
CREATE INDEX parent_job_batch_ids ON parent_job (batch_id, id) WHERE batch_id IS NOT NULL;
CREATE INDEX parent_job_canary ON parent_job (batch_id, status) WHERE canary;
CREATE INDEX parent_job_schedule ON parent_job (schedule, id) WHERE schedule IS NOT NULL;
CREATE INDEX parent_job_submission ON parent_job (submission);

CREATE TABLE child_job (
    parent_id           bigint NOT NULL REFERENCES parent_job ON DELETE CASCADE,
    ordinal             integer NOT NULL,
    type                text NOT NULL DEFAULT 'database_maintenance_operation',
    target_key          text COLLATE "C" NOT NULL,
    host_key            text, -- its server, of which a batch may limit the load
    queue               text NOT NULL,
    operation           text NOT NULL,
    status              text NOT NULL DEFAULT 'pending',
    due                 boolean NOT NULL DEFAULT false, -- the first open child of its parent, and pending: what may be claimed
    held                boolean NOT NULL DEFAULT false, -- waits for the canaries of its batch, or its time to start
    reserved_by         text, -- a run that alone may claim it
    recovering          boolean NOT NULL DEFAULT false, -- its next attempt only looks after the database
    starts_at           bigint,
    reason              text,
    error               text,
    warnings            text NOT NULL DEFAULT '[]',
    attempt             integer NOT NULL DEFAULT 0, -- executions begun; with owner, the fencing token
    max_attempts        integer NOT NULL,
    owner               text, -- the worker process that runs it; a running row is the lock on its target
    pid                 integer,
    host                text,
    changed_at          bigint NOT NULL,
    started_at          bigint,
    finished_at         bigint,
    cancel_requested_at bigint,
    cancel_reason       text,
    force_requested_at  bigint,
    fraction            double precision,
    object              text,
    steps_done          integer NOT NULL DEFAULT 0,
    steps_total         integer NOT NULL DEFAULT 0,
    steps_left          integer NOT NULL DEFAULT 0,
    phase               text,
    waits_for           text,
    waited              bigint NOT NULL DEFAULT 0,
    estimate            double precision, -- seconds,
    size_estimate       double precision, -- and by the sizes alone
    before              text,
    after               text,
    PRIMARY KEY (parent_id, ordinal)
) WITH (
    fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
CREATE UNIQUE INDEX child_job_one_running_per_target ON child_job (target_key) WHERE status = 'running';
CREATE INDEX child_job_due ON child_job (parent_id) WHERE due AND NOT held;
CREATE INDEX child_job_due_of_target ON child_job (target_key, parent_id) WHERE due AND NOT held;
CREATE INDEX child_job_starts ON child_job (starts_at) WHERE status = 'pending' AND held AND starts_at IS NOT NULL;
CREATE INDEX child_job_owner ON child_job (owner) WHERE owner IS NOT NULL;
CREATE INDEX child_job_running_on_host ON child_job (host_key) WHERE status = 'running' AND host_key IS NOT NULL;
CREATE INDEX child_job_reserved ON child_job (reserved_by) WHERE reserved_by IS NOT NULL AND finished_at IS NULL;
CREATE INDEX child_job_operation ON child_job (operation, parent_id);
CREATE INDEX child_job_error ON child_job (parent_id) WHERE error IS NOT NULL OR reason IS NOT NULL;
CREATE INDEX child_job_left_undone ON child_job (parent_id)
    WHERE status = 'skipped' OR (status = 'completed' AND reason IS NOT NULL);

CREATE TABLE step (
    parent_id        bigint NOT NULL,
    ordinal          integer NOT NULL,
    attempt          integer NOT NULL,
    number           integer NOT NULL,
    object           text NOT NULL,
    command          text NOT NULL,
    status           text NOT NULL CHECK (status IN ('running', 'completed', 'failed', 'cancelled', 'skipped')),
    started_at       bigint NOT NULL,
    finished_at      bigint,
    error            text,
    effect           text,
    operation        text,
    error_is_finding boolean NOT NULL DEFAULT false,
    reason           text,
    PRIMARY KEY (parent_id, ordinal, attempt, number),
    FOREIGN KEY (parent_id, ordinal) REFERENCES child_job ON DELETE CASCADE,
    CHECK ((finished_at IS NOT NULL) = (status <> 'running'))
);

CREATE TABLE log (
    parent_id   bigint NOT NULL,
    ordinal     integer NOT NULL,
    attempt     integer NOT NULL,
    number      integer NOT NULL,
    at          bigint NOT NULL,
    level       text NOT NULL CHECK (level IN ('info', 'warning', 'error')),
    message     text NOT NULL,
    is_settings boolean NOT NULL DEFAULT false,
    PRIMARY KEY (parent_id, ordinal, attempt, number),
    FOREIGN KEY (parent_id, ordinal) REFERENCES child_job ON DELETE CASCADE
);

-- Executions that ended without ending the child: the last one is told by the child itself.
CREATE TABLE attempt (
    parent_id   bigint NOT NULL,
    ordinal     integer NOT NULL,
    attempt     integer NOT NULL,
    pid         integer,
    host        text,
    started_at  bigint NOT NULL,
    finished_at bigint NOT NULL,
    status      text NOT NULL CHECK (status IN ('failed', 'cancelled')),
    reason      text NOT NULL CHECK (reason IN ('owner_lost', 'shutdown')),
    signal      integer,
    login       text, -- that recorded its end
    PRIMARY KEY (parent_id, ordinal, attempt),
    FOREIGN KEY (parent_id, ordinal) REFERENCES child_job ON DELETE CASCADE
);

-- Everything that happened to a job, in the order of commits; parent_id and new are NULL where it is the store that was
-- paused or resumed. `add_event` alone writes them, and numbers them: no gap, and no later one is seen first.
CREATE TABLE event (
    seq       bigint PRIMARY KEY,
    at        bigint NOT NULL,
    parent_id bigint,
    ordinal   integer,
    kind      text NOT NULL,
    old       text,
    new       text,
    attempt   integer NOT NULL,
    login     text NOT NULL DEFAULT ''
);

-- Processes that execute children, and runs that reserve them. That one is alive is proven by the advisory lock that its
-- session holds.
CREATE TABLE worker (
    id         text PRIMARY KEY,
    number     integer GENERATED ALWAYS AS IDENTITY UNIQUE, -- of its advisory lock
    is_run     boolean NOT NULL DEFAULT false,
    session    integer NOT NULL, -- the backend that holds the lock
    pid        integer NOT NULL,
    host       text NOT NULL,
    machine    text NOT NULL DEFAULT '', -- that it is, if its system says so
    version    text NOT NULL DEFAULT '',
    queues     text[] NOT NULL DEFAULT '{}',
    serves_all boolean NOT NULL DEFAULT true,
    pool       integer,
    pool_size  integer, -- how many processes it keeps up: fewer are told of
    own_jobs   text,
    signal     integer, -- that ended it, where the process that started it has seen that
    started_at bigint NOT NULL,
    beat_at    bigint NOT NULL
);

-- The newest start of the server, and when somebody first had a session after it.
CREATE TABLE server_start (
    one        boolean PRIMARY KEY DEFAULT true CHECK (one),
    started_at timestamptz NOT NULL,
    seen_at    timestamptz NOT NULL
);

-- Hosts whose workers take no more jobs.
CREATE TABLE drained_host (
    host text PRIMARY KEY,
    at   bigint NOT NULL,
    by   text NOT NULL
);

CREATE TABLE pause (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    at  bigint NOT NULL,
    by  text NOT NULL
);

CREATE TABLE measured (
    target text COLLATE "C" PRIMARY KEY,
    state  text NOT NULL,
    at     bigint NOT NULL,
    found  text NOT NULL
);

CREATE TABLE survey (
    target      text COLLATE "C" PRIMARY KEY,
    engine      text NOT NULL,
    surveyed_at bigint NOT NULL,
    level       text NOT NULL,
    reason      text,
    size        bigint,
    reclaimable bigint NOT NULL,
    checked_at  bigint,
    facts       text NOT NULL
);
CREATE INDEX survey_surveyed_at ON survey (surveyed_at);
CREATE INDEX survey_critical ON survey (target) WHERE level = 'critical' OR reason = 'gone';

-- What is known to be damaged in each target, whoever saw it, until a check ends it or a person takes note of it.
CREATE TABLE damage (
    target   text COLLATE "C" NOT NULL,
    object   text COLLATE "C" NOT NULL,
    source   text COLLATE "C" NOT NULL,
    found_at bigint NOT NULL,
    facts    text NOT NULL,
    PRIMARY KEY (target, object, source)
);

-- Which database each URL of a server names: the key of mutual exclusion.
CREATE TABLE database_name (
    target   text COLLATE "C" PRIMARY KEY,
    database text COLLATE "C" NOT NULL
);
CREATE INDEX database_name_database ON database_name (database);

-- How each operation ended last on each target, however many jobs came after it. Triggers keep it.
CREATE TABLE last_run (
    target       text COLLATE "C" NOT NULL,
    operation    text NOT NULL,
    status       text NOT NULL,
    reason       text,
    started_at   bigint,
    finished_at  bigint NOT NULL,
    completed_at bigint,
    PRIMARY KEY (target, operation)
);

CREATE TABLE schedule (
    name        text COLLATE "C" PRIMARY KEY,
    start       text NOT NULL,
    config      text NOT NULL,
    since       bigint NOT NULL,
    disabled_at bigint,
    disabled_by text NOT NULL DEFAULT ''
);

CREATE TABLE firing (
    schedule    text COLLATE "C" NOT NULL,
    due_at      bigint NOT NULL,
    status      text NOT NULL CHECK (is_known('firing status', status)),
    reason      text CHECK (is_known('firing reason', reason)),
    error       text,
    batch_id    bigint REFERENCES batch ON DELETE SET NULL,
    jobs        integer, -- how many it started, also when they have been removed; NULL: it did not fire
    recorded_at bigint NOT NULL,
    PRIMARY KEY (schedule, due_at)
);
CREATE INDEX firing_batch ON firing (batch_id) WHERE batch_id IS NOT NULL;
CREATE INDEX firing_newest_batch ON firing (schedule, batch_id) WHERE batch_id IS NOT NULL;
CREATE INDEX firing_due_at ON firing (due_at);

CREATE TABLE recipient (
    name          text COLLATE "C" PRIMARY KEY,
    seen          bigint NOT NULL,
    registered_at bigint NOT NULL
);

CREATE TABLE message (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key         text NOT NULL UNIQUE,
    recipient   text COLLATE "C" NOT NULL,
    status      text NOT NULL CHECK (status IN ('waiting', 'sent', 'given_up')),
    created_at  bigint NOT NULL,
    attempts    integer NOT NULL DEFAULT 0,
    sending     boolean NOT NULL DEFAULT false,
    next_try_at bigint NOT NULL,
    ended_at    bigint,
    error       text,
    done        text NOT NULL DEFAULT '[]',
    CHECK ((ended_at IS NULL) = (status = 'waiting'))
);
CREATE INDEX message_waiting ON message (recipient, id) WHERE status = 'waiting';
CREATE INDEX message_outcome ON message (recipient, status, ended_at);
CREATE INDEX message_ended ON message (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE notification (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    recipient  text COLLATE "C" NOT NULL,
    message_id bigint REFERENCES message ON DELETE CASCADE,
    kind       text NOT NULL,
    at         bigint NOT NULL,
    target     text NOT NULL,
    parent_id  bigint,
    ordinal    integer,
    schedule   text NOT NULL,
    facts      text NOT NULL,
    created_at bigint NOT NULL
);
CREATE INDEX notification_collected ON notification (recipient, created_at) WHERE message_id IS NULL;
CREATE INDEX notification_message ON notification (message_id) WHERE message_id IS NOT NULL;
-- However often firings and running jobs are read, each is told once to a recipient.
CREATE UNIQUE INDEX notification_firing ON notification (recipient, schedule, at, kind) WHERE target = '';
CREATE UNIQUE INDEX notification_longer ON notification (recipient, parent_id, ordinal) WHERE kind = 'longer_than_usual';

CREATE TABLE told_critical (
    recipient text COLLATE "C" NOT NULL,
    target    text COLLATE "C" NOT NULL,
    at        bigint NOT NULL,
    PRIMARY KEY (recipient, target)
);

-- The stores whose history was copied into this one, and how far.
CREATE TABLE copied (
    source       text PRIMARY KEY,
    started_at   bigint NOT NULL,
    jobs_up_to   bigint NOT NULL DEFAULT 0,
    events_up_to bigint NOT NULL DEFAULT 0,
    finished_at  bigint
);
