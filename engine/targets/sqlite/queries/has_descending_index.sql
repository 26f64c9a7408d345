-- Whether an index of the database descends.
SELECT EXISTS (
    SELECT 1 FROM main.sqlite_schema AS t, temp.pragma_index_list(t.name) AS i, temp.pragma_index_xinfo(i.name) AS c
    WHERE t.type = 'table' AND c."desc")
