"""The catalogue of schema tide as text, to compare the results of two ways to install it."""

import psycopg

QUERIES = {
    "schema": """
        select nspname, obj_description(oid, 'pg_namespace'), nspowner::regrole, nspacl::text
          from pg_namespace where nspname = 'tide'""",
    "functions": """
        select oid::regprocedure::text, pg_get_functiondef(oid), obj_description(oid, 'pg_proc'),
               proowner::regrole, array(select unnest(proacl)::text order by 1)
          from pg_proc where pronamespace = 'tide'::regnamespace order by 1""",
    "relations": """
        select oid::regclass::text, relkind, reloptions, obj_description(oid, 'pg_class'), relowner::regrole,
               array(select unnest(relacl)::text order by 1), pg_get_partkeydef(oid), pg_get_viewdef(oid)
          from pg_class where relnamespace = 'tide'::regnamespace order by 1""",
    "columns": """
        select attrelid::regclass::text, attnum, attname, format_type(atttypid, atttypmod), attnotnull,
               attidentity, attacl::text, col_description(attrelid, attnum), pg_get_expr(adbin, adrelid)
          from pg_attribute join pg_class c on c.oid = attrelid
          left join pg_attrdef on adrelid = attrelid and adnum = attnum
         where c.relnamespace = 'tide'::regnamespace and attnum > 0 and not attisdropped order by 1, 2""",
    "constraints": """
        select conrelid::regclass::text, conname, pg_get_constraintdef(oid),
               obj_description(oid, 'pg_constraint')
          from pg_constraint where connamespace = 'tide'::regnamespace order by 1, 2""",
    "indexes": """
        select tablename, indexname, indexdef from pg_indexes where schemaname = 'tide' order by 1, 2""",
    "triggers": """
        select tgrelid::regclass::text, tgname, pg_get_triggerdef(t.oid) from pg_trigger t
          join pg_class c on c.oid = tgrelid
         where c.relnamespace = 'tide'::regnamespace and not tgisinternal order by 1, 2""",
    "types": """
        select oid::regtype::text, typtype, obj_description(oid, 'pg_type'), typacl::text
          from pg_type where typnamespace = 'tide'::regnamespace order by 1""",
    "sequences": """
        select seqrelid::regclass::text, seqtypid::regtype::text, seqstart, seqincrement, seqmax, seqmin,
               seqcache, seqcycle
          from pg_sequence join pg_class c on c.oid = seqrelid
         where c.relnamespace = 'tide'::regnamespace order by 1""",
    "versions": "select version, release, installed_by from tide.schema_version order by 1",
    "roles granted": "select kind, role from tide.role_grant order by 1, 2",
    "configuration keys": "select k::text from tide.config_keys k order by 1",
}


def catalogue(dsn: str) -> dict[str, list[tuple[object, ...]]]:
    """All that an installation makes, with definitions, comments, owners and privileges, in a fixed order."""
    with psycopg.connect(dsn) as connection:
        # Definitions print names as the search path asks for it.
        connection.execute(
            "set search_path = pg_catalog; set statement_timeout = 0; set client_encoding = utf8"
        )
        return {
            topic: [tuple(str(value) for value in row) for row in connection.execute(query)]
            for topic, query in QUERIES.items()
        }
