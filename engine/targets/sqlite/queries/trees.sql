-- Where each table and index begins, with names that may be no text.
SELECT rootpage, type = 'index', CAST(name AS TEXT) FROM main.sqlite_schema WHERE rootpage > 0
