-- The tables that have the sign of a partition in their names.
SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() AND LOWER(table_name) LIKE '%#p#%'
