-- What is known to be damaged in each target, whoever saw it, until a check ends it or a person takes note of it.
CREATE TABLE damage (
    target   TEXT NOT NULL,
    object   TEXT NOT NULL,
    source   TEXT NOT NULL,
    found_at INTEGER NOT NULL,
    facts    TEXT NOT NULL CHECK (json_valid(facts)),
    PRIMARY KEY (target, object, source)
) STRICT, WITHOUT ROWID;
-- The reason damaged is known: the triggers that check reasons are made anew.
