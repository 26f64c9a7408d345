-- That a due time fired after it was reported as missed is told once to a recipient.
CREATE UNIQUE INDEX notification_fired ON notification (recipient, schedule, at) WHERE kind = 'recovered' AND target = '';
