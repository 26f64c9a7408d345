-- The columns whose type can have a histogram.
SELECT c.table_name, c.column_name FROM information_schema.columns AS c
WHERE c.table_schema = DATABASE()
    AND c.data_type NOT IN ('json', 'geometry', 'point', 'linestring', 'polygon', 'multipoint', 'multilinestring',
        'multipolygon', 'geomcollection', 'geometrycollection', 'vector', 'tinyblob', 'blob', 'mediumblob', 'longblob',
        'tinytext', 'text', 'mediumtext', 'longtext')
ORDER BY c.table_name, c.ordinal_position
