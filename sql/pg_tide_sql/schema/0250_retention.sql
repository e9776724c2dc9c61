-- Retention: rotates the ring of each outbox and empties slots whose messages are old and delivered.
-- Called by relays every few seconds, or by a scheduler: select * from tide.retention_run();
-- One slot is emptied per call, because TRUNCATE's lock is held to the end of the transaction.
-- The lock is never waited for: a waiting ACCESS EXCLUSIVE would stop readers and publishers behind it.
-- The check comes after the lock, in a later statement, so that it sees what committed until then.

-- Why a slot may not be emptied now, which group needs it, and the cure; nulls when it may. With the slot's lock held
-- this is exact.
create function tide._slot_held(outbox tide.outbox, slot integer, out reason text, out consumer_group text, out cure text)
language plpgsql volatile set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
declare
  v_outbox tide.outbox := _slot_held.outbox;
  v_table text := format('message_%s_%s', v_outbox.outbox_id, _slot_held.slot);
  v_group record;
  v_any boolean := false;
  v_held boolean;
begin
  for v_group in
    select g.name, c.prev, c.replay_last, tide._cursor_doubt(c, c.xmin) as doubt
      from tide.consumer_group g join tide.cursor c on c.group_id = g.group_id
     where g.outbox_id = v_outbox.outbox_id
  loop
    v_any := true;
    consumer_group := v_group.name;
    if v_group.doubt is not null then
      reason := format('the cursor of group %L cannot be trusted', v_group.name);
      cure := format('Repair it; messages may be sent again: select tide.group_rebase(%L, %L);', v_group.name, v_outbox.name);
      return;
    end if;
    execute format('select exists (select from tide.%I m where m.xid >= pg_snapshot_xmin($1) and not pg_visible_in_snapshot(m.xid, $1))', v_table)
      into v_held using v_group.prev;
    if v_held then
      reason := format('group %L has not delivered all of it', v_group.name);
      cure := format('Let it deliver, or drop it: select tide.group_drop(%L, %L);', v_group.name, v_outbox.name);
      return;
    end if;
    if v_group.replay_last is not null then
      execute format('select exists (select from tide.%I m where m.id > $1)', v_table) into v_held using v_group.replay_last;
      if v_held then
        reason := format('group %L is sending it again', v_group.name);
        cure := 'Let it finish; see tide.lag.';
        return;
      end if;
    end if;
  end loop;
  consumer_group := null;
  if not v_any and not v_outbox.drop_without_group then
    reason := 'the outbox has no consumer group and drop_without_group is off';
    cure := format('Give it a pipeline, or: select tide.outbox_alter(%L, drop_without_group => true);', v_outbox.name);
  end if;
end $$;
comment on function tide._slot_held(tide.outbox, integer) is 'Why a slot may not be emptied, or nulls when every group is past every message in it';

-- Locks: ACCESS EXCLUSIVE NOWAIT on the slot, to the end of the transaction when it was emptied.
create function tide._slot_empty(outbox tide.outbox, slot integer) returns text
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  v_table text := format('message_%s_%s', (_slot_empty.outbox).outbox_id, _slot_empty.slot);
  v_reason text;
  v_dropped_to bigint;
begin
  select h.reason into v_reason from tide._slot_held(_slot_empty.outbox, _slot_empty.slot) h;
  if v_reason is not null then
    return v_reason;
  end if;
  begin
    execute format('lock table tide.%I in access exclusive mode nowait', v_table);
  exception when lock_not_available then
    return 'it is being read or written: another session holds a lock on it';
  end;
  select h.reason into v_reason from tide._slot_held(_slot_empty.outbox, _slot_empty.slot) h;
  if v_reason is not null then
    return v_reason;
  end if;
  execute format('select max(m.id) from tide.%I m', v_table) into v_dropped_to;
  execute format('truncate table tide.%I', v_table);
  update tide.slot s set emptied_at = clock_timestamp(), closed_at = null, dropped_to = greatest(s.dropped_to, v_dropped_to)
   where s.outbox_id = (_slot_empty.outbox).outbox_id and s.slot = _slot_empty.slot;
  return null;
end $$;
comment on function tide._slot_empty(tide.outbox, integer) is 'Empties a slot if that loses nothing; returns why not';

-- New messages go to the next empty slot of the ring; when none is empty, the ring grows by one slot.
create function tide._slot_rotate(outbox tide.outbox) returns text
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  v_outbox tide.outbox := _slot_rotate.outbox;
  v_next integer := v_outbox.slot;
  v_used boolean;
begin
  loop
    v_next := (v_next + 1) % v_outbox.slots;
    exit when v_next = v_outbox.slot;
    execute format('select exists (select from tide.%I)', format('message_%s_%s', v_outbox.outbox_id, v_next)) into v_used;
    exit when not v_used;
    -- Retention emptied it, and a publisher that had read its number before wrote to it: it takes its turn again.
    update tide.slot s set closed_at = clock_timestamp()
     where s.outbox_id = v_outbox.outbox_id and s.slot = v_next and s.closed_at is null;
  end loop;
  if v_next = v_outbox.slot then
    if v_outbox.slots >= 1000 then
      return 'the ring has 1000 slots and none is empty';
    end if;
    v_next := v_outbox.slots;
    perform tide._slot_add(v_outbox.outbox_id, v_next);
  end if;
  update tide.outbox o
     set slot = v_next, slot_since = clock_timestamp(), slots = greatest(o.slots, v_next + 1)
   where o.outbox_id = v_outbox.outbox_id;
  update tide.slot s set closed_at = case when s.slot = v_next then null else clock_timestamp() end
   where s.outbox_id = v_outbox.outbox_id and s.slot in (v_next, v_outbox.slot);
  return null;
end $$;
comment on function tide._slot_rotate(tide.outbox) is 'Sends new messages of an outbox to another slot; returns why not';

create function tide.retention_run(at_time timestamptz default clock_timestamp())
returns table (outbox text, slot integer, action text, reason text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_outbox tide.outbox;
  v_slot record;
begin
  if retention_run.at_time is null then
    raise exception using errcode = 'TD006', message = 'the time to run retention for is null',
      hint = 'Leave the argument out: select * from tide.retention_run();';
  elsif current_setting('transaction_isolation') <> 'read committed' then
    raise exception using errcode = 'TD040',
      message = format('tide.retention_run was called in a %s transaction', current_setting('transaction_isolation')),
      hint = 'Call it in a READ COMMITTED transaction: with an older snapshot it could drop messages that it cannot see.';
  end if;
  -- Of n slots one is open and the one before it may be too young: each is open for retention / (n - 2). A ring that
  -- grew keeps its pace, else a group left behind would make it grow faster and faster.
  for v_outbox in
    select o.* from tide.outbox o
     where o.slot_since + o.retention_hours * interval '1 hour' / o.rotations <= retention_run.at_time
     order by o.outbox_id for update skip locked
  loop
    reason := tide._slot_rotate(v_outbox);
    outbox := v_outbox.name; slot := v_outbox.slot; action := case when reason is null then 'rotated' else 'held' end;
    return next;
  end loop;
  -- The outbox's row is locked against groups that are being created, rewound or rebased: what they need is in no
  -- committed row yet. Who holds it (they, or another retention) is not waited for.
  for v_slot in
    select o as outbox_row, o.name, s.slot from tide.outbox o join tide.slot s on s.outbox_id = o.outbox_id
     where s.closed_at + o.retention_hours * interval '1 hour' <= retention_run.at_time and s.slot <> o.slot
     order by s.closed_at for no key update of o skip locked
  loop
    reason := tide._slot_empty(v_slot.outbox_row, v_slot.slot);
    outbox := v_slot.name; slot := v_slot.slot; action := case when reason is null then 'emptied' else 'held' end;
    return next;
    exit when reason is null;
  end loop;
end $$;
comment on function tide.retention_run(timestamptz) is
  'Rotates rings that are due and empties at most one slot; returns what was done and why the rest was not. Call it again while it says emptied. Needs READ COMMITTED';
