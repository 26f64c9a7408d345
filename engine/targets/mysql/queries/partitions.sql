-- The partitions of each table, with their sizes and rows.
SELECT table_name, partition_name, subpartition_name, NULLIF(table_rows, 4294967295), data_length, index_length,
    data_free
FROM information_schema.partitions WHERE table_schema = DATABASE() AND partition_name IS NOT NULL{some}
ORDER BY table_name, partition_ordinal_position, subpartition_ordinal_position
