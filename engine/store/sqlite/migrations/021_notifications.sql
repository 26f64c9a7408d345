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
-- However often the firings are read, one that was missed is told once.
CREATE UNIQUE INDEX notification_missed ON notification (recipient, schedule, at) WHERE kind = 'missed';

-- Which critical databases a recipient was told of, until they are no longer critical.
CREATE TABLE told_critical (
    recipient TEXT NOT NULL,
    target    TEXT NOT NULL,
    at        INTEGER NOT NULL,
    PRIMARY KEY (recipient, target)
) STRICT, WITHOUT ROWID;
CREATE INDEX survey_critical ON survey (target) WHERE level = 'critical';
