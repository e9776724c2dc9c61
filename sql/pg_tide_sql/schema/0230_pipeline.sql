-- Pipelines: set, enable, disable, drop; and what relays write about themselves and their pipelines.
-- relay_set_outbox, relay_enable, relay_disable and relay_drop are called by administrators.
-- The functions that begin with _relay and _pipeline are called by relays only.
-- Configuration commits synchronously: a relay must never run a configuration that a crash takes back.
-- Locks: the pipeline's row; relay_set_outbox also the outbox's row (FOR SHARE, against retention) and the group's.

create function tide._pipeline(name text) returns tide.pipeline
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_pipeline tide.pipeline;
  v_near text;
begin
  select p.* into v_pipeline from tide.pipeline p where p.name = _pipeline.name;
  if not found then
    select tide._nearest(_pipeline.name, array_agg(p.name order by p.name)) into v_near from tide.pipeline p;
    raise exception using errcode = 'TD021', message = format('pipeline %L does not exist', _pipeline.name),
      hint = case when v_near is null then 'See tide.pipelines for those that do.' else format('Did you mean %L?', v_near) end;
  end if;
  return v_pipeline;
end $$;
comment on function tide._pipeline(text) is 'The pipeline of that name; raises TD021 with the nearest name when there is none';

create function tide._pipeline_record(pipeline text, action text, version bigint, config jsonb) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  perform set_config('synchronous_commit', 'on', true) where current_setting('synchronous_commit') = 'off';
  insert into tide.pipeline_change (pipeline, action, version, config, acting_as)
  values (_pipeline_record.pipeline, _pipeline_record.action, _pipeline_record.version, _pipeline_record.config,
          coalesce(nullif(current_setting('role'), 'none'), session_user));
end $$;
comment on function tide._pipeline_record(text, text, bigint, jsonb) is 'Writes down who changed a pipeline';

-- Finds or makes the group; a group that starts at the end holds its outbox's row against retention meanwhile.
create function tide._group_ensure(outbox tide.outbox, name text, start text, shards integer) returns integer
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  v_group_id integer;
begin
  perform from tide.outbox o where o.outbox_id = (_group_ensure.outbox).outbox_id for share;
  loop
    insert into tide.consumer_group (outbox_id, name) values ((_group_ensure.outbox).outbox_id, _group_ensure.name)
    on conflict on constraint consumer_group_name_unique do nothing
    returning group_id into v_group_id;
    exit when found;
    -- Locked, so that the caller sees who drives it: of two pipelines that take it at once, the second waits. Not found:
    -- it was dropped meanwhile.
    select g.group_id into v_group_id from tide.consumer_group g
     where g.outbox_id = (_group_ensure.outbox).outbox_id and g.name = _group_ensure.name for update;
    if found then
      return v_group_id;
    end if;
  end loop;
  insert into tide.cursor (group_id, shard, shards, prev, timeline, stamp, passed_over, passed_below)
  select v_group_id, n.shard, _group_ensure.shards, coalesce(l.passed_over, '1:1:'), tide._timeline(), pg_current_xact_id()::xid, l.passed_over,
         case when l.passed_over is not null then 9223372036854775807 end
    from (select case when _group_ensure.start <> 'earliest' then pg_current_snapshot() end) l (passed_over)
   cross join generate_series(0, _group_ensure.shards - 1) n (shard);
  perform tide._cursor_stamp(v_group_id);
  return v_group_id;
end $$;
comment on function tide._group_ensure(tide.outbox, text, text, integer) is 'Number of the consumer group of that name on that outbox, made, with so many shards, when missing';

-- A row written inside a savepoint carries the savepoint's xid, not the transaction's: the stamp follows it. Rows that this
-- transaction did not write keep theirs: another stamp than their xmin is what tells that they were copied.
create function tide._cursor_stamp(group_id integer) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  update tide.cursor c set stamp = c.xmin where c.group_id = _cursor_stamp.group_id and c.stamp = pg_current_xact_id()::xid and c.stamp <> c.xmin;
end $$;
comment on function tide._cursor_stamp(integer) is 'After a write that may have run inside a savepoint: stamps a group''s rows with the xid that really wrote them';

create function tide.relay_set_outbox(pipeline text, outbox text, consumer_group text, config jsonb, start text default 'earliest')
returns bigint language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_outbox tide.outbox;
  v_old tide.pipeline;
  v_old_group text;
  v_group_id integer;
  v_driver text;
  v_version bigint;
begin
  perform tide._check_name('pipeline', relay_set_outbox.pipeline);
  perform tide._check_name('consumer group', relay_set_outbox.consumer_group);
  v_outbox := tide._outbox(relay_set_outbox.outbox);
  perform tide._config_refuse(relay_set_outbox.pipeline, relay_set_outbox.config);
  perform tide._row_schema_refuse(v_outbox, relay_set_outbox.config);
  perform tide._shards_refuse(relay_set_outbox.pipeline, relay_set_outbox.config);
  if relay_set_outbox.start is null or relay_set_outbox.start not in ('earliest', 'latest') then
    raise exception using errcode = 'TD020', message = format('start is %s', coalesce(quote_literal(relay_set_outbox.start), 'null')),
      hint = 'Use ''earliest'' (everything the outbox holds) or ''latest'' (what commits from now on).';
  end if;
  perform pg_advisory_xact_lock(hashtextextended('tide.pipeline ' || relay_set_outbox.pipeline, 0));
  select p.* into v_old from tide.pipeline p where p.name = relay_set_outbox.pipeline for update;
  if v_old.outbox_id <> v_outbox.outbox_id then
    raise exception using errcode = 'TD022', message = format('pipeline %L reads outbox %L; that cannot change to %L',
        v_old.name, (select o.name from tide.outbox o where o.outbox_id = v_old.outbox_id), v_outbox.name),
      hint = format('Use another pipeline name, or drop it first: select tide.relay_drop(%L);', v_old.name);
  end if;
  v_group_id := tide._group_ensure(v_outbox, relay_set_outbox.consumer_group, relay_set_outbox.start,
    tide._shards_wanted(relay_set_outbox.config));
  select p.name into v_driver from tide.pipeline p where p.group_id = v_group_id and p.name <> relay_set_outbox.pipeline;
  if found then
    raise exception using errcode = 'TD023', message = format('consumer group %L on outbox %L is driven by pipeline %L',
        relay_set_outbox.consumer_group, v_outbox.name, v_driver),
      hint = 'A cursor is driven by one pipeline: name another group, or drop that pipeline.';
  end if;
  if v_old.pipeline_id is null then
    insert into tide.pipeline (name, outbox_id, group_id, config)
    values (relay_set_outbox.pipeline, v_outbox.outbox_id, v_group_id, relay_set_outbox.config)
    returning version into v_version;
  elsif v_old.config = relay_set_outbox.config and v_old.group_id = v_group_id then
    return v_old.version;
  else
    if v_old.group_id <> v_group_id then
      select g.name into v_old_group from tide.consumer_group g where g.group_id = v_old.group_id;
      raise notice using message = format('pipeline %L now drives group %L; group %L stays where it is and holds messages back from retention',
          v_old.name, relay_set_outbox.consumer_group, v_old_group),
        hint = format('When it is no longer needed: select tide.group_drop(%L, %L);', v_old_group, v_outbox.name);
    end if;
    update tide.pipeline p
       set config = relay_set_outbox.config, group_id = v_group_id, version = p.version + 1,
           updated_at = clock_timestamp(), updated_by = session_user
     where p.pipeline_id = v_old.pipeline_id
    returning p.version into v_version;
  end if;
  perform tide._shards_ask(p.pipeline_id, v_old) from tide.pipeline p where p.name = relay_set_outbox.pipeline;
  perform tide._pipeline_record(relay_set_outbox.pipeline, 'set', v_version, relay_set_outbox.config);
  return v_version;
end $$;
comment on function tide.relay_set_outbox(text, text, text, jsonb, text) is
  'Creates a pipeline (enabled) or changes its configuration, and creates its consumer group when missing; returns the pipeline''s version. Calling it again with the same arguments changes nothing; a disabled pipeline stays disabled';

create function tide._config_refuse(pipeline text, config jsonb) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_problem record;
  v_errors text[] := array[]::text[];
begin
  -- A relay could not even read it, and would end with all its pipelines.
  if jsonb_path_exists(_config_refuse.config, '$.**{101}') then
    v_errors := v_errors || 'it is nested more than 100 levels deep'::text;
  end if;
  for v_problem in select v.path, v.severity, v.message from tide.relay_validate(_config_refuse.config) v loop
    if v_problem.severity = 'error' then
      v_errors := v_errors || format('%s: %s', v_problem.path, v_problem.message);
    else
      raise notice '%: %', v_problem.path, v_problem.message;
    end if;
  end loop;
  if v_errors <> '{}' then
    raise exception using errcode = 'TD020',
      message = format('the configuration of pipeline %L is not valid: %s', _config_refuse.pipeline, v_errors[1]),
      detail = array_to_string(v_errors, E'\n'),
      hint = 'See select * from tide.config_keys; and select * from tide.relay_validate(''{...}'');';
  end if;
end $$;
comment on function tide._config_refuse(text, jsonb) is 'Raises TD020 with all errors of a configuration, each with its path; warnings become notices';

create function tide._relay_switch(pipeline text, enabled boolean) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  v_pipeline tide.pipeline := tide._pipeline(_relay_switch.pipeline);
begin
  update tide.pipeline p
     set enabled = _relay_switch.enabled, version = p.version + 1, updated_at = clock_timestamp(), updated_by = session_user
   where p.pipeline_id = v_pipeline.pipeline_id and p.enabled <> _relay_switch.enabled
  returning p.* into v_pipeline;
  if found then
    perform tide._pipeline_record(v_pipeline.name, case when _relay_switch.enabled then 'enable' else 'disable' end,
      v_pipeline.version, v_pipeline.config);
  end if;
end $$;
comment on function tide._relay_switch(text, boolean) is 'Enables or disables a pipeline; does nothing when it is so already';

create function tide.relay_enable(pipeline text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform tide._relay_switch(relay_enable.pipeline, true);
end $$;
comment on function tide.relay_enable(text) is 'Lets relays run a pipeline; does nothing when it is enabled already';

create function tide.relay_disable(pipeline text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform tide._relay_switch(relay_disable.pipeline, false);
end $$;
comment on function tide.relay_disable(text) is 'Stops a pipeline within a second; its group keeps its place';

create function tide.relay_drop(pipeline text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_pipeline tide.pipeline := tide._pipeline(relay_drop.pipeline);
  v_open bigint;
begin
  select count(*) into v_open from tide.dead_letter d
   where d.pipeline_id = v_pipeline.pipeline_id and d.state in ('dead', 'parked', 'redriving');
  if v_open > 0 then
    raise exception using errcode = 'TD063', message = format('pipeline %L has %s dead letters, which would be lost with it', v_pipeline.name, v_open),
      hint = format('Send them again or give them up first: select * from tide.dlq_discard(%L, reason => ''...'', everything => true);', v_pipeline.name);
  end if;
  delete from tide.pipeline p where p.pipeline_id = v_pipeline.pipeline_id;
  perform tide._pipeline_record(v_pipeline.name, 'drop', v_pipeline.version + 1, null);
end $$;
comment on function tide.relay_drop(text) is 'Drops a pipeline. Its consumer group stays, with its place, until tide.group_drop';

-- A relay says that it lives. A second process under the same id, while the first still lives, is refused.
create function tide._relay_seen(
  relay_id text, token uuid, host text, pid integer, release text, alive_ms integer,
  lease_ms integer default 10000, serves integer[] default '{}')
returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform set_config('synchronous_commit', 'off', true);
  insert into tide.relay as r (relay_id, token, host, pid, release, lease_ms, serves)
  values (_relay_seen.relay_id, _relay_seen.token, _relay_seen.host, _relay_seen.pid, _relay_seen.release,
          _relay_seen.lease_ms, _relay_seen.serves)
  on conflict on constraint relay_pk do update
     set token = excluded.token, host = excluded.host, pid = excluded.pid, release = excluded.release, seen_at = clock_timestamp(),
         ended_at = null, lease_ms = excluded.lease_ms, serves = excluded.serves,
         started_at = case when r.token = excluded.token then r.started_at else clock_timestamp() end
   where r.token = excluded.token or r.ended_at is not null
      or r.seen_at < clock_timestamp() - _relay_seen.alive_ms * interval '1 ms';
  return found;
end $$;
comment on function tide._relay_seen(text, uuid, text, integer, text, integer, integer, integer[]) is
  'A relay says that it lives, and which pipelines it could drive; false: another living process goes by the same id';

create function tide._relay_ended(relay_id text, token uuid) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
  update tide.relay r set ended_at = clock_timestamp(), seen_at = clock_timestamp()
   where r.relay_id = _relay_ended.relay_id and r.token = _relay_ended.token;
end $$;
comment on function tide._relay_ended(text, uuid) is 'A relay signs off';

create function tide._pipeline_report(
  pipeline_id integer, relay_id text, version bigint, state text, error_class text, error_code text, error text, cure text, message_id bigint,
  attempts integer default null, next_attempt_at timestamptz default null, throttled_ms integer default null, shard integer default 0)
returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform set_config('synchronous_commit', 'off', true);
  insert into tide.pipeline_state as s (pipeline_id, shard, relay_id, version, state, error_class, error_code, error, cure, message_id,
                                        attempts, next_attempt_at, throttled_ms)
  select p.pipeline_id, _pipeline_report.shard, _pipeline_report.relay_id, _pipeline_report.version, _pipeline_report.state, _pipeline_report.error_class,
         _pipeline_report.error_code, _pipeline_report.error, _pipeline_report.cure, _pipeline_report.message_id,
         _pipeline_report.attempts, _pipeline_report.next_attempt_at, _pipeline_report.throttled_ms
    from tide.pipeline p
   where p.pipeline_id = _pipeline_report.pipeline_id
     and exists (select from tide.cursor c where c.group_id = p.group_id and c.shard = _pipeline_report.shard)
     and not exists (select from tide.cursor c where c.group_id = p.group_id and c.shard = _pipeline_report.shard
                        and c.owner <> _pipeline_report.relay_id
                        and c.owner_token is not null and c.lease_until >= clock_timestamp() and c.stamp = c.xmin)
  on conflict on constraint pipeline_state_pk do update
     set relay_id = excluded.relay_id, version = excluded.version, state = excluded.state, error_class = excluded.error_class,
         error_code = excluded.error_code, error = excluded.error, cure = excluded.cure, message_id = excluded.message_id,
         attempts = excluded.attempts, next_attempt_at = excluded.next_attempt_at, throttled_ms = excluded.throttled_ms,
         since = case when s.state = excluded.state then s.since else clock_timestamp() end;
end $$;
comment on function tide._pipeline_report(integer, text, bigint, text, text, text, text, text, bigint, integer, timestamptz, integer, integer) is 'A relay writes the state of a shard of a pipeline, unless another relay owns it: one that stands by does not speak of it';
