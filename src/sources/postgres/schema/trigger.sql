DO $humbaba$
BEGIN
    IF EXISTS (
        SELECT FROM pg_class
        WHERE oid = @table_text@::regclass AND (relkind <> 'r' OR relpersistence <> 'p')
    ) OR EXISTS (SELECT FROM pg_inherits WHERE @table_text@::regclass IN (inhparent, inhrelid)) THEN
        RAISE EXCEPTION 'the table % has partitions, children or a parent, is unlogged or is no table: its changes cannot be recorded', @table_text@;
    END IF;
    IF row_security_active(@table_text@::regclass) THEN
        RAISE EXCEPTION 'row security hides rows of % from %: run this as its owner', @table_text@, current_user;
    END IF;
END
$humbaba$;

CREATE OR REPLACE FUNCTION @function@() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO, YMD'
SET intervalstyle = 'postgres' SET bytea_output = 'hex' SET extra_float_digits = 1 AS $humbaba$
BEGIN
    -- Sidecars act on a change once it is visible, so a killed server must not lose it.
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    CASE TG_OP
    WHEN 'INSERT' THEN
        INSERT INTO @schema@.changes (kind, @columns@)
            SELECT '@add@', @kept@ FROM (@select@ FROM new_rows AS t@where@) AS new;
    WHEN 'UPDATE' THEN
        -- Rows are compared byte for byte, as sidecars read them.
        INSERT INTO @schema@.changes (kind, @columns@)
            SELECT '@remove@', @kept@ FROM (
                SELECT * FROM (@select@ FROM old_rows AS t@where@) AS old
                EXCEPT ALL SELECT * FROM (@select@ FROM new_rows AS t@where@) AS new
            ) AS gone;
        INSERT INTO @schema@.changes (kind, @columns@)
            SELECT '@add@', @kept@ FROM (
                SELECT * FROM (@select@ FROM new_rows AS t@where@) AS new
                EXCEPT ALL SELECT * FROM (@select@ FROM old_rows AS t@where@) AS old
            ) AS come;
    WHEN 'DELETE' THEN
        INSERT INTO @schema@.changes (kind, @columns@)
            SELECT '@remove@', @kept@ FROM (@select@ FROM old_rows AS t@where@) AS old;
    WHEN 'TRUNCATE' THEN
        INSERT INTO @schema@.changes (kind) VALUES ('reload');
    END CASE;
    RETURN NULL;
END
$humbaba$;

COMMENT ON FUNCTION @function@() IS @comment@;

@triggers@
