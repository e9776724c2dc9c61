-- Rights. The only file that grants; nothing is left to PUBLIC.
-- Four kinds of role: publisher (publish, per outbox), relay, admin, monitor. tide.role_grant gives a kind's rights to
-- any role; the roles tide_publisher, tide_relay, tide_admin and tide_monitor are made when the installer may make
-- roles, as a convenience: a plain database owner without CREATEROLE grants to the roles that exist.

-- Rights to call publish at all; which outboxes is said by tide.outbox_grant.
create function tide._grant_publishing(role text) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  execute format('grant usage on schema tide to %I', _grant_publishing.role);
  execute format('grant insert (outbox, payload, dedup_key, op, old_payload, headers, key), select (id) on tide._publication to %I',
    _grant_publishing.role);
  execute format('grant insert (outbox, payloads, dedup_keys, ops, keys, headers, old_payloads), select (ids) on tide._publication_batch to %I',
    _grant_publishing.role);
  execute format('grant execute on function tide.outbox_publish, tide.outbox_publish_batch, tide.version to %I', _grant_publishing.role);
end $$;
comment on function tide._grant_publishing(text) is 'Lets a role call the publish functions';

create function tide._grant_kind(kind text, role text) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  v_outbox_id integer;
begin
  execute format('grant usage on schema tide to %I', _grant_kind.role);
  if _grant_kind.kind = 'publisher' then
    perform tide._grant_publishing(_grant_kind.role);
    return;
  end if;
  execute format('grant execute on function tide.version, tide.holders to %I', _grant_kind.role);
  execute format('grant select on tide.outboxes, tide.row_schemas, tide.pipelines, tide.shards, tide.consumer_groups, tide.relays, tide.lag, '
    || 'tide.config_keys, tide.schema_version, tide.installation, tide.dead_letter_counts, tide.replays to %I', _grant_kind.role);
  execute format('grant execute on function tide._config_shown, tide._config_resolved, tide._cursor_doubt, tide._pending, tide._shards_wanted, tide._shard_stands, '
    || 'tide.row_schema_columns to %I', _grant_kind.role);
  if _grant_kind.kind = 'monitor' then
    return;
  end if;
  execute format('grant execute on function tide.retention_run, tide.dlq_retention_run to %I', _grant_kind.role);
  if _grant_kind.kind = 'relay' then
    execute format('grant select on tide.outbox, tide.consumer_group, tide.cursor, tide.pipeline, tide.dead_letter, tide.replay_request, tide.relay to %I', _grant_kind.role);
    execute format('grant execute on function tide._timeline, tide._flush, tide._cursor_acquire, tide._cursor_renew, tide._cursor_release, '
      || 'tide._cursor_settle, tide._cursor_settle_window, tide._cursor_open, tide._shards_pass, tide._group_position, tide._dead_letters_add, '
      || 'tide._redrive_settle, tide._replay_begin, tide._replay_page, tide._replay_settle, tide._relay_seen, tide._relay_ended, tide._pipeline_report to %I', _grant_kind.role);
  else
    perform tide._grant_publishing(_grant_kind.role);
    execute format('grant select on all tables in schema tide to %I', _grant_kind.role);
    execute format('grant execute on function tide.outbox_create, tide.outbox_alter, tide.outbox_enable, tide.outbox_disable, tide.outbox_drop, '
      || 'tide.outbox_grant, tide.outbox_revoke, tide.relay_set_outbox, tide.relay_enable, tide.relay_disable, tide.relay_drop, '
      || 'tide.relay_validate, tide.contract_faults, tide.row_schema_infer, tide.row_schema_set, tide.row_schema_of_table, '
      || 'tide.row_schema_drop, tide.group_rewind, tide.group_skip, tide.group_rebase, tide.group_reshard, tide.group_drop, tide.dlq_redrive, tide.dlq_discard, '
      || 'tide._key_shown, tide.replay, tide.replay_cancel, '
      || 'tide.installation_set to %I', _grant_kind.role);
  end if;
  for v_outbox_id in select o.outbox_id from tide.outbox o loop
    execute format('grant select on tide.%I to %I', 'message_' || v_outbox_id, _grant_kind.role);
  end loop;
end $$;
comment on function tide._grant_kind(text, text) is 'Gives a role the rights of a kind';

-- Who reads messages is read from the catalogue: relays and admins, and nobody else, may read tide.cursor. So a role
-- whose rights were dropped gets none on a new outbox.
create function tide._grant_messages(outbox_id integer) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  v_role text;
begin
  for v_role in
    select distinct r.rolname from pg_class c cross join aclexplode(c.relacl) x join pg_roles r on r.oid = x.grantee
     where c.oid = 'tide.cursor'::regclass and x.privilege_type = 'SELECT' and x.grantee <> c.relowner
  loop
    execute format('grant select on tide.%I to %I', 'message_' || _grant_messages.outbox_id, v_role);
  end loop;
end $$;
comment on function tide._grant_messages(integer) is 'Lets relays and administrators read the messages of a new outbox';

create function tide.role_grant(kind text, role text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
  if role_grant.kind is null or role_grant.kind not in ('publisher', 'relay', 'admin', 'monitor') then
    raise exception using errcode = 'TD020', message = format('%s is no kind of role', coalesce(quote_literal(role_grant.kind), 'null')),
      hint = 'Use publisher, relay, admin or monitor.';
  end if;
  perform tide._check_role(role_grant.role);
  perform tide._grant_kind(role_grant.kind, role_grant.role);
  insert into tide.role_grant as g (kind, role) values (role_grant.kind, role_grant.role)
  on conflict on constraint role_grant_pk do nothing;
end $$;
comment on function tide.role_grant(text, text) is
  'Gives a role the rights of a relay, an admin, a monitor or a publisher (which still needs tide.outbox_grant for each outbox)';

-- The owner's default privileges (ALTER DEFAULT PRIVILEGES) may have opened a new table to somebody: to read payloads, or
-- to write an xid. Callers: the functions that make message tables, before they grant.
create function tide._revoke_others(message_table text) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  v_grantee text;
begin
  for v_grantee in
    select distinct case x.grantee when 0 then 'public' else quote_ident(r.rolname) end
      from pg_class c cross join aclexplode(c.relacl) x left join pg_roles r on r.oid = x.grantee
     where c.oid = to_regclass(format('tide.%I', _revoke_others.message_table)) and x.grantee <> c.relowner
  loop
    execute format('revoke all on tide.%I from %s', _revoke_others.message_table, v_grantee);
  end loop;
end $$;
comment on function tide._revoke_others(text) is 'Takes all rights on a new table of messages from everybody but its owner';

create function tide._revoke_public() returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  revoke all on schema tide from public;
  revoke all on all tables in schema tide from public;
  revoke all on all sequences in schema tide from public;
  revoke all on all functions in schema tide from public;
end $$;
comment on function tide._revoke_public() is 'Takes everything from PUBLIC';

do $$ begin perform tide._revoke_public(); end $$;

-- What the installer's default privileges gave to other roles: nothing was granted on purpose yet.
do $$
declare
  v_role text;
begin
  for v_role in
    select r.rolname
      from (select n.nspowner, x.grantee from pg_namespace n cross join aclexplode(n.nspacl) x where n.nspname = 'tide'
            union select c.relowner, x.grantee from pg_class c cross join aclexplode(c.relacl) x where c.relnamespace = 'tide'::regnamespace
            union select f.proowner, x.grantee from pg_proc f cross join aclexplode(f.proacl) x where f.pronamespace = 'tide'::regnamespace
           ) o (owner, grantee)
      join pg_roles r on r.oid = o.grantee
     where o.grantee <> o.owner
  loop
    execute format('revoke all on schema tide from %I', v_role);
    execute format('revoke all on all tables in schema tide from %I', v_role);
    execute format('revoke all on all sequences in schema tide from %I', v_role);
    execute format('revoke all on all functions in schema tide from %I', v_role);
  end loop;
end $$;

do $$
declare
  v_kind text;
begin
  foreach v_kind in array array['publisher', 'relay', 'admin', 'monitor'] loop
    if not exists (select from pg_roles r where r.rolname = 'tide_' || v_kind) then
      begin
        execute format('create role %I nologin', 'tide_' || v_kind);
      exception when insufficient_privilege then
        raise notice 'role tide_% is not created: % may not create roles; give rights with tide.role_grant instead', v_kind, current_user;
        continue;
      end;
    end if;
    perform tide.role_grant(v_kind, 'tide_' || v_kind);
  end loop;
end $$;
