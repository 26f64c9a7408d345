-- How many processes a pool keeps up: fewer are told of.

ALTER TABLE worker ADD COLUMN pool_size INTEGER;
