-- Whether an index is not one of the catalog or of TOAST.
i.relnamespace NOT IN ('pg_catalog'::regnamespace, 'pg_toast'::regnamespace)
