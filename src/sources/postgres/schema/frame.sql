-- The directory of a policy store, for PostgreSQL 13 and later, printed by `humbaba directory schema`.
-- Run it as the owner of the tables that are read. Running it again is fine: it replaces functions,
-- views and triggers, keeps all rows, and has every sidecar read them anew.

BEGIN;
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL lock_timeout = '10s';
SET LOCAL client_min_messages = warning;

CREATE SCHEMA IF NOT EXISTS @schema@;

-- The rows that came and went; one that was updated went and came. They are applied without looking at
-- the tables again. `xid` is the transaction, by which sidecars know whether it has ended; `type` and
-- `id` name the principal of an assignment, or an entity. Nobody writes here but the triggers.
CREATE TABLE IF NOT EXISTS @schema@.changes (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    kind text NOT NULL,
    type text,
    id text,
    role text,
    scope_type text,
    scope_id text,
    expires_at timestamptz,
    granted_at timestamptz,
    granted_by text,
    reason text,
    entity jsonb
);
-- Earlier forms of this script knew other kinds.
ALTER TABLE @schema@.changes DROP CONSTRAINT IF EXISTS changes_kind_check;
CREATE INDEX IF NOT EXISTS changes_xid ON @schema@.changes (xid);

-- Where the changes are from, and the last state of which they were trimmed: who has not seen all of it
-- reads everything anew.
CREATE TABLE IF NOT EXISTS @schema@.history (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    origin text NOT NULL,
    trimmed_snapshot pg_snapshot NOT NULL,
    trimmed_seq bigint NOT NULL
);
-- Sets apart what came after a data folder was put back. Earlier forms of this script had no column.
ALTER TABLE @schema@.history ADD COLUMN IF NOT EXISTS branch text NOT NULL DEFAULT '';
INSERT INTO @schema@.history (origin, trimmed_snapshot, trimmed_seq) VALUES ('', '1:1:', 0)
    ON CONFLICT DO NOTHING;

-- States that were the latest at some moment, and may be trimmed once they are old enough.
CREATE TABLE IF NOT EXISTS @schema@.horizons (
    at timestamptz NOT NULL,
    snapshot pg_snapshot NOT NULL,
    seq bigint NOT NULL
);

-- Names the tables: those that were restored from a dump, here or elsewhere, are others.
CREATE OR REPLACE FUNCTION @schema@.origin() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $humbaba$
    SELECT concat_ws('/',
        (SELECT system_identifier FROM pg_control_system()),
        (SELECT oid FROM pg_database WHERE datname = current_database()),
        (SELECT oid FROM pg_class WHERE relname = 'changes' AND relnamespace = @schema_text@::regnamespace)
    )
$humbaba$;

-- The history that versions belong to: a promoted standby has one of its own, and so has a data folder
-- that was put back as it was before, once `renew` was called.
CREATE OR REPLACE FUNCTION @schema@.generation() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $humbaba$
    SELECT left(encode(sha256(convert_to(concat_ws('/',
        @schema@.origin(), substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8),
        (SELECT nullif(branch, '') FROM @schema@.history)
    ), 'UTF8')), 'hex'), 16)
$humbaba$;

-- The number of the last change.
CREATE OR REPLACE FUNCTION @schema@.last_seq() RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $humbaba$
    SELECT greatest((SELECT max(seq) FROM @schema@.changes), (SELECT trimmed_seq FROM @schema@.history))
$humbaba$;

-- The version of what this statement sees, for `at_least_version`.
CREATE OR REPLACE FUNCTION @schema@.version() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $humbaba$
    SELECT concat(@schema@.generation(), '.s', pg_snapshot_xmax(now), '-', @schema@.last_seq(), (
        SELECT string_agg(concat('-', pg_snapshot_xmax(now)::text::bigint - xid::text::bigint), '')
        FROM pg_snapshot_xip(now) AS xid
    ))
    FROM pg_current_snapshot() AS now
$humbaba$;

-- The version of what this transaction wrote, for `at_least_version` once it has committed. Call it in
-- a statement of its own, after the last change.
CREATE OR REPLACE FUNCTION @schema@.token() RETURNS text
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $humbaba$
    SELECT CASE
        WHEN pg_current_xact_id_if_assigned() IS NULL THEN @schema@.version()
        ELSE concat(@schema@.generation(), '.w', pg_current_xact_id_if_assigned(), '-', @schema@.last_seq())
    END
$humbaba$;

-- Forgets changes that came with a dump: their transactions are those of another server. Sidecars call
-- it before they read everything.
CREATE OR REPLACE FUNCTION @schema@.adopt() RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $humbaba$
DECLARE
    known text;
BEGIN
    SELECT origin INTO known FROM @schema@.history;
    IF known = @schema@.origin() THEN
        RETURN;
    END IF;
    SELECT origin INTO known FROM @schema@.history FOR UPDATE;
    IF known <> @schema@.origin() THEN
        UPDATE @schema@.history SET
            origin = @schema@.origin(), trimmed_snapshot = '1:1:', trimmed_seq = @schema@.last_seq();
        DELETE FROM @schema@.changes;
        DELETE FROM @schema@.horizons;
    END IF;
END
$humbaba$;

-- Begins a history of its own: versions from before are refused, and every sidecar reads everything
-- anew. Sidecars call it where a server that was started again does not have what they have seen. One
-- start of the server makes one history, whoever calls it.
CREATE OR REPLACE FUNCTION @schema@.renew() RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $humbaba$
    UPDATE @schema@.history SET branch = start FROM (
        SELECT (date_part('epoch', pg_postmaster_start_time()) * 1000000)::bigint::text AS start
    ) AS server WHERE branch <> start
$humbaba$;

-- Has every sidecar read everything anew, after writes that no trigger saw.
CREATE OR REPLACE FUNCTION @schema@.reload() RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $humbaba$
    INSERT INTO @schema@.changes (kind) VALUES ('reload')
$humbaba$;

-- Deletes changes that have been there for that long, and returns how many. A sidecar that was away for
-- longer reads everything anew. What is there at one call is deleted by a later one at the earliest.
CREATE OR REPLACE FUNCTION @schema@.trim(keep interval DEFAULT '1 hour') RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $humbaba$
DECLARE
    horizon @schema@.horizons;
    deleted bigint := 0;
BEGIN
    PERFORM @schema@.adopt();
    PERFORM FROM @schema@.history FOR UPDATE;
    SELECT * INTO horizon FROM @schema@.horizons AS h
        WHERE h.at <= clock_timestamp() - keep ORDER BY h.at DESC LIMIT 1;
    INSERT INTO @schema@.horizons VALUES (clock_timestamp(), pg_current_snapshot(), @schema@.last_seq());
    IF horizon.at IS NULL THEN
        RETURN 0;
    END IF;
    DELETE FROM @schema@.changes AS c
        WHERE c.seq <= horizon.seq AND pg_visible_in_snapshot(c.xid, horizon.snapshot);
    GET DIAGNOSTICS deleted = ROW_COUNT;
    UPDATE @schema@.history SET trimmed_snapshot = horizon.snapshot, trimmed_seq = horizon.seq;
    DELETE FROM @schema@.horizons AS h WHERE h.at < horizon.at;
    RETURN deleted;
END
$humbaba$;

-- Triggers of an earlier run with their functions, also on tables that are no longer read.
DO $humbaba$
DECLARE
    old record;
BEGIN
    FOR old IN
        SELECT t.tgname, t.tgrelid::regclass AS of_table
        FROM pg_trigger AS t JOIN pg_proc AS p ON p.oid = t.tgfoid
        WHERE p.pronamespace = @schema_text@::regnamespace AND NOT t.tgisinternal
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', old.tgname, old.of_table);
    END LOOP;
    -- Sidecars expect triggers for each function that is there.
    FOR old IN
        SELECT p.oid::regprocedure AS name FROM pg_proc AS p
        WHERE p.pronamespace = @schema_text@::regnamespace
            AND p.prorettype = 'trigger'::regtype AND p.proname LIKE 'record\_%'
    LOOP
        EXECUTE format('DROP FUNCTION %s', old.name);
    END LOOP;
END
$humbaba$;

@tables@
REVOKE ALL ON ALL TABLES IN SCHEMA @schema@ FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA @schema@ FROM PUBLIC;
@grants@
SELECT @schema@.adopt(), @schema@.reload();
COMMIT;
