-- The number of segments of a full-text index, and the pages of all of them.
-- Steps from one segment to the next, and to the last page of each, however long they are.
WITH RECURSIVE segment(id) AS (
    SELECT min(segid) FROM {shadow}
    UNION ALL
    SELECT (SELECT min(segid) FROM {shadow} WHERE segid > id) FROM segment WHERE id IS NOT NULL
)
SELECT count(id), coalesce(sum((SELECT pgno >> 1 FROM {shadow} WHERE segid = id ORDER BY term DESC LIMIT 1)), 0)
FROM segment
