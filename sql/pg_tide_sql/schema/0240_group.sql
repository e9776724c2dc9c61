-- Consumer groups: rewind, skip, rebase, drop. Called by administrators, while relays run or not.
-- Each raises generation and epoch in its transaction: an owner's next settle touches no row, and it reads again.
-- Nothing here deletes a message; group_rebase is the only thing that ever updates messages.
-- Locks: the group's row in tide.cursor, and the outbox's row (FOR SHARE) against retention.

create function tide._group(name text, outbox text) returns tide.consumer_group
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_outbox tide.outbox := tide._outbox(_group.outbox);
  v_group tide.consumer_group;
  v_near text;
begin
  select g.* into v_group from tide.consumer_group g where g.outbox_id = v_outbox.outbox_id and g.name = _group.name;
  if not found then
    select tide._nearest(_group.name, array_agg(g.name order by g.name)) into v_near
      from tide.consumer_group g where g.outbox_id = v_outbox.outbox_id;
    raise exception using errcode = 'TD030', message = format('outbox %L has no consumer group %L', v_outbox.name, _group.name),
      hint = case when v_near is null then 'See tide.consumer_groups for those that exist.' else format('Did you mean %L?', v_near) end;
  end if;
  return v_group;
end $$;
comment on function tide._group(text, text) is 'The consumer group of that name; raises TD030 with the nearest name when there is none';

-- Is the position to be believed? Null when it is, else why not. Asked by relays and by every function here.
-- Definer: whoever may see the answer need not see messages. The pins: never a scan of all messages, whatever the
-- statistics say; and no long wait for whoever locks the messages, because a relay asks for all its cursors in turn.
create function tide._cursor_doubt(position_read tide.cursor, written_by xid) returns text
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set enable_bitmapscan = off
set lock_timeout = '200ms' as $$
declare
  v_outbox_id integer;
  v_foreign boolean;
begin
  if (_cursor_doubt.position_read).stamp <> _cursor_doubt.written_by then
    return 'its row was not written by the transaction that it names: the database was restored from a dump, or the row was copied';
  elsif pg_snapshot_xmax((_cursor_doubt.position_read).prev) > pg_snapshot_xmax(pg_current_snapshot()) then
    return 'its snapshot names transactions that this server has not reached: the transaction counter was reset';
  end if;
  select g.outbox_id into v_outbox_id from tide.consumer_group g where g.group_id = (_cursor_doubt.position_read).group_id;
  execute format('select exists (select from tide.%I m where m.xid >= pg_snapshot_xmax(pg_current_snapshot()) '
    || 'and m.xid is distinct from pg_current_xact_id_if_assigned())', 'message_' || v_outbox_id) into v_foreign;
  if v_foreign then
    return 'its outbox holds messages of transactions that this server has not reached: they were restored from a dump, '
      || 'or the transaction counter was reset';
  end if;
  return null;
end $$;
comment on function tide._cursor_doubt(tide.cursor, xid) is 'Why a cursor cannot be trusted, or null; written_by is the row''s physical xmin';

create function tide._group_trusted(group_read tide.consumer_group, outbox text) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  v_doubt text;
begin
  perform from tide.cursor c where c.group_id = (_group_trusted.group_read).group_id order by c.shard for update;
  select d.doubt into v_doubt
    from tide.cursor c cross join lateral tide._cursor_doubt(c, c.xmin) d (doubt)
   where c.group_id = (_group_trusted.group_read).group_id and d.doubt is not null limit 1;
  if found then
    raise exception using errcode = 'TD032',
      message = format('the cursor of group %L on outbox %L cannot be trusted: %s', (_group_trusted.group_read).name, _group_trusted.outbox, v_doubt),
      hint = format('Repair it; messages may be sent again: select tide.group_rebase(%L, %L);', (_group_trusted.group_read).name, _group_trusted.outbox);
  end if;
end $$;
comment on function tide._group_trusted(tide.consumer_group, text) is 'Locks the cursors of a group; raises TD032 when one cannot be trusted';

-- Where a replay pass may start: the wanted id when everything from it on is still there. Slots need not be emptied in
-- the order of their ids, so older messages may be there while younger ones are gone. Volatile, and the messages
-- first: when retention empties a slot meanwhile, the first look waits for it, and the second one sees that it did.
create function tide._rewind_target(outbox tide.outbox, to_id bigint, to_time timestamptz) returns bigint
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  v_table text := 'message_' || (_rewind_target.outbox).outbox_id;
  v_target bigint := _rewind_target.to_id;
  v_first_id bigint;
  v_dropped_to bigint;
  v_oldest_id bigint;
  v_oldest_time timestamptz;
begin
  execute format('select min(m.id) from tide.%I m', v_table) into v_first_id;
  select max(s.dropped_to) into v_dropped_to from tide.slot s where s.outbox_id = (_rewind_target.outbox).outbox_id;
  if v_target is null then
    execute format('select min(m.id) from tide.%I m where m.created_at >= $1', v_table) into v_target using _rewind_target.to_time;
  end if;
  execute format('select m.id, m.created_at from tide.%I m where m.id > $1 order by m.id limit 1', v_table)
    into v_oldest_id, v_oldest_time using coalesce(v_dropped_to, -9223372036854775808);
  if v_target <= v_dropped_to or (v_dropped_to is not null and _rewind_target.to_time < coalesce(v_oldest_time, 'infinity')) then
    raise exception using errcode = 'TD031',
      message = format('outbox %L no longer holds messages from %s on', (_rewind_target.outbox).name,
        coalesce('id ' || _rewind_target.to_id, _rewind_target.to_time::text)),
      hint = case when v_first_id is null then 'It holds no message at all.'
        when v_oldest_id is null then format('It holds none behind id %s, the last one dropped.', v_dropped_to)
        when v_oldest_id > v_first_id then format('It holds all messages from id %s on, published %s: rewind to that.', v_oldest_id, v_oldest_time)
        else format('The oldest message it holds has id %s, published %s: rewind to that.', v_oldest_id, v_oldest_time) end;
  end if;
  return v_target;
end $$;
comment on function tide._rewind_target(tide.outbox, bigint, timestamptz) is 'The id at which a replay pass starts; raises TD031 when messages from there on were dropped already';

-- Starts a replay pass at that id, or takes the one under way back to it; null leaves it where it is. The window is given
-- up: its messages are not visible in prev, so they come again behind the pass.
create function tide._cursor_rewind(group_id integer, to_id bigint) returns bigint
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  v_replay_last bigint;
begin
  with moved as (update tide.cursor c
     set cur = null, first_id = null, window_token = null, last_id = 0,
         replay_from = least(c.replay_last + 1, _cursor_rewind.to_id), replay_last = least(c.replay_last, _cursor_rewind.to_id - 1),
         passed_below = case when c.passed_below is not null then least(c.passed_below, _cursor_rewind.to_id) end,
         generation = c.generation + 1, epoch = c.epoch + 1, stamp = pg_current_xact_id()::xid
   where c.group_id = _cursor_rewind.group_id
  returning c.replay_last)
  select min(m.replay_last) into v_replay_last from moved m;
  perform tide._cursor_stamp(_cursor_rewind.group_id);
  return v_replay_last + 1;
end $$;
comment on function tide._cursor_rewind(integer, bigint) is 'Moves the cursors of a group back, where it can be trusted; returns the id from which on messages are sent again';

create function tide.group_rewind(consumer_group text, outbox text, to_id bigint default null, to_time timestamptz default null)
returns bigint language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_outbox tide.outbox := tide._outbox(group_rewind.outbox);
  v_group tide.consumer_group := tide._group(group_rewind.consumer_group, group_rewind.outbox);
  v_target bigint;
begin
  if (group_rewind.to_id is null) = (group_rewind.to_time is null) then
    raise exception using errcode = 'TD006', message = 'rewind needs a target: an id or a time, one of them',
      hint = format('For example: select tide.group_rewind(%L, %L, to_id => 1000);', v_group.name, v_outbox.name);
  end if;
  perform from tide.outbox o where o.outbox_id = v_outbox.outbox_id for share;
  perform tide._group_trusted(v_group, v_outbox.name);
  v_target := tide._rewind_target(v_outbox, group_rewind.to_id, group_rewind.to_time);
  perform set_config('synchronous_commit', 'on', true) where current_setting('synchronous_commit') = 'off';
  return tide._cursor_rewind(v_group.group_id, v_target);
end $$;
comment on function tide.group_rewind(text, text, bigint, timestamptz) is
  'Moves a group back: everything from that id on (or from the smallest id published at or after that time) is sent again. Returns the id; null: nothing was published since that time';

create function tide.group_skip(consumer_group text, outbox text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_group tide.consumer_group := tide._group(group_skip.consumer_group, group_skip.outbox);
begin
  perform tide._group_trusted(v_group, group_skip.outbox);
  perform set_config('synchronous_commit', 'on', true) where current_setting('synchronous_commit') = 'off';
  update tide.cursor c
     set prev = pg_current_snapshot(), cur = null, first_id = null, window_token = null, last_id = 0,
         replay_from = null, replay_last = null, barrier = null, passed_over = pg_current_snapshot(), passed_below = 9223372036854775807,
         generation = c.generation + 1, epoch = c.epoch + 1, stamp = pg_current_xact_id()::xid
   where c.group_id = v_group.group_id;
  perform tide._cursor_stamp(v_group.group_id);
end $$;
comment on function tide.group_skip(text, text) is 'Moves a group to the end: what is committed and not delivered yet is never sent to it. What commits later is';

-- The one repair of a cursor that names another cluster's transactions. A message that is visible, while the transaction
-- it names is not finished here, came from elsewhere: it gets xid 3, which is finished for every snapshot. Then prev is
-- a snapshot of this server, and everything from the chosen id on is sent again. Foreign xids that happen to be finished
-- here need no repair: they are visible in the new prev, so the replay pass has them. A repaired message is visible in
-- the prev of every other group, too, which may not have had it: those that can be trusted are rewound to the first one.
create function tide.group_rebase(consumer_group text, outbox text, from_id bigint default 0) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_outbox tide.outbox := tide._outbox(group_rebase.outbox);
  v_group tide.consumer_group := tide._group(group_rebase.consumer_group, group_rebase.outbox);
  v_repaired bigint;
  v_first bigint;
begin
  perform set_config('synchronous_commit', 'on', true) where current_setting('synchronous_commit') = 'off';
  perform from tide.outbox o where o.outbox_id = v_outbox.outbox_id for share;
  execute format('with repaired as (update tide.%I m set xid = ''3'' where not pg_visible_in_snapshot(m.xid, pg_current_snapshot()) '
    || 'and m.xid <> pg_current_xact_id() returning m.id) select count(*), min(r.id) from repaired r', 'message_' || v_outbox.outbox_id)
    into v_repaired, v_first;
  if v_repaired > 0 then
    perform tide._cursor_rewind(g.group_id, v_first)
       from tide.consumer_group g
      where g.outbox_id = v_outbox.outbox_id and g.group_id <> v_group.group_id
        and not exists (select from tide.cursor c where c.group_id = g.group_id and tide._cursor_doubt(c, c.xmin) is not null);
  end if;
  update tide.cursor c
     set prev = pg_current_snapshot(), cur = null, first_id = null, window_token = null, last_id = 0,
         replay_from = coalesce(group_rebase.from_id, 0), replay_last = coalesce(group_rebase.from_id, 0) - 1,
         timeline = tide._timeline(), barrier = null, passed_over = null, passed_below = null, known_tokens = null,
         generation = c.generation + 1, epoch = c.epoch + 1, stamp = pg_current_xact_id()::xid
   where c.group_id = v_group.group_id;
  perform tide._cursor_stamp(v_group.group_id);
  perform tide._replays_fail(v_outbox.outbox_id, case when v_repaired = 0 then v_group.group_id end);
  return v_repaired;
end $$;
comment on function tide.group_rebase(text, text, bigint) is
  'Makes a group''s cursor right again after a dump and restore or a reset of the transaction counter, and sends everything from the given id on again: duplicates rather than loss. Returns how many messages had another cluster''s transaction ids';

create function tide.group_drop(consumer_group text, outbox text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_group tide.consumer_group := tide._group(group_drop.consumer_group, group_drop.outbox);
  v_pipeline text;
begin
  -- A pipeline that is taking the group in another transaction is waited for, and then seen.
  perform from tide.consumer_group g where g.group_id = v_group.group_id for update;
  select p.name into v_pipeline from tide.pipeline p where p.group_id = v_group.group_id;
  if found then
    raise exception using errcode = 'TD041', message = format('group %L on outbox %L is driven by pipeline %L',
        v_group.name, group_drop.outbox, v_pipeline),
      hint = format('Drop the pipeline first: select tide.relay_drop(%L);', v_pipeline);
  end if;
  delete from tide.consumer_group g where g.group_id = v_group.group_id;
end $$;
comment on function tide.group_drop(text, text) is 'Drops a consumer group and its place; it no longer holds messages back from retention';
