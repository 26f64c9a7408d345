-- The login that made a write is kept with what it wrote, as the server knows it. The upgrade also makes the queue anew, and
-- sets the rights of all roles.
ALTER TABLE parent_job ADD COLUMN login text NOT NULL DEFAULT ''; -- that submitted it
ALTER TABLE event ADD COLUMN login text NOT NULL DEFAULT '';
ALTER TABLE attempt ADD COLUMN login text; -- that recorded its end
