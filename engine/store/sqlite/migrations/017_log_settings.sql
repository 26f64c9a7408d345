-- Whether a log line only names settings of the connection: screens fold it. Of old lines that is not known.
ALTER TABLE log ADD COLUMN is_settings INTEGER NOT NULL DEFAULT 0 CHECK (is_settings IN (0, 1));
