-- The columns of a table, and which are hidden or computed.
SELECT name, hidden FROM temp.pragma_table_xinfo(?, 'main')
