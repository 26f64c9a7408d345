-- The lowest and the highest rowid of a table, and the number of its rows.
SELECT {number}, (SELECT min({rowid}) FROM {table}), (SELECT max({rowid}) FROM {table}), (SELECT count(*) FROM {table})
