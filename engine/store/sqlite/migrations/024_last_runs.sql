-- How each operation ended last on each target, however many jobs came after it. Triggers keep it.
CREATE TABLE last_run (
    target       TEXT NOT NULL,
    operation    TEXT NOT NULL,
    status       TEXT NOT NULL,
    reason       TEXT,
    started_at   INTEGER,
    finished_at  INTEGER NOT NULL,
    completed_at INTEGER,
    PRIMARY KEY (target, operation)
) STRICT, WITHOUT ROWID;
INSERT INTO last_run (target, operation, status, reason, started_at, finished_at)
SELECT target, operation, status, reason, started_at, finished_at FROM (
    SELECT p.target, c.operation, c.status, c.reason, c.started_at, c.finished_at, max(p.id * 1000 + c.ordinal)
    FROM parent_job AS p CROSS JOIN child_job AS c ON c.parent_id = p.id
    WHERE c.finished_at IS NOT NULL AND c.status <> 'skipped'
    GROUP BY p.target, c.operation);
UPDATE last_run SET completed_at = done.at FROM (
    SELECT p.target, c.operation, max(c.finished_at) AS at
    FROM parent_job AS p CROSS JOIN child_job AS c ON c.parent_id = p.id
    WHERE c.status = 'completed' AND c.reason IS NULL
    GROUP BY p.target, c.operation) AS done
WHERE (done.target, done.operation) = (last_run.target, last_run.operation);
