-- Row schemas: names of types, what is refused, versions, tables, and the pipelines that name a version.
begin;
select plan(126);

select tide.outbox_create('orders'), tide.outbox_create('payments');

-- Names of types: what PostgreSQL parses, under one name each.
select is(tide._row_schema_type(given), known, format('%s is %s', given, coalesce(known, 'no type that a row schema knows'))) from (values
  ('bool', 'boolean'), ('int2', 'smallint'), ('int', 'integer'), ('INTEGER', 'integer'), ('int8', 'bigint'), ('float4', 'real'), ('real', 'real'),
  ('float', 'double precision'), ('float(24)', 'real'), ('double  precision', 'double precision'), ('numeric', 'numeric'), ('decimal(10,2)', 'numeric(10,2)'),
  ('numeric( 10 , 2 )', 'numeric(10,2)'), ('numeric(10)', 'numeric(10,0)'), ('text', 'text'), (' text ', 'text'), ('character varying(20)', 'varchar(20)'),
  ('varchar', 'varchar'), ('char', 'char(1)'), ('character(3)', 'char(3)'), ('bpchar', 'text'), ('citext', 'citext'), ('name', 'name'), ('uuid', 'uuid'), ('json', 'json'),
  ('jsonb', 'jsonb'), ('xml', 'xml'), ('bytea', 'bytea'), ('date', 'date'), ('time', 'time'), ('time(3)', 'time(3)'), ('time with time zone', 'timetz'),
  ('time(2) with time zone', 'timetz(2)'), ('timestamp', 'timestamp'), ('timestamp(3) without time zone', 'timestamp(3)'), ('timestamptz', 'timestamptz'),
  ('timestamp(3) with time zone', 'timestamptz(3)'), ('interval', 'interval'), ('interval day to second(3)', 'interval'), ('inet', 'inet'), ('cidr', 'cidr'),
  ('macaddr', 'macaddr'), ('macaddr8', 'macaddr8'), ('oid', 'oid'), ('ltree', 'ltree'), ('tsvector', 'tsvector'), ('int4range', 'int4range'), ('tstzrange', 'tstzrange'),
  ('text[]', 'text[]'), ('int8 []', 'bigint[]'), ('numeric(10,2)[]', 'numeric(10,2)[]'), ('timestamp(3) with time zone[]', 'timestamptz(3)[]'), ('citext[]', 'citext[]'),
  (null, null), ('', null), ('bigin', null), ('int[][]', null), ('int[3]', null), ('int array', null), ('numeric(0)', null), ('numeric(1001)', null),
  ('numeric(5,-2)', null), ('varchar(0)', null), ('integer(5)', null), ('timestamp(7)', null), ('"char"', null), ('money', null), ('bit(3)', null), ('regclass', null),
  ('record', null), ('setof int', null), ('text -- more', null), ('text; drop table tide.outbox', null), ('tide.outbox', null), ('tide.outbox.name%type', null),
  ('numeric(10,(select 1))', null), ('serial', null)) t (given, known);
select is((select array_agg(t) from unnest(tide._row_schema_types()) t where tide._row_schema_type(t) is null), null, 'the types that the HINT lists are known');

-- Versions.
select is(tide.row_schema_set('orders', '[{"name": "id", "type": "int8"}, {"type": "decimal(10,2)", "name": "total"}]'), 1, 'the first row schema is version 1');
select is((select columns from tide.row_schemas), '[{"name": "id", "type": "bigint"}, {"name": "total", "type": "numeric(10,2)"}]', 'types have one name each');
select is(tide.row_schema_set('orders', '[{"name": "id", "type": "bigint"}, {"name": "total", "type": "numeric(10,2)"}]'), 1, 'the same columns are the same version');
select is(tide.row_schema_set('orders', '[{"name": "total", "type": "numeric(10,2)"}, {"name": "id", "type": "bigint"}]'), 2, 'in another order they are another one');
select is(tide.row_schema_set('payments', '[{"name": "id", "type": "bigint"}]', origin => 'table', comment => 'as of May'), 1, 'each outbox counts its own');
select results_eq($$select version, origin, comment, created_by, pipelines from tide.row_schemas where outbox = 'payments'$$,
  $$select 1, 'table'::text, 'as of May'::text, session_user::text collate "default", '{}'::text[] collate "default"$$, 'the view shows who stored it, from where and why');
select is(tide.row_schema_columns('orders', 1) -> 0, '{"name": "id", "type": "bigint"}', 'the columns of a version');
select tide.row_schema_drop('orders', 2);
select is((select array_agg(version) from tide.row_schemas where outbox = 'orders'), array[1], 'a version is dropped');
select is(tide.row_schema_set('orders', '[{"name": "id", "type": "uuid"}]'), 3, 'its number is not used again');
select is(tide.row_schema_set('orders', '[{"name": "total", "type": "numeric(10,2)"}, {"name": "id", "type": "bigint"}]'), 4, 'nor by the same columns');

-- What is refused.
select refuses(format('select tide.row_schema_set(''orders'', %L)', given), 'TD024', 'the row schema of outbox ''orders'' is not valid: ' || fault, 'Types are boolean, %text[].', fault)
  from (values
    ('[]', 'it must be a list of columns that is not empty'),
    ('{"id": "bigint"}', 'it must be a list of columns that is not empty'),
    ('null', 'it must be a list of columns that is not empty'),
    ('["id"]', '[0] must be an object of two strings that are not empty, "name" and "type"'),
    ('[{"name": "id"}]', '[0] must be an object of two strings that are not empty, "name" and "type"'),
    ('[{"name": "", "type": "text"}]', '[0] must be an object of two strings that are not empty, "name" and "type"'),
    ('[{"name": 1, "type": "text"}]', '[0] must be an object of two strings that are not empty, "name" and "type"'),
    ('[{"name": "id", "type": "text", "null": true}]', '[0] has the unknown key "null"'),
    ('[{"name": "id", "type": "text"}, {"name": "id", "type": "uuid"}]', '[1].name: "id" is the name of another column'),
    ('[{"name": "id", "type": "bigin"}]', '[0].type: "bigin" is no type that a row schema knows; did you mean "bigint"?'),
    ('[{"name": "id", "type": "geometry"}]', '[0].type: "geometry" is no type that a row schema knows')) f (given, fault);
select refuses($$select tide.row_schema_set('orders', null)$$, 'TD006', 'the columns of a row schema of outbox ''orders'' are null', 'Pass a list%', 'no columns');
select refuses($$select tide.row_schema_set('order', '[]')$$, 'TD001', 'outbox ''order'' does not exist', 'Did you mean ''orders''?%', 'an outbox that does not exist');
select refuses($$select tide.row_schema_set('orders', '[{"name": "id", "type": "bigint"}]', origin => 'guessed')$$, 'TD020',
  'the origin of a row schema of outbox ''orders'' is ''guessed''', 'Use declared, inferred%', 'an origin that is none');
select refuses($$select tide.row_schema_columns('orders', 2)$$, 'TD025', 'outbox ''orders'' has no row schema of version 2', 'Its versions are: 1, 3, 4;%', 'a version that was dropped');
select refuses($$select tide.row_schema_drop('orders', 2)$$, 'TD025', 'outbox ''orders'' has no row schema of version 2', 'Its versions are: 1, 3, 4;%', 'dropping it again');
select tide.outbox_create('empty');
select refuses($$select tide.row_schema_columns('empty', null)$$, 'TD025', 'outbox ''empty'' has no row schema of version null', 'It has none at all; store one: %', 'none at all');

-- Of a table.
create type status as enum ('new', 'paid');
create domain price as numeric(7,3);
create domain low_price as price check (value < 10);
create type point_of_sale as (shop integer, till integer);
create table sale (id bigint, gone integer, total numeric(10,2), rounded numeric(5,0), state status, at timestamp(3), seen timestamptz, code varchar(20), flag char, low low_price,
  lows low_price[], states status[], place point_of_sale, places point_of_sale[], during tstzrange, bits bit(3), twice bigint generated always as (id * 2) stored, "Grüße" text);
alter table sale drop column gone;
select is(tide.row_schema_of_table('sale'), '[{"name": "id", "type": "bigint"}, {"name": "total", "type": "numeric(10,2)"}, {"name": "rounded", "type": "numeric(5,0)"},
  {"name": "state", "type": "text"}, {"name": "at", "type": "timestamp(3)"}, {"name": "seen", "type": "timestamptz"}, {"name": "code", "type": "varchar(20)"},
  {"name": "flag", "type": "char(1)"}, {"name": "low", "type": "numeric(7,3)"}, {"name": "lows", "type": "numeric(7,3)[]"}, {"name": "states", "type": "text[]"},
  {"name": "place", "type": "jsonb"}, {"name": "places", "type": "jsonb[]"}, {"name": "during", "type": "tstzrange"}, {"name": "bits", "type": "text"},
  {"name": "twice", "type": "bigint"}, {"name": "Grüße", "type": "text"}]', 'the columns of a table as to_jsonb writes them');
select is(tide.row_schema_set('orders', tide.row_schema_of_table('sale'), origin => 'table'), 5, 'and it can be stored as it is');
create table deep (grid integer[][], plain integer[]);
select is(tide.row_schema_of_table('deep'), '[{"name": "grid", "type": "jsonb"}, {"name": "plain", "type": "integer[]"}]', 'arrays of several dimensions are jsonb');
create view sales as select id, total from sale;
select is(tide.row_schema_of_table('sales'), '[{"name": "id", "type": "bigint"}, {"name": "total", "type": "numeric(10,2)"}]', 'a view will do');
select refuses($$select tide.row_schema_of_table('tide.outbox_pk')$$, '42809', 'tide.outbox_pk is no table', 'Name a table or a view%', 'an index will not');
select refuses($$select tide.row_schema_of_table(null)$$, '42809', 'null is no table', 'Name a table or a view%', 'nor nothing');

-- Pipelines that name a version.
create function typed(row_schema jsonb) returns jsonb language sql as $$
  select minimal_config() || jsonb_build_object('wire_format', 'debezium', 'wire_config', jsonb_build_object('row_schema', row_schema))
$$;
select lives_ok($$select tide.relay_set_outbox('p', 'orders', 'g', typed('1'))$$, 'a pipeline names a version that there is');
select is((select config #> '{wire_config,row_schema}' from tide.pipelines), '1', 'its configuration stays as it was given');
select is(tide._config_resolved(p.config, 'orders'), typed(tide.row_schema_columns('orders', 1)), 'relays get the columns instead') from tide.pipeline p;
select is(tide._config_resolved(c, 'orders'), c, 'what names no version comes back as it is') from (values (minimal_config()), (typed('[{"name": "a", "type": "text"}]')), (typed('99'))) v (c);
select is((select pipelines from tide.row_schemas where outbox = 'orders' and version = 1), array['p'], 'the version knows its pipelines');
select refuses($$select tide.relay_set_outbox('p', 'orders', 'g', typed('2'))$$, 'TD025', 'outbox ''orders'' has no row schema of version 2', 'Its versions are: 1, 3, 4, 5;%',
  'a version that does not exist');
select refuses($$select tide.relay_set_outbox('p2', 'empty', 'g', typed('30000000000'))$$, 'TD025', 'outbox ''empty'' has no row schema of version 30000000000',
  'It has none at all;%', 'a version of another outbox does not count, however large');
select refuses($$select tide.relay_set_outbox('p', 'orders', 'g', typed('[{"name": "id", "type": "geometry"}]'))$$, 'TD024',
  'the row schema of outbox ''orders'' is not valid: wire_config.row_schema[0].type: "geometry" is no type that a row schema knows', 'Types are%', 'a declared one with a type that is none');
select lives_ok($$select tide.relay_set_outbox('p2', 'orders', 'g2', typed('1.0'))$$, 'a whole number is one, however it is written');
select refuses($$select tide.row_schema_drop('orders', 1)$$, 'TD026', 'row schema version 1 of outbox ''orders'' is used by pipeline ''p'', ''p2''', '%tide.relay_set_outbox%',
  'a version in use is not dropped');
select lives_ok($$select tide.relay_set_outbox('p', 'orders', 'g', typed('3')), tide.relay_drop('p2'), tide.row_schema_drop('orders', 1)$$, 'when no pipeline names it any more it is');
select tide.relay_drop('p'), tide.group_drop('g', 'orders'), tide.outbox_drop('orders', force => true);
select is((select array_agg(distinct outbox) from tide.row_schemas), array['payments'], 'an outbox takes its row schemas along');
select is((select count(*)::int from tide.row_schema), 1, 'all of them');

select * from finish();
rollback;
