-- The pages of a relation, by the catalog or measured.
-- if measured
{measured_pages {1}}
-- else
{1}.relpages::int8
-- end
