-- The number of all pages that are in use.
SELECT coalesce(sum(pageno), 0) FROM temp.dbstat('main') WHERE aggregate = TRUE
