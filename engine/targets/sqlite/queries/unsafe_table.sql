-- The first of these tables that has a trigger, or is a view or a virtual table.
-- A write to it would run what the file holds, and a trigger can change any table.
SELECT CAST(tbl_name AS TEXT) FROM main.sqlite_schema
WHERE tbl_name COLLATE NOCASE IN ({names}) AND (type IN ('trigger', 'view') OR type = 'table' AND NOT rootpage) LIMIT 1
