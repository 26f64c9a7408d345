-- The rows of a table, estimated by some stretches of its rowids.
-- From how close to each other the rowids are in some places. That is right also where they begin late, have gaps, or
-- are random. A row takes four bytes at least, whatever its rowid.
WITH RECURSIVE
place(number) AS (SELECT 0 UNION ALL SELECT number + 1 FROM place LIMIT 16),
span(lowest, length) AS (
    SELECT lowest, highest - lowest + 1
    FROM (SELECT (SELECT min({rowid}) FROM {table}) AS lowest, (SELECT max({rowid}) FROM {table}) AS highest)
),
stretch(start, length) AS (SELECT lowest + number * (length / 16.0), length / 16.0 FROM span, place)
SELECT min(round(total(length * (
    SELECT count(*) / (max(id) - start + 1) FROM (SELECT {rowid} AS id FROM {table} WHERE {rowid} >= start LIMIT 64)
))), (SELECT page_count * page_size / 4 FROM temp.pragma_page_count, temp.pragma_page_size)) FROM stretch
