-- A schedule joins no jobs of others any more: what became of those it had joined is not on record.
UPDATE firing SET reason = NULL WHERE reason = 'joined';
