-- What happened to a due time is told once to a recipient.
DROP INDEX notification_firing;
DROP INDEX notification_fired;
CREATE UNIQUE INDEX notification_firing ON notification (recipient, schedule, at, kind) WHERE target = '';
