-- However often the firings and running jobs are read, each is told once to a recipient.
DROP INDEX notification_missed;
CREATE UNIQUE INDEX notification_firing ON notification (recipient, schedule, at, kind)
    WHERE kind = 'missed' OR kind = 'skipped';
CREATE UNIQUE INDEX notification_longer ON notification (recipient, parent_id, ordinal)
    WHERE kind = 'longer_than_usual';
