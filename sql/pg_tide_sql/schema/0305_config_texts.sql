-- What is wrong with one string of a configuration.
-- tide._nearest finds the name somebody probably meant. The functions behind it check references to the
-- environment, templates, lists inside strings and the other restrictions of the rule document's
-- strings (0300_config_rules.sql). The relay's module config.text_faults says the same in Python,
-- word by word. Callers: 0310_validate.sql, and whoever reports an unknown name.

create or replace function tide._levenshtein(word text, other text, most integer)
returns integer
language plpgsql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
-- Edit distance in characters; above most it stops and returns any larger number. Caller:
-- tide._nearest. Locks: none.
declare
  v_other text[] := string_to_array(_levenshtein.other, null);
  v_width integer := length(_levenshtein.other);
  v_above integer[];
  v_row integer[];
  v_letter text;
  v_least integer;
begin
  v_above := array(select generate_series(0, v_width));
  for v_line in 1 .. length(_levenshtein.word) loop
    v_letter := substr(_levenshtein.word, v_line, 1);
    v_row := array[v_line];
    v_least := v_line;
    for v_column in 1 .. v_width loop
      v_row := v_row || least(
        v_above[v_column + 1] + 1,
        v_row[v_column] + 1,
        v_above[v_column] + case when v_letter = v_other[v_column] then 0 else 1 end);
      v_least := least(v_least, v_row[v_column + 1]);
    end loop;
    if v_least > _levenshtein.most then
      return v_least;
    end if;
    v_above := v_row;
  end loop;
  return v_above[v_width + 1];
end
$$;
comment on function tide._levenshtein(text, text, integer) is
  'Edit distance of two words in characters, exact up to a limit.';

create or replace function tide._nearest(word text, candidates text[])
returns text
language plpgsql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
-- The candidate that the word was probably meant to be, null when none is near: a distance of at
-- most a third of the word's length, rounded down; upper and lower case of ASCII are the same; of equals
-- the first in code point order. Callers: validation, errors about unknown names. Locks: none.
declare
  v_limit integer := length(_nearest.word) / 3;
  v_word text := lower(_nearest.word collate "C");
  v_candidate text;
  v_distance integer;
  v_best text;
begin
  for v_candidate in
    select c.name from unnest(_nearest.candidates) as c (name)
     where c.name is not null
     order by c.name collate "C"
  loop
    continue when abs(length(v_candidate) - length(v_word)) > v_limit;
    v_distance := tide._levenshtein(v_word, lower(v_candidate collate "C"), v_limit);
    if v_distance <= v_limit then
      v_best := v_candidate;
      v_limit := v_distance - 1;
    end if;
  end loop;
  return v_best;
end
$$;
comment on function tide._nearest(text, text[]) is
  'The candidate nearest to a word, null when none is near.';

create or replace function tide._config_path(parent text, key text)
returns text
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
  -- Path of an object's key: parent.key, or parent["a key"] when a dot would be ambiguous; the
  -- configuration itself is $. Caller: the other functions of this file. Locks: none.
  select case
    when _config_path.key !~ '^[A-Za-z0-9_-]+$'
      then coalesce(nullif(_config_path.parent, '$'), '') || '[' || to_json(_config_path.key)::text || ']'
    when _config_path.parent = '$' then _config_path.key
    else _config_path.parent || '.' || _config_path.key
  end
$$;
comment on function tide._config_path(text, text) is
  'Path of a key inside a configuration.';

create or replace function tide._config_list(list jsonb)
returns text[]
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
  -- The strings of a JSON list. Caller: the other functions of this file. Locks: none.
  select array(select jsonb_array_elements_text(_config_list.list))
$$;
comment on function tide._config_list(jsonb) is
  'The strings of a JSON list as an array.';

create or replace function tide._config_reference_faults(value text)
returns setof text
language plpgsql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
-- What is wrong with the references ${env:NAME} of a string. The messages never quote the string:
-- it may hold a secret. Caller: tide._config_check. Locks: none.
declare
  v_rest text := _config_reference_faults.value;
  v_passed integer := 0;
  v_start integer;
  v_piece text;
  v_place text;
begin
  loop
    v_start := strpos(v_rest, '${');
    exit when v_start = 0;
    v_piece := substring(substr(v_rest, v_start) from '^[$][{][^}]*[}]?');
    v_place := format('the reference at character %s', v_passed + v_start);
    if right(v_piece, 1) <> '}' then
      return next v_place || ' is not closed; write ${env:NAME}';
    elsif v_piece not like '${env:%' then
      return next v_place || ' is of an unknown kind; write ${env:NAME}';
    elsif v_piece !~ '^[$][{]env:[A-Za-z_][A-Za-z0-9_]*[}]$' then
      return next v_place || ' needs a name of letters, digits and _; write ${env:NAME}';
    end if;
    v_passed := v_passed + v_start - 1 + length(v_piece);
    v_rest := substr(v_rest, v_start + length(v_piece));
  end loop;
end
$$;
comment on function tide._config_reference_faults(text) is
  'What is wrong with the references to environment variables in a string.';

create or replace function tide._config_template_tokens(template text)
returns table (kind text, content text, place integer)
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
  -- The pieces of a template: text, placeholder, or a stray brace (open, close); place counts
  -- characters from 1. Callers: tide._config_template_faults, tide._config_holds. Locks: none.
  select case
           when t.piece in ('{{', '}}') then 'text'
           when t.piece = '{' then 'open'
           when t.piece = '}' then 'close'
           when left(t.piece, 1) = '{' then 'placeholder'
           else 'text'
         end,
         case
           when t.piece in ('{{', '}}') then left(t.piece, 1)
           when left(t.piece, 1) = '{' and t.piece <> '{' then substr(t.piece, 2, length(t.piece) - 2)
           else t.piece
         end,
         (1 + coalesce(sum(length(t.piece)) over (
            order by t.number rows between unbounded preceding and 1 preceding), 0))::integer
    from (select m.found[1] as piece, m.number
            from regexp_matches(
                   _config_template_tokens.template, '([{][{]|[}][}]|[{][^{}]*[}]|[{]|[}]|[^{}]+)', 'g')
                 with ordinality as m (found, number)) as t
   order by t.number
$$;
comment on function tide._config_template_tokens(text) is
  'The pieces of a template: texts, placeholders and stray braces.';

create or replace function tide._config_token_fault(rule jsonb, kind text, content text, place integer)
returns text
language plpgsql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
-- What is wrong with one piece of a template, null when nothing is. Caller:
-- tide._config_template_faults. Locks: none.
declare
  v_known text[] := tide._config_list(_config_token_fault.rule -> 'placeholders');
  v_dotted text[] := tide._config_list(_config_token_fault.rule -> 'dotted');
  v_legal text := _config_token_fault.rule ->> 'literal';
  v_length integer;
  v_cure text;
begin
  if _config_token_fault.kind = 'open' then
    return format('the "{" at character %s is not closed; write "{{" for a brace', place);
  elsif _config_token_fault.kind = 'close' then
    return format('the "}" at character %s was not opened; write "}}" for a brace', place);
  elsif _config_token_fault.kind = 'placeholder' and content <> all (v_known)
        and not (split_part(content, '.', 1) = any (v_dotted) and content ~ '^[^.]+(\.[^.]+)+$') then
    v_cure := coalesce(
      'did you mean {' || tide._nearest(content, v_known) || '}?',
      'known are ' || (select string_agg('{' || k.name || '}', ', ' order by k.number)
                         from unnest(v_known || array(select d.name || '.member' from unnest(v_dotted) with ordinality as d (name, number)
                                                       order by d.number)) with ordinality as k (name, number)));
    return format('unknown placeholder {%s} at character %s; %s', content, place, v_cure);
  elsif _config_token_fault.kind = 'text' and v_legal is not null then
    v_length := length(substring(content from '^(?:' || v_legal || ')*'));
    if v_length < length(content) then
      return format('character %s is not allowed; %s', place + v_length, rule ->> 'literal_expects');
    end if;
  end if;
  return null;
end
$$;
comment on function tide._config_token_fault(jsonb, text, text, integer) is
  'What is wrong with one piece of a template.';

create or replace function tide._config_template_faults(rule jsonb, template text)
returns setof text
language plpgsql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
-- What is wrong with a template. Caller: tide._config_text_faults. Locks: none.
declare
  v_token record;
  v_fault text;
  v_literal text := '';
  v_is_literal boolean := true;
  v_longest integer := (_config_template_faults.rule ->> 'literal_length_max')::integer;
begin
  for v_token in
    select t.kind, t.content, t.place
      from tide._config_template_tokens(_config_template_faults.template) as t
  loop
    if v_token.kind = 'text' then
      v_literal := v_literal || v_token.content;
    else
      v_is_literal := false;
    end if;
    v_fault := tide._config_token_fault(
      _config_template_faults.rule, v_token.kind, v_token.content, v_token.place);
    if v_fault is not null then
      return next v_fault;
    end if;
  end loop;
  if v_is_literal and _config_template_faults.rule -> 'refused' ? v_literal then
    return next format('"%s" is not allowed here', v_literal);
  end if;
  if length(v_literal) > v_longest then
    return next format('must not have more than %s characters beside its placeholders', v_longest);
  end if;
end
$$;
comment on function tide._config_template_faults(jsonb, text) is
  'What is wrong with a template.';

create or replace function tide._config_enum_fault(rule jsonb, value text)
returns text
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
  -- The message for a string that is none of the rule's values. Callers:
  -- tide._config_text_faults, tide._config_check_tagged. Locks: none.
  select case
    when coalesce(_config_enum_fault.rule -> 'not_yet' ? _config_enum_fault.value, false)
      then format('"%s" is not available in this version; must be %s',
                  _config_enum_fault.value, _config_enum_fault.rule ->> 'expects')
    else 'must be ' || (_config_enum_fault.rule ->> 'expects') || coalesce(
           '; did you mean "' || tide._nearest(
             _config_enum_fault.value, tide._config_list(_config_enum_fault.rule -> 'enum')) || '"?', '')
  end
$$;
comment on function tide._config_enum_fault(jsonb, text) is
  'The message for a string that is none of the values allowed.';

create or replace function tide._config_text_faults(rule jsonb, value text)
returns setof text
language plpgsql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
-- What is wrong with a string under its rule. Callers: tide._config_check, and
-- tide._config_check_map for names. Locks: none.
declare
  v_rule jsonb := _config_text_faults.rule;
  v_value text := _config_text_faults.value;
  v_entries jsonb := v_rule -> 'entries';
begin
  if not tide._config_fits(v_rule, length(v_value)) then
    return next 'must be ' || (v_rule ->> 'expects');
    return;
  end if;
  if v_rule ? 'enum' and not v_rule -> 'enum' ? v_value then
    return next tide._config_enum_fault(v_rule, v_value);
  end if;
  if v_rule ? 'pattern' and v_value !~ ('^(?:' || (v_rule ->> 'pattern') || ')$') then
    return next 'must be ' || (v_rule ->> 'expects');
  end if;
  if v_entries is not null then
    return query
      select format('entry %s must be %s', e.number, v_entries ->> 'expects')
        from unnest(
               string_to_array(v_value, v_entries ->> 'separator')
               || case v_value when '' then array[''] end -- which string_to_array takes for no entry
             ) with ordinality as e (entry, number)
       where btrim(e.entry, ' ') !~ ('^(?:' || (v_entries ->> 'pattern') || ')$');
  end if;
  if v_rule ? 'template' then
    return query select f from tide._config_template_faults(v_rule -> 'template', v_value) as f;
  end if;
  if starts_with(v_value, v_rule ->> 'reserved_prefix') then
    return next format('must not begin with "%s", which is reserved', v_rule ->> 'reserved_prefix');
  end if;
end
$$;
comment on function tide._config_text_faults(jsonb, text) is
  'What is wrong with a string under its rule.';

create or replace function tide._config_fits(rule jsonb, size integer)
returns boolean
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
  -- Whether a string's or list's length is within its rule. Callers: tide._config_text_faults,
  -- tide._config_check_list. Locks: none.
  select _config_fits.size between
           coalesce((_config_fits.rule ->> 'length_min')::integer, 0)
           and coalesce((_config_fits.rule ->> 'length_max')::integer, _config_fits.size)
$$;
comment on function tide._config_fits(jsonb, integer) is
  'Whether a length is within its rule.';
