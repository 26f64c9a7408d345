-- The number of pages, their size, and whether the file gives pages back.
SELECT page_count, page_size, auto_vacuum
FROM temp.pragma_page_count('main'), temp.pragma_page_size('main'), temp.pragma_auto_vacuum('main')
