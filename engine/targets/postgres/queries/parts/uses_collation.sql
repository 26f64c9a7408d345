-- Whether an index compares by a collation.
(d.oid = ANY (x.indcollation::oid[])
            OR concat(x.indexprs::text, x.indpred::text) LIKE '%:inputcollid ' || d.oid || ' %')
