-- The first columns of indexes: these need no histogram, as the optimizer asks the index.
SELECT table_name, column_name FROM information_schema.statistics
WHERE table_schema = DATABASE() AND seq_in_index = 1 AND column_name IS NOT NULL
