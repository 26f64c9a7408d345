-- Whether another index of the table has the same first key.
-- Of thousands of indexes few share their first key: comparing only these saves most of the time.
(x.indrelid, x.indkey[0]) IN (
        SELECT o.indrelid, o.indkey[0] FROM pg_index AS o GROUP BY 1, 2 HAVING count(*) > 1)
