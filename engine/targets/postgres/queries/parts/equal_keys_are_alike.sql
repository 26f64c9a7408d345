-- Whether a B-tree may store equal keys once.
-- Numbers with decimals may be equal and look different, as may texts by the rules of some languages: these are never
-- stored once for several rows, and neither are the keys of an index with further columns.
x.indnkeyatts = x.indnatts AND NOT EXISTS (
        SELECT FROM unnest(x.indclass::oid[]) AS class JOIN pg_opclass AS c ON c.oid = class
        WHERE NOT EXISTS (SELECT FROM pg_amproc AS p WHERE p.amprocfamily = c.opcfamily AND p.amprocnum = 4
            AND p.amproclefttype = c.opcintype AND p.amprocrighttype = c.opcintype))
    AND NOT EXISTS (SELECT FROM unnest(x.indcollation::oid[]) AS used JOIN pg_collation AS l ON l.oid = used
        WHERE NOT l.collisdeterministic)
