-- Hosts that share the store.

-- Let the workers of a host take no more jobs, and leave.
CREATE OR REPLACE FUNCTION drain_host(name text, who text, at bigint) RETURNS void LANGUAGE sql AS $$
    INSERT INTO drained_host (host, at, by) VALUES (name, coalesce(at, now_micros()), with_role(who)) ON CONFLICT DO NOTHING
$$;

-- Let the workers of a host take jobs again. Returns whether the host was drained.
CREATE OR REPLACE FUNCTION undrain_host(name text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM drained_host WHERE host = name;
    RETURN FOUND;
END $$;
