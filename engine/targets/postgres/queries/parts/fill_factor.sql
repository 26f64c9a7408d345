-- The fill factor of a relation, or its default.
coalesce((SELECT split_part(o, '=', 2)::float8 FROM unnest({1}.reloptions) AS o
    WHERE starts_with(o, 'fillfactor=')), {2}) / 100
