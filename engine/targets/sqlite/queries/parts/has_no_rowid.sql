-- Whether a table has no rowid.
-- Of such a table SQLite tells its key as if that were an index with the name of the table; to find out that there is
-- none takes SQLite a look at many names.
(t.sql LIKE '%without%' AND EXISTS (SELECT 1 FROM temp.pragma_index_info(t.name, 'main')))
