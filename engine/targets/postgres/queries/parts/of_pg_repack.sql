-- Whether it is the log or the copy of a table, which pg_repack makes for its work.
({1}.nspname = 'repack' AND {2}.relname ~ '^(log|table)_[0-9]+$'
    AND EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_repack'))
