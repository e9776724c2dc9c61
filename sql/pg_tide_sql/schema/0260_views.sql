-- What operators look at: outboxes, row schemas, pipelines, groups, relays, lag, and who holds things up.
-- All are cheap enough to be read every few seconds; none counts a whole backlog.
-- Secrets written into a configuration are shown as ***; references such as ${env:NAME} are shown as they are.

create view tide.outboxes as
  select o.name as outbox, o.enabled, o.retention_hours, o.max_payload_bytes, o.drop_without_group, o.contract, o.slots, o.slot, o.slot_since,
         'tide.message_' || o.outbox_id as message_table,
         (select coalesce(sum(pg_total_relation_size(i.inhrelid)), 0)::bigint from pg_inherits i
           where i.inhparent = to_regclass('tide.message_' || o.outbox_id)) as retained_bytes,
         (select max(s.emptied_at) from tide.slot s where s.outbox_id = o.outbox_id) as last_emptied_at,
         (select max(s.dropped_to) from tide.slot s where s.outbox_id = o.outbox_id) as dropped_to,
         o.created_at, o.created_by
    from tide.outbox o;
comment on view tide.outboxes is 'Outboxes, their settings and their size on disk';

create view tide.row_schemas as
  select o.name as outbox, s.version, s.columns, s.origin, s.comment,
         array(select p.name from tide.pipeline p where p.outbox_id = s.outbox_id and p.row_schema = s.version order by p.name) as pipelines,
         s.created_at, s.created_by
    from tide.row_schema s
    join tide.outbox o on o.outbox_id = s.outbox_id;
comment on view tide.row_schemas is 'Row schemas: the columns of outboxes'' payloads by version, and the pipelines whose configuration names the version';

create function tide._config_shown(config jsonb) returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_shown jsonb := _config_shown.config;
  v_path text[];
begin
  foreach v_path slice 1 in array array[
    array[null, 'sasl_password'], array['schema_registry', 'password'], array['schema_registry', 'bearer_token']]
  loop
    v_path := array_remove(v_path, null);
    if v_shown #>> v_path !~ '^\$\{[a-z]+:[^}]*\}$' then
      v_shown := jsonb_set(v_shown, v_path, '"***"');
    end if;
  end loop;
  return v_shown;
end $$;
comment on function tide._config_shown(jsonb) is 'A configuration with secrets replaced by ***';

create view tide.shards as
  select p.name as pipeline, o.name as outbox, g.name as consumer_group, c.shard, c.shards,
         case when not p.enabled then 'disabled'
              when c.owner_token is null or c.lease_until < clock_timestamp() then
                case when s.state = 'error' and s.version = p.version then s.state else 'waiting' end
              else coalesce(s.state, 'waiting') end as state,
         case when c.lease_until >= clock_timestamp() then c.owner end as owner, c.lease_until,
         s.error_class, s.error_code, s.error, s.cure, s.message_id,
         case when c.lease_until >= clock_timestamp() then s.attempts end as attempts,
         case when c.lease_until >= clock_timestamp() then s.next_attempt_at end as next_attempt_at,
         case when c.lease_until >= clock_timestamp() then s.throttled_ms end as throttled_ms,
         s.since, s.version as running_version, c.settled_at, c.taken_over_at, c.taken_over_from,
         case when c.barrier is not null then tide._shard_stands(c) end as stands
    from tide.pipeline p
    join tide.outbox o on o.outbox_id = p.outbox_id
    join tide.consumer_group g on g.group_id = p.group_id
    join tide.cursor c on c.group_id = p.group_id
    left join tide.pipeline_state s on s.pipeline_id = p.pipeline_id and s.shard = c.shard;
comment on view tide.shards is
  'A row for each shard of each pipeline: its owner and state; stands: while their number changes, whether it has come to where all stop';

create view tide.pipelines as
  select p.name as pipeline, o.name as outbox, g.name as consumer_group, p.enabled, p.version,
         w.state, w.owner, w.lease_until, w.error_class, w.error_code, w.error, w.cure, w.message_id,
         w.attempts, w.next_attempt_at, w.throttled_ms, w.since, w.running_version,
         tide._config_shown(p.config) as config, p.updated_at, p.updated_by, w.shards,
         case when w.shards <> tide._shards_wanted(p.config) then format('%s -> %s', w.shards, tide._shards_wanted(p.config)) end as resharding
    from tide.pipeline p
    join tide.outbox o on o.outbox_id = p.outbox_id
    join tide.consumer_group g on g.group_id = p.group_id
    left join lateral (
      select h.* from tide.shards h where h.pipeline = p.name
       order by array_position(array['error', 'backing_off', 'waiting'], h.state), h.shard
       limit 1) w on true;
comment on view tide.pipelines is
  'Pipelines: configuration, owner, and state (running, backing_off, error as the owner says it; disabled; waiting: no relay owns it). Of several shards the one that is worst off, and how many there are; all of them: tide.shards';

create view tide.consumer_groups as
  select g.name as consumer_group, o.name as outbox, p.name as pipeline, c.prev, c.cur, c.first_id, c.last_id,
         c.replay_from, c.replay_last, c.generation, c.epoch, c.timeline, c.settled_at,
         tide._cursor_doubt(c, c.xmin) as doubt, g.created_at, g.created_by, c.shard, c.shards
    from tide.consumer_group g
    join tide.outbox o on o.outbox_id = g.outbox_id
    join tide.cursor c on c.group_id = g.group_id
    left join tide.pipeline p on p.group_id = g.group_id;
comment on view tide.consumer_groups is
  'Consumer groups and their cursors, a row for each shard; doubt: why a cursor cannot be trusted (then tide.group_rebase repairs it)';

create view tide.relays as
  select r.relay_id, r.host, r.pid, r.release, r.started_at, r.seen_at, r.ended_at,
         case when r.ended_at is not null then 'ended'
              when r.seen_at < clock_timestamp() - interval '30 seconds' then 'lost'
              when exists (select from tide.cursor c where c.owner_token = r.token and c.lease_until >= clock_timestamp()) then 'owner'
              else 'standby' end as state,
         array(select distinct p.name from tide.cursor c join tide.pipeline p on p.group_id = c.group_id
                where c.owner_token = r.token and c.lease_until >= clock_timestamp() order by p.name) as pipelines,
         array(select p.name from tide.pipeline p where p.pipeline_id = any(r.serves) order by p.name) as serves,
         array(select format('%s%s from %s at %s', p.name, case when c.shards > 1 then ' shard ' || c.shard end, c.taken_over_from, c.taken_over_at)
                 from tide.cursor c join tide.pipeline p on p.group_id = c.group_id
                where c.owner = r.relay_id and c.taken_over_at is not null order by c.taken_over_at) as take_overs
    from tide.relay r;
comment on view tide.relays is
  'Relay processes: owner, standby, ended (signed off) or lost; serves: pipelines that it could drive; take_overs: pipelines taken from a relay that had not signed off';

-- Pending messages of one cursor: committed, and not settled. Each part stops at 100,001. Without an open window its
-- end is prev itself. Four parts without a row in common: the window's messages that began after prev, its stragglers,
-- what committed after the window's end, and what a replay pass still has to send.
create function tide._pending(outbox_id integer, position_read tide.cursor, out pending bigint, out oldest_at timestamptz)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set jit = off set max_parallel_workers_per_gather = 0 as $$
declare
  v_prev pg_snapshot := (_pending.position_read).prev;
begin
  execute format(
    'select count(*), min(m.created_at) from (
       (select m.created_at from tide.%1$I m
         where m.id > greatest($3, $4 - 1) and m.xid >= pg_snapshot_xmax($1) and m.xid < pg_snapshot_xmax($2)
           and pg_visible_in_snapshot(m.xid, $2) order by m.id limit 100001)
       union all
       (select m.created_at from unnest(array(select pg_snapshot_xip($1))) o (xid)
          cross join lateral (select s.created_at, s.xid, s.id from tide.%1$I s
             where (s.xid, s.id) > (o.xid, $3) and s.xid <= o.xid
             order by s.xid, s.id limit 100001) m
         where pg_visible_in_snapshot(m.xid, $2) limit 100001)
       union all
       (select m.created_at from tide.%1$I m
         where m.xid >= pg_snapshot_xmin($2) and not pg_visible_in_snapshot(m.xid, $2) order by m.xid, m.id limit 100001)
       union all
       (select m.created_at from tide.%1$I m where m.id > $5 and pg_visible_in_snapshot(m.xid, $1) order by m.id limit 100001)
     ) m', 'message_' || _pending.outbox_id)
    into pending, oldest_at
    using v_prev, coalesce((_pending.position_read).cur, v_prev), (_pending.position_read).last_id,
      coalesce((_pending.position_read).first_id, 0), coalesce((_pending.position_read).replay_last, 9223372036854775807);
end $$;
comment on function tide._pending(integer, tide.cursor) is 'How many committed messages a cursor has not settled (up to 100,001 of each kind) and when the oldest was published';

create view tide.lag as
  select p.name as pipeline, o.name as outbox, g.name as consumer_group,
         least(n.pending, 100000) as pending,
         case when n.pending > 100000 then '>= 100000' else n.pending::text end as pending_text,
         n.oldest_at, coalesce(clock_timestamp() - n.oldest_at, interval '0') as oldest_age, n.settled_at
    from tide.consumer_group g
    join tide.outbox o on o.outbox_id = g.outbox_id
    left join tide.pipeline p on p.group_id = g.group_id
    cross join lateral (
      select max(l.pending) as pending, min(l.oldest_at) as oldest_at, max(c.settled_at) as settled_at
        from tide.cursor c cross join lateral tide._pending(o.outbox_id, c) l
       where c.group_id = g.group_id) n;
comment on view tide.lag is
  'What each consumer group still has to deliver: the number of committed messages, exact up to 100,000, and the age of the oldest. Of several shards what the slowest has before it, the messages of the others among it';

-- What keeps a pipeline from sending what is committed: one reason, and the cure; nulls when a relay is at it, or nothing
-- waits. Reads messages: raises 55P03 rather than wait for who has locked them.
create function tide._pipeline_held(pipeline tide.pipeline, shard integer, out since timestamptz, out cause text, out cure text)
language plpgsql volatile set search_path = pg_catalog, pg_temp set lock_timeout = '200ms' as $$
declare
  v_pipeline tide.pipeline := _pipeline_held.pipeline;
  v_outbox text := (select o.name from tide.outbox o where o.outbox_id = v_pipeline.outbox_id);
  v_group text := (select g.name from tide.consumer_group g where g.group_id = v_pipeline.group_id);
  v_cursor tide.cursor;
  v_state tide.pipeline_state;
  v_doubt text;
  v_seen_at timestamptz;
  v_successor_from timestamptz;
begin
  select c.* into v_cursor from tide.cursor c where c.group_id = v_pipeline.group_id and c.shard = _pipeline_held.shard;
  if (select n.pending from tide._pending(v_pipeline.outbox_id, v_cursor) n) = 0 then
    return;
  end if;
  select tide._cursor_doubt(c, c.xmin) into v_doubt
    from tide.cursor c where c.group_id = v_pipeline.group_id and c.shard = _pipeline_held.shard;
  select s.* into v_state from tide.pipeline_state s
   where s.pipeline_id = v_pipeline.pipeline_id and s.shard = _pipeline_held.shard and s.version = v_pipeline.version;
  select r.seen_at into v_seen_at from tide.relay r where r.relay_id = v_cursor.owner and r.token = v_cursor.owner_token;
  v_successor_from := v_cursor.lease_until + v_cursor.takeover_ms * interval '1 ms';
  if v_doubt is not null then
    cause := format('the cursor of group %L cannot be trusted: %s', v_group, v_doubt);
    cure := format('Repair it; messages may be sent again: select tide.group_rebase(%L, %L);', v_group, v_outbox);
  elsif not v_pipeline.enabled then
    since := v_pipeline.updated_at;
    cause := format('pipeline %L is disabled', v_pipeline.name);
    cure := format('select tide.relay_enable(%L);', v_pipeline.name);
  elsif v_successor_from >= clock_timestamp()
    and (v_cursor.lease_until < clock_timestamp() or v_seen_at < clock_timestamp() - interval '10 seconds') then
    since := v_seen_at;
    cause := format('relay %L has not been seen since %s, and did not sign off: its lease must run out', v_cursor.owner, v_seen_at);
    cure := format('Nothing: another relay, or the same one started again, goes on after %s.', v_successor_from);
  elsif v_state.state = 'error' or (v_state.state = 'backing_off' and v_cursor.lease_until >= clock_timestamp()) then
    since := v_state.since;
    cause := v_state.error;
    cure := v_state.cure;
  elsif v_successor_from is null or v_successor_from < clock_timestamp() then
    since := coalesce(v_cursor.lease_until, v_pipeline.updated_at);
    cause := format('no relay runs pipeline %L', v_pipeline.name);
    cure := 'Start one: pg-tide run. See tide.relays for those there were.';
  elsif v_cursor.replay_last is not null then
    cause := format('it sends messages from id %s on again, and has come to id %s', v_cursor.replay_from, v_cursor.replay_last);
    cure := 'Let it finish; see tide.lag.';
  elsif tide._shard_stands(v_cursor) then
    since := v_pipeline.updated_at;
    cause := format('shard %s of pipeline %L stands until all shards have come as far: their number changes', v_cursor.shard, v_pipeline.name);
    cure := format('See tide.shards. When one can''t come there, all may begin anew, and messages are sent again: select tide.group_reshard(%L, %L);',
      v_group, v_outbox);
  end if;
end $$;
comment on function tide._pipeline_held(tide.pipeline, integer) is 'Why a shard of a pipeline that has something to send does not send it now, and the cure';

-- Who has locked an outbox's messages is told by _pipelines_locked and by the locks on its slots: others are not kept waiting.
create function tide._pipelines_held()
returns table (outbox text, consumer_group text, age interval, cause text, cure text)
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  v_row record;
  v_pipeline tide.pipeline;
  v_since timestamptz;
begin
  for v_row in
    select p, c.shard from tide.pipeline p join tide.cursor c on c.group_id = p.group_id order by p.pipeline_id, c.shard
  loop
    v_pipeline := v_row.p;
    begin
      select h.since, h.cause, h.cure into v_since, cause, cure from tide._pipeline_held(v_pipeline, v_row.shard) h;
    exception when lock_not_available then
      continue;
    end;
    if cause is not null then
      outbox := (select o.name from tide.outbox o where o.outbox_id = v_pipeline.outbox_id);
      consumer_group := (select g.name from tide.consumer_group g where g.group_id = v_pipeline.group_id);
      age := clock_timestamp() - v_since;
      return next;
    end if;
  end loop;
end $$;
comment on function tide._pipelines_held() is 'Pipelines that have something to send and do not send it now, why, and the cure';

create function tide._slot_held_now(outbox tide.outbox, slot integer, out reason text, out consumer_group text, out cure text)
language plpgsql volatile set search_path = pg_catalog, pg_temp set lock_timeout = '200ms' as $$
begin
  select h.reason, h.consumer_group, h.cure into reason, consumer_group, cure
    from tide._slot_held(_slot_held_now.outbox, _slot_held_now.slot) h;
exception when lock_not_available then
  null;
end $$;
comment on function tide._slot_held_now(tide.outbox, integer) is 'tide._slot_held, or nulls where somebody has locked the slot''s messages';

-- Sessions and prepared transactions that keep a pipeline from settling (the row of its cursor) or from reading (its tables).
create function tide._pipelines_locked()
returns table (outbox text, consumer_group text, pid integer, username text, database text, age interval, cause text, cure text)
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  return query
  select k.outbox, k.consumer_group, k.pid, coalesce(a.usename, x.owner)::text, coalesce(a.datname, x.database)::text,
         clock_timestamp() - coalesce(a.xact_start, x.prepared),
         case when k.pid is null then format('transaction prepared as %L %s', x.gid, k.what)
              else format('transaction open in state %s %s', a.state, k.what) end,
         case when k.pid is null then format('commit prepared %L; or rollback prepared %L;', x.gid, x.gid)
              else format('End it, or: select pg_terminate_backend(%s);', k.pid) end
    from (
      -- The lock on a row is the lock on the transaction that the row's xmax names, which may be a savepoint's.
      select o.name as outbox, g.name as consumer_group, 'holds the row of the cursor' as what, v.pid, v.virtualtransaction
        from tide.cursor c join tide.consumer_group g on g.group_id = c.group_id join tide.outbox o on o.outbox_id = g.outbox_id
        join pg_locks v on v.locktype = 'transactionid' and v.transactionid = c.xmax and v.mode = 'ExclusiveLock'
      union all
      select o.name, null, format('holds an AccessExclusiveLock on tide.%s', min(t.relname)), v.pid, v.virtualtransaction
        from tide.outbox o
        join pg_class t on t.oid = to_regclass('tide.message_' || o.outbox_id)
              or t.oid in (select i.inhrelid from pg_inherits i where i.inhparent = to_regclass('tide.message_' || o.outbox_id))
        join pg_locks v on v.relation = t.oid and v.mode = 'AccessExclusiveLock' and v.granted
       group by o.name, v.pid, v.virtualtransaction
    ) k
    left join pg_stat_activity a on a.pid = k.pid
    left join lateral (
      select q.* from pg_locks t join pg_prepared_xacts q on q.transaction = t.transactionid
       where t.virtualtransaction = k.virtualtransaction and t.locktype = 'transactionid' and t.pid is null
       limit 1) x on k.pid is null
   where k.pid is distinct from pg_backend_pid()
     and clock_timestamp() - coalesce(a.xact_start, x.prepared) > interval '1 second'; -- not a settle on its way
end $$;
comment on function tide._pipelines_locked() is 'Transactions of more than a second whose locks keep pipelines from settling or reading';

create function tide.holders()
returns table (holds text, outbox text, consumer_group text, pid integer, username text, database text, age interval, cause text, cure text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
  return query
  select 'its own messages'::text, null::text, null::text, a.pid, a.usename::text, a.datname::text, clock_timestamp() - a.xact_start,
         format('transaction open in state %s', a.state), format('End it, or: select pg_terminate_backend(%s);', a.pid)
    from pg_stat_activity a where a.backend_xid is not null and a.pid <> pg_backend_pid()
  union all
  select 'its own messages', null, null, null, x.owner::text, x.database::text, clock_timestamp() - x.prepared,
         format('transaction prepared as %L', x.gid), format('commit prepared %L; or rollback prepared %L;', x.gid, x.gid)
    from pg_prepared_xacts x
  union all
  select 'retention', o.name, h.consumer_group, null, null, null, clock_timestamp() - s.closed_at, h.reason, h.cure
    from tide.outbox o join tide.slot s on s.outbox_id = o.outbox_id
    cross join lateral tide._slot_held_now(o, s.slot) h
   where s.closed_at + o.retention_hours * interval '1 hour' <= clock_timestamp() and h.reason is not null
  union all
  select 'retention', o.name, null, a.pid, a.usename::text, a.datname::text, clock_timestamp() - a.xact_start,
         format('%s lock on tide.%s', l.mode, k.relname), format('End it, or: select pg_terminate_backend(%s);', a.pid)
    from tide.outbox o join tide.slot s on s.outbox_id = o.outbox_id
    join pg_class k on k.oid = to_regclass(format('tide.message_%s_%s', o.outbox_id, s.slot))
    join pg_locks l on l.relation = k.oid and l.granted
    join pg_stat_activity a on a.pid = l.pid and a.pid <> pg_backend_pid()
   where s.closed_at + o.retention_hours * interval '1 hour' <= clock_timestamp()
  union all
  select 'retention', o.name, null, null, x.owner::text, x.database::text, clock_timestamp() - x.prepared,
         format('transaction prepared as %L holds a %s lock on tide.%s', x.gid, l.mode, k.relname),
         format('commit prepared %L; or rollback prepared %L;', x.gid, x.gid)
    from tide.outbox o join tide.slot s on s.outbox_id = o.outbox_id
    join pg_class k on k.oid = to_regclass(format('tide.message_%s_%s', o.outbox_id, s.slot))
    join pg_locks l on l.relation = k.oid and l.pid is null
    join pg_locks t on t.virtualtransaction = l.virtualtransaction and t.locktype = 'transactionid' and t.pid is null
    join pg_prepared_xacts x on x.transaction = t.transactionid
   where s.closed_at + o.retention_hours * interval '1 hour' <= clock_timestamp()
  union all
  select 'delivery', h.outbox, h.consumer_group, null, null, null, h.age, h.cause, h.cure from tide._pipelines_held() h
  union all
  select 'delivery', h.outbox, h.consumer_group, h.pid, h.username, h.database, h.age, h.cause, h.cure from tide._pipelines_locked() h;
end $$;
comment on function tide.holders() is
  'Who keeps messages from being sent (delivery: relays, pipelines, locks; its own messages: open and prepared transactions) or from being dropped (retention: groups, locks), since when, and the cure';
