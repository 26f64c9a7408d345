-- What became of the messages of each recipient, and when one was sent or given up last.
CREATE INDEX message_outcome ON message (recipient, status, ended_at);
