-- The cursor as the relay uses it: own it, keep it, settle it, give it back.
-- Called by relays only. Every write compares owner token, epoch, generation and timeline in its WHERE:
-- no row touched means that the relay must forget what it remembers and read the cursor again.
-- Ownership commits synchronously, a settle need not: a crash repeats what it covered.
-- Locks: the group's row in tide.cursor, for the length of one statement. Never waits for it: one connection of a relay
-- writes for all its pipelines, and an administrator's open transaction on one cursor must not stop the others.

create function tide._timeline() returns integer
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::integer;
end $$;
comment on function tide._timeline() is 'The WAL timeline of this primary server; another number after every promotion';

create function tide.version() returns text
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
  return (select format('%s (schema %s)', v.release, v.version) from tide.schema_version v order by v.version desc limit 1);
end $$;
comment on function tide.version() is 'Release and schema version installed in this database';

-- A relay that is frozen, or whose host is, in the midst of one of these transactions would hold the cursor's row for as long
-- as its connection lasts: no successor, no administrator could go on. Set for the transaction, so that poolers keep it.
create function tide._not_for_long() returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  perform set_config('idle_in_transaction_session_timeout', '5s', true);
end $$;
comment on function tide._not_for_long() is 'The server ends this session when its transaction is idle for five seconds';

-- Not "skip locked" in the UPDATEs themselves: they could not tell a row that is held from one that is not ours.
create function tide._cursor_lock(group_id integer, shard integer) returns boolean
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  perform tide._not_for_long();
  perform from tide.cursor c where c.group_id = _cursor_lock.group_id and c.shard = _cursor_lock.shard for no key update skip locked;
  return found or not exists (select from tide.cursor c where c.group_id = _cursor_lock.group_id and c.shard = _cursor_lock.shard);
end $$;
comment on function tide._cursor_lock(integer, integer) is 'Locks a cursor''s row; false: another transaction holds it, true also when there is none';

-- Takes a cursor that nobody owns, that this process owns already, or whose owner's lease ran out and whose last
-- requests must have ended (lease + takeover_ms). Returns no row while another relay owns it. With a division (relays
-- always give it): no row either when messages were divided anew since the relay read its configuration, nor while
-- another shard is driven under an older division, nor while shards that are to be divided anew can't be stopped. The
-- division is compared on the locked row itself: of a change that commits meanwhile no relay sees half.
create function tide._cursor_acquire(
  group_id integer, shard integer, owner_token uuid, owner text, lease_ms integer, takeover_ms integer, division bigint default null)
returns setof tide.cursor language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz;
begin
  perform tide._not_for_long();
  perform set_config('synchronous_commit', 'on', true) where current_setting('synchronous_commit') = 'off';
  if _cursor_acquire.division is not null and tide._installation_admits(_cursor_acquire.owner_token)
     and not tide._shards_stop(_cursor_acquire.group_id, _cursor_acquire.shard) then
    return;
  end if;
  v_now := clock_timestamp();
  return query
  with free as (
    select i.group_id, i.shard from tide.cursor i
     where i.group_id = _cursor_acquire.group_id and i.shard = _cursor_acquire.shard
       and tide._cursor_doubt(i, i.xmin) is null and tide._installation_admits(_cursor_acquire.owner_token)
       and (i.owner_token is null or i.owner_token = _cursor_acquire.owner_token
            or i.lease_until + i.takeover_ms * interval '1 ms' < v_now)
       and (_cursor_acquire.division is null
            or i.division = _cursor_acquire.division and not tide._shards_awaited(i.group_id, i.shard, i.division))
       for no key update skip locked)
  update tide.cursor c
     set taken_over_at = case when c.owner_token <> _cursor_acquire.owner_token then v_now else c.taken_over_at end,
         taken_over_from = case when c.owner_token <> _cursor_acquire.owner_token then c.owner else c.taken_over_from end,
         owner_token = _cursor_acquire.owner_token, owner = _cursor_acquire.owner, owner_division = c.division, epoch = c.epoch + 1,
         lease_until = v_now + _cursor_acquire.lease_ms * interval '1 ms', takeover_ms = _cursor_acquire.takeover_ms,
         timeline = tide._timeline(), stamp = pg_current_xact_id()::xid
    from free
   where c.group_id = free.group_id and c.shard = free.shard
  returning c.*;
end $$;
comment on function tide._cursor_acquire(integer, integer, uuid, text, integer, integer, bigint) is
  'Takes ownership of a cursor and raises its epoch; no row: another relay owns it, it cannot be trusted (tide._cursor_doubt), the relay was not given the installation''s name, or messages were divided among shards anew';

-- One statement for all cursors of a process: its idleness costs per database, not per pipeline.
create function tide._cursor_renew(group_ids integer[], shards integer[], owner_token uuid, epochs bigint[], lease_ms integer)
returns table (group_id integer, shard integer, renewed boolean)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform tide._not_for_long();
  perform set_config('synchronous_commit', 'on', true) where current_setting('synchronous_commit') = 'off';
  return query
  with asked as (
    select a.group_id, a.shard, a.epoch
      from unnest(_cursor_renew.group_ids, _cursor_renew.shards, _cursor_renew.epochs) as a (group_id, shard, epoch)
  ), free as (
    select i.group_id, i.shard from tide.cursor i join asked a on a.group_id = i.group_id and a.shard = i.shard and a.epoch = i.epoch
     where i.owner_token = _cursor_renew.owner_token
       for no key update of i skip locked
  ), prolonged as (
    update tide.cursor c
       set lease_until = clock_timestamp() + _cursor_renew.lease_ms * interval '1 ms', stamp = pg_current_xact_id()::xid
      from free where c.group_id = free.group_id and c.shard = free.shard
    returning c.group_id, c.shard
  )
  select a.group_id, a.shard, case when p.group_id is not null then true when i.group_id is null then false end
    from asked a
    left join prolonged p on p.group_id = a.group_id and p.shard = a.shard
    left join tide.cursor i on i.group_id = a.group_id and i.shard = a.shard and i.epoch = a.epoch
     and i.owner_token = _cursor_renew.owner_token;
end $$;
comment on function tide._cursor_renew(integer[], integer[], uuid, bigint[], integer) is
  'Prolongs an owner''s leases; renewed is false: it is no longer the owner, null: another transaction holds the row, ask again';

create function tide._cursor_release(group_id integer, shard integer, owner_token uuid, epoch bigint)
returns boolean language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform set_config('synchronous_commit', 'on', true) where current_setting('synchronous_commit') = 'off';
  if not tide._cursor_lock(_cursor_release.group_id, _cursor_release.shard) then
    return null;
  end if;
  update tide.cursor c
     set owner_token = null, lease_until = null, stamp = pg_current_xact_id()::xid
   where c.group_id = _cursor_release.group_id and c.shard = _cursor_release.shard
     and c.owner_token = _cursor_release.owner_token and c.epoch = _cursor_release.epoch;
  return found;
end $$;
comment on function tide._cursor_release(integer, integer, uuid, bigint) is
  'The owner signs off: everything it sent is answered, a successor need not wait; null: another transaction holds the row, ask again';

-- Moves the position. The snapshots are written only when the window changed: an UPDATE that leaves them alone
-- copies a pointer at most, and stays HOT.
create function tide._cursor_settle(
  group_id integer, shard integer, owner_token uuid, epoch bigint, generation bigint, timeline integer,
  last_id bigint, replay_from bigint, replay_last bigint)
returns boolean language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform set_config('synchronous_commit', 'off', true);
  if not tide._cursor_lock(_cursor_settle.group_id, _cursor_settle.shard) then
    return null;
  end if;
  update tide.cursor c
     set last_id = _cursor_settle.last_id, replay_from = _cursor_settle.replay_from, replay_last = _cursor_settle.replay_last,
         settled_at = clock_timestamp(), stamp = pg_current_xact_id()::xid
   where c.group_id = _cursor_settle.group_id and c.shard = _cursor_settle.shard
     and c.owner_token = _cursor_settle.owner_token and c.epoch = _cursor_settle.epoch
     and c.generation = _cursor_settle.generation and tide._timeline() = _cursor_settle.timeline;
  return found;
end $$;
comment on function tide._cursor_settle(integer, integer, uuid, bigint, bigint, integer, bigint, bigint, bigint) is
  'Moves the cursor within its window or replay pass; false: this relay must read the cursor again, null: another transaction holds the row, ask again';

create function tide._cursor_settle_window(
  group_id integer, shard integer, owner_token uuid, epoch bigint, generation bigint, timeline integer,
  prev pg_snapshot, cur pg_snapshot, first_id bigint, last_id bigint, window_token uuid)
returns boolean language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform set_config('synchronous_commit', 'off', true);
  if not tide._cursor_lock(_cursor_settle_window.group_id, _cursor_settle_window.shard) then
    return null;
  end if;
  update tide.cursor c
     set prev = _cursor_settle_window.prev, cur = _cursor_settle_window.cur, first_id = _cursor_settle_window.first_id,
         last_id = _cursor_settle_window.last_id, window_token = _cursor_settle_window.window_token,
         replay_from = null, replay_last = null, settled_at = clock_timestamp(), stamp = pg_current_xact_id()::xid
   where c.group_id = _cursor_settle_window.group_id and c.shard = _cursor_settle_window.shard
     and c.owner_token = _cursor_settle_window.owner_token and c.epoch = _cursor_settle_window.epoch
     and c.generation = _cursor_settle_window.generation and tide._timeline() = _cursor_settle_window.timeline;
  return found;
end $$;
comment on function tide._cursor_settle_window(integer, integer, uuid, bigint, bigint, integer, pg_snapshot, pg_snapshot, bigint, bigint, uuid) is
  'Moves the cursor into another window, or to the end of one; false: this relay must read the cursor again, null: another transaction holds the row, ask again';

-- Exactly once: before the first record of a window or of a replay pass is written to Kafka, its random name is durable here.
-- A position that is found in Kafka is then either of a name known here, or this database was set back.
create function tide._cursor_open(
  group_id integer, shard integer, owner_token uuid, epoch bigint, generation bigint, timeline integer,
  prev pg_snapshot, cur pg_snapshot, first_id bigint, last_id bigint, window_token uuid, replay_from bigint, replay_last bigint, sent_token uuid)
returns boolean language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform set_config('synchronous_commit', 'on', true) where current_setting('synchronous_commit') = 'off';
  if not tide._cursor_lock(_cursor_open.group_id, _cursor_open.shard) then
    return null;
  end if;
  update tide.cursor c
     set prev = _cursor_open.prev, cur = _cursor_open.cur, first_id = _cursor_open.first_id, last_id = _cursor_open.last_id,
         window_token = _cursor_open.window_token, replay_from = _cursor_open.replay_from, replay_last = _cursor_open.replay_last,
         known_tokens = array_remove(array[_cursor_open.sent_token, _cursor_open.window_token], null),
         settled_at = clock_timestamp(), stamp = pg_current_xact_id()::xid
   where c.group_id = _cursor_open.group_id and c.shard = _cursor_open.shard
     and c.owner_token = _cursor_open.owner_token and c.epoch = _cursor_open.epoch
     and c.generation = _cursor_open.generation and tide._timeline() = _cursor_open.timeline;
  return found;
end $$;
comment on function tide._cursor_open(integer, integer, uuid, bigint, bigint, integer, pg_snapshot, pg_snapshot, bigint, bigint, uuid, bigint, bigint, uuid) is
  'Exactly once: opens a window or a replay pass durably; sent_token is the name that the newest position in Kafka bears. False: this relay must read the cursor again, null: another transaction holds the row, ask again';

-- A commit that waits for the log: makes everything written so far durable. Used when a window's snapshot was taken
-- at a log position that is not flushed yet, before its first message is sent.
create function tide._flush() returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform set_config('synchronous_commit', 'on', true) where current_setting('synchronous_commit') = 'off';
  perform pg_logical_emit_message(true, 'pg_tide', '');
end $$;
comment on function tide._flush() is 'Writes and, at commit, flushes a tiny log record, and so everything before it';
