-- Outboxes: create, alter, enable, disable, drop, and the rights of publishers.
-- Called by administrators. All run with the owner's rights, because they make and drop tables.
-- Creating an outbox and growing its ring never make a publisher wait: tables are created apart and attached
-- (SHARE UPDATE EXCLUSIVE on the parent), never created as PARTITION OF, which takes ACCESS EXCLUSIVE on it.
-- Dropping has to take ACCESS EXCLUSIVE on tide.message; it waits for it a moment only, then asks to try again.

create function tide._outbox(name text) returns tide.outbox
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_outbox tide.outbox;
  v_near text;
begin
  if _outbox.name is null then
    raise exception using errcode = 'TD006', message = 'the name of the outbox is null', hint = 'Name the outbox.';
  end if;
  select o.* into v_outbox from tide.outbox o where o.name = _outbox.name;
  if not found then
    select tide._nearest(_outbox.name, array_agg(o.name order by o.name)) into v_near from tide.outbox o;
    raise exception using errcode = 'TD001', message = format('outbox %L does not exist', _outbox.name),
      hint = case when v_near is null then '' else format('Did you mean %L? ', v_near) end
        || format('Create it: select tide.outbox_create(%L);', _outbox.name);
  end if;
  return v_outbox;
end $$;
comment on function tide._outbox(text) is 'The outbox of that name; raises TD001 with the nearest name when there is none';

create function tide._check_name(kind text, name text) returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  if _check_name.name is null then
    raise exception using errcode = 'TD006', message = format('the name of the %s is null', _check_name.kind),
      hint = 'Give it a name of 1 to 255 bytes.';
  elsif octet_length(_check_name.name) not between 1 and 255 or _check_name.name ~ '[\x01-\x1f\x7f]' then
    raise exception using errcode = 'TD008',
      message = format('%s name %L is not valid', _check_name.kind, left(_check_name.name, 300)),
      hint = 'A name is 1 to 255 bytes long and has no control characters; everything else is allowed.';
  end if;
end $$;
comment on function tide._check_name(text, text) is 'Raises TD006 or TD008 when a text cannot be a name';

-- Adds one slot to an outbox's ring. Locks: SHARE UPDATE EXCLUSIVE on the outbox's table; publishers go on.
create function tide._slot_add(outbox_id integer, slot integer) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  v_table text := format('message_%s', _slot_add.outbox_id);
  v_slot text := format('message_%s_%s', _slot_add.outbox_id, _slot_add.slot);
begin
  execute format('create table tide.%I (like tide.%I including defaults including constraints, constraint slot_fixed check (slot = %s)) '
    || 'with (autovacuum_vacuum_insert_threshold = 100000, autovacuum_vacuum_insert_scale_factor = 0.5)',
    v_slot, v_table, _slot_add.slot);
  perform tide._revoke_others(v_slot);
  execute format('create index %I on tide.%I (id)', v_slot || '_id', v_slot);
  execute format('create index %I on tide.%I (xid, id)', v_slot || '_xid_id', v_slot);
  execute format('comment on table tide.%I is %L', v_slot, 'One slot of an outbox''s ring; emptied as a whole by tide.retention_run');
  execute format('alter table tide.%I attach partition tide.%I for values in (%s)', v_table, v_slot, _slot_add.slot);
  insert into tide.slot (outbox_id, slot) values (_slot_add.outbox_id, _slot_add.slot);
end $$;
comment on function tide._slot_add(integer, integer) is 'Adds one slot to an outbox''s ring without making publishers wait';

create function tide.outbox_create(
  name text, retention_hours integer default 48, max_payload_bytes integer default 1000000,
  slots integer default 4, drop_without_group boolean default false, if_not_exists boolean default false, contract jsonb default null)
returns integer language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_id integer;
  v_table text;
begin
  perform tide._check_name('outbox', outbox_create.name);
  perform tide._check_outbox_settings(outbox_create.name, outbox_create.retention_hours, outbox_create.max_payload_bytes,
    outbox_create.slots, outbox_create.drop_without_group);
  if outbox_create.contract is not null then
    perform tide._contract_check(outbox_create.name, outbox_create.contract);
  end if;
  insert into tide.outbox (name, retention_hours, max_payload_bytes, slots, rotations, drop_without_group, contract)
  values (outbox_create.name, outbox_create.retention_hours, outbox_create.max_payload_bytes, outbox_create.slots,
          outbox_create.slots - 2, outbox_create.drop_without_group, outbox_create.contract)
  on conflict on constraint outbox_name_unique do nothing
  returning outbox_id into v_id;
  if v_id is null then
    if outbox_create.if_not_exists then
      return (tide._outbox(outbox_create.name)).outbox_id;
    end if;
    raise exception using errcode = 'TD009', message = format('outbox %L exists already', outbox_create.name),
      hint = 'Use it, change it with tide.outbox_alter, or pass if_not_exists => true.';
  end if;
  v_table := format('message_%s', v_id);
  execute format('create table tide.%I (like tide.message including defaults, constraint outbox_id_fixed check (outbox_id = %s)) '
    || 'partition by list (slot)', v_table, v_id);
  perform tide._revoke_others(v_table);
  execute format('create index %I on tide.%I (id)', v_table || '_id', v_table);
  execute format('create index %I on tide.%I (xid, id)', v_table || '_xid_id', v_table);
  execute format('comment on table tide.%I is %L', v_table, 'Messages of outbox ' || outbox_create.name);
  for v_slot in 0 .. outbox_create.slots - 1 loop
    perform tide._slot_add(v_id, v_slot);
  end loop;
  execute format('alter table tide.message attach partition tide.%I for values in (%s)', v_table, v_id);
  perform tide._grant_messages(v_id);
  return v_id;
end $$;
comment on function tide.outbox_create(text, integer, integer, integer, boolean, boolean, jsonb) is
  'Creates an outbox and returns its number. retention_hours: how long delivered messages are kept; max_payload_bytes: largest payload; slots: size of its ring; drop_without_group: whether messages may be dropped while no consumer group exists; contract: JSON Schema that payloads must meet';

create function tide._check_outbox_settings(
  name text, retention_hours integer, max_payload_bytes integer, slots integer, drop_without_group boolean) returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  if retention_hours is null or max_payload_bytes is null or slots is null or drop_without_group is null then
    raise exception using errcode = 'TD006', message = format('a setting of outbox %L is null', _check_outbox_settings.name),
      hint = 'Leave the argument out to get its default.';
  elsif retention_hours not between 1 and 87600 then
    raise exception using errcode = 'TD020', message = format('retention_hours of outbox %L is %s', _check_outbox_settings.name, retention_hours),
      hint = 'Use 1 to 87600 hours.';
  elsif max_payload_bytes not between 1 and 100000000 then
    raise exception using errcode = 'TD020', message = format('max_payload_bytes of outbox %L is %s', _check_outbox_settings.name, max_payload_bytes),
      hint = 'Use 1 to 100000000 bytes.';
  elsif slots not between 3 and 1000 then
    raise exception using errcode = 'TD020', message = format('slots of outbox %L is %s', _check_outbox_settings.name, slots),
      hint = 'Use 3 to 1000 slots; 4 is right for nearly everybody.';
  end if;
end $$;
comment on function tide._check_outbox_settings(text, integer, integer, integer, boolean) is 'Raises TD006 or TD020 when a setting of an outbox is out of range';

create function tide.outbox_alter(
  name text, retention_hours integer default null, max_payload_bytes integer default null, drop_without_group boolean default null,
  contract jsonb default null)
returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_outbox tide.outbox := tide._outbox(outbox_alter.name);
begin
  v_outbox.retention_hours := coalesce(outbox_alter.retention_hours, v_outbox.retention_hours);
  v_outbox.max_payload_bytes := coalesce(outbox_alter.max_payload_bytes, v_outbox.max_payload_bytes);
  v_outbox.drop_without_group := coalesce(outbox_alter.drop_without_group, v_outbox.drop_without_group);
  perform tide._check_outbox_settings(v_outbox.name, v_outbox.retention_hours, v_outbox.max_payload_bytes,
    v_outbox.slots, v_outbox.drop_without_group);
  if jsonb_typeof(outbox_alter.contract) <> 'null' then
    perform tide._contract_check(v_outbox.name, outbox_alter.contract);
  end if;
  v_outbox.contract := nullif(coalesce(outbox_alter.contract, v_outbox.contract), 'null');
  update tide.outbox o
     set retention_hours = v_outbox.retention_hours, max_payload_bytes = v_outbox.max_payload_bytes,
         drop_without_group = v_outbox.drop_without_group, contract = v_outbox.contract
   where o.outbox_id = v_outbox.outbox_id;
end $$;
comment on function tide.outbox_alter(text, integer, integer, boolean, jsonb) is
  'Changes settings of an outbox; arguments left out stay as they are. A contract holds for what is published from then on; ''null'' removes it';

create function tide.outbox_enable(name text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_outbox tide.outbox := tide._outbox(outbox_enable.name);
begin
  update tide.outbox o set enabled = true where o.outbox_id = v_outbox.outbox_id and not o.enabled;
end $$;
comment on function tide.outbox_enable(text) is 'Lets publishers publish to an outbox again; does nothing when they can';

create function tide.outbox_disable(name text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_outbox tide.outbox := tide._outbox(outbox_disable.name);
begin
  update tide.outbox o set enabled = false where o.outbox_id = v_outbox.outbox_id and o.enabled;
end $$;
comment on function tide.outbox_disable(text) is 'Refuses publishing to an outbox; what was published before is still delivered';

create function tide._refuse_messages(outbox tide.outbox) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  v_found boolean;
begin
  execute format('select exists (select from tide.%I)', 'message_' || (_refuse_messages.outbox).outbox_id) into v_found;
  if v_found then
    raise exception using errcode = 'TD011', message = format('outbox %L holds messages', (_refuse_messages.outbox).name),
      hint = format('To lose them: select tide.outbox_drop(%L, force => true);', (_refuse_messages.outbox).name);
  end if;
end $$;
comment on function tide._refuse_messages(tide.outbox) is 'Raises TD011 when an outbox holds messages';

-- Locks: ACCESS EXCLUSIVE on tide.message for the drop, waited for at most 200 ms, so that publishers of other
-- outboxes queue behind it no longer than that; 55P03 (lock_not_available) means: try again.
create function tide.outbox_drop(name text, force boolean default false) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set lock_timeout = '200ms' as $$
declare
  v_outbox tide.outbox := tide._outbox(outbox_drop.name);
  v_pipelines text;
begin
  select string_agg(quote_literal(p.name), ', ' order by p.name) into v_pipelines
    from tide.pipeline p where p.outbox_id = v_outbox.outbox_id;
  if v_pipelines is not null then
    raise exception using errcode = 'TD011', message = format('outbox %L is read by pipeline %s', v_outbox.name, v_pipelines),
      hint = 'Drop the pipelines first: select tide.relay_drop(...);';
  end if;
  if outbox_drop.force is not true then
    if v_outbox.enabled then
      raise exception using errcode = 'TD011', message = format('outbox %L is enabled', v_outbox.name),
        hint = format('Disable it first, so that nobody publishes into it: select tide.outbox_disable(%L);', v_outbox.name);
    end if;
    if current_setting('transaction_isolation') <> 'read committed' then
      raise exception using errcode = 'TD040',
        message = format('tide.outbox_drop was called in a %s transaction', current_setting('transaction_isolation')),
        hint = 'Call it in a READ COMMITTED transaction: with an older snapshot it could drop messages that it cannot see.';
    end if;
    perform tide._refuse_messages(v_outbox);
    -- Again under the lock: a publisher that began before the outbox was disabled may have committed meanwhile.
    lock table only tide.message in access exclusive mode;
    execute format('lock table tide.%I in access exclusive mode', 'message_' || v_outbox.outbox_id);
    perform tide._refuse_messages(v_outbox);
  end if;
  delete from tide.consumer_group g where g.outbox_id = v_outbox.outbox_id;
  execute format('drop table tide.%I', 'message_' || v_outbox.outbox_id);
  delete from tide.outbox o where o.outbox_id = v_outbox.outbox_id;
end $$;
comment on function tide.outbox_drop(text, boolean) is
  'Drops an outbox, its consumer groups and its messages. Without force it must be disabled and empty. Waits at most 200 ms for its lock, then raises 55P03: try again';

create function tide._check_role(role text) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  if not exists (select from pg_roles r where r.rolname = _check_role.role) then
    raise exception using errcode = '42704', message = format('role %L does not exist', _check_role.role),
      hint = format('Create it: create role %I;', coalesce(_check_role.role, 'name'));
  end if;
end $$;
comment on function tide._check_role(text) is 'Raises 42704 when there is no such role';

create function tide.outbox_grant(outbox text, role text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_outbox tide.outbox := tide._outbox(outbox_grant.outbox);
begin
  perform tide._check_role(outbox_grant.role);
  perform tide._grant_publishing(outbox_grant.role);
  execute format('grant insert (outbox_id) on tide.%I to %I', 'message_' || v_outbox.outbox_id, outbox_grant.role);
end $$;
comment on function tide.outbox_grant(text, text) is 'Lets a role publish to one outbox, and nothing else: it cannot read messages, nor write an id or an xid';

create function tide.outbox_revoke(outbox text, role text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_outbox tide.outbox := tide._outbox(outbox_revoke.outbox);
begin
  perform tide._check_role(outbox_revoke.role);
  execute format('revoke insert (outbox_id) on tide.%I from %I', 'message_' || v_outbox.outbox_id, outbox_revoke.role);
end $$;
comment on function tide.outbox_revoke(text, text) is 'Takes the right to publish to one outbox from a role';
