-- Validation of a pipeline's configuration.
-- tide.relay_validate holds a configuration against the rule document of 0300_config_rules.sql and
-- returns everything that is wrong with it at once. The functions behind it read that document and
-- know nothing of its keys. The relay's module config.check reads the same document in Python, with
-- the same paths, messages and order; strings are checked in 0305_config_texts.sql.

create or replace function tide._config_type(value jsonb)
returns text
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  -- What a value is, in the words of a message. Caller: tide._config_check. Locks: none.
  select case coalesce(jsonb_typeof(_config_type.value), 'null')
    when 'string' then 'a string'
    when 'number' then 'a number'
    when 'boolean' then 'a boolean'
    when 'object' then 'an object'
    when 'array' then 'a list'
    else 'null'
  end
$$;
comment on function tide._config_type(jsonb) is
  'What a JSON value is, in words.';

create or replace function tide._config_in_range(rule jsonb, value numeric)
returns boolean
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
  -- Whether a number is within its rule; 100.0 and 1e2 are whole. Caller: tide._config_check.
  -- Locks: none.
  select (_config_in_range.rule ->> 'type' = 'number'
          or _config_in_range.value = trunc(_config_in_range.value))
     and coalesce(_config_in_range.value >= (_config_in_range.rule ->> 'min')::numeric, true)
     and coalesce(_config_in_range.value <= (_config_in_range.rule ->> 'max')::numeric, true)
     and coalesce(_config_in_range.value > (_config_in_range.rule ->> 'above')::numeric, true)
     and coalesce(_config_in_range.value < (_config_in_range.rule ->> 'below')::numeric, true)
$$;
comment on function tide._config_in_range(jsonb, numeric) is
  'Whether a number is within its rule.';

create or replace function tide._config_effective(rule jsonb, value jsonb, dotted text)
returns jsonb
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
-- The value of a key, dotted when nested, or the default where it is missing; null for JSON's null.
-- Caller: tide._config_holds. Locks: none.
declare
  v_rule jsonb := _config_effective.rule;
  v_value jsonb := _config_effective.value;
  v_part text;
begin
  foreach v_part in array string_to_array(_config_effective.dotted, '.') loop
    if v_value is null or jsonb_typeof(v_value) <> 'object' then
      return null;
    end if;
    v_value := coalesce(v_value -> v_part, v_rule -> 'keys' -> v_part -> 'default');
    v_rule := v_rule -> 'keys' -> v_part -> 'rule';
  end loop;
  return nullif(v_value, 'null');
end
$$;
comment on function tide._config_effective(jsonb, jsonb, text) is
  'The value of a key of a configuration, or its default.';

create or replace function tide._config_condition(test text, value jsonb, allowed jsonb)
returns boolean
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  -- One test of one effective value; of a string with an unresolved reference only "set" is true.
  -- Caller: tide._config_holds. Locks: none.
  select case
    when _config_condition.test = 'set' then _config_condition.value is not null
    when _config_condition.test = 'unset' then _config_condition.value is null
    when coalesce(jsonb_typeof(_config_condition.value) = 'string'
                  and strpos(_config_condition.value #>> '{}', '${') > 0, false) then false
    when _config_condition.test = 'one_of'
      then exists (select from jsonb_array_elements(_config_condition.allowed) as a (item)
                    where a.item = _config_condition.value)
    when _config_condition.test = 'none_of'
      then not exists (select from jsonb_array_elements(_config_condition.allowed) as a (item)
                        where a.item = _config_condition.value)
    else jsonb_typeof(_config_condition.value) is not distinct from 'string' and exists (
           select from tide._config_template_tokens(_config_condition.value #>> '{}') as t
            where t.kind = 'placeholder' and _config_condition.allowed ? t.content)
  end
$$;
comment on function tide._config_condition(text, jsonb, jsonb) is
  'One test of one value of a configuration.';

create or replace function tide._config_above(found jsonb[])
returns boolean
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  -- Whether the first of two values is a larger number than the second. Caller: tide._config_holds. Locks: none.
  select case when jsonb_typeof(_config_above.found[1]) = 'number' and jsonb_typeof(_config_above.found[2]) = 'number'
              then (_config_above.found[1] #>> '{}')::numeric > (_config_above.found[2] #>> '{}')::numeric
              else false end
$$;
comment on function tide._config_above(jsonb[]) is
  'Whether the first of two values of a configuration is a larger number than the second.';

create or replace function tide._config_holds(relation jsonb, rule jsonb, value jsonb)
returns boolean
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  -- Whether all conditions of a relation hold for an object. Caller: tide._config_check_object.
  -- Locks: none.
  select bool_and(
    case c.condition ->> 'test' when 'set' then k.some when 'above' then k.is_above else k.every end)
    from jsonb_array_elements(_config_holds.relation -> 'when') as c (condition),
         lateral (
           select bool_or(r.result) as some, bool_and(r.result) as every,
                  tide._config_above(array_agg(e.value order by n.place)) as is_above
             from jsonb_array_elements_text(c.condition -> 'keys') with ordinality as n (name, place),
                  lateral (select tide._config_effective(_config_holds.rule, _config_holds.value, n.name) as value) as e,
                  lateral (select tide._config_condition(
                     c.condition ->> 'test', e.value, c.condition -> 'values') as result) as r) as k
$$;
comment on function tide._config_holds(jsonb, jsonb, jsonb) is
  'Whether the conditions of a relation between keys hold.';

create or replace function tide._config_check_object(rule jsonb, value jsonb, parent text)
returns table (path text, severity text, message text)
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
-- Problems of an object: unknown, missing and bad keys, and the relations between them. Callers:
-- tide._config_check, tide._config_check_tagged. Locks: none.
declare
  v_keys jsonb := _config_check_object.rule -> 'keys';
  v_names text[] := array(select jsonb_object_keys(v_keys));
begin
  return query
    select tide._config_path(_config_check_object.parent, k.key),
           'error',
           case
             when _config_check_object.rule -> 'not_yet' ? k.key
               then k.key || ' is not available in this version'
             else 'unknown key' || coalesce('; did you mean "' || tide._nearest(k.key, v_names) || '"?', '')
           end
      from jsonb_object_keys(_config_check_object.value) as k (key)
     where k.key <> all (v_names);
  return query
    select tide._config_path(_config_check_object.parent, k.key), 'error', 'is required'
      from jsonb_each(v_keys) as k (key, entry)
     where (k.entry -> 'required')::boolean and not _config_check_object.value ? k.key;
  return query
    select c.path, c.severity, c.message
      from jsonb_each(v_keys) as k (key, entry),
           lateral tide._config_check(
             k.entry -> 'rule',
             _config_check_object.value -> k.key,
             tide._config_path(_config_check_object.parent, k.key)) as c
     where _config_check_object.value ? k.key;
  return query
    select case _config_check_object.parent when '$' then '' else _config_check_object.parent || '.' end
             || (r.relation ->> 'at'),
           r.relation ->> 'severity',
           r.relation ->> 'message'
      from jsonb_array_elements(_config_check_object.rule -> 'relations') as r (relation)
     where tide._config_holds(r.relation, _config_check_object.rule, _config_check_object.value);
end
$$;
comment on function tide._config_check_object(jsonb, jsonb, text) is
  'Problems of an object inside a configuration.';

create or replace function tide._config_check_map(rule jsonb, value jsonb, parent text)
returns table (path text, severity text, message text)
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
-- Problems of an object whose keys are the user's own. Caller: tide._config_check. Locks: none.
begin
  return query
    select tide._config_path(_config_check_map.parent, k.key), 'error', 'the name ' || f.fault
      from jsonb_object_keys(_config_check_map.value) as k (key),
           lateral tide._config_text_faults(_config_check_map.rule -> 'names', k.key) as f (fault);
  return query
    select c.path, c.severity, c.message
      from jsonb_each(_config_check_map.value) as k (key, item),
           lateral tide._config_check(
             _config_check_map.rule -> 'values',
             k.item,
             tide._config_path(_config_check_map.parent, k.key)) as c;
end
$$;
comment on function tide._config_check_map(jsonb, jsonb, text) is
  'Problems of an object whose keys are free.';

create or replace function tide._config_check_list(rule jsonb, value jsonb, parent text)
returns table (path text, severity text, message text)
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
-- Problems of a list and its items. Caller: tide._config_check. Locks: none.
begin
  if not tide._config_fits(_config_check_list.rule, jsonb_array_length(_config_check_list.value)) then
    return query
      select _config_check_list.parent, 'error', 'must be ' || (_config_check_list.rule ->> 'expects');
  end if;
  return query
    select c.path, c.severity, c.message
      from jsonb_array_elements(_config_check_list.value) with ordinality as i (item, number),
           lateral tide._config_check(
             _config_check_list.rule -> 'items',
             i.item,
             format('%s[%s]', _config_check_list.parent, i.number - 1)) as c;
end
$$;
comment on function tide._config_check_list(jsonb, jsonb, text) is
  'Problems of a list inside a configuration.';

create or replace function tide._config_check_tagged(rule jsonb, value jsonb, parent text)
returns table (path text, severity text, message text)
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
-- Problems of an object whose shape one of its keys tells. Caller: tide._config_check. Locks: none.
declare
  v_tag jsonb := _config_check_tagged.value -> (_config_check_tagged.rule ->> 'tag');
  v_place text := tide._config_path(_config_check_tagged.parent, _config_check_tagged.rule ->> 'tag');
  v_variant jsonb := _config_check_tagged.rule -> 'variants' -> (v_tag #>> '{}');
begin
  if v_tag is null then
    return query select v_place, 'error', 'is required';
  elsif jsonb_typeof(v_tag) <> 'string' then
    return query select v_place, 'error', 'must be a string, not ' || tide._config_type(v_tag);
  elsif v_variant is null then
    return query select v_place, 'error', tide._config_enum_fault(_config_check_tagged.rule, v_tag #>> '{}');
  else
    return query
      select c.path, c.severity, c.message
        from tide._config_check_object(
               v_variant, _config_check_tagged.value, _config_check_tagged.parent) as c;
  end if;
end
$$;
comment on function tide._config_check_tagged(jsonb, jsonb, text) is
  'Problems of an object whose shape one of its keys tells.';

create or replace function tide._config_check_text(rule jsonb, value text, parent text)
returns table (path text, severity text, message text)
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
-- Problems of a string. One that refers to the environment is checked in full by the relay, when the
-- reference is resolved. Caller: tide._config_check. Locks: none.
begin
  if strpos(_config_check_text.value, '${') > 0 then
    return query
      select _config_check_text.parent, 'error', f.fault
        from tide._config_reference_faults(_config_check_text.value) as f (fault);
  else
    return query
      select _config_check_text.parent, 'error', f.fault
        from tide._config_text_faults(_config_check_text.rule, _config_check_text.value) as f (fault);
  end if;
end
$$;
comment on function tide._config_check_text(jsonb, text, text) is
  'Problems of a string inside a configuration.';

create or replace function tide._config_check(rule jsonb, value jsonb, parent text)
returns table (path text, severity text, message text)
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
-- Problems of a value under its rule, whatever both are; calls itself for what lies inside. The
-- rule language is described in the relay's module config.rules. Callers: tide._config_problems and
-- the functions above. Locks: none.
declare
  v_rule jsonb := _config_check.rule;
  v_value jsonb := _config_check.value;
  v_parent text := _config_check.parent;
  v_found text := coalesce(jsonb_typeof(v_value), 'null');
  v_kind text;
begin
  if v_rule ->> 'type' = 'union' then
    v_rule := coalesce(v_rule -> 'options' -> v_found, v_rule);
  end if;
  v_kind := v_rule ->> 'type';
  if v_kind = 'any' or (v_found = 'null' and coalesce((v_rule -> 'nullable')::boolean, false)) then
    return;
  elsif v_found is distinct from (case
      when v_kind in ('object', 'map', 'tagged') then 'object'
      when v_kind in ('integer', 'number') then 'number'
      when v_kind = 'list' then 'array'
      else v_kind end) then
    return query
      select v_parent, 'error',
             'must be ' || (v_rule ->> 'what') || ', not ' || tide._config_type(v_value);
  elsif v_kind = 'object' then
    return query select c.* from tide._config_check_object(v_rule, v_value, v_parent) as c;
  elsif v_kind = 'map' then
    return query select c.* from tide._config_check_map(v_rule, v_value, v_parent) as c;
  elsif v_kind = 'tagged' then
    return query select c.* from tide._config_check_tagged(v_rule, v_value, v_parent) as c;
  elsif v_kind = 'list' then
    return query select c.* from tide._config_check_list(v_rule, v_value, v_parent) as c;
  elsif v_kind = 'string' then
    return query select c.* from tide._config_check_text(v_rule, v_value #>> '{}', v_parent) as c;
  elsif v_kind in ('integer', 'number')
        and not tide._config_in_range(v_rule, (v_value #>> '{}')::numeric) then
    return query select v_parent, 'error', 'must be ' || (v_rule ->> 'expects');
  end if;
end
$$;
comment on function tide._config_check(jsonb, jsonb, text) is
  'Problems of a value under its rule.';

create or replace function tide._config_problems(rules jsonb, config jsonb)
returns table (path text, severity text, message text)
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  -- All problems of a configuration under a rule document: errors first, then by path and message in
  -- code point order. Caller: tide.relay_validate. Locks: none.
  select c.path, c.severity, c.message
    from tide._config_check(_config_problems.rules, _config_problems.config, '$') as c
   order by c.severity collate "C", c.path collate "C", c.message collate "C"
$$;
comment on function tide._config_problems(jsonb, jsonb) is
  'All problems of a configuration under a rule document.';

create or replace function tide.relay_validate(config jsonb)
returns table (path text, severity text, message text)
language sql stable parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
  -- Everything that is wrong with a pipeline's configuration; no row of severity error means that
  -- tide.relay_set_outbox takes it. Callers: users, tide.relay_set_outbox. Locks: none. It never
  -- resolves a reference to the environment: only the relay can. It reads no table; security definer
  -- lets administrators call it without rights on the functions behind it.
  select p.path, p.severity, p.message
    from tide._config_problems(tide._config_rules(), relay_validate.config) as p
$$;
comment on function tide.relay_validate(jsonb) is
  'All errors and warnings of a pipeline''s configuration, each with its path.';
