-- Publishing: tide.outbox_publish and tide.outbox_publish_batch, called by applications in their own transaction.
-- The calls run with the caller's rights and insert into a view; the view's trigger does the work with the owner's.
-- The view fills its column "caller" by a default that publishers cannot override, so the trigger knows on whose
-- behalf it works: inside SECURITY DEFINER, current_user is the owner (docs/decisions/0004-rights-of-publishers.md).
-- No lock that another publisher or a relay waits for, no NOTIFY; one read of tide.outbox, one insert.

create view tide._publication as
  select null::bigint as id, null::text as outbox, null::jsonb as payload, null::text as dedup_key, null::text as op,
         null::jsonb as old_payload, null::jsonb as headers, null::text as key, null::name as caller
   where false;
alter view tide._publication alter column caller set default current_user;
comment on view tide._publication is 'Always empty. What tide.outbox_publish inserts into; its trigger checks and stores the message';

create view tide._publication_batch as
  select null::bigint[] as ids, null::text as outbox, null::jsonb[] as payloads, null::text[] as dedup_keys, null::text[] as ops,
         null::jsonb[] as old_payloads, null::jsonb[] as headers, null::text[] as keys, null::name as caller
   where false;
alter view tide._publication_batch alter column caller set default current_user;
comment on view tide._publication_batch is 'Always empty. What tide.outbox_publish_batch inserts into; its trigger checks and stores the messages';

-- Raises what is wrong with a publish. Called only when something is; keeps the way of a good message short.
create function tide._publish_refuse(outbox text, caller name) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_near text;
  v_found tide.outbox;
begin
  if _publish_refuse.outbox is null then
    raise exception using errcode = 'TD006', message = 'the outbox to publish to is null',
      hint = 'Name the outbox: select tide.outbox_publish(''orders'', ...).';
  end if;
  select o.* into v_found from tide.outbox o where o.name = _publish_refuse.outbox;
  if not found then
    select tide._nearest(_publish_refuse.outbox, array_agg(o.name order by o.name)) into v_near from tide.outbox o;
    raise exception using errcode = 'TD001', message = format('outbox %L does not exist', _publish_refuse.outbox),
      hint = case when v_near is null then '' else format('Did you mean %L? ', v_near) end
        || format('Create it: select tide.outbox_create(%L);', _publish_refuse.outbox);
  end if;
  if not tide._may_publish(v_found.outbox_id, _publish_refuse.caller) then
    raise exception using errcode = 'TD010',
      message = format('role %I may not publish to outbox %L', _publish_refuse.caller, v_found.name),
      hint = format('Let an administrator run: select tide.outbox_grant(%L, %L);', v_found.name, _publish_refuse.caller);
  end if;
  if not v_found.enabled then
    raise exception using errcode = 'TD002', message = format('outbox %L is disabled', v_found.name),
      hint = format('Enable it: select tide.outbox_enable(%L);', v_found.name);
  end if;
end $$;
comment on function tide._publish_refuse(text, name) is 'Raises the reason why a publish by this caller to this outbox is refused, if there is one';

-- The right to publish is INSERT on the outbox's own table, column outbox_id: an ordinary entry of the catalogue's
-- ACL, so it follows role membership, survives a dump and goes with DROP OWNED. It does not suffice for an INSERT.
create function tide._may_publish(outbox_id integer, caller name) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return has_column_privilege(_may_publish.caller, 'tide.message_' || _may_publish.outbox_id, 'outbox_id', 'INSERT');
end $$;
comment on function tide._may_publish(integer, name) is 'Whether a role may publish to an outbox';

-- Joins the headers of the call with those of the session: tide.traceparent, tide.tracestate, tide.actor, tide.tenant.
-- A header given in the call wins. Returns null when there is none. Of a batch, place tells the element.
create function tide._publish_headers(headers jsonb, place bigint default null) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_session jsonb;
  v_name text;
  v_of text := coalesce(' of element ' || _publish_headers.place, '');
begin
  if _publish_headers.headers is not null then
    if jsonb_typeof(_publish_headers.headers) <> 'object' then
      raise exception using errcode = 'TD005',
        message = format('headers%s must be a JSON object of strings, not %s', v_of, jsonb_typeof(_publish_headers.headers)),
        hint = 'Pass an object: headers => ''{"source": "checkout"}''.';
    end if;
    select h.key into v_name from jsonb_each(_publish_headers.headers) h
     where jsonb_typeof(h.value) <> 'string' or h.key = '' or h.key like 'pg\_tide\_%' order by h.key limit 1;
    if found then
      raise exception using errcode = 'TD005',
        message = case when v_name = '' then format('a header name%s is empty', v_of)
          when v_name like 'pg\_tide\_%' then format('header name %L%s is reserved', v_name, v_of)
          else format('header %L%s is not a string but %s', v_name, v_of, jsonb_typeof(_publish_headers.headers -> v_name)) end,
        hint = 'Header values are strings, their names are not empty and do not begin with pg_tide_.';
    end if;
  end if;
  v_session := jsonb_strip_nulls(jsonb_build_object(
    'traceparent', nullif(current_setting('tide.traceparent', true), ''),
    'tracestate', nullif(current_setting('tide.tracestate', true), ''),
    'pg_tide_actor', nullif(current_setting('tide.actor', true), ''),
    'pg_tide_tenant', nullif(current_setting('tide.tenant', true), '')));
  return nullif(v_session || coalesce(_publish_headers.headers, '{}'), '{}');
end $$;
comment on function tide._publish_headers(jsonb, bigint) is 'The headers of a message: those of the call, then those of the session settings tide.traceparent, tide.tracestate, tide.actor and tide.tenant';

-- Stores one message. Locks: ROW EXCLUSIVE on the message tables on its way; nothing that anybody waits for.
create function tide._publication_insert() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_outbox tide.outbox;
  v_payload text := new.payload::text;
  v_old_payload text := new.old_payload::text;
  v_headers jsonb;
begin
  select o.* into v_outbox from tide.outbox o where o.name = new.outbox;
  if not found or not v_outbox.enabled
     or not has_column_privilege(new.caller, 'tide.message_' || v_outbox.outbox_id, 'outbox_id', 'INSERT') then
    perform tide._publish_refuse(new.outbox, new.caller);
  end if;
  if new.op is null or new.op not in ('insert', 'update', 'delete') then
    raise exception using errcode = case when new.op is null then 'TD006' else 'TD003' end,
      message = case when new.op is null then 'op is null' else format('op %L is not known', new.op) end,
      hint = 'op is ''insert'', ''update'' or ''delete''.';
  end if;
  if v_payload is null and new.op <> 'delete' then
    raise exception using errcode = 'TD006', message = format('the payload of an %s to outbox %L is null', new.op, new.outbox),
      hint = 'Only a delete may have no payload; for the JSON value null pass ''null''::jsonb.';
  end if;
  if greatest(octet_length(v_payload), octet_length(v_old_payload)) > v_outbox.max_payload_bytes then
    raise exception using errcode = 'TD004',
      message = format('a payload of %s bytes is above the limit of outbox %L, %s bytes',
        greatest(octet_length(v_payload), octet_length(v_old_payload)), new.outbox, v_outbox.max_payload_bytes),
      hint = format('Publish less, or raise the limit (and Kafka''s max.message.bytes): select tide.outbox_alter(%L, max_payload_bytes => ...);', new.outbox);
  end if;
  if v_outbox.contract is not null and new.payload is not null then
    perform tide._contract_refuse(v_outbox, new.payload);
  end if;
  if new.headers is not null or current_setting('tide.traceparent', true) <> '' or current_setting('tide.tracestate', true) <> ''
     or current_setting('tide.actor', true) <> '' or current_setting('tide.tenant', true) <> '' then
    v_headers := tide._publish_headers(new.headers);
  end if;
  -- What a relay can see must not be taken back by a crash of the server: see docs/decisions/0001-cursor.md.
  if current_setting('synchronous_commit') = 'off' then
    perform set_config('synchronous_commit', 'on', true);
  end if;
  insert into tide.message (outbox_id, slot, op, key, dedup_key, payload, old_payload, headers)
  values (v_outbox.outbox_id, v_outbox.slot, new.op, new.key, new.dedup_key, v_payload, v_old_payload, v_headers::text)
  returning id into new.id;
  return new;
end $$;
comment on function tide._publication_insert() is 'Trigger function: checks one message and stores it';

create trigger publication_insert instead of insert on tide._publication
  for each row execute function tide._publication_insert();
comment on trigger publication_insert on tide._publication is 'Checks one message and stores it';

-- What is wrong with the arrays of a batch; the element is named by its place, counting from 1.
create function tide._publish_batch_refuse(outbox text, max_payload_bytes integer, payloads jsonb[], old_payloads jsonb[], ops text[], others integer[])
returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_bad record;
begin
  if exists (select from unnest(_publish_batch_refuse.others) as n where n <> cardinality(_publish_batch_refuse.payloads)) then
    raise exception using errcode = 'TD006', message = 'the arrays of a batch are not equally long',
      hint = 'Pass arrays with one element for each payload, or leave them out.';
  end if;
  select e.place, e.op, e.payload is null as payload_is_null,
         greatest(octet_length(e.payload::text), octet_length(e.old_payload::text)) as bytes into v_bad
    from unnest(_publish_batch_refuse.payloads, _publish_batch_refuse.old_payloads, _publish_batch_refuse.ops)
         with ordinality as e (payload, old_payload, op, place)
   where e.op is null or e.op not in ('insert', 'update', 'delete') or (e.payload is null and e.op <> 'delete')
      or greatest(octet_length(e.payload::text), octet_length(e.old_payload::text)) > _publish_batch_refuse.max_payload_bytes
   order by e.place limit 1;
  if not found then
    return;
  end if;
  if v_bad.op is null or v_bad.op not in ('insert', 'update', 'delete') then
    raise exception using errcode = case when v_bad.op is null then 'TD006' else 'TD003' end,
      message = format('op %s of element %s is not known', coalesce(quote_literal(v_bad.op), 'null'), v_bad.place),
      hint = 'op is ''insert'', ''update'' or ''delete''.';
  elsif v_bad.payload_is_null and v_bad.op <> 'delete' then
    raise exception using errcode = 'TD006', message = format('the payload of element %s is null', v_bad.place),
      hint = 'Only a delete may have no payload; for the JSON value null pass ''null''::jsonb.';
  end if;
  raise exception using errcode = 'TD004',
    message = format('the payload of element %s has %s bytes, above the limit of outbox %L, %s bytes',
      v_bad.place, v_bad.bytes, _publish_batch_refuse.outbox, _publish_batch_refuse.max_payload_bytes),
    hint = format('Publish less, or raise the limit: select tide.outbox_alter(%L, max_payload_bytes => ...);', _publish_batch_refuse.outbox);
end $$;
comment on function tide._publish_batch_refuse(text, integer, jsonb[], jsonb[], text[], integer[]) is 'Raises what is wrong with the elements of a batch, if anything is';

-- Stores a batch with one INSERT; ids come in the order of the arrays. Locks as for one message.
create function tide._publication_batch_insert() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_outbox tide.outbox;
  v_count integer := coalesce(cardinality(new.payloads), 0);
  v_ops text[] := coalesce(new.ops, array_fill('insert'::text, array[v_count]));
begin
  select o.* into v_outbox from tide.outbox o where o.name = new.outbox;
  if not found or not v_outbox.enabled
     or not has_column_privilege(new.caller, 'tide.message_' || v_outbox.outbox_id, 'outbox_id', 'INSERT') then
    perform tide._publish_refuse(new.outbox, new.caller);
  end if;
  if new.payloads is null then
    raise exception using errcode = 'TD006', message = format('the payloads of a batch to outbox %L are null', new.outbox),
      hint = 'Pass an array of jsonb; an empty one publishes nothing.';
  end if;
  perform tide._publish_batch_refuse(new.outbox, v_outbox.max_payload_bytes, new.payloads, new.old_payloads, v_ops,
    array[cardinality(new.dedup_keys), cardinality(v_ops), cardinality(new.keys), cardinality(new.headers), cardinality(new.old_payloads)]);
  if v_outbox.contract is not null then
    perform tide._contract_refuse(v_outbox, e.payload, e.place)
       from unnest(new.payloads) with ordinality as e (payload, place) where e.payload is not null;
  end if;
  if current_setting('synchronous_commit') = 'off' then
    perform set_config('synchronous_commit', 'on', true);
  end if;
  with stored as (
    insert into tide.message (outbox_id, slot, op, key, dedup_key, payload, old_payload, headers)
    select v_outbox.outbox_id, v_outbox.slot, e.op, e.key, e.dedup_key, e.payload::text, e.old_payload::text,
           tide._publish_headers(e.header, e.place)::text
      from unnest(new.payloads, new.dedup_keys, v_ops, new.keys, new.headers, new.old_payloads)
           with ordinality as e (payload, dedup_key, op, key, header, old_payload, place)
     order by e.place
    returning id)
  select coalesce(array_agg(s.id order by s.id), '{}') into new.ids from stored s;
  return new;
end $$;
comment on function tide._publication_batch_insert() is 'Trigger function: checks a batch of messages and stores it';

create trigger publication_batch_insert instead of insert on tide._publication_batch
  for each row execute function tide._publication_batch_insert();
comment on trigger publication_batch_insert on tide._publication_batch is 'Checks a batch of messages and stores it';

create function tide.outbox_publish(
  outbox text, payload jsonb, dedup_key text default null, op text default 'insert',
  old_payload jsonb default null, headers jsonb default null, key text default null)
returns bigint language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  v_id bigint;
begin
  if current_setting('transaction_read_only') = 'on' then
    raise exception using errcode = 'TD007',
      message = format('cannot publish to outbox %L in a read-only transaction', outbox_publish.outbox),
      hint = 'Publish in a read-write transaction on the primary server.';
  end if;
  insert into tide._publication as p (outbox, payload, dedup_key, op, old_payload, headers, key)
  values (outbox_publish.outbox, outbox_publish.payload, outbox_publish.dedup_key, outbox_publish.op,
          outbox_publish.old_payload, outbox_publish.headers, outbox_publish.key)
  returning p.id into v_id;
  return v_id;
end $$;
comment on function tide.outbox_publish(text, jsonb, text, text, jsonb, jsonb, text) is
  'Publishes a message in the caller''s transaction and returns its id: delivered if the transaction commits, never seen if it rolls back. Order per key holds when it is called after the entity was locked';

create function tide.outbox_publish_batch(
  outbox text, payloads jsonb[], dedup_keys text[] default null, ops text[] default null,
  keys text[] default null, headers jsonb[] default null, old_payloads jsonb[] default null)
returns bigint[] language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  v_ids bigint[];
begin
  if current_setting('transaction_read_only') = 'on' then
    raise exception using errcode = 'TD007',
      message = format('cannot publish to outbox %L in a read-only transaction', outbox_publish_batch.outbox),
      hint = 'Publish in a read-write transaction on the primary server.';
  end if;
  insert into tide._publication_batch as p (outbox, payloads, dedup_keys, ops, keys, headers, old_payloads)
  values (outbox_publish_batch.outbox, outbox_publish_batch.payloads, outbox_publish_batch.dedup_keys, outbox_publish_batch.ops,
          outbox_publish_batch.keys, outbox_publish_batch.headers, outbox_publish_batch.old_payloads)
  returning p.ids into v_ids;
  return v_ids;
end $$;
comment on function tide.outbox_publish_batch(text, jsonb[], text[], text[], text[], jsonb[], jsonb[]) is
  'Publishes many messages with one INSERT in the caller''s transaction and returns their ids in the order of the arrays';
