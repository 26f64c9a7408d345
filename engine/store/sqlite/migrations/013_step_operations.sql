-- What kind of work a step did: an OPTIMIZE runs VACUUM, ANALYZE and REINDEX. NULL: unknown, from before this version.

ALTER TABLE step ADD COLUMN operation TEXT;
UPDATE step SET operation = 'reindex' WHERE command LIKE 'REINDEX%';
UPDATE step SET operation = 'vacuum' WHERE command LIKE 'VACUUM%';
