-- Whether extended statistics are those of the children, too: NULL before PostgreSQL 15.
-- if from_15
{1}
-- else
NULL::bool
-- end
