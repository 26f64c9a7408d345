-- What the last inspection of each target found. Each can be made again: an old one may be removed.
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
