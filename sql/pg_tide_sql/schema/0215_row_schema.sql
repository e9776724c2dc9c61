-- Row schemas: the columns of an outbox's payloads and their types, for formats that have to name types.
-- Declared, taken from a table, or proposed from messages by an explicit call; stored with a version that never changes.
-- A pipeline names a version in its configuration (wire_config.row_schema); relays get the columns in its place.
-- Publishing knows nothing of row schemas: what does not fit is found by the relay, message by message.
-- Locks: storing one takes the outbox's row (FOR NO KEY UPDATE), which no publisher waits for; proposing one reads the
-- outbox's own table like a page does.

-- The name of a type as row schemas have it, null when they know none of that name. The text is parsed as the name of a
-- type by to_regtype and never run; before that it may hold nothing but words and one pair of modifiers.
create function tide._row_schema_type(type text) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_element text := regexp_replace(btrim(_row_schema_type.type), '\s*\[\s*\]$', '');
  v_suffix text := case when v_element <> btrim(_row_schema_type.type) then '[]' else '' end;
  v_mods cstring[];
  v_oid oid;
  v_name text;
begin
  if lower(v_element) in ('citext', 'ltree') then -- an extension's, wherever it is installed
    return lower(v_element) || v_suffix;
  elsif v_element !~ '^[A-Za-z][A-Za-z0-9_ ]*(\( *\d{1,4} *(, *\d{1,4} *)?\)[A-Za-z ]*)?$' then
    return null;
  elsif v_element ~* '^bpchar *$' then -- character without a limit
    return 'text' || v_suffix;
  elsif v_element ~* '^(time|interval).*\( *([7-9]|\d\d)' then -- PostgreSQL would cut such a modifier down to 6 with a warning
    return null;
  end if;
  begin
    v_oid := to_regtype(v_element);
    v_mods := string_to_array(replace(substring(v_element from '\((.*)\)'), ' ', ''), ',')::cstring[];
    if v_oid = 'character'::regtype and v_mods is null then
      v_mods := '{1}';
    end if;
    v_name := format_type(v_oid, case when v_mods is null then null else case v_oid
      when 'numeric'::regtype then numerictypmodin(v_mods)
      when 'character varying'::regtype then varchartypmodin(v_mods)
      when 'character'::regtype then bpchartypmodin(v_mods)
      when 'time'::regtype then timetypmodin(v_mods)
      when 'timetz'::regtype then timetztypmodin(v_mods)
      when 'timestamp'::regtype then timestamptypmodin(v_mods)
      when 'timestamptz'::regtype then timestamptztypmodin(v_mods)
    end end);
  exception when syntax_error_or_access_rule_violation or data_exception then
    return null; -- no name of a type, or a modifier that the type does not take
  end;
  if v_oid is null or v_oid <> all (array['boolean', 'smallint', 'integer', 'bigint', 'real', 'double precision', 'numeric', 'text',
      'character varying', 'character', 'name', 'uuid', 'json', 'jsonb', 'xml', 'bytea', 'date', 'time', 'timetz', 'timestamp', 'timestamptz',
      'interval', 'inet', 'cidr', 'macaddr', 'macaddr8', 'oid', 'tsvector', 'int4range', 'int8range', 'numrange', 'daterange', 'tsrange',
      'tstzrange']::regtype[]) then
    return null;
  end if;
  v_name := replace(replace(replace(v_name, 'character varying', 'varchar'), 'character', 'char'), ' without time zone', '');
  return regexp_replace(v_name, '^(time|timestamp)(\(\d\))? with time zone$', '\1tz\2') || v_suffix;
end $$;
comment on function tide._row_schema_type(text) is 'A type''s name as row schemas have it (int8 is bigint), null when they do not know it';

create function tide._row_schema_types() returns text[]
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select array['boolean', 'smallint', 'integer', 'bigint', 'real', 'double precision', 'numeric', 'text', 'varchar', 'char', 'citext', 'name',
    'uuid', 'json', 'jsonb', 'xml', 'bytea', 'date', 'time', 'timetz', 'timestamp', 'timestamptz', 'interval', 'inet', 'cidr', 'macaddr', 'macaddr8',
    'oid', 'ltree', 'tsvector', 'int4range', 'int8range', 'numrange', 'daterange', 'tsrange', 'tstzrange']
$$;
comment on function tide._row_schema_types() is 'Names of the types of row schemas, without modifiers';

create function tide._row_schema_faults(columns jsonb) returns setof text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  if jsonb_typeof(_row_schema_faults.columns) <> 'array' or _row_schema_faults.columns = '[]' then
    return next 'it must be a list of columns that is not empty';
    return;
  end if;
  return query
    select format('[%s]%s', i.place - 1, f.fault)
      from (
        select e.value, e.place, row_number() over (partition by e.value -> 'name' order by e.place) > 1 as is_again,
               coalesce(jsonb_typeof(e.value) = 'object' and jsonb_typeof(e.value -> 'name') = 'string' and jsonb_typeof(e.value -> 'type') = 'string'
                 and e.value ->> 'name' <> '', false) as is_whole
          from jsonb_array_elements(_row_schema_faults.columns) with ordinality as e (value, place)
      ) i
     cross join lateral (
       select ' must be an object of two strings that are not empty, "name" and "type"' as fault where not i.is_whole
       union all
       select format(' has the unknown key %s', to_json(k.key)) from jsonb_object_keys(case when i.is_whole then i.value - 'name' - 'type' else '{}' end) as k (key)
       union all
       select format('.name: %s is the name of another column', i.value -> 'name') where i.is_whole and i.is_again
       union all
       select format('.type: %s is no type that a row schema knows', i.value -> 'type')
           || coalesce('; did you mean "' || tide._nearest(i.value ->> 'type', tide._row_schema_types()) || '"?', '')
        where i.is_whole and tide._row_schema_type(i.value ->> 'type') is null
     ) f
     order by i.place, f.fault;
end $$;
comment on function tide._row_schema_faults(jsonb) is 'What is wrong with the columns of a row schema, each with its place; no row: nothing';

create function tide._row_schema_checked(outbox text, columns jsonb, place text) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_faults text[];
begin
  if _row_schema_checked.columns is null then
    raise exception using errcode = 'TD006', message = format('the columns of a row schema of outbox %L are null', _row_schema_checked.outbox),
      hint = 'Pass a list: ''[{"name": "id", "type": "bigint"}]''.';
  end if;
  v_faults := array(select _row_schema_checked.place || f from tide._row_schema_faults(_row_schema_checked.columns) f);
  if v_faults <> '{}' then
    raise exception using errcode = 'TD024',
      message = format('the row schema of outbox %L is not valid: %s', _row_schema_checked.outbox, v_faults[1]),
      detail = array_to_string(v_faults[1:50], E'\n'),
      hint = format('Types are %s; numeric, varchar, char, time, timestamp and interval may have modifiers, and each may be an array, as in text[].',
        array_to_string(tide._row_schema_types(), ', '));
  end if;
  return (select jsonb_agg(jsonb_build_object('name', e.value -> 'name', 'type', tide._row_schema_type(e.value ->> 'type')) order by e.place)
            from jsonb_array_elements(_row_schema_checked.columns) with ordinality as e (value, place));
end $$;
comment on function tide._row_schema_checked(text, jsonb, text) is
  'The columns of a row schema with the names of types made uniform; raises TD006 or TD024 with all faults, each behind the place that the columns stand at';

-- Locks: the outbox's row, FOR NO KEY UPDATE: of two that store at once, the second sees what the first stored.
create function tide.row_schema_set(outbox text, columns jsonb, origin text default 'declared', comment text default null) returns integer
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_outbox tide.outbox := tide._outbox(row_schema_set.outbox);
  v_columns jsonb := tide._row_schema_checked(v_outbox.name, row_schema_set.columns, '');
  v_version integer;
begin
  if row_schema_set.origin is null or row_schema_set.origin not in ('declared', 'inferred', 'table') then
    raise exception using errcode = 'TD020', message = format('the origin of a row schema of outbox %L is %s', v_outbox.name, coalesce(quote_literal(row_schema_set.origin), 'null')),
      hint = 'Use declared, inferred (from messages) or table (from tide.row_schema_of_table).';
  end if;
  perform from tide.outbox o where o.outbox_id = v_outbox.outbox_id for no key update;
  if not found then -- it was dropped meanwhile
    return tide.row_schema_set(row_schema_set.outbox, row_schema_set.columns, row_schema_set.origin, row_schema_set.comment);
  end if;
  select max(s.version) into v_version from tide.row_schema s where s.outbox_id = v_outbox.outbox_id and s.columns = v_columns;
  if v_version is null then
    update tide.outbox o set row_schemas = o.row_schemas + 1 where o.outbox_id = v_outbox.outbox_id returning o.row_schemas into v_version;
    insert into tide.row_schema (outbox_id, version, columns, origin, comment)
    values (v_outbox.outbox_id, v_version, v_columns, row_schema_set.origin, row_schema_set.comment);
  end if;
  return v_version;
end $$;
comment on function tide.row_schema_set(text, jsonb, text, text) is
  'Stores a row schema of an outbox, a list of {"name", "type"} with PostgreSQL''s names of types, and returns its version; the same columns again return the version that they have. origin: declared, inferred or table';

create function tide._row_schema_missing(outbox tide.outbox, version text) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_known text;
begin
  select string_agg(s.version::text, ', ' order by s.version) into v_known from tide.row_schema s where s.outbox_id = (_row_schema_missing.outbox).outbox_id;
  raise exception using errcode = 'TD025',
    message = format('outbox %L has no row schema of version %s', (_row_schema_missing.outbox).name, coalesce(_row_schema_missing.version, 'null')),
    hint = case when v_known is null then format('It has none at all; store one: select tide.row_schema_set(%L, ''[{"name": "id", "type": "bigint"}]'');',
        (_row_schema_missing.outbox).name)
      else format('Its versions are: %s; see tide.row_schemas.', v_known) end;
end $$;
comment on function tide._row_schema_missing(tide.outbox, text) is 'Raises TD025, naming the versions that there are';

create function tide.row_schema_columns(outbox text, version integer) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_outbox tide.outbox := tide._outbox(row_schema_columns.outbox);
  v_columns jsonb;
begin
  select s.columns into v_columns from tide.row_schema s
   where s.outbox_id = v_outbox.outbox_id and s.version = row_schema_columns.version;
  if not found then
    perform tide._row_schema_missing(v_outbox, row_schema_columns.version::text);
  end if;
  return v_columns;
end $$;
comment on function tide.row_schema_columns(text, integer) is
  'The columns of a stored row schema: a list of {"name", "type"}; TD025 with the versions that there are when this one does not exist';

-- The foreign key tide.pipeline_row_schema_fk decides, whatever snapshot the caller has.
create function tide.row_schema_drop(outbox text, version integer) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_outbox tide.outbox := tide._outbox(row_schema_drop.outbox);
  v_pipelines text;
begin
  perform tide.row_schema_columns(v_outbox.name, row_schema_drop.version);
  delete from tide.row_schema s where s.outbox_id = v_outbox.outbox_id and s.version = row_schema_drop.version;
exception when foreign_key_violation then
  select string_agg(quote_literal(p.name), ', ' order by p.name) into v_pipelines
    from tide.pipeline p where p.outbox_id = v_outbox.outbox_id and p.row_schema = row_schema_drop.version;
  raise exception using errcode = 'TD026',
    message = format('row schema version %s of outbox %L is used by %s', row_schema_drop.version, v_outbox.name,
      coalesce('pipeline ' || v_pipelines, 'a pipeline that was set meanwhile')),
    hint = 'Give the pipeline another one with tide.relay_set_outbox, or drop it with tide.relay_drop.';
end $$;
comment on function tide.row_schema_drop(text, integer) is 'Drops a version of an outbox''s row schema that no pipeline uses (else TD026 names them); its number is not used again';

-- Caller: tide.relay_set_outbox. Locks: the version's row, so that nobody drops it before the pipeline is stored.
create function tide._row_schema_refuse(outbox tide.outbox, config jsonb) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  v_given jsonb := _row_schema_refuse.config #> '{wire_config,row_schema}';
begin
  if jsonb_typeof(v_given) = 'number' then
    perform from tide.row_schema s
      where s.outbox_id = (_row_schema_refuse.outbox).outbox_id and s.version = v_given::numeric for key share;
    if not found then
      perform tide._row_schema_missing(_row_schema_refuse.outbox, v_given #>> '{}');
    end if;
  elsif jsonb_typeof(v_given) = 'array' then
    perform tide._row_schema_checked((_row_schema_refuse.outbox).name, v_given, 'wire_config.row_schema');
  end if;
end $$;
comment on function tide._row_schema_refuse(tide.outbox, jsonb) is
  'Raises TD025 when a configuration names a version of a row schema that its outbox has not, TD024 when it declares one that is not valid';

create function tide._config_resolved(config jsonb, outbox text) returns jsonb
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select case when jsonb_typeof(_config_resolved.config #> '{wire_config,row_schema}') = 'number' then coalesce(
      (select jsonb_set(_config_resolved.config, '{wire_config,row_schema}', s.columns)
         from tide.row_schema s join tide.outbox o on o.outbox_id = s.outbox_id
        where o.name = _config_resolved.outbox and s.version = (_config_resolved.config #> '{wire_config,row_schema}')::numeric),
      _config_resolved.config)
    else _config_resolved.config end
$$;
comment on function tide._config_resolved(jsonb, text) is 'A configuration with the columns of a stored row schema in the place of its version, as relays get it';

-- Types of a table's columns. What to_jsonb writes decides: whatever has a cast to json becomes an object, whatever is not
-- known a string.
create function tide._row_schema_type_of(type oid, typmod integer, out name text, out note text)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_type pg_type;
  v_element record;
begin
  select t.* into v_type from pg_type t where t.oid = _row_schema_type_of.type;
  if v_type.typtype = 'd' then
    select e.name, e.note into name, note from tide._row_schema_type_of(v_type.typbasetype, v_type.typtypmod) e;
    return;
  elsif v_type.typcategory = 'A' and v_type.typelem <> 0 then
    select e.name, e.note into v_element from tide._row_schema_type_of(v_type.typelem, _row_schema_type_of.typmod) e;
    name := v_element.name || '[]';
    note := v_element.note;
    return;
  end if;
  name := case when v_type.typtype = 'b' and v_type.typname in ('citext', 'ltree') then v_type.typname
    else tide._row_schema_type(format_type(_row_schema_type_of.type, _row_schema_type_of.typmod)) end;
  if name is null then
    name := case when v_type.oid = 'numeric'::regtype then 'numeric' -- of a negative scale
      when v_type.typtype = 'c' or exists (select from pg_cast c where c.castsource = v_type.oid and c.casttarget = 'json'::regtype)
      then 'jsonb' else 'text' end;
    note := format('%s is told as %s', format_type(_row_schema_type_of.type, _row_schema_type_of.typmod), name);
  end if;
end $$;
comment on function tide._row_schema_type_of(oid, integer) is 'The type of a row schema for a type of the catalogue, and a note where it is another one';

create function tide.row_schema_of_table(relation regclass) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_column record;
  v_columns jsonb := jsonb '[]';
begin
  if not coalesce((select c.relkind in ('r', 'p', 'f', 'v', 'm') from pg_class c where c.oid = row_schema_of_table.relation), false) then
    raise exception using errcode = '42809', message = format('%s is no table', coalesce(row_schema_of_table.relation::text, 'null')),
      hint = 'Name a table or a view, with its schema: select tide.row_schema_of_table(''public.orders'');';
  end if;
  for v_column in
    select a.attname, t.name, t.note, a.attndims > 1 as deep
      from pg_attribute a cross join lateral tide._row_schema_type_of(a.atttypid, a.atttypmod) t
     where a.attrelid = row_schema_of_table.relation and a.attnum > 0 and not a.attisdropped order by a.attnum
  loop
    if v_column.deep then
      v_column.name := 'jsonb';
      v_column.note := 'an array of several dimensions is told as jsonb';
    end if;
    if v_column.note is not null then
      raise notice using message = format('column %s: %s', v_column.attname, v_column.note);
    end if;
    v_columns := v_columns || jsonb_build_object('name', v_column.attname, 'type', v_column.name);
  end loop;
  return v_columns;
end $$;
comment on function tide.row_schema_of_table(regclass) is
  'The columns of a table for tide.row_schema_set, as to_jsonb(row) renders them; domains become their base types, enums and other types text, each with a notice';
