(SELECT json_build_object(
    -- The tables that are read: that of the directory, or those of its view.
    'tables', (
        SELECT coalesce(json_agg(json_build_object(
            'relation', v.relname, 'oid', c.oid::text, 'name', format('%I.%I', n.nspname, c.relname),
            'is_plain', c.relkind = 'r' AND c.relpersistence = 'p'
                AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits AS i WHERE c.oid IN (i.inhparent, i.inhrelid))
                AND NOT EXISTS (SELECT FROM pg_catalog.pg_subscription_rel AS s WHERE s.srrelid = c.oid),
            'altered', c.xmin::text, 'file', c.relfilenode::text, 'view', w.xmin::text
        ) ORDER BY v.relname, c.oid), '[]')
        FROM pg_catalog.pg_class AS v
        LEFT JOIN pg_catalog.pg_rewrite AS w ON w.ev_class = v.oid AND w.rulename = '_RETURN'
        LEFT JOIN LATERAL (
            SELECT DISTINCT d.refobjid AS oid FROM pg_catalog.pg_depend AS d
            WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = w.oid
                AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid <> v.oid
        ) AS t ON true
        JOIN pg_catalog.pg_class AS c ON c.oid = coalesce(t.oid, v.oid)
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE v.relnamespace = '@schema@'::regnamespace AND v.relname IN ('assignments', 'entities')
    ),
    -- The comment of a function holds its form, and the schema and the name of its table.
    'functions', (
        SELECT coalesce(json_agg(json_build_object(
            'name', p.proname, 'form', split_part(m.comment, E'\n', 1), 'named', c.oid::text
        ) ORDER BY p.proname), '[]')
        FROM pg_catalog.pg_proc AS p
        CROSS JOIN LATERAL (SELECT obj_description(p.oid, 'pg_proc') AS comment) AS m
        LEFT JOIN pg_catalog.pg_namespace AS n ON n.nspname = split_part(m.comment, E'\n', 2)
        LEFT JOIN pg_catalog.pg_class AS c
            ON c.relnamespace = n.oid AND c.relname = split_part(m.comment, E'\n', 3)
        WHERE p.pronamespace = '@schema@'::regnamespace AND p.proname LIKE 'record\_%'
            AND p.prorettype = 'trigger'::regtype
    ),
    'triggers', (
        SELECT coalesce(json_agg(json_build_object(
            'function', p.proname, 'table', t.tgrelid::text, 'event', t.tgtype, 'mode', t.tgenabled,
            'altered', t.xmin::text
        ) ORDER BY t.oid), '[]')
        FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_trigger AS t ON t.tgfoid = p.oid
        WHERE p.pronamespace = '@schema@'::regnamespace AND p.proname LIKE 'record\_%'
            AND NOT t.tgisinternal AND t.tgqual IS NULL AND t.tgattr::text = ''
    ),
    -- A value of an enumeration that is renamed changes rows which no statement touches.
    'enums', (SELECT json_build_array(count(*), sum(e.xmin::text::bigint)) FROM pg_catalog.pg_enum AS e)
)::text)
