-- What a look at everything found out about a database: as long as its state is the same it need not be found out again.
CREATE TABLE measured (
    target TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    at INTEGER NOT NULL,
    found TEXT NOT NULL
) STRICT;
