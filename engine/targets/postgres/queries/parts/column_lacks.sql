-- Whether a column lacks statistics. Virtual columns, and columns whose statistics target is 0, never have any.
a.attnum > 0 AND NOT a.attisdropped AND a.attstattarget IS DISTINCT FROM 0 AND a.attgenerated <> 'v'
        AND NOT EXISTS (SELECT FROM stored AS s
            WHERE s.relation = a.attrelid AND s.attribute = a.attnum AND s.inherited = {1})
