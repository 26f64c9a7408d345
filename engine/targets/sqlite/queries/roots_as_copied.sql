-- Every table and index, and where it begins, in the order of VACUUM: each table, and then its indexes.
SELECT own.name, own.rootpage, own.type = 'index' FROM main.sqlite_schema AS own
LEFT JOIN main.sqlite_schema AS whose ON whose.type = 'table' AND whose.name = own.tbl_name
WHERE own.rootpage > 0 ORDER BY whose.rowid, own.type = 'index', own.rowid
