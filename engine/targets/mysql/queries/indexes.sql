-- The columns of each index.
SELECT table_name, index_name, seq_in_index, column_name, non_unique, nullable, sub_part{kinds}
FROM information_schema.statistics WHERE table_schema = DATABASE()
