-- Contracts: what the payloads of an outbox must look like, as a subset of JSON Schema, checked while publishing.
-- A payload that breaks its outbox's contract never becomes a message: the publishing transaction gets the error.
-- tide._contract_check is asked when a contract is set, tide._contract_faults for every payload. Both work through a
-- list instead of calling themselves, because entering a function costs more than checking a value.
-- Locks: none.

-- The keywords, and what the value of each must be.
create function tide._contract_keyword_kind(keyword text) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select case _contract_keyword_kind.keyword
    when 'type' then 'type' when 'required' then 'strings' when 'properties' then 'schemas'
    when 'additionalProperties' then 'schema' when 'items' then 'schema' when 'anyOf' then 'schema list'
    when 'enum' then 'list' when 'const' then 'any' when 'pattern' then 'pattern'
    when 'minimum' then 'number' when 'maximum' then 'number'
    when 'minLength' then 'count' when 'maxLength' then 'count' when 'minItems' then 'count' when 'maxItems' then 'count'
  end
$$;
comment on function tide._contract_keyword_kind(text) is 'What the value of a contract''s keyword must be; null: no keyword of a contract';

create function tide._contract_is_regex(pattern text) returns boolean
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  perform '' ~ _contract_is_regex.pattern;
  return true;
exception when invalid_regular_expression then
  return false;
end $$;
comment on function tide._contract_is_regex(text) is 'Whether PostgreSQL can compile a regular expression';

-- What is wrong with the value of one keyword, null when nothing is.
create function tide._contract_keyword_fault(keyword text, value jsonb) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_kind text := tide._contract_keyword_kind(_contract_keyword_fault.keyword);
  v_is text := jsonb_typeof(_contract_keyword_fault.value);
  v_types constant jsonb := jsonb '["null", "boolean", "object", "array", "number", "string", "integer"]';
begin
  return case
    when v_kind is null then 'is no keyword of a contract; known are type, required, properties, additionalProperties, items, enum, const, '
      || 'minimum, maximum, minLength, maxLength, pattern, minItems, maxItems and anyOf'
    when v_kind = 'type' and not (case v_is when 'array' then value <@ v_types and value <> '[]' else v_types @> value and v_is = 'string' end)
      then 'must be null, boolean, object, array, number, string or integer, or a list of these'
    when v_kind = 'strings' and (v_is <> 'array' or jsonb_path_exists(value, 'strict $[*] ? (@.type() != "string")')) then 'must be a list of strings'
    when v_kind = 'schemas' and v_is <> 'object' then 'must be an object of schemas'
    when v_kind = 'schema' and v_is not in ('object', 'boolean') then 'must be a schema: an object, true or false'
    when v_kind in ('schema list', 'list') and (v_is <> 'array' or value = '[]') then 'must be a list that is not empty'
    when v_kind = 'number' and v_is <> 'number' then 'must be a number'
    when v_kind = 'count' and (v_is <> 'number' or value::text::numeric < 0 or value::text::numeric % 1 <> 0) then 'must be a whole number from 0 on'
    when v_kind = 'pattern' and v_is <> 'string' then 'must be a regular expression'
    when v_kind = 'pattern' and not tide._contract_is_regex(value #>> '{}') then 'is no regular expression that PostgreSQL understands'
  end;
end $$;
comment on function tide._contract_keyword_fault(text, jsonb) is 'What is wrong with one keyword of a contract, null when nothing is';

create function tide._contract_path(parent text, key text) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select case when _contract_path.key ~ '^[A-Za-z_][A-Za-z0-9_]*$' then _contract_path.parent || '.' || _contract_path.key
    else _contract_path.parent || '[' || to_json(_contract_path.key)::text || ']' end
$$;
comment on function tide._contract_path(text, text) is 'JSON path of an object''s member';

-- Refuses what is no contract, so that no publisher ever meets it.
create function tide._contract_check(outbox text, contract jsonb) returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_schemas jsonb[] := array[_contract_check.contract];
  v_paths text[] := array['$'];
  v_next integer := 1;
  v_schema jsonb;
  v_path text;
  v_keyword record;
  v_fault text := case when jsonb_typeof(_contract_check.contract) <> 'object' then 'must be an object' end;
begin
  while v_fault is null and v_next <= cardinality(v_schemas) loop
    v_schema := v_schemas[v_next];
    v_path := v_paths[v_next];
    v_next := v_next + 1;
    if jsonb_typeof(v_schema) = 'boolean' then
      continue;
    elsif jsonb_typeof(v_schema) <> 'object' then
      v_fault := 'must be a schema: an object, true or false';
      exit;
    end if;
    for v_keyword in select k.key, k.value from jsonb_each(v_schema) k order by k.key loop
      v_fault := tide._contract_keyword_fault(v_keyword.key, v_keyword.value);
      if v_fault is not null then
        v_path := tide._contract_path(v_path, v_keyword.key);
        exit;
      end if;
      case tide._contract_keyword_kind(v_keyword.key)
        when 'schema' then
          v_schemas := v_schemas || v_keyword.value;
          v_paths := v_paths || tide._contract_path(v_path, v_keyword.key);
        when 'schemas' then
          v_paths := v_paths || array(select tide._contract_path(tide._contract_path(v_path, v_keyword.key), p.key) from jsonb_each(v_keyword.value) p order by p.key);
          v_schemas := v_schemas || array(select p.value from jsonb_each(v_keyword.value) p order by p.key);
        when 'schema list' then
          v_paths := v_paths || array(select format('%s[%s]', tide._contract_path(v_path, v_keyword.key), e.place - 1)
            from jsonb_array_elements(v_keyword.value) with ordinality as e (schema, place) order by e.place);
          v_schemas := v_schemas || array(select e.schema from jsonb_array_elements(v_keyword.value) with ordinality as e (schema, place) order by e.place);
        else null;
      end case;
    end loop;
  end loop;
  if v_fault is not null then
    raise exception using errcode = 'TD020',
      message = format('the contract%s is not valid: %s %s', coalesce(' of outbox ' || quote_literal(_contract_check.outbox), ''), coalesce(v_path, '$'), v_fault),
      hint = 'A contract is a JSON Schema of these keywords alone; see docs/contracts.md.';
  end if;
end $$;
comment on function tide._contract_check(text, jsonb) is 'Raises TD020 when a contract is not valid, with the path of the keyword';

-- What is wrong with one value under one schema, without its members; null when nothing is.
create function tide._contract_value_fault(schema jsonb, value jsonb) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_kind text := jsonb_typeof(value);
  v_text text;
  v_type jsonb := schema -> 'type';
begin
  if v_type is not null then
    v_type := case jsonb_typeof(v_type) when 'array' then v_type else jsonb_build_array(v_type) end;
    if not (v_type ? v_kind or (v_kind = 'number' and v_type ? 'integer' and value::numeric % 1 = 0)) then
      return format('must be %s, not %s', (select string_agg(t.name, ' or ' order by t.place) from jsonb_array_elements_text(v_type)
        with ordinality as t (name, place)), v_kind);
    end if;
  end if;
  if schema ? 'const' and schema -> 'const' <> value then
    return format('must be %s', schema ->> 'const');
  elsif schema ? 'enum' and not exists (select from jsonb_array_elements(schema -> 'enum') as e (value) where e.value = _contract_value_fault.value) then
    return format('must be one of %s', left(schema ->> 'enum', 200));
  end if;
  if v_kind = 'number' then
    return case when value::numeric < (schema -> 'minimum')::numeric then format('must be at least %s', schema ->> 'minimum')
      when value::numeric > (schema -> 'maximum')::numeric then format('must be at most %s', schema ->> 'maximum') end;
  elsif v_kind = 'string' then
    v_text := value #>> '{}';
    return case when length(v_text) < (schema -> 'minLength')::numeric then format('must have at least %s characters', schema ->> 'minLength')
      when length(v_text) > (schema -> 'maxLength')::numeric then format('must have at most %s characters', schema ->> 'maxLength')
      when v_text !~ (schema ->> 'pattern') then format('must match %s', schema ->> 'pattern') end;
  elsif v_kind = 'array' then
    return case when jsonb_array_length(value) < (schema -> 'minItems')::numeric then format('must have at least %s items', schema ->> 'minItems')
      when jsonb_array_length(value) > (schema -> 'maxItems')::numeric then format('must have at most %s items', schema ->> 'maxItems') end;
  elsif v_kind = 'object' and schema ? 'required' then
    return (select 'lacks ' || string_agg(to_json(r.name)::text, ', ' order by r.place)
              from jsonb_array_elements_text(schema -> 'required') with ordinality as r (name, place) where not value ? r.name);
  end if;
  return null;
end $$;
comment on function tide._contract_value_fault(jsonb, jsonb) is 'What is wrong with one value under one schema, without its members; null when nothing is';

-- Everything that is wrong with a document; a member of an "anyOf" is asked by a call of its own.
create function tide._contract_faults(contract jsonb, document jsonb, root text default '$') returns table (path text, fault text)
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_schemas jsonb[] := array[_contract_faults.contract];
  v_values jsonb[] := array[_contract_faults.document];
  v_paths text[] := array[_contract_faults.root];
  v_next integer := 1;
  v_schema jsonb;
  v_value jsonb;
  v_member record;
begin
  while v_next <= cardinality(v_schemas) loop
    v_schema := v_schemas[v_next];
    v_value := v_values[v_next];
    path := v_paths[v_next];
    v_next := v_next + 1;
    if v_schema in ('true', '{}') then
      continue;
    end if;
    fault := case when v_schema = 'false' then 'is not allowed' else tide._contract_value_fault(v_schema, v_value) end;
    if fault is null and v_schema ? 'anyOf' and not exists (
         select from jsonb_array_elements(v_schema -> 'anyOf') as a (schema)
          where not exists (select from tide._contract_faults(a.schema, v_value, path))) then
      fault := 'is none of what "anyOf" allows';
    end if;
    if fault is not null then
      return next;
    end if;
    if v_schema ? 'items' and jsonb_typeof(v_value) = 'array' then
      for v_member in select e.value, e.place from jsonb_array_elements(v_value) with ordinality as e (value, place) loop
        v_schemas := v_schemas || (v_schema -> 'items');
        v_values := v_values || v_member.value;
        v_paths := v_paths || format('%s[%s]', path, v_member.place - 1);
      end loop;
    elsif jsonb_typeof(v_value) = 'object' and (v_schema ? 'properties' or v_schema ? 'additionalProperties') then
      for v_member in
        select m.key, m.value, coalesce(v_schema -> 'properties' -> m.key, v_schema -> 'additionalProperties') as schema
          from jsonb_each(v_value) m order by m.key
      loop
        if v_member.schema is not null then
          v_schemas := v_schemas || v_member.schema;
          v_values := v_values || v_member.value;
          v_paths := v_paths || tide._contract_path(path, v_member.key);
        end if;
      end loop;
    end if;
  end loop;
end $$;
comment on function tide._contract_faults(jsonb, jsonb, text) is 'Everything that is wrong with a document under a contract, with the JSON path of each fault';

create function tide._contract_refuse(outbox tide.outbox, payload jsonb, place bigint default null) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_faults text[] := array(select format('%s %s', f.path, f.fault) from tide._contract_faults((_contract_refuse.outbox).contract, _contract_refuse.payload) f);
begin
  if cardinality(v_faults) > 0 then
    raise exception using errcode = 'TD012',
      message = format('a payload%s breaks the contract of outbox %L: %s', coalesce(' (element ' || _contract_refuse.place || ')', ''),
        (_contract_refuse.outbox).name, v_faults[1]),
      detail = array_to_string(v_faults[1:20], E'\n'),
      hint = format('The contract: select contract from tide.outboxes where outbox = %L;', (_contract_refuse.outbox).name);
  end if;
end $$;
comment on function tide._contract_refuse(tide.outbox, jsonb, bigint) is 'Raises TD012 when a payload breaks its outbox''s contract, with the JSON path of each fault';

-- For administrators: would these payloads have met that contract?
create function tide.contract_faults(contract jsonb, payload jsonb) returns table (path text, fault text)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform tide._contract_check(null, contract_faults.contract);
  return query select f.path, f.fault from tide._contract_faults(contract_faults.contract, contract_faults.payload) f;
end $$;
comment on function tide.contract_faults(jsonb, jsonb) is 'What is wrong with a payload under a contract, with the JSON path of each fault; no row: nothing. TD020 when it is no contract';
