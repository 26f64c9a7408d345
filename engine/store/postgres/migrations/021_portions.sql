-- A large batch is submitted in portions: what is still to come, and the id of its next job. Its ids are kept free.
ALTER TABLE batch ADD COLUMN unsubmitted integer NOT NULL DEFAULT 0 CHECK (unsubmitted >= 0);
ALTER TABLE batch ADD COLUMN next_job bigint;
