-- Sound databases with everything a schema may hold: one after each line that begins with "-- * ", in addition
-- to the table `person`. The temporary view `n` counts from 1 to 60.

-- * WITHOUT ROWID with secondary indexes
CREATE TABLE t(a TEXT, b INT, c, d UNIQUE, PRIMARY KEY(b DESC, a COLLATE NOCASE)) WITHOUT ROWID;
CREATE INDEX by_c ON t(c, a);
CREATE UNIQUE INDEX by_d ON t(d DESC) WHERE c > 3;
INSERT INTO t SELECT 'a' || i, i % 7, i % 5, i FROM n;

-- * STRICT
CREATE TABLE t(a INT, b TEXT, c REAL, d BLOB, e ANY, PRIMARY KEY(a)) STRICT;
CREATE INDEX i ON t(e, d);
INSERT INTO t SELECT i, 'b', i / 2.0, x'00', iif(i % 2, i, 'e' || i) FROM n;
CREATE TABLE u(a ANY PRIMARY KEY, b INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO u VALUES ('1', 1), (1, 2);

-- * AUTOINCREMENT
CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, a);
CREATE INDEX i ON t(a);
INSERT INTO t(a) SELECT i FROM n;
DELETE FROM t WHERE id > 20;

-- * AUTOINCREMENT with a counter that is no number
CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, a);
INSERT INTO t(a) SELECT i FROM n;
UPDATE sqlite_sequence SET seq = 'banana';
INSERT INTO sqlite_sequence VALUES ('gone', 7), (NULL, NULL);

-- * rowids with gaps and without a name
CREATE TABLE t(a UNIQUE);
INSERT INTO t(rowid, a) SELECT i * i, i FROM n;
DELETE FROM t WHERE a % 2;

-- * the largest and the smallest rowid
CREATE TABLE t(a);
CREATE INDEX i ON t(a);
INSERT INTO t(rowid, a) VALUES (9223372036854775807, 1), (-9223372036854775808, 2), (0, 3);

-- * values of all kinds
CREATE TABLE t(a, b REAL, c NUMERIC);
CREATE INDEX i ON t(a, b);
INSERT INTO t VALUES (NULL, NULL, NULL), (0, 0.0, '0'), (1, 1e308, -9223372036854775808), ('', x'', 9e999);
INSERT INTO t VALUES (-1, -9e999, '1e5'), (x'00ff', 0.1, 1), ('a' || char(0) || 'b', 1, 2);
INSERT INTO t VALUES (cast(x'ff00fe' AS TEXT), 3, 4), (char(0xd800), char(0x10ffff), '🇩🇪');

-- * columns that hide the rowid
CREATE TABLE t(rowid, oid, _rowid_);
CREATE INDEX i ON t(rowid);
INSERT INTO t VALUES (7, 7, 7), (7, 7, 8);

-- * an integer key that is no rowid
CREATE TABLE t(a INTEGER PRIMARY KEY DESC, b);
INSERT INTO t VALUES (1, 2), (NULL, 3), (NULL, 3);

-- * a key of several columns
CREATE TABLE t(a, b, UNIQUE(b, a), PRIMARY KEY(a, b));
INSERT INTO t VALUES (1, NULL), (1, NULL), (2, 2);

-- * foreign keys in a circle
PRAGMA foreign_keys = ON;
CREATE TABLE a(x PRIMARY KEY, y REFERENCES b DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE b(x PRIMARY KEY, y REFERENCES a ON DELETE CASCADE, z REFERENCES b);
CREATE INDEX b_y ON b(y);
BEGIN;
INSERT INTO a VALUES (1, 1);
INSERT INTO b VALUES (1, 1, 1);
COMMIT;

-- * a foreign key of NULLs
CREATE TABLE child(a, b, FOREIGN KEY(a, b) REFERENCES person(id, name));
INSERT INTO child VALUES (NULL, 'x'), (1, NULL);
CREATE UNIQUE INDEX parent ON person(id, name);

-- * CHECK with functions
CREATE TABLE t(a CHECK (length(a) < 9), b CHECK (b LIKE '%x%'), CONSTRAINT "a ""name""" CHECK (a <> b));
INSERT INTO t VALUES ('a', 'x');

-- * a default from an expression
CREATE TABLE t(a DEFAULT (datetime('now')), b DEFAULT (abs(-1)), c DEFAULT CURRENT_TIME);
INSERT INTO t(c) VALUES (1);
UPDATE t SET a = 'then';

-- * columns added later
CREATE TABLE t(a);
INSERT INTO t SELECT i FROM n;
ALTER TABLE t ADD b DEFAULT 5;
ALTER TABLE t ADD c NOT NULL DEFAULT 'x';
ALTER TABLE t ADD d AS (a + b);
CREATE INDEX i ON t(b, c, d);

-- * a column dropped, another one renamed
CREATE TABLE t(a, b, c);
INSERT INTO t SELECT i, i, i FROM n;
ALTER TABLE t DROP COLUMN b;
ALTER TABLE t RENAME a TO z;

-- * a table renamed the old way
PRAGMA legacy_alter_table = ON;
CREATE TABLE old(a REFERENCES person);
CREATE VIEW v AS SELECT * FROM old;
CREATE TRIGGER t AFTER INSERT ON old BEGIN DELETE FROM old; END;
CREATE INDEX i ON old(a);
ALTER TABLE old RENAME TO new;

-- * made by a query
CREATE TABLE copy AS SELECT *, id + 1, max(id) OVER () FROM person;

-- * comments and line ends in definitions
CREATE TABLE t -- 'a
(a /* ) */, b	);
CREATE /* x */ INDEX i ON t(a) -- end
;
INSERT INTO t VALUES (1, 2);

-- * column types that are none
CREATE TABLE t(a FLOATING POINT (1, 2), b "a type", c [VARCHAR(-5)], d DATETIME, "e", f 'x y' COLLATE "nocase");
CREATE INDEX i ON t(a, b, c, d, e, f);
INSERT INTO t SELECT i, i, i, i, i, i FROM n;

-- * partial indexes
CREATE INDEX i ON person(name) WHERE town IS NOT NULL;
CREATE UNIQUE INDEX u ON person(born) WHERE id > 3;
CREATE INDEX "nothing" ON person(town) WHERE id < 0;

-- * expression indexes
CREATE INDEX i ON person(lower(name), id % 3, town || 'x' DESC);
CREATE UNIQUE INDEX u ON person(printf('%08d', id)) WHERE abs(id) > 1;
CREATE INDEX j ON person(json_extract('{"a":1}', '$.a'), substr(name, 2), CASE WHEN id THEN born END);

-- * an expression index on a date
CREATE INDEX i ON person(date(born || '-01-01'), strftime('%Y', born));

-- * indexes with collations
CREATE TABLE t(a COLLATE NOCASE PRIMARY KEY, b COLLATE RTRIM UNIQUE);
INSERT INTO t VALUES ('A', 'x '), ('b', 'y');
CREATE INDEX i ON person(name COLLATE NOCASE, town COLLATE RTRIM DESC, born COLLATE BINARY);

-- * descending indexes
CREATE INDEX i ON person(name DESC, born ASC, id DESC);
CREATE UNIQUE INDEX u ON person(born DESC);

-- * an index of all columns, some of them twice
CREATE INDEX i ON person(id, name, town, born, name, id);

-- * an index on a text in double quotes
PRAGMA writable_schema = ON;
CREATE INDEX i ON person(name, town);
UPDATE sqlite_schema SET sql = 'CREATE INDEX i ON person(name, "no such column")' WHERE name = 'i';
PRAGMA writable_schema = RESET;
REINDEX i;

-- * generated columns
CREATE TABLE t(a INT, b AS (a * 2) STORED, c AS (a || 'x') VIRTUAL, d TEXT AS (upper(c)) UNIQUE, e DEFAULT 1);
CREATE INDEX by_b ON t(b);
CREATE INDEX by_c ON t(c DESC, b) WHERE d > 'A';
INSERT INTO t(a) SELECT i FROM n;

-- * generated columns in a WITHOUT ROWID table
CREATE TABLE t(a INT, b AS (a + 1), c NOT NULL AS (b * b) STORED, PRIMARY KEY(a)) WITHOUT ROWID;
CREATE INDEX i ON t(b, c);
INSERT INTO t(a) SELECT i FROM n;

-- * views
CREATE VIEW v AS SELECT name, count(*) AS c FROM person GROUP BY 1;
CREATE VIEW w(a, b) AS WITH x AS (SELECT * FROM v) SELECT c, row_number() OVER () FROM x;

-- * a view on rowids
CREATE VIEW v AS SELECT rowid AS r, name FROM person;

-- * a view of a table that is gone
CREATE VIEW v AS SELECT * FROM nowhere;
CREATE VIEW self AS SELECT * FROM self;

-- * a view that never ends
CREATE VIEW v AS WITH RECURSIVE f(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM f) SELECT count(*) FROM f;

-- * triggers
CREATE TABLE log(x);
CREATE VIEW v AS SELECT id FROM person;
CREATE TRIGGER a AFTER INSERT ON person BEGIN INSERT INTO log VALUES (new.id); END;
CREATE TRIGGER b INSTEAD OF DELETE ON v BEGIN DELETE FROM person WHERE id = old.id; END;
INSERT INTO person(name) VALUES ('x');

-- * a trigger on what is gone
CREATE TRIGGER t AFTER DELETE ON person BEGIN DELETE FROM nowhere; SELECT RAISE(ABORT, 'no'); END;

-- * statistics
CREATE INDEX i ON person(name);
ANALYZE;

-- * statistics of what is not there, and that are none
CREATE INDEX i ON person(name);
ANALYZE;
INSERT INTO sqlite_stat1 VALUES ('gone', 'gone', '7 1'), ('person', 'gone', 'banana'), (NULL, NULL, NULL);
INSERT INTO sqlite_stat1 VALUES ('person', 'i', x'00'), ('person', 'i', '99999999999999999999 0 unordered sz=12');

-- * fts5
CREATE VIRTUAL TABLE s USING fts5(a, prefix = '2 3');
INSERT INTO s SELECT 'word' || i || ' common größe ' || (i * 7 % 11) FROM n;

-- * fts5 with deleted rows
CREATE VIRTUAL TABLE s USING fts5(a);
INSERT INTO s SELECT 'word' || i || ' common' FROM n;
DELETE FROM s WHERE rowid % 2;
UPDATE s SET a = 'other' WHERE rowid % 3 = 0;

-- * fts5 without rows
CREATE VIRTUAL TABLE s USING fts5(a, b);

-- * fts5 without content
CREATE VIRTUAL TABLE s USING fts5(a, content = '');
INSERT INTO s(rowid, a) SELECT i * 5, 'word' || i || ' common' FROM n;

-- * fts5 without content, with deletes
CREATE VIRTUAL TABLE s USING fts5(a, content = '', contentless_delete = 1);
INSERT INTO s(rowid, a) SELECT i, 'word' || i || ' common' FROM n;
DELETE FROM s WHERE rowid < 9;

-- * fts5 on a table with a key
CREATE VIRTUAL TABLE s USING fts5(name, content = person, content_rowid = id);
INSERT INTO s(s) VALUES ('rebuild');

-- * fts5 on a view
CREATE VIEW v AS SELECT id, name || town AS text FROM person;
CREATE VIRTUAL TABLE s USING fts5(text, content = v, content_rowid = id);
INSERT INTO s(s) VALUES ('rebuild');

-- * fts5 with little detail
CREATE VIRTUAL TABLE s USING fts5(a, b UNINDEXED, detail = none, columnsize = 0);
INSERT INTO s SELECT 'word' || i || ' common', i FROM n;

-- * fts5 with other tokenizers
CREATE VIRTUAL TABLE s USING fts5(a, tokenize = 'porter unicode61 remove_diacritics 2');
INSERT INTO s SELECT 'words' || i || ' größer' FROM n;
CREATE VIRTUAL TABLE s3 USING fts5(a, tokenize = trigram);
INSERT INTO s3 SELECT 'abcdef' || i FROM n;

-- * fts5 named with quotes
CREATE VIRTUAL TABLE "it's ""full"" text" USING fts5(a);
INSERT INTO "it's ""full"" text" SELECT 'word' || i FROM n;

-- * fts5 with columns named with quotes
CREATE VIRTUAL TABLE s USING fts5("a ""b"" ", 'it''s', content = '');
INSERT INTO s SELECT 'word' || i, 'x' FROM n;

-- * fts5 vocabulary
CREATE VIRTUAL TABLE s USING fts5(a);
INSERT INTO s SELECT 'word' || i FROM n;
CREATE VIRTUAL TABLE v USING fts5vocab(s, row);
CREATE VIRTUAL TABLE gone USING fts5vocab(nowhere, instance);

-- * fts4
CREATE VIRTUAL TABLE s USING fts4(a, prefix='2', languageid='l');
INSERT INTO s(a) SELECT 'word' || i || ' common' FROM n;
CREATE VIRTUAL TABLE v USING fts4aux(s);

-- * fts4 on a table with a key
CREATE VIRTUAL TABLE s USING fts4(content=person, name);
INSERT INTO s(s) VALUES ('rebuild');

-- * fts3
CREATE VIRTUAL TABLE s USING fts3(a, tokenize=porter);
INSERT INTO s SELECT 'words' || i FROM n;

-- * rtree
CREATE VIRTUAL TABLE box USING rtree(id, x0, x1, y0, y1, +name);
INSERT INTO box SELECT i, i, i + 1, -i, i, 'n' || i FROM n;
CREATE VIRTUAL TABLE whole USING rtree_i32(id, a, b);
INSERT INTO whole SELECT i, i, i FROM n;

-- * dbstat as a table
CREATE VIRTUAL TABLE pages USING dbstat;

-- * tables with the names of shadow tables
CREATE TABLE s_data(a UNIQUE);
CREATE TABLE s_config(k PRIMARY KEY, v) WITHOUT ROWID;
INSERT INTO s_data VALUES (1);

-- * fts5 on a table without a key
CREATE TABLE t(a);
INSERT INTO t(rowid, a) SELECT 2 * i, 'word' || i FROM n;
CREATE VIRTUAL TABLE s USING fts5(a, content = t);
INSERT INTO s(s) VALUES ('rebuild');

-- * fts5 on a table without a key, and without gaps
CREATE TABLE t(a);
INSERT INTO t SELECT 'word' || i FROM n;
CREATE VIRTUAL TABLE s USING fts5(a, content = 't');
INSERT INTO s(s) VALUES ('rebuild');

-- * fts4 on a table without a key
CREATE TABLE t(a);
INSERT INTO t(rowid, a) SELECT 2 * i, 'word' || i FROM n;
CREATE VIRTUAL TABLE s USING fts4(a, content="t");
INSERT INTO s(s) VALUES ('rebuild');
