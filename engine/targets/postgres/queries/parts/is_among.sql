-- Whether an oid is among those of the parameter `oids`, or all are wanted.
-- if some
{1} = ANY (%(oids)s::oid[])
-- else
true
-- end
