-- Databases whose schema is not what SQLite would write: one after each line that begins with "-- * ", in
-- addition to the table `person` with an index `i` and a view `v`. The schema can be written.

-- * a table in lower case
UPDATE sqlite_schema SET sql = 'create TABLE person(id INTEGER PRIMARY KEY, name, town, born)' WHERE name = 'person';

-- * a table without an index in lower case
CREATE TABLE t(a);
INSERT INTO t VALUES (1);
UPDATE sqlite_schema SET sql = 'Create Table t(a)' WHERE name = 't';

-- * an index in lower case
UPDATE sqlite_schema SET sql = 'create index i ON person(name)' WHERE name = 'i';

-- * a view in lower case
UPDATE sqlite_schema SET sql = 'create view v AS SELECT id FROM person' WHERE name = 'v';

-- * a trigger in lower case
CREATE TRIGGER t AFTER INSERT ON person BEGIN SELECT 1; END;
UPDATE sqlite_schema SET sql = 'create ' || substr(sql, 8) WHERE name = 't';

-- * a virtual table in lower case
CREATE VIRTUAL TABLE s USING fts5(a);
INSERT INTO s VALUES ('x');
UPDATE sqlite_schema SET sql = 'create ' || substr(sql, 8) WHERE name = 's';

-- * a space before CREATE
UPDATE sqlite_schema SET sql = ' ' || sql WHERE name = 'person';

-- * a comment before CREATE
UPDATE sqlite_schema SET sql = '/* x */ ' || sql WHERE name = 'i';

-- * a line end before CREATE, and a hostile name
CREATE TABLE "a 'b' [red]
c"(x);
INSERT INTO "a 'b' [red]
c" VALUES (1);
UPDATE sqlite_schema SET sql = char(10) || sql WHERE name GLOB 'a *';

-- * a definition that is no SQL
UPDATE sqlite_schema SET sql = 'CREATE TABLE person(' WHERE name = 'person';

-- * an index that is no SQL
UPDATE sqlite_schema SET sql = 'CREATE INDEX i ON' WHERE name = 'i';

-- * a view that is no SQL
UPDATE sqlite_schema SET sql = 'CREATE VIEW v AS SELEKT' WHERE name = 'v';

-- * a definition of a later version
UPDATE sqlite_schema SET sql = 'CREATE TABLE person(id INTEGER PRIMARY KEY) COLUMNAR' WHERE name = 'person';

-- * a definition that drops a table
UPDATE sqlite_schema SET sql = 'DROP TABLE person' WHERE name = 'i';

-- * a definition of two statements
UPDATE sqlite_schema SET sql = sql || '; DROP TABLE person' WHERE name = 'i';

-- * a table without a definition
UPDATE sqlite_schema SET sql = NULL WHERE name = 'person';

-- * an index without a definition
UPDATE sqlite_schema SET sql = NULL WHERE name = 'i';

-- * a view without a definition
UPDATE sqlite_schema SET sql = NULL WHERE name = 'v';

-- * an empty definition
UPDATE sqlite_schema SET sql = '' WHERE name = 'i';

-- * a definition that is a blob
UPDATE sqlite_schema SET sql = x'00ff' WHERE name = 'i';

-- * a definition with a NUL
UPDATE sqlite_schema SET sql = 'CREATE INDEX i ON person(name)' || char(0) || 'x' WHERE name = 'i';

-- * a definition of something else
UPDATE sqlite_schema SET sql = 'CREATE TABLE other(id, x)' WHERE name = 'person';

-- * no name
UPDATE sqlite_schema SET name = NULL WHERE name = 'i';

-- * no table name
UPDATE sqlite_schema SET tbl_name = NULL WHERE name = 'i';

-- * an index of no table
UPDATE sqlite_schema SET tbl_name = 'gone', sql = 'CREATE INDEX i ON gone(a)' WHERE name = 'i';

-- * an index of no column
UPDATE sqlite_schema SET sql = 'CREATE INDEX i ON person(gone)' WHERE name = 'i';

-- * an index of a view
UPDATE sqlite_schema SET tbl_name = 'v', sql = 'CREATE INDEX i ON v(id)' WHERE name = 'i';

-- * an index of a constraint that there is not
UPDATE sqlite_schema SET name = 'sqlite_autoindex_person_1', sql = NULL WHERE name = 'i';

-- * a constraint without its index
CREATE TABLE t(a UNIQUE);
INSERT INTO t VALUES (1);
DELETE FROM sqlite_schema WHERE name = 'sqlite_autoindex_t_1';

-- * a key without its index
CREATE TABLE t(a PRIMARY KEY, b UNIQUE);
INSERT INTO t VALUES (1, 2);
DELETE FROM sqlite_schema WHERE name = 'sqlite_autoindex_t_1';

-- * a kind of object that there is not
UPDATE sqlite_schema SET type = 'banana' WHERE name = 'i';

-- * a kind of object that is NULL
UPDATE sqlite_schema SET type = NULL WHERE name = 'v';

-- * a table that is called an index
UPDATE sqlite_schema SET type = 'index' WHERE name = 'person';

-- * root page 0 of a table
UPDATE sqlite_schema SET rootpage = 0 WHERE name = 'person';

-- * root page 0 of an index
UPDATE sqlite_schema SET rootpage = 0 WHERE name = 'i';

-- * root page 1
UPDATE sqlite_schema SET rootpage = 1 WHERE name = 'i';

-- * a root page beyond the end
UPDATE sqlite_schema SET rootpage = 99999 WHERE name = 'person';

-- * a negative root page
UPDATE sqlite_schema SET rootpage = -2 WHERE name = 'i';

-- * a root page that is a text
UPDATE sqlite_schema SET rootpage = 'banana' WHERE name = 'i';

-- * a root page that is NULL
UPDATE sqlite_schema SET rootpage = NULL WHERE name = 'person';

-- * a root page of a view
UPDATE sqlite_schema SET rootpage = 2 WHERE name = 'v';

-- * the same table twice
INSERT INTO sqlite_schema SELECT * FROM sqlite_schema WHERE name = 'person';

-- * the same index twice
INSERT INTO sqlite_schema SELECT * FROM sqlite_schema WHERE name = 'i';

-- * no rows at all
DELETE FROM sqlite_schema;

-- * a forgotten table
DELETE FROM sqlite_schema WHERE name IN ('person', 'i');

-- * a forgotten index
DELETE FROM sqlite_schema WHERE name = 'i';

-- * a table of statistics that is an ordinary one
CREATE TABLE t(a);
INSERT INTO t VALUES (1);
UPDATE sqlite_schema SET name = 'sqlite_stat1', tbl_name = 'sqlite_stat1', sql = 'CREATE TABLE sqlite_stat1(a)'
WHERE name = 't';

-- * statistics with a column too few
ANALYZE;
UPDATE sqlite_schema SET sql = 'CREATE TABLE sqlite_stat1(tbl, idx)' WHERE name = 'sqlite_stat1';

-- * statistics as a view
UPDATE sqlite_schema SET name = 'sqlite_stat1', tbl_name = 'sqlite_stat1', sql = 'CREATE VIEW sqlite_stat1 AS SELECT 1'
WHERE name = 'v';

-- * statistics of samples
ANALYZE;
CREATE TABLE samples(tbl, idx, neq, nlt, ndlt, sample);
INSERT INTO samples VALUES ('person', 'i', '1', '2', '3', x'0107');
UPDATE sqlite_schema SET name = 'sqlite_stat4', tbl_name = 'sqlite_stat4',
    sql = 'CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)' WHERE name = 'samples';

-- * a sequence with other columns
CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT);
INSERT INTO t DEFAULT VALUES;
UPDATE sqlite_schema SET sql = 'CREATE TABLE sqlite_sequence(x)' WHERE name = 'sqlite_sequence';

-- * a sequence that is missing
CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT);
INSERT INTO t DEFAULT VALUES;
DELETE FROM sqlite_schema WHERE name = 'sqlite_sequence';

-- * a table of the system that SQLite does not know
CREATE TABLE t(a);
INSERT INTO t VALUES (1);
UPDATE sqlite_schema SET name = 'sqlite_mine', tbl_name = 'sqlite_mine', sql = 'CREATE TABLE sqlite_mine(a)'
WHERE name = 't';

-- * a virtual table with a root page
CREATE VIRTUAL TABLE s USING fts5(a);
UPDATE sqlite_schema SET rootpage = 2 WHERE name = 's';

-- * a table called sqlite_schema
CREATE TABLE t(a);
UPDATE sqlite_schema SET name = 'sqlite_master', tbl_name = 'sqlite_master', sql = 'CREATE TABLE sqlite_master(a)'
WHERE name = 't';
