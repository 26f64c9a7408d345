-- What ANALYZE has stored.
SELECT tbl, idx, stat FROM main.sqlite_stat1
