-- Databases whose pages are in order, and which break their own rules: one after each line that begins with
-- "-- * ", in addition to the table `person`. While an index is not in the schema, nothing keeps it up to date.

-- * entries missing from an index
CREATE INDEX by_born ON person(born);
CREATE TEMP TABLE hidden AS SELECT * FROM sqlite_schema WHERE name = 'by_born';
PRAGMA writable_schema = ON;
DELETE FROM sqlite_schema WHERE name = 'by_born';
PRAGMA writable_schema = RESET;
INSERT INTO person(name, born) SELECT 'late', i FROM n;
PRAGMA writable_schema = ON;
INSERT INTO sqlite_schema SELECT * FROM hidden;

-- * entries missing from an index, others in order
CREATE INDEX by_name ON person(name);
CREATE INDEX by_born ON person(born);
CREATE INDEX by_town ON person(town);
CREATE TEMP TABLE hidden AS SELECT * FROM sqlite_schema WHERE name = 'by_born';
PRAGMA writable_schema = ON;
DELETE FROM sqlite_schema WHERE name = 'by_born';
PRAGMA writable_schema = RESET;
INSERT INTO person(name, born) SELECT 'late', i FROM n;
PRAGMA writable_schema = ON;
INSERT INTO sqlite_schema SELECT * FROM hidden;

-- * entries missing from all indexes
CREATE INDEX by_name ON person(name);
CREATE INDEX by_born ON person(born);
CREATE TEMP TABLE hidden AS SELECT * FROM sqlite_schema WHERE type = 'index';
PRAGMA writable_schema = ON;
DELETE FROM sqlite_schema WHERE type = 'index';
PRAGMA writable_schema = RESET;
INSERT INTO person(name, born) SELECT 'late', i FROM n;
PRAGMA writable_schema = ON;
INSERT INTO sqlite_schema SELECT * FROM hidden;

-- * entries missing from an index named nocase
CREATE INDEX "nocase" ON person(born);
CREATE TEMP TABLE hidden AS SELECT * FROM sqlite_schema WHERE name = 'nocase';
PRAGMA writable_schema = ON;
DELETE FROM sqlite_schema WHERE name = 'nocase';
PRAGMA writable_schema = RESET;
INSERT INTO person(name, born) SELECT 'late', i FROM n;
PRAGMA writable_schema = ON;
INSERT INTO sqlite_schema SELECT * FROM hidden;

-- * entries missing from an index with a hostile name
CREATE INDEX "a ""b""; [red]
x" ON person(born);
CREATE TEMP TABLE hidden AS SELECT * FROM sqlite_schema WHERE type = 'index';
PRAGMA writable_schema = ON;
DELETE FROM sqlite_schema WHERE type = 'index';
PRAGMA writable_schema = RESET;
INSERT INTO person(name, born) SELECT 'late', i FROM n;
PRAGMA writable_schema = ON;
INSERT INTO sqlite_schema SELECT * FROM hidden;

-- * more complaints than a check tells
CREATE TABLE t(a, b);
CREATE INDEX i ON t(a);
CREATE TEMP TABLE hidden AS SELECT * FROM sqlite_schema WHERE name = 'i';
PRAGMA writable_schema = ON;
DELETE FROM sqlite_schema WHERE name = 'i';
PRAGMA writable_schema = RESET;
INSERT INTO t SELECT x.i, y.i FROM n AS x, n AS y;
PRAGMA writable_schema = ON;
INSERT INTO sqlite_schema SELECT * FROM hidden;

-- * entries that are too many
CREATE INDEX by_born ON person(born);
CREATE TEMP TABLE hidden AS SELECT * FROM sqlite_schema WHERE name = 'by_born';
PRAGMA writable_schema = ON;
DELETE FROM sqlite_schema WHERE name = 'by_born';
PRAGMA writable_schema = RESET;
DELETE FROM person WHERE id % 4 = 0;
PRAGMA writable_schema = ON;
INSERT INTO sqlite_schema SELECT * FROM hidden;

-- * entries with old values
CREATE INDEX by_born ON person(born);
CREATE TEMP TABLE hidden AS SELECT * FROM sqlite_schema WHERE name = 'by_born';
PRAGMA writable_schema = ON;
DELETE FROM sqlite_schema WHERE name = 'by_born';
PRAGMA writable_schema = RESET;
UPDATE person SET born = -born WHERE id % 4 = 0;
PRAGMA writable_schema = ON;
INSERT INTO sqlite_schema SELECT * FROM hidden;

-- * entries missing from the index of a WITHOUT ROWID table
CREATE TABLE t(a PRIMARY KEY, b, c) WITHOUT ROWID;
CREATE INDEX i ON t(b);
INSERT INTO t SELECT i, i % 5, i FROM n;
CREATE TEMP TABLE hidden AS SELECT * FROM sqlite_schema WHERE name = 'i';
PRAGMA writable_schema = ON;
DELETE FROM sqlite_schema WHERE name = 'i';
PRAGMA writable_schema = RESET;
DELETE FROM t WHERE a > 40;
INSERT INTO t VALUES (99, 1, 1);
PRAGMA writable_schema = ON;
INSERT INTO sqlite_schema SELECT * FROM hidden;

-- * an index in the other direction
CREATE INDEX i ON person(born);
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = 'CREATE INDEX i ON person(born DESC)' WHERE name = 'i';

-- * an index by another collation
CREATE TABLE t(a);
CREATE INDEX i ON t(a);
INSERT INTO t VALUES ('a'), ('B'), ('c'), ('D'), ('A');
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = 'CREATE INDEX i ON t(a COLLATE nocase)' WHERE name = 'i';

-- * a WITHOUT ROWID table by another collation
CREATE TABLE t(a TEXT PRIMARY KEY, b UNIQUE) WITHOUT ROWID;
CREATE INDEX i ON t(b DESC);
INSERT INTO t VALUES ('a', 1), ('B', 2), ('c', 3), ('D', 4), ('e', 5);
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = 'CREATE TABLE t(a TEXT COLLATE nocase PRIMARY KEY, b UNIQUE) WITHOUT ROWID'
WHERE name = 't';

-- * an index on another column
CREATE INDEX i ON person(born);
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = 'CREATE INDEX i ON person(town)' WHERE name = 'i';

-- * an index on another expression
CREATE INDEX i ON person(id % 3);
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = 'CREATE INDEX i ON person(id % 7)' WHERE name = 'i';

-- * an index with other columns than it is said to have
CREATE INDEX i ON person(born);
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = 'CREATE INDEX i ON person(born, town, name)' WHERE name = 'i';

-- * a partial index with another condition
CREATE INDEX i ON person(name) WHERE id > 30;
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = 'CREATE INDEX i ON person(name) WHERE id > 20' WHERE name = 'i';

-- * an empty index of a table that is not empty
CREATE INDEX i ON person(name) WHERE id < 0;
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = 'CREATE INDEX i ON person(name)' WHERE name = 'i';

-- * a generated column with another expression, and an index on it
CREATE TABLE t(a, b AS (a + 1));
CREATE INDEX i ON t(b);
INSERT INTO t SELECT i FROM n;
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = 'CREATE TABLE t(a, b AS (a + 2))' WHERE name = 't';

-- * two indexes on the pages of one
CREATE INDEX i ON person(name);
CREATE INDEX j ON person(born);
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'i') WHERE name = 'j';

-- * two tables on the pages of one
CREATE TABLE other(id INTEGER PRIMARY KEY, name TEXT, town TEXT, born INTEGER);
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'person') WHERE name = 'other';

-- * duplicates under UNIQUE
CREATE INDEX i ON person(name);
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = 'CREATE UNIQUE INDEX i ON person(name)' WHERE name = 'i';

-- * duplicates under UNIQUE, between indexes in order
CREATE INDEX first ON person(town);
CREATE INDEX i ON person(name);
CREATE INDEX last ON person(born);
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = 'CREATE UNIQUE INDEX i ON person(name)' WHERE name = 'i';

-- * duplicates under a partial UNIQUE
CREATE INDEX i ON person(name) WHERE id > 5;
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = 'CREATE UNIQUE INDEX i ON person(name) WHERE id > 5' WHERE name = 'i';

-- * duplicates under a UNIQUE expression with a hostile name
CREATE INDEX "[b]i""" ON person(lower(name));
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = 'CREATE UNIQUE INDEX "[b]i""" ON person(lower(name))' WHERE type = 'index';

-- * duplicates of a constraint
CREATE TABLE t(a UNIQUE, b);
INSERT INTO t SELECT i, i % 5 FROM n;
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = 'CREATE TABLE t(a, b UNIQUE)' WHERE name = 't';

-- * duplicate keys without rowid
CREATE TABLE t(a, b, c, PRIMARY KEY(a, b)) WITHOUT ROWID;
INSERT INTO t SELECT i % 5, i, i FROM n;
CREATE INDEX i ON t(c);
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = 'CREATE TABLE t(a PRIMARY KEY, b, c) WITHOUT ROWID' WHERE name = 't';

-- * NULL where NOT NULL is
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = 'CREATE TABLE person(id INTEGER PRIMARY KEY, name, town NOT NULL, born)';

-- * NULL in a primary key without rowid
CREATE TABLE t(a, b, PRIMARY KEY(b)) WITHOUT ROWID;
INSERT INTO t VALUES (NULL, 1), (NULL, 2);
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = 'CREATE TABLE t(a NOT NULL, b PRIMARY KEY) WITHOUT ROWID' WHERE name = 't';

-- * CHECK that is broken
CREATE TABLE t(a CHECK (a > 0));
PRAGMA ignore_check_constraints = ON;
INSERT INTO t SELECT -i FROM n;

-- * types that STRICT does not allow
CREATE TABLE t(a ANY, b ANY) STRICT;
INSERT INTO t VALUES ('text', x'00'), (1, 1);
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = 'CREATE TABLE t(a INT, b TEXT) STRICT' WHERE name = 't';

-- * numbers stored as texts
CREATE TABLE t(a, b);
INSERT INTO t SELECT cast(i AS TEXT), 'x' FROM n;
CREATE INDEX i ON t(a);
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = 'CREATE TABLE t(a INTEGER, b REAL)' WHERE name = 't';

-- * foreign keys that lead nowhere
CREATE TABLE child(a REFERENCES person, b REFERENCES person(id));
INSERT INTO child SELECT i + 30, NULL FROM n;

-- * foreign keys that lead nowhere, of a WITHOUT ROWID table
CREATE TABLE "chi""ld"(a PRIMARY KEY REFERENCES person) WITHOUT ROWID;
INSERT INTO "chi""ld" SELECT i + 30 FROM n;

-- * foreign key to a table that is gone
CREATE TABLE child(a REFERENCES gone(x), b REFERENCES "gone [red]");
INSERT INTO child VALUES (1, NULL), (NULL, 2);

-- * foreign key to no unique column
CREATE TABLE child(a REFERENCES person(town));
INSERT INTO child VALUES ('Town 1');

-- * foreign key with too few columns
CREATE TABLE child(a, b, FOREIGN KEY(a, b) REFERENCES person);
INSERT INTO child VALUES (1, 2);

-- * foreign keys that lead nowhere, beside one with a mismatch
CREATE TABLE child(a REFERENCES person);
CREATE TABLE odd(a REFERENCES person(town));
INSERT INTO child VALUES (999);
INSERT INTO odd VALUES ('x');

-- * fewer columns than the table is said to have
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = 'CREATE TABLE person(id INTEGER PRIMARY KEY, a, b, c, d, e NOT NULL DEFAULT 1)';

-- * more columns than the table is said to have
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = 'CREATE TABLE person(id INTEGER PRIMARY KEY)';

-- * a rowid table that is said to be WITHOUT ROWID
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = 'CREATE TABLE person(id PRIMARY KEY, name, town, born) WITHOUT ROWID';

-- * a WITHOUT ROWID table that is said to have rowids
CREATE TABLE t(a PRIMARY KEY, b) WITHOUT ROWID;
INSERT INTO t SELECT i, i FROM n;
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = 'CREATE TABLE t(a, b)' WHERE name = 't';

-- * a table that is an index
CREATE INDEX i ON person(name);
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'i') WHERE name = 'person';

-- * an index that is a table
CREATE INDEX i ON person(name);
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'person') WHERE name = 'i';

-- * fts5 with a damaged segment
CREATE VIRTUAL TABLE s USING fts5(a);
INSERT INTO s SELECT 'word' || i || ' common' FROM n;
UPDATE s_data SET block = x'00ff00ff00ff' WHERE id > 10;

-- * fts5 with a segment missing
CREATE VIRTUAL TABLE s USING fts5(a);
INSERT INTO s SELECT 'word' || i || ' common' FROM n;
INSERT INTO s SELECT 'more' || i || ' common' FROM n;
DELETE FROM s_data WHERE id > 10;

-- * fts5 with a damaged structure
CREATE VIRTUAL TABLE s USING fts5(a);
INSERT INTO s SELECT 'word' || i FROM n;
UPDATE s_data SET block = x'ffffffffffffffffffff' WHERE id = 10;

-- * fts5 without a structure
CREATE VIRTUAL TABLE s USING fts5(a);
INSERT INTO s SELECT 'word' || i FROM n;
DELETE FROM s_data WHERE id = 10;

-- * fts5 with rows that its index does not know
CREATE VIRTUAL TABLE s USING fts5(a);
INSERT INTO s SELECT 'word' || i FROM n;
INSERT INTO s_content VALUES (999, 'unknown');

-- * fts5 that has another content than its index
CREATE VIRTUAL TABLE s USING fts5(name, content = person, content_rowid = id);
INSERT INTO s(s) VALUES ('rebuild');
UPDATE person SET name = 'other';

-- * fts5 damaged, beside one in order
CREATE VIRTUAL TABLE s USING fts5(a);
INSERT INTO s SELECT 'word' || i || ' common' FROM n;
UPDATE s_data SET block = x'00ff00ff00ff' WHERE id > 10;
CREATE VIRTUAL TABLE "in order" USING fts5(a);
INSERT INTO "in order" VALUES ('a'), ('b');

-- * fts4 with a damaged segment
CREATE VIRTUAL TABLE s USING fts4(a);
INSERT INTO s SELECT 'word' || i FROM n;
UPDATE s_segdir SET root = x'00ff00ff';

-- * fts4 without content, which SQLite cannot check
CREATE VIRTUAL TABLE s USING fts4(content='', name, order=desc);
INSERT INTO s(docid, name) SELECT i * 3, 'word' || i FROM n;

-- * rtree with a damaged node
CREATE VIRTUAL TABLE box USING rtree(id, a, b);
INSERT INTO box SELECT i, i, i + 1 FROM n;
UPDATE box_node SET data = x'ffff0000' WHERE nodeno = 1;

-- * rtree without a row of its own
CREATE VIRTUAL TABLE box USING rtree(id, a, b);
INSERT INTO box SELECT i, i, i + 1 FROM n;
DELETE FROM box_rowid WHERE rowid < 5;
