-- Whether the error of a step reports what a check found. Of old steps: where it begins with a finding in the log.

ALTER TABLE step ADD COLUMN error_is_finding INTEGER NOT NULL DEFAULT 0 CHECK (error_is_finding IN (0, 1));
UPDATE step SET error_is_finding = 1
WHERE status = 'failed' AND EXISTS (
    SELECT 1 FROM child_job AS c WHERE c.parent_id = step.parent_id AND c.ordinal = step.ordinal AND c.operation = 'check'
) AND EXISTS (
    SELECT 1 FROM log AS l
    WHERE l.parent_id = step.parent_id AND l.ordinal = step.ordinal AND l.attempt = step.attempt
        AND l.level = 'error' AND substr(step.error, 1, length(l.message)) = l.message
);
