-- Replays: messages that are sent again beside the cursor, which stays where it is.
-- tide.replay and tide.replay_cancel are called by administrators; what relays call is in 0248_replay_relay.sql.
-- Only what was delivered is sent again: else a message would come before its predecessors. What was delivered is said by the
-- position of the cursor at the time of the request, which is stored with it: prev, cur and last_id of the window, and how far a
-- replay pass had come. That holds through crashes, fail-overs, rewinds and skips. After a logical copy the cursor is in doubt
-- and nobody runs the pipeline; tide.group_rebase, the way out, gives messages other xids and fails what is open.
-- A replay is nobody's reason to keep messages: what retention drops meanwhile is counted as gone.
-- At the end: selected = sent + filtered + failed + left_out + gone.
-- Locks: rows of tide.replay_request, behind the cursor's; relays wait for none.

create table tide.replay_request (
  replay_id    bigint      generated always as identity,
  pipeline_id  integer     not null,
  group_id     integer     not null,
  state        text        not null default 'waiting',
  ids          bigint[],
  key          text,
  from_id      bigint,
  to_id        bigint,
  from_time    timestamptz,
  to_time      timestamptz,
  matching     jsonpath,
  everything   boolean     not null,
  to_topic     text,
  headers      jsonb,
  max_messages_per_second integer,
  prev         pg_snapshot not null,
  cur          pg_snapshot,
  last_id      bigint      not null,
  pass_last    bigint,
  until_id     bigint      not null default 0,
  position     bigint      not null default 0,
  selected     bigint      not null default 0,
  sent         bigint      not null default 0,
  filtered     bigint      not null default 0,
  failed       bigint      not null default 0,
  left_out     bigint      not null default 0,
  gone         bigint      not null default 0,
  first_failed_id bigint,
  first_error  text,
  error_class  text,
  error_code   text,
  error        text,
  cure         text,
  relay_id     text,
  requested_at timestamptz not null default clock_timestamp(),
  requested_by text        not null default session_user,
  started_at   timestamptz,
  ended_at     timestamptz,
  ended_by     text,
  reason       text,
  constraint replay_request_pk primary key (replay_id),
  constraint replay_request_pipeline_fk foreign key (pipeline_id) references tide.pipeline (pipeline_id) on delete cascade,
  constraint replay_request_state_known check (state in ('waiting', 'running', 'done', 'cancelled', 'failed')),
  constraint replay_request_rate_positive check (max_messages_per_second > 0),
  constraint replay_request_end_whole check ((ended_at is null) = (state in ('waiting', 'running')))
) with (fillfactor = 50);
create index replay_request_open on tide.replay_request (pipeline_id, replay_id) where state in ('waiting', 'running');
comment on sequence tide.replay_request_replay_id_seq is 'Numbers of replays';
comment on index tide.replay_request_open is 'Those that are not at their end: asked for twice a second, and nearly always empty';
comment on table tide.replay_request is 'Replays: messages of a pipeline that somebody asked to have sent again beside its cursor; see docs/replay.md';
comment on column tide.replay_request.replay_id is 'Number of the replay; its records carry it in the header pg_tide_replay';
comment on column tide.replay_request.pipeline_id is 'The pipeline whose relay sends';
comment on column tide.replay_request.group_id is 'The consumer group that the pipeline drove when the replay was asked for';
comment on column tide.replay_request.state is 'waiting: for a relay, or for an earlier replay of its pipeline; running; done; cancelled; failed: it cannot be done';
comment on column tide.replay_request.ids is 'Only these messages';
comment on column tide.replay_request.key is 'Only messages of this key; of those without a key, messages of this dedup key';
comment on column tide.replay_request.from_id is 'Only messages from this id on';
comment on column tide.replay_request.to_id is 'Only messages up to this id';
comment on column tide.replay_request.from_time is 'Only messages published at this time or later';
comment on column tide.replay_request.to_time is 'Only messages published before this time';
comment on column tide.replay_request.matching is 'Only messages whose payload has something at this path';
comment on column tide.replay_request.everything is 'Whether no condition was wanted';
comment on column tide.replay_request.to_topic is 'Topic, or template of one, in the place of the pipeline''s; null: where the pipeline sends them';
comment on column tide.replay_request.headers is 'Headers that its records carry beside all others: a JSON object of strings';
comment on column tide.replay_request.max_messages_per_second is 'How fast it may be, beside the pipeline''s own limit; null: no limit of its own';
comment on column tide.replay_request.prev is 'The cursor''s prev at the time of the request: what is visible here had been delivered';
comment on column tide.replay_request.cur is 'The end of the window that was open then';
comment on column tide.replay_request.last_id is 'That window''s messages up to this id had been delivered';
comment on column tide.replay_request.pass_last is 'Of what is visible in prev only messages up to this id had been delivered: a replay pass was under way; null: all';
comment on column tide.replay_request.until_id is 'Largest id of a message that it sends';
comment on column tide.replay_request.position is 'Messages up to this id are done';
comment on column tide.replay_request.selected is 'Messages that the conditions choose, unknown ids included';
comment on column tide.replay_request.sent is 'Messages that Kafka acknowledged';
comment on column tide.replay_request.filtered is 'Messages that the pipeline''s filter dropped';
comment on column tide.replay_request.failed is 'Messages that could not be delivered';
comment on column tide.replay_request.left_out is 'Messages that were not delivered yet: in front of the cursor at the time of the request, or a dead letter when their turn came';
comment on column tide.replay_request.gone is 'Messages that do not exist, or that retention dropped before their turn';
comment on column tide.replay_request.first_failed_id is 'The first message that could not be delivered';
comment on column tide.replay_request.first_error is 'Why';
comment on column tide.replay_request.error_class is 'Class of what stands in its way, or of why it failed';
comment on column tide.replay_request.error_code is 'Code of that: a Kafka error name or an SQLSTATE';
comment on column tide.replay_request.error is 'What stands in its way, or why it failed; null: nothing';
comment on column tide.replay_request.cure is 'What to do about it';
comment on column tide.replay_request.relay_id is 'The relay that sends, or sent last';
comment on column tide.replay_request.requested_at is 'When it was asked for';
comment on column tide.replay_request.requested_by is 'The session user who asked for it';
comment on column tide.replay_request.started_at is 'When a relay began it';
comment on column tide.replay_request.ended_at is 'When it was done, cancelled or failed';
comment on column tide.replay_request.ended_by is 'The session user who cancelled it; a relay''s role for what relays end';
comment on column tide.replay_request.reason is 'Why it was cancelled';

-- Which messages m a request $1 chooses, and which of them had been delivered: the one place, for counting and for sending.
create function tide._replay_chooses() returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select '(($1).ids is null or m.id = any (($1).ids)) and (($1).key is null or coalesce(m.key, m.dedup_key) = ($1).key)
    and (($1).from_id is null or m.id >= ($1).from_id) and (($1).to_id is null or m.id <= ($1).to_id)
    and (($1).from_time is null or m.created_at >= ($1).from_time) and (($1).to_time is null or m.created_at < ($1).to_time)
    and (($1).matching is null or m.payload::jsonb @? ($1).matching)'
$$;
comment on function tide._replay_chooses() is 'Condition: does the replay $1 choose the message m';

create function tide._replay_delivered() returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select '(pg_visible_in_snapshot(m.xid, ($1).prev) and m.id <= coalesce(($1).pass_last, m.id)
    or coalesce(pg_visible_in_snapshot(m.xid, ($1).cur), false) and m.id <= ($1).last_id)'
$$;
comment on function tide._replay_delivered() is 'Condition: had the message m been delivered when the replay $1 was asked for';

create function tide._replay_open_letter() returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select 'exists (select from tide.dead_letter d where d.pipeline_id = ($1).pipeline_id and d.message_id = m.id
    and d.created_at = m.created_at and d.state in (''dead'', ''parked'', ''redriving''))'
$$;
comment on function tide._replay_open_letter() is 'Condition: does the message m wait as a dead letter of the pipeline of the replay $1';

create function tide._replay_check(request tide.replay_request) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  v_request tide.replay_request := _replay_check.request;
  v_pipeline text := (select p.name from tide.pipeline p where p.pipeline_id = v_request.pipeline_id);
  v_wrong text;
  v_cure text;
begin
  if not v_request.everything and num_nonnulls(v_request.ids, v_request.key, v_request.from_id, v_request.to_id, v_request.from_time,
       v_request.to_time, v_request.matching) = 0 then
    raise exception using errcode = 'TD064', message = format('nothing says which messages of pipeline %L are to be sent again', v_pipeline),
      hint = 'Give ids, key, from_id, to_id, from_time, to_time, matching (a jsonpath), or everything => true; several of them narrow the choice.';
  end if;
  select 'to_topic ' || f.fault, 'It is a name of a topic, or a template of one, as the pipeline''s topic is.' into v_wrong, v_cure
    from tide._config_text_faults(tide._config_rules() #> '{keys,topic,rule}', v_request.to_topic) as f (fault) limit 1;
  if v_request.from_id > v_request.to_id then
    v_wrong := format('from_id %s is above to_id %s', v_request.from_id, v_request.to_id);
    v_cure := 'Messages from from_id to to_id are sent, both included.';
  elsif v_request.from_time >= v_request.to_time then
    v_wrong := format('from_time %s is not before to_time %s', v_request.from_time, v_request.to_time);
    v_cure := 'Messages published at from_time or later and before to_time are sent.';
  elsif v_request.max_messages_per_second < 1 then
    v_wrong := format('max_messages_per_second is %s', v_request.max_messages_per_second);
    v_cure := 'It is 1 or more; leave it out for no limit but the pipeline''s own.';
  elsif jsonb_typeof(v_request.headers) <> 'object' then
    v_wrong := format('headers must be a JSON object of strings, not %s', jsonb_typeof(v_request.headers));
  end if;
  if v_wrong is null and v_request.headers is not null then
    select case when h.key = '' then 'a header name is empty'
                when h.key like 'pg\_tide\_%' then format('header name %L is reserved', h.key)
                else format('header %L is not a string but %s', h.key, jsonb_typeof(h.value)) end into v_wrong
      from jsonb_each(v_request.headers) h
     where jsonb_typeof(h.value) <> 'string' or h.key = '' or h.key like 'pg\_tide\_%' order by h.key limit 1;
  end if;
  if v_wrong is not null then
    raise exception using errcode = 'TD065', message = format('a replay of pipeline %L cannot be asked for like this: %s', v_pipeline, v_wrong),
      hint = coalesce(v_cure, 'Pass an object: headers => ''{"reason": "repair"}''; values are strings, names do not begin with pg_tide_.');
  end if;
end $$;
comment on function tide._replay_check(tide.replay_request) is 'Raises TD064 when nothing is chosen, TD065 for arguments that make no sense';

create function tide.replay(
  pipeline text, ids bigint[] default null, key text default null, from_id bigint default null, to_id bigint default null,
  from_time timestamptz default null, to_time timestamptz default null, matching jsonpath default null,
  everything boolean default false, to_topic text default null, headers jsonb default null,
  max_messages_per_second integer default null, dry_run boolean default false)
returns table (replay_id bigint, selected bigint, left_out bigint, gone bigint, oldest_id bigint, oldest_at timestamptz,
               newest_id bigint, newest_at timestamptz)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
  v_pipeline tide.pipeline := tide._pipeline(replay.pipeline);
  v_request tide.replay_request;
  v_doubt text;
  v_letters bigint;
begin
  v_request.pipeline_id := v_pipeline.pipeline_id;
  v_request.ids := replay.ids;
  v_request.key := replay.key;
  v_request.from_id := replay.from_id;
  v_request.to_id := replay.to_id;
  v_request.from_time := replay.from_time;
  v_request.to_time := replay.to_time;
  v_request.matching := replay.matching;
  v_request.everything := coalesce(replay.everything, false);
  v_request.to_topic := replay.to_topic;
  v_request.headers := replay.headers;
  v_request.max_messages_per_second := replay.max_messages_per_second;
  perform tide._replay_check(v_request);
  select max(tide._cursor_doubt(c, c.xmin)) into v_doubt from tide.cursor c where c.group_id = v_pipeline.group_id;
  select c.prev, c.cur, c.last_id, c.replay_last
    into v_request.prev, v_request.cur, v_request.last_id, v_request.pass_last
    from tide._group_position(v_pipeline.group_id) c;
  if v_doubt is not null then
    raise exception using errcode = 'TD032',
      message = format('what pipeline %L has delivered is not known, because the cursor of its group cannot be trusted: %s', v_pipeline.name, v_doubt),
      hint = format('Repair it; messages may be sent again: select tide.group_rebase(%L, %L);',
        (select g.name from tide.consumer_group g where g.group_id = v_pipeline.group_id),
        (select o.name from tide.outbox o where o.outbox_id = v_pipeline.outbox_id));
  end if;
  -- A later statement than the cursor's: whatever the position names is seen.
  execute format(
    'select count(*), count(*) filter (where not c.delivered), count(*) filter (where c.delivered and c.letter),
            min(c.id) filter (where c.delivered), min(c.created_at) filter (where c.delivered),
            max(c.id) filter (where c.delivered), max(c.created_at) filter (where c.delivered)
       from (select m.id, m.created_at, %s as delivered, %s as letter from tide.%I m where %s) c',
    tide._replay_delivered(), tide._replay_open_letter(), 'message_' || v_pipeline.outbox_id, tide._replay_chooses())
    into selected, left_out, v_letters, oldest_id, oldest_at, newest_id, newest_at
    using v_request;
  execute format('select count(distinct i.id) from unnest($1) as i (id) where not exists (select from tide.%I m where m.id = i.id)',
    'message_' || v_pipeline.outbox_id) into gone using replay.ids;
  selected := selected + gone;
  if not coalesce(replay.dry_run, false) then
    perform set_config('synchronous_commit', 'on', true) where current_setting('synchronous_commit') = 'off';
    delete from tide.replay_request r
     where r.pipeline_id = v_pipeline.pipeline_id and r.ended_at < clock_timestamp() - interval '30 days';
    insert into tide.replay_request as r (
      pipeline_id, group_id, ids, key, from_id, to_id, from_time, to_time, matching, everything, to_topic, headers, max_messages_per_second,
      prev, cur, last_id, pass_last, until_id, position, selected, left_out, gone, state, ended_at, ended_by)
    values (
      v_pipeline.pipeline_id, v_pipeline.group_id, v_request.ids, v_request.key, v_request.from_id, v_request.to_id, v_request.from_time,
      v_request.to_time, v_request.matching, v_request.everything, v_request.to_topic, v_request.headers, v_request.max_messages_per_second,
      v_request.prev, v_request.cur, v_request.last_id, v_request.pass_last, coalesce(newest_id, 0), coalesce(oldest_id, 1) - 1, selected, left_out, gone,
      case when newest_id is null then 'done' else 'waiting' end,
      case when newest_id is null then clock_timestamp() end, case when newest_id is null then session_user end)
    returning r.replay_id into replay_id;
    if not v_pipeline.enabled and newest_id is not null then
      raise notice 'pipeline % is disabled: the replay begins once it is enabled', quote_literal(v_pipeline.name);
    end if;
  end if;
  left_out := left_out + v_letters;
  return next;
end $$;
comment on function tide.replay(text, bigint[], text, bigint, bigint, timestamptz, timestamptz, jsonpath, boolean, text, jsonb, integer, boolean) is
  'Has the pipeline''s relay send messages again beside the cursor, which stays where it is: by ids, key, ids or times from and to, payloads that match a jsonpath, or everything; to the pipeline''s topics or to_topic, with further headers, at most so many a second. Returns the replay''s id and how many messages it selects, how many of them are left out because they were not delivered yet, and how many are gone. dry_run: nothing is stored or sent';

create function tide.replay_cancel(replay_id bigint, reason text default null) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_request tide.replay_request;
begin
  select r.* into v_request from tide.replay_request r where r.replay_id = replay_cancel.replay_id for update;
  if not found then
    raise exception using errcode = 'TD066', message = format('there is no replay %s', coalesce(replay_cancel.replay_id::text, 'null')),
      hint = 'See: select replay_id, pipeline, state from tide.replays;';
  elsif v_request.ended_at is not null then
    raise exception using errcode = 'TD067', message = format('replay %s is at its end already: it is %s', v_request.replay_id, v_request.state),
      hint = 'What was sent cannot be taken back; consumers know its records by the header pg_tide_replay.';
  end if;
  perform set_config('synchronous_commit', 'on', true) where current_setting('synchronous_commit') = 'off';
  update tide.replay_request r
     set state = 'cancelled', reason = replay_cancel.reason, ended_at = clock_timestamp(), ended_by = session_user,
         error_class = null, error_code = null, error = null, cure = null
   where r.replay_id = v_request.replay_id;
end $$;
comment on function tide.replay_cancel(bigint, text) is 'Ends a replay that waits or runs: its relay sends nothing more of it within a second. What was sent stays sent';

-- A rebase gives messages other xids, so that what a stored position calls delivered may not be.
create function tide._replays_fail(outbox_id integer, group_id integer) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  update tide.replay_request r
     set state = 'failed', ended_at = clock_timestamp(), ended_by = session_user, error_class = 'configuration', error_code = 'TD032',
         error = 'the outbox was rebased since it was asked for: what had been delivered then is not known any more',
         cure = 'Ask for it again with tide.replay.'
    from tide.pipeline p
   where p.pipeline_id = r.pipeline_id and p.outbox_id = _replays_fail.outbox_id and r.state in ('waiting', 'running')
     and (_replays_fail.group_id is null or r.group_id = _replays_fail.group_id);
end $$;
comment on function tide._replays_fail(integer, integer) is 'Fails the open replays of an outbox, or of one of its groups, because a rebase made their positions meaningless';
