-- Replays as the relay runs them, and as operators see them. The functions are called by the owner of the pipeline's cursor.
-- It runs the oldest open replay of the pipeline: begin, then page by page, each settled with owner token and epoch compared.
-- Locks: the cursor's row, then the replay's; neither is waited for, because one connection writes for all pipelines.

-- Whether this relay owns the cursor: null when another transaction holds its row.
create function tide._replay_owned(group_id integer, shard integer, owner_token uuid, epoch bigint) returns boolean
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  if not tide._cursor_lock(_replay_owned.group_id, _replay_owned.shard) then
    return null;
  end if;
  perform from tide.cursor c
    where c.group_id = _replay_owned.group_id and c.shard = _replay_owned.shard
      and c.owner_token = _replay_owned.owner_token and c.epoch = _replay_owned.epoch;
  return found;
end $$;
comment on function tide._replay_owned(integer, integer, uuid, bigint) is 'Locks a cursor''s row and tells whether this relay owns it; null: another transaction holds the row';

create function tide._replay_begin(pipeline_id integer, group_id integer, shard integer, owner_token uuid, epoch bigint, relay_id text)
returns table (replay_id bigint, requested_us bigint, last_position bigint, until_id bigint, to_topic text, headers jsonb,
               max_messages_per_second integer)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
  v_request tide.replay_request;
  v_owned boolean := tide._replay_owned(_replay_begin.group_id, _replay_begin.shard, _replay_begin.owner_token, _replay_begin.epoch);
begin
  if v_owned is distinct from true then
    if v_owned is null then
      return query select null::bigint, null::bigint, null::bigint, null::bigint, null::text, null::jsonb, null::integer;
    end if;
    return;
  end if;
  loop
    select r.* into v_request from tide.replay_request r
     where r.pipeline_id = _replay_begin.pipeline_id and r.state in ('waiting', 'running') order by r.replay_id limit 1;
    if not found then
      return query select 0::bigint, null::bigint, null::bigint, null::bigint, null::text, null::jsonb, null::integer;
      return;
    end if;
    perform from tide.replay_request r where r.replay_id = v_request.replay_id for no key update skip locked;
    if not found then
      return query select null::bigint, null::bigint, null::bigint, null::bigint, null::text, null::jsonb, null::integer;
      return;
    end if;
    exit when v_request.group_id = _replay_begin.group_id;
    update tide.replay_request r
       set state = 'failed', ended_at = clock_timestamp(), ended_by = session_user, error_class = 'configuration', error_code = 'TD023',
           error = 'the pipeline drives another consumer group since it was asked for, which has delivered other messages',
           cure = 'Ask for it again with tide.replay.'
     where r.replay_id = v_request.replay_id and r.state in ('waiting', 'running');
  end loop;
  return query
  update tide.replay_request r
     set state = 'running', started_at = coalesce(r.started_at, clock_timestamp()), relay_id = _replay_begin.relay_id,
         error_class = null, error_code = null, error = null, cure = null
   where r.replay_id = v_request.replay_id and r.state in ('waiting', 'running')
  returning r.replay_id, (extract(epoch from r.requested_at) * 1000000)::bigint, r.position, r.until_id, r.to_topic, r.headers, r.max_messages_per_second;
end $$;
comment on function tide._replay_begin(integer, integer, integer, uuid, bigint, text) is
  'The pipeline''s owner begins its oldest open replay, or goes on with it; replay_id 0: there is none, null: another transaction is in the way, ask again; no row: this relay is not the owner';

-- How far one look reaches is bounded by ids, whatever the conditions choose: the connection reads for all pipelines.
create function tide._replay_page(replay_id bigint, behind_id bigint, size integer, bytes bigint, reach integer)
returns table (up_to bigint, id bigint, op text, key text, dedup_key text, payload text, old_payload text, headers text,
               created_at timestamptz, letter boolean)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = on set jit = off set max_parallel_workers_per_gather = 0 as $$
#variable_conflict use_column
declare
  v_request tide.replay_request;
  v_table text;
  v_up_to bigint;
begin
  select r.* into v_request from tide.replay_request r where r.replay_id = _replay_page.replay_id;
  select 'message_' || p.outbox_id into v_table from tide.pipeline p where p.pipeline_id = v_request.pipeline_id;
  if v_table is null then
    return;
  end if;
  if v_request.ids is null then
    execute format('select m.id from tide.%I m where m.id > $1 order by m.id offset $2 - 1 limit 1', v_table)
      into v_up_to using _replay_page.behind_id, _replay_page.reach;
  else
    select i.id into v_up_to from unnest(v_request.ids) as i (id) where i.id > _replay_page.behind_id order by i.id offset _replay_page.reach - 1 limit 1;
    v_request.ids := array(select i.id from unnest(v_request.ids) as i (id)
      where i.id > _replay_page.behind_id and i.id <= coalesce(v_up_to, i.id) order by i.id);
  end if;
  v_up_to := least(v_up_to, v_request.until_id);
  for up_to, id, op, key, dedup_key, payload, old_payload, headers, created_at, letter in execute format(
    'with found as materialized (
       select m.id, m.op, m.key, m.dedup_key, m.payload, m.old_payload, m.headers, m.created_at, %s as letter
         from tide.%I m
        where m.id > $2 and m.id <= $3 and %s and %s
        order by m.id limit $4),
     cut as materialized (
       select c.*
         from (select f.*, sum(coalesce(octet_length(f.payload), 0) + coalesce(octet_length(f.old_payload), 0)
                             + coalesce(octet_length(f.headers), 0) + coalesce(octet_length(f.key), 0) + coalesce(octet_length(f.dedup_key), 0))
                             over (order by f.id rows between unbounded preceding and 1 preceding) as bytes_before
                 from found f) c
        where c.bytes_before is null or c.bytes_before < $5)
     select r.up_to, c.id, c.op, c.key, c.dedup_key, c.payload, c.old_payload, c.headers, c.created_at, c.letter
       from (select case when (select count(*) from found) = $4 or (select count(*) from cut) < (select count(*) from found)
                         then (select max(k.id) from cut k) else $3 end) as r (up_to)
       left join cut c on true
      order by c.id',
    tide._replay_open_letter(), v_table, tide._replay_chooses(), tide._replay_delivered())
  using v_request, _replay_page.behind_id, v_up_to, _replay_page.size, _replay_page.bytes
  loop
    return next;
  end loop;
end $$;
comment on function tide._replay_page(bigint, bigint, integer, bigint, integer) is
  'The next messages of a replay in id order, and up to which id they are all: at most size of them, about bytes of texts, out of the next reach messages; one row without a message when there is none, no row when the replay is gone';

-- Adds what became of messages up to a position, and says what stands in the way. what: null (it goes on), done or failed.
create function tide._replay_settle(
  replay_id bigint, group_id integer, shard integer, owner_token uuid, epoch bigint, last_position bigint,
  sent bigint, filtered bigint, failed bigint, left_out bigint, first_failed_id bigint, first_error text,
  what text, error_class text, error_code text, error text, cure text)
returns table (state text) language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
  v_owned boolean;
begin
  perform set_config('synchronous_commit', 'off', true);
  v_owned := tide._replay_owned(_replay_settle.group_id, _replay_settle.shard, _replay_settle.owner_token, _replay_settle.epoch);
  if v_owned then
    perform from tide.replay_request r where r.replay_id = _replay_settle.replay_id for no key update skip locked;
    if not found then
      v_owned := case when exists (select from tide.replay_request r where r.replay_id = _replay_settle.replay_id) then null else false end;
    end if;
  end if;
  if v_owned is null then
    return query select null::text;
  elsif v_owned then
    return query
    update tide.replay_request r
       set position = greatest(r.position, _replay_settle.last_position), sent = r.sent + _replay_settle.sent,
           filtered = r.filtered + _replay_settle.filtered, failed = r.failed + _replay_settle.failed,
           left_out = r.left_out + _replay_settle.left_out,
           first_failed_id = coalesce(r.first_failed_id, _replay_settle.first_failed_id),
           first_error = coalesce(r.first_error, _replay_settle.first_error),
           gone = case when r.state = 'running' and _replay_settle.what = 'done'
             then r.selected - r.sent - r.filtered - r.failed - r.left_out - _replay_settle.sent - _replay_settle.filtered - _replay_settle.failed - _replay_settle.left_out
             else r.gone end,
           state = case when r.state = 'running' then coalesce(_replay_settle.what, r.state) else r.state end,
           ended_at = case when r.state = 'running' and _replay_settle.what is not null then clock_timestamp() else r.ended_at end,
           ended_by = case when r.state = 'running' and _replay_settle.what is not null then session_user else r.ended_by end,
           error_class = case when r.state = 'running' then _replay_settle.error_class else r.error_class end,
           error_code = case when r.state = 'running' then _replay_settle.error_code else r.error_code end,
           error = case when r.state = 'running' then _replay_settle.error else r.error end,
           cure = case when r.state = 'running' then _replay_settle.cure else r.cure end
     where r.replay_id = _replay_settle.replay_id
    returning r.state;
  end if;
end $$;
comment on function tide._replay_settle(bigint, integer, integer, uuid, bigint, bigint, bigint, bigint, bigint, bigint, bigint, text, text, text, text, text, text) is
  'Records how far the owner has come with a replay, or that it is at its end; returns the state it is in; no row: this relay is not the owner or the replay is gone, null: another transaction is in the way, ask again';

create view tide.replays as
  select r.replay_id, p.name as pipeline,
         case when r.state = 'running' and not o.owned then 'waiting' else r.state end as state,
         r.selected, r.sent, r.filtered, r.failed, r.left_out, r.gone, r.position, r.until_id,
         case when r.state = 'running' and o.owned then r.relay_id end as relay,
         r.first_failed_id, r.first_error, case when w.error is null then r.error_class end as error_class,
         case when w.error is null then r.error_code end as error_code,
         coalesce(w.error, r.error) as error, case when w.error is null then r.cure else w.cure end as cure,
         r.ids, r.key, r.from_id, r.to_id, r.from_time, r.to_time, r.matching, r.everything, r.to_topic, r.headers, r.max_messages_per_second,
         r.requested_at, r.requested_by, r.started_at, r.ended_at, r.ended_by, r.reason
    from tide.replay_request r
    join tide.pipeline p on p.pipeline_id = r.pipeline_id
    left join tide.cursor c on c.group_id = p.group_id and c.shard = 0
    cross join lateral (
      select coalesce(c.lease_until >= clock_timestamp(), false),
             (select min(e.replay_id) from tide.replay_request e
               where e.pipeline_id = r.pipeline_id and e.state in ('waiting', 'running') and e.replay_id < r.replay_id)) as o (owned, earlier)
    cross join lateral (
      select case when r.ended_at is not null then null
                  when not p.enabled then format('pipeline %L is disabled', p.name)
                  when not o.owned then format('no relay runs pipeline %L', p.name)
                  when o.earlier is not null then format('replay %s of the pipeline comes first', o.earlier) end,
             case when not p.enabled then format('select tide.relay_enable(%L);', p.name)
                  when not o.owned then 'Start one: pg-tide run. After one that died its successor goes on by itself: see tide.pipelines.'
                  else 'Nothing: one replay of a pipeline runs at a time.' end) as w (error, cure);
comment on view tide.replays is
  'Replays: which messages, where to, how far they are (selected = sent + filtered + failed + left_out + gone at the end), what stands in their way, and the cure. Those at their end are kept for 30 days';
