-- Shards: a group with n cursors, each of which delivers the messages whose record keys fall to it. The relay computes
-- that (pg_tide_relay/shards.py); here is how many there are, and how that changes. See docs/decisions/0014-shards.md.
-- A change of the number is a barrier: one snapshot at which every shard stops. Then their rows are replaced.
-- A change of what decides record keys would move messages between shards whose cursors stand in different places: all
-- go back to the oldest one's. Messages are sent twice, none is lost.
-- Locks: all rows of a group in tide.cursor, in the order of their shards.

create function tide._shards_wanted(config jsonb) returns integer
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return case when jsonb_typeof(_shards_wanted.config -> 'shards') = 'number' then (_shards_wanted.config ->> 'shards')::integer else 1 end;
end $$;
comment on function tide._shards_wanted(jsonb) is 'How many shards a configuration asks for';

-- What is left out can't change a record's key. A key that is new here counts as one that can: duplicates rather than loss.
create function tide._shards_keyed_by(config jsonb) returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return _shards_keyed_by.config - array[
    'sink_type', 'brokers', 'topic', 'sasl_mechanism', 'sasl_username', 'sasl_password', 'tls_enabled', 'tls_ca_cert', 'tls_client_cert',
    'tls_client_key', 'compression', 'acks', 'batch_size', 'linger_ms', 'idempotent', 'request_timeout_ms', 'headers', 'schema_registry',
    'topics', 'dlq', 'retry', 'rate_limit', 'delivery', 'transactions', 'shards'];
end $$;
comment on function tide._shards_keyed_by(jsonb) is 'The part of a configuration that may decide the keys of records';

-- Volatile, and so a snapshot of its own: it sees owners that signed off while the caller waited for a lock.
create function tide._shards_awaited(group_id integer, shard integer, division bigint) returns boolean
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  return exists (
    select from tide.cursor o
     where o.group_id = _shards_awaited.group_id and o.shard <> _shards_awaited.shard and o.owner_token is not null
       and o.owner_division < _shards_awaited.division and o.lease_until + o.takeover_ms * interval '1 ms' >= clock_timestamp());
end $$;
comment on function tide._shards_awaited(integer, integer, bigint) is
  'Whether another shard may still be driven by a relay that divides messages in the way that was in force before';

-- Nobody drives a shard under this division yet, or every owner of this division knows the barrier: it is set once, by
-- the first who asks for a shard. What owners of before had opened in memory is settled or forgotten by then, so each
-- shard's row says where it stands, and everything that was seen by anybody is visible in the barrier.
create function tide._shards_stop(group_id integer, shard integer) returns boolean
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  v_wanted integer;
  v_row tide.cursor;
  v_locked integer;
begin
  select tide._shards_wanted(p.config) into v_wanted from tide.pipeline p where p.group_id = _shards_stop.group_id;
  select c.* into v_row from tide.cursor c where c.group_id = _shards_stop.group_id and c.shard = _shards_stop.shard;
  if v_wanted is null or v_row.shards is null or v_wanted = v_row.shards or v_row.barrier is not null then
    return true;
  end if;
  select count(*) into v_locked
    from (select from tide.cursor c where c.group_id = _shards_stop.group_id order by c.shard for no key update skip locked) l;
  if v_locked <> v_row.shards
     or exists (select from tide.cursor c where c.group_id = _shards_stop.group_id
                   and (c.division <> v_row.division or tide._cursor_doubt(c, c.xmin) is not null
                        or c.owner_token is not null and c.owner_division < c.division
                           and c.lease_until + c.takeover_ms * interval '1 ms' >= clock_timestamp())) then
    return false;
  end if;
  update tide.cursor c set barrier = coalesce(c.barrier, pg_current_snapshot()), stamp = pg_current_xact_id()::xid
   where c.group_id = _shards_stop.group_id;
  return true;
end $$;
comment on function tide._shards_stop(integer, integer) is
  'Where another number of shards is wanted: says where all stop; false: not yet, a relay still drives one as before';

-- A shard of that number may have been there before: what Kafka remembers of it (exactly once) is not held against it.
create function tide._shards_replace(group_id integer, shards integer) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  delete from tide.cursor c where c.group_id = _shards_replace.group_id and c.shard >= _shards_replace.shards;
  delete from tide.pipeline_state s using tide.pipeline p
   where p.group_id = _shards_replace.group_id and s.pipeline_id = p.pipeline_id and s.shard >= _shards_replace.shards;
  update tide.cursor c
     set shards = _shards_replace.shards, barrier = null, division = c.division + 1, generation = c.generation + 1, epoch = c.epoch + 1,
         owner_token = null, owner_division = null, lease_until = null, stamp = pg_current_xact_id()::xid
   where c.group_id = _shards_replace.group_id;
  insert into tide.cursor (group_id, shard, shards, prev, replay_from, replay_last, generation, timeline, stamp, epoch, settled_at,
                           passed_over, passed_below, division, known_tokens)
  select c.group_id, n.shard, c.shards, c.prev, c.replay_from, c.replay_last, c.generation, c.timeline, c.stamp, c.epoch, c.settled_at,
         c.passed_over, c.passed_below, c.division, null
    from tide.cursor c cross join generate_series(0, _shards_replace.shards - 1) n (shard)
   where c.group_id = _shards_replace.group_id and c.shard = 0
     and not exists (select from tide.cursor o where o.group_id = c.group_id and o.shard = n.shard);
  perform tide._cursor_stamp(_shards_replace.group_id);
end $$;
comment on function tide._shards_replace(integer, integer) is 'Gives a group whose shards all stand at one position another number of them; nobody owns them then';

-- Called by the owner of a shard that stands at the barrier and has nothing in flight, again and again.
create function tide._shards_pass(group_id integer, shard integer, owner_token uuid, epoch bigint) returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_locked integer;
  v_row tide.cursor;
  v_wanted integer;
begin
  perform tide._not_for_long();
  perform set_config('synchronous_commit', 'on', true) where current_setting('synchronous_commit') = 'off';
  select count(*) into v_locked
    from (select from tide.cursor c where c.group_id = _shards_pass.group_id order by c.shard for no key update skip locked) l;
  select c.* into v_row from tide.cursor c where c.group_id = _shards_pass.group_id and c.shard = _shards_pass.shard
     and c.owner_token = _shards_pass.owner_token and c.epoch = _shards_pass.epoch and c.barrier is not null;
  if not found then
    return false;
  end if;
  select tide._shards_wanted(p.config) into v_wanted from tide.pipeline p where p.group_id = _shards_pass.group_id;
  if v_wanted is null or v_locked <> v_row.shards
     or exists (select from tide.cursor c where c.group_id = _shards_pass.group_id
                   and (not tide._shard_stands(c) or c.barrier::text <> v_row.barrier::text or c.stamp <> c.xmin)) then
    return null;
  end if;
  perform tide._shards_replace(_shards_pass.group_id, v_wanted);
  return false;
end $$;
comment on function tide._shards_pass(integer, integer, uuid, bigint) is
  'Once every shard stands at the barrier: as many shards as are wanted, all beginning there; null: not yet, ask again, false: this relay must read the cursor again';

create function tide._shard_stands(position_read tide.cursor) returns boolean
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return coalesce((_shard_stands.position_read).barrier::text = (_shard_stands.position_read).prev::text, false)
    and (_shard_stands.position_read).cur is null and (_shard_stands.position_read).replay_last is null;
end $$;
comment on function tide._shard_stands(tide.cursor) is 'Whether a shard has come to the barrier, with nothing left before it';

-- Of two snapshots of one server the older one has the smaller xmax; of the same xmax the smaller xmin; of the same xmin the
-- more transactions running: what is visible in it is visible in the other.
create function tide._group_position(group_id integer) returns setof tide.cursor
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_row tide.cursor;
begin
  select c.* into v_row from tide.cursor c where c.group_id = _group_position.group_id
   order by pg_snapshot_xmax(c.prev), pg_snapshot_xmin(c.prev),
            (select count(*) from pg_snapshot_xip(c.prev)) desc, c.shard limit 1;
  if not found then
    return;
  end if;
  if v_row.shards > 1 then
    v_row.cur := null; v_row.first_id := null; v_row.window_token := null; v_row.last_id := 0;
    select min(c.replay_from), min(c.replay_last) into v_row.replay_from, v_row.replay_last
      from tide.cursor c where c.group_id = _group_position.group_id;
  end if;
  return next v_row;
end $$;
comment on function tide._group_position(integer) is 'The cursor of a group; of several shards the position that all of them have come to';

create function tide._shards_converge(group_id integer) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  update tide.cursor c
     set prev = o.prev, cur = o.cur, first_id = o.first_id, window_token = o.window_token, last_id = o.last_id,
         replay_from = o.replay_from, replay_last = o.replay_last, generation = c.generation + 1, stamp = pg_current_xact_id()::xid
    from tide._group_position(_shards_converge.group_id) o
   where c.group_id = _shards_converge.group_id;
end $$;
comment on function tide._shards_converge(integer) is
  'Takes all shards of a group back to the position of the oldest one: messages may be sent again, and none is lost';

-- The single place that knows who may not be sent anything twice.
create function tide._shards_may_repeat(pipeline text, config jsonb) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  if _shards_may_repeat.config ->> 'delivery' = 'exactly_once' then
    raise exception using errcode = 'TD070',
      message = format('pipeline %L delivers exactly once, and has several shards: this change would send messages again', _shards_may_repeat.pipeline),
      hint = 'Set shards to 1 first, with nothing else, and wait until tide.pipelines no longer says resharding. Then change it, then set shards again.';
  end if;
end $$;
comment on function tide._shards_may_repeat(text, jsonb) is 'Raises TD070 where nothing may be sent twice';

-- A reference may mean something else in each relay, and so may a key that it is part of: two relays would both think that
-- a message is the other's.
create function tide._shards_refuse(pipeline text, config jsonb) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  if tide._shards_wanted(_shards_refuse.config) > 1 and tide._shards_keyed_by(_shards_refuse.config)::text ~ '\$\{[a-z]+:' then
    raise exception using errcode = 'TD020',
      message = format('the configuration of pipeline %L is not valid: with several shards, what decides a record''s key must not depend on a relay''s environment',
        _shards_refuse.pipeline),
      hint = 'Write the value instead of ${...} in message_key, routing, transform, wire_config and serialization.';
  end if;
end $$;
comment on function tide._shards_refuse(text, jsonb) is 'Raises TD020 for references where they may divide messages differently in each relay';

-- Called in the transaction that changes a pipeline, behind the change. A cursor in doubt is left alone: tide.group_rebase
-- makes all its shards begin at one position.
create function tide._shards_ask(pipeline_id integer, before tide.pipeline) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  v_pipeline tide.pipeline;
  v_wanted integer;
  v_shards integer;
  v_stops boolean;
  v_moves boolean;
begin
  select p.* into v_pipeline from tide.pipeline p where p.pipeline_id = _shards_ask.pipeline_id;
  v_wanted := tide._shards_wanted(v_pipeline.config);
  if v_wanted = 1 and not exists (select from tide.cursor c where c.group_id = v_pipeline.group_id and (c.shards > 1 or c.barrier is not null)) then
    return;
  end if;
  perform from tide.cursor c where c.group_id = v_pipeline.group_id order by c.shard for no key update;
  if exists (select from tide.cursor c where c.group_id = v_pipeline.group_id and tide._cursor_doubt(c, c.xmin) is not null) then
    return;
  end if;
  select max(c.shards), bool_and(c.barrier is not null),
         max(c.shards) > 1 and max(c.epoch) > 0
         and (_shards_ask.before.group_id is distinct from v_pipeline.group_id
              or tide._shards_keyed_by(_shards_ask.before.config) <> tide._shards_keyed_by(v_pipeline.config))
    into v_shards, v_stops, v_moves from tide.cursor c where c.group_id = v_pipeline.group_id;
  if v_moves then
    perform tide._shards_may_repeat(v_pipeline.name, v_pipeline.config);
    perform tide._shards_converge(v_pipeline.group_id);
    raise notice using message = format('pipeline %L has %s shards, and messages may fall to other ones now: all begin again where the slowest is, '
        'and messages are sent again', v_pipeline.name, v_shards),
      hint = 'Records with the same pg_tide_id and pg_tide_ts are repeats.';
  end if;
  update tide.cursor c
     set barrier = case when v_wanted <> v_shards then c.barrier end, stamp = pg_current_xact_id()::xid,
         division = c.division + case when v_moves or v_wanted <> v_shards and not v_stops then 1 else 0 end
   where c.group_id = v_pipeline.group_id;
  perform tide._cursor_stamp(v_pipeline.group_id);
end $$;
comment on function tide._shards_ask(integer, tide.pipeline) is 'What a change of a pipeline means for the shards of its group';

create function tide.group_reshard(consumer_group text, outbox text) returns integer
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_group tide.consumer_group := tide._group(group_reshard.consumer_group, group_reshard.outbox);
  v_pipeline tide.pipeline;
  v_last tide.cursor;
  v_wanted integer;
begin
  select p.* into v_pipeline from tide.pipeline p where p.group_id = v_group.group_id for update;
  perform tide._group_trusted(v_group, group_reshard.outbox);
  v_wanted := tide._shards_wanted(coalesce(v_pipeline.config, '{}'));
  if not exists (select from tide.cursor c where c.group_id = v_group.group_id and (c.shards <> v_wanted or c.barrier is not null)) then
    return v_wanted;
  end if;
  perform tide._shards_may_repeat(v_pipeline.name, v_pipeline.config);
  perform set_config('synchronous_commit', 'on', true) where current_setting('synchronous_commit') = 'off';
  select c.* into v_last from tide.cursor c
   where c.group_id = v_group.group_id and c.lease_until + c.takeover_ms * interval '1 ms' >= clock_timestamp()
   order by c.lease_until + c.takeover_ms * interval '1 ms' desc limit 1;
  perform tide._shards_converge(v_group.group_id);
  perform tide._shards_replace(v_group.group_id, v_wanted);
  -- Owners were not asked: the last one's lease stays on the first shard, and whoever begins waits for it.
  update tide.cursor c
     set owner_token = v_last.owner_token, owner = v_last.owner, owner_division = v_last.owner_division, lease_until = v_last.lease_until,
         takeover_ms = v_last.takeover_ms, stamp = pg_current_xact_id()::xid
   where c.group_id = v_group.group_id and c.shard = 0 and v_last.owner_token is not null;
  perform tide._cursor_stamp(v_group.group_id);
  return v_wanted;
end $$;
comment on function tide.group_reshard(text, text) is
  'Gives a group the number of shards that its pipeline asks for at once, when they can''t all stop at one place by themselves (one is in error): all begin where the slowest is, so messages are sent again. Returns the number';
