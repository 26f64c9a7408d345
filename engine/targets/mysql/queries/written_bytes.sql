-- What ALTER TABLE of MySQL has read and written.
-- Its stages name no thread unless their consumer is enabled, and have counted all pages long before the end.
SELECT SUBSTRING_INDEX(file_name, '/', -1), CAST(sum_number_of_bytes_read + sum_number_of_bytes_write AS SIGNED)
FROM performance_schema.file_summary_by_instance
WHERE file_name LIKE '%/#sql-ib%' OR event_name = 'wait/io/file/innodb/innodb_temp_file'
