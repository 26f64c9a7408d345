-- The pages of the file: all, their size, whether it gives pages back, the free ones, those of tables and indexes.
SELECT page_count, page_size, auto_vacuum, freelist_count,
       (SELECT coalesce(sum(pageno), 0) FROM temp.dbstat('main') WHERE aggregate = TRUE)
FROM temp.pragma_page_count('main'), temp.pragma_page_size('main'), temp.pragma_auto_vacuum('main'),
     temp.pragma_freelist_count
