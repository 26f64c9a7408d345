-- The bytes that a value of a column is aligned to, by its width.
CASE WHEN {1}.attlen = -1 AND {1}.attstorage <> 'p' AND {2} < 127 THEN 1
    ELSE CASE {1}.attalign WHEN 'c' THEN 1 WHEN 's' THEN 2 WHEN 'i' THEN 4 ELSE 8 END END
