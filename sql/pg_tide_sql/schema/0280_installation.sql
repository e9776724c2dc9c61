-- The installation's name: what tells a clone of the storage from the server that it was copied from, when nothing else
-- does. Where one is set, only relays that were given the same name may own a cursor.
-- Lock order: tide.installation, tide.cursor.

-- Called by tide._cursor_acquire. A relay shows the name it was given in the first eight hex digits of its random token, so
-- that nothing more than the token has to go with each statement, through whatever pooler.
create function tide._installation_admits(owner_token uuid) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
  select not exists (
    select from tide.installation i
     where left(encode(sha256(convert_to(i.name, 'UTF8')), 'hex'), 8) <> left(_installation_admits.owner_token::text, 8))
$$;
comment on function tide._installation_admits(uuid) is 'May the relay with this token work here: it was given the installation''s name, or there is none';

-- Raising the epochs ends what owners of the old name are doing; they may not own the cursors again. Their leases stay: a
-- successor waits until their last requests are over. A cursor in doubt keeps its stamp, which is what tells that it is.
create function tide.installation_set(name text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_group_id integer;
begin
  if installation_set.name is not null then
    perform tide._check_name('installation', installation_set.name);
  end if;
  perform set_config('synchronous_commit', 'on', true) where current_setting('synchronous_commit') = 'off';
  lock table tide.installation in share row exclusive mode;
  if installation_set.name is not distinct from (select i.name from tide.installation i) then
    return;
  end if;
  delete from tide.installation;
  insert into tide.installation (name) select installation_set.name where installation_set.name is not null;
  for v_group_id in
    update tide.cursor c set epoch = c.epoch + 1, stamp = pg_current_xact_id()::xid
      from (select i.group_id, i.shard from tide.cursor i where tide._cursor_doubt(i, i.xmin) is null
             order by i.group_id, i.shard for no key update) t
     where c.group_id = t.group_id and c.shard = t.shard
    returning c.group_id
  loop
    perform tide._cursor_stamp(v_group_id);
  end loop;
end $$;
comment on function tide.installation_set(text) is
  'Names this installation: only relays started with --installation and this name work on it; others stop within seconds. Null takes the name away';
