-- The indexes for which two versions of SQLite may compute other values.
-- Those with a WHERE, on expressions or on generated columns.
SELECT indexes.name FROM main.sqlite_schema AS tables
JOIN temp.pragma_index_list(tables.name, 'main') AS indexes
WHERE tables.type = 'table' AND (indexes.partial OR EXISTS (
  SELECT 1 FROM temp.pragma_index_xinfo(indexes.name, 'main') AS columns
  WHERE columns.cid = -2 OR columns.cid IN (
    SELECT cid FROM temp.pragma_table_xinfo(tables.name, 'main') WHERE hidden IN (2, 3)
  )
))
