-- A row schema proposed from messages: the narrowest type that takes every value seen and is likely to take the next.
-- Called by administrators, by hand: a relay never infers. What is proposed is shown with its reason and stored by nobody.
-- Bounded: the newest messages up to a number and 64 MiB of payload, read by id from the end of the outbox's own table.
-- Locks: ACCESS SHARE on that table and its slots, as a page takes it; publishers do not notice.

-- Whether a text of the right form names a day and time that exist: 2024-02-30 has the form only.
create function tide._row_schema_exists(type text, value text) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp set datestyle = 'ISO, YMD' set timezone = 'UTC' as $$
begin
  case _row_schema_exists.type
    when 'date' then perform _row_schema_exists.value::date;
    when 'timestamp' then perform _row_schema_exists.value::timestamp;
    else perform _row_schema_exists.value::timestamptz;
  end case;
  return true;
exception when data_exception then
  return false;
end $$;
comment on function tide._row_schema_exists(text, text) is 'Whether a text in the form of a date or timestamp is one';

-- Forms as to_jsonb writes them; other spellings (24:00, a second of 60, more than six digits of a second) are text.
create function tide._row_schema_kind(value jsonb) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_text text := _row_schema_kind.value #>> '{}';
  v_time constant text := '[T ]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?';
  v_form text;
begin
  case jsonb_typeof(_row_schema_kind.value)
    when 'null' then return null;
    when 'boolean' then return 'boolean';
    when 'number' then
      return case when v_text ~ '^-?\d{1,19}$' and v_text::numeric between -9223372036854775808 and 9223372036854775807 then 'bigint' else 'numeric' end;
    when 'string' then
      if v_text ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' then
        return 'uuid';
      elsif v_text !~ '^\d{4}-\d\d-\d\d' then
        return 'text';
      end if;
      v_form := case
        when v_text ~ '^.{10}$' then 'date'
        when v_text ~ ('^.{10}' || v_time || '$') then 'timestamp'
        when v_text ~ ('^.{10}' || v_time || '(Z|[+-]\d\d:[0-5]\d)$') then 'timestamptz' end;
      return case when v_form is not null and tide._row_schema_exists(v_form, v_text) then v_form else 'text' end;
    else return 'jsonb';
  end case;
end $$;
comment on function tide._row_schema_kind(jsonb) is 'The type that one value asks for; null for JSON''s null, which every type takes';

create function tide._row_schema_widest(kinds text[], digits integer, decimals integer, out type text, out reason text)
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  type := case
    when kinds is null then 'text'
    when cardinality(kinds) = 1 then kinds[1]
    when kinds <@ array['bigint', 'numeric'] then 'numeric'
    when kinds <@ array['text', 'uuid', 'date', 'timestamp', 'timestamptz'] then 'text'
    else 'jsonb' end;
  reason := case
    when kinds is null then 'only nulls were seen: text is a guess'
    when type = 'bigint' then 'whole numbers; integer would fail at the first larger one'
    when type = 'numeric' then format('numbers of up to %s digits before and %s behind the point', digits, decimals)
      || case when digits + decimals <= 1000 then format('; if more never come, declare numeric(%s,%s)', digits + decimals, decimals) else '' end
    when type = 'text' and kinds = '{text}' then 'strings'
    when type = 'text' then format('strings of several forms: %s', array_to_string(kinds, ', '))
    when type = 'jsonb' and kinds = '{jsonb}' then 'objects or arrays'
    when type = 'jsonb' then format('values of several types: %s', array_to_string(kinds, ', '))
    else 'every value is one' end;
end $$;
comment on function tide._row_schema_widest(text[], integer, integer) is 'The type that takes values of all these kinds, and why';

create function tide.row_schema_infer(outbox text, messages integer default 1000)
returns table (name text, type text, seen bigint, nulls bigint, example text, reason text, entry jsonb)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set jit = off set max_parallel_workers_per_gather = 0 as $$
declare
  v_outbox tide.outbox := tide._outbox(row_schema_infer.outbox);
  v_bytes_max constant bigint := 67108864;
  v_kinds text[];
  v_digits integer;
  v_decimals integer;
begin
  if row_schema_infer.messages is null or row_schema_infer.messages not between 1 and 100000 then
    raise exception using errcode = 'TD020', message = format('messages is %s', coalesce(row_schema_infer.messages::text, 'null')),
      hint = 'Use 1 to 100000 messages.';
  end if;
  for name, seen, nulls, v_kinds, example, v_digits, v_decimals in execute format(
    'select e.key, count(*) as seen, count(*) - count(k.kind) as nulls, array_agg(distinct k.kind) filter (where k.kind is not null) as kinds,
            min(left(e.value #>> ''{}'', 60) collate "C") as example,
            max(length(trunc(abs(n.number))::text)) as digits, max(scale(n.number)) as decimals
       from (select r.payload, r.old_payload, sum(octet_length(r.payload) + coalesce(octet_length(r.old_payload), 0))
                      over (order by r.id desc rows between unbounded preceding and 1 preceding) as bytes_before
               from (select m.id, coalesce(m.payload, '''') as payload, m.old_payload from tide.%I m order by m.id desc limit $1) r) b
      cross join lateral (values (nullif(b.payload, '''')::jsonb), (b.old_payload::jsonb)) d (document)
      cross join lateral (
        select o.key, o.value from jsonb_each(case jsonb_typeof(d.document) when ''object'' then d.document else ''{}'' end) o
        union all select null, null where jsonb_typeof(d.document) <> ''object'') e
      cross join lateral tide._row_schema_kind(e.value) k (kind)
      cross join lateral (select case when k.kind in (''bigint'', ''numeric'') then e.value::numeric end) n (number)
      where d.document is not null and (b.bytes_before is null or b.bytes_before < $2)
      group by e.key order by e.key is null desc, octet_length(e.key), e.key collate "C"', 'message_' || v_outbox.outbox_id)
    using row_schema_infer.messages, v_bytes_max
  loop
    if name is null then
      raise notice using message = format('%s payloads are no objects and were left out', seen),
        hint = 'A format that needs a row schema puts such messages in error.';
      continue;
    end if;
    select w.type, w.reason into type, reason from tide._row_schema_widest(v_kinds, v_digits, v_decimals) w;
    entry := jsonb_build_object('name', name, 'type', type);
    return next;
  end loop;
  if name is null then
    raise exception using errcode = 'TD027', message = format('outbox %L holds no payload that a row schema could be inferred from', v_outbox.name),
      hint = format('Declare one: select tide.row_schema_set(%L, ''[{"name": "id", "type": "bigint"}]'');', v_outbox.name);
  end if;
end $$;
comment on function tide.row_schema_infer(text, integer) is
  'Proposes a row schema from the newest messages of an outbox (payloads and old payloads, at most 64 MiB) and stores nothing: each column with its type, how often it was seen, how often as null, an example, and why that type; to store it: select tide.row_schema_set(''orders'', jsonb_agg(i.entry), origin => ''inferred'') from tide.row_schema_infer(''orders'') i';
