-- The rows that each table of MariaDB had when its histograms were collected.
SELECT table_name, CAST(cardinality AS SIGNED) FROM mysql.table_stats WHERE db_name = DATABASE()
