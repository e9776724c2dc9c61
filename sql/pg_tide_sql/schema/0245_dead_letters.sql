-- Dead letters: kept, redriven, discarded, removed.
-- The functions that begin with _ are called by relays, dlq_redrive and dlq_discard by administrators.
-- A relay writes dead letters in the transaction that moves the cursor past them: never one without the other.
-- Only the pipeline's owner sends: dlq_redrive marks, the owner reads the marks twice a second.
-- The rule for one ordering key that parks: its open dead letters go in id order, none before an earlier one that is dead,
-- and the key's new messages join them until none is open.
-- Locks: rows of tide.dead_letter, in the order of their messages.

create table tide.dead_letter (
  dead_letter_id bigint      generated always as identity,
  pipeline_id    integer     not null,
  message_id     bigint      not null,
  created_at     timestamptz not null,
  state          text        not null,
  parks          boolean     not null,
  ordering_key   bytea,
  op             text        not null,
  key            text,
  dedup_key      text,
  payload        text,
  old_payload    text,
  headers        text,
  topic          text,
  error_class    text,
  error_code     text,
  error          text,
  attempts       integer     not null,
  version        bigint      not null,
  died_at        timestamptz not null default clock_timestamp(),
  changed_at     timestamptz not null default clock_timestamp(),
  changed_by     text        not null default session_user,
  reason         text,
  constraint dead_letter_pk primary key (dead_letter_id),
  constraint dead_letter_message_unique unique (pipeline_id, message_id, created_at),
  constraint dead_letter_pipeline_fk foreign key (pipeline_id) references tide.pipeline (pipeline_id) on delete cascade,
  constraint dead_letter_state_known check (state in ('dead', 'parked', 'redriving', 'redriven', 'discarded')),
  constraint dead_letter_parks_key check (ordering_key is not null or not parks),
  constraint dead_letter_parked_waits check (parks or state <> 'parked')
);
create index dead_letter_open on tide.dead_letter (pipeline_id, message_id) where state in ('dead', 'parked', 'redriving');
create index dead_letter_redriving on tide.dead_letter (pipeline_id, message_id) where state = 'redriving';
create index dead_letter_parked on tide.dead_letter (pipeline_id, ordering_key, message_id) where parks and state in ('dead', 'parked', 'redriving');
create index dead_letter_closed on tide.dead_letter (pipeline_id, changed_at) where state in ('redriven', 'discarded');
comment on sequence tide.dead_letter_dead_letter_id_seq is 'Numbers of dead letters';
comment on index tide.dead_letter_open is 'Those that wait for a decision, or for their turn';
comment on index tide.dead_letter_redriving is 'Those that the relay is to send: asked for twice a second, and nearly always empty';
comment on index tide.dead_letter_parked is 'What waits behind which ordering key, in order';
comment on index tide.dead_letter_closed is 'What retention removes';
comment on table tide.dead_letter is
  'Messages that could not be delivered, and those that wait behind them, with everything needed to send them again; see docs/dead-letters.md';
comment on column tide.dead_letter.dead_letter_id is 'Number of the dead letter';
comment on column tide.dead_letter.pipeline_id is 'The pipeline that could not deliver it';
comment on column tide.dead_letter.message_id is 'Id of the message';
comment on column tide.dead_letter.created_at is 'When it was published; with the id it identifies the message for ever';
comment on column tide.dead_letter.state is
  'dead: waits for a decision; parked: waits behind an earlier one of its key; redriving: the relay is to send it; redriven: it was acknowledged; discarded';
comment on column tide.dead_letter.parks is 'Whether later messages of its ordering key wait for it';
comment on column tide.dead_letter.ordering_key is 'The record''s key; where it could not be computed the message''s key, else its dedup key';
comment on column tide.dead_letter.op is 'insert, update or delete';
comment on column tide.dead_letter.key is 'The message''s key';
comment on column tide.dead_letter.dedup_key is 'Its dedup key';
comment on column tide.dead_letter.payload is 'Its payload';
comment on column tide.dead_letter.old_payload is 'Its payload before an update or delete';
comment on column tide.dead_letter.headers is 'Its own headers: a JSON object of strings';
comment on column tide.dead_letter.topic is 'The topic that it was for, where that is known';
comment on column tide.dead_letter.error_class is 'Class of the error: message or destination; null while it was never tried';
comment on column tide.dead_letter.error_code is 'Kafka''s name of the error, where it has one';
comment on column tide.dead_letter.error is 'What happened the last time';
comment on column tide.dead_letter.attempts is 'How often its delivery was given up; 0 for one that only waits';
comment on column tide.dead_letter.version is 'Version of the pipeline that tried it last';
comment on column tide.dead_letter.died_at is 'When delivery was given up last; of one that only waits: since when';
comment on column tide.dead_letter.changed_at is 'When its state changed last';
comment on column tide.dead_letter.changed_by is 'The session user who changed it; a relay''s role for what relays do';
comment on column tide.dead_letter.reason is 'Why it was discarded';

-- Called behind a settle, in its transaction: the cursor's row is locked and ours. Null: the pipeline is gone.
-- A message that dies again (a rewind, a redrive) keeps its row and counts on.
create function tide._dead_letters_add(
  pipeline_id integer, group_id integer, shard integer, owner_token uuid, epoch bigint, version bigint,
  message_ids bigint[], parked boolean[], parks boolean[], ordering_keys bytea[], topics text[],
  error_classes text[], error_codes text[], errors text[])
returns integer language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off as $$
declare
  v_outbox_id integer;
  v_added integer;
begin
  select p.outbox_id into v_outbox_id
    from tide.pipeline p join tide.cursor c on c.group_id = p.group_id
   where p.pipeline_id = _dead_letters_add.pipeline_id and c.group_id = _dead_letters_add.group_id
     and c.shard = _dead_letters_add.shard and c.owner_token = _dead_letters_add.owner_token and c.epoch = _dead_letters_add.epoch;
  if not found then
    return null;
  end if;
  execute format(
    'insert into tide.dead_letter as d (pipeline_id, message_id, created_at, state, parks, ordering_key, op, key, dedup_key, payload,
                                        old_payload, headers, topic, error_class, error_code, error, attempts, version)
     select $1, m.id, m.created_at, case when a.parked then ''parked'' else ''dead'' end, a.parks, a.ordering_key, m.op, m.key, m.dedup_key,
            m.payload, m.old_payload, m.headers, a.topic, a.error_class, a.error_code, a.error, case when a.parked then 0 else 1 end, $2
       from unnest($3, $4, $5, $6, $7, $8, $9, $10) as a (message_id, parked, parks, ordering_key, topic, error_class, error_code, error)
       join tide.%I m on m.id = a.message_id
      order by m.id
     on conflict on constraint dead_letter_message_unique do update
        set state = case when excluded.state = ''parked'' and d.state in (''dead'', ''redriving'') then d.state else excluded.state end,
            parks = excluded.parks, ordering_key = excluded.ordering_key, topic = coalesce(excluded.topic, d.topic),
            error_class = coalesce(excluded.error_class, d.error_class), error_code = coalesce(excluded.error_code, d.error_code),
            error = coalesce(excluded.error, d.error), attempts = d.attempts + excluded.attempts, version = excluded.version,
            died_at = excluded.died_at, changed_at = excluded.changed_at, changed_by = excluded.changed_by, reason = null',
    'message_' || v_outbox_id)
  using _dead_letters_add.pipeline_id, _dead_letters_add.version, _dead_letters_add.message_ids, _dead_letters_add.parked,
        _dead_letters_add.parks, _dead_letters_add.ordering_keys, _dead_letters_add.topics, _dead_letters_add.error_classes,
        _dead_letters_add.error_codes, _dead_letters_add.errors;
  get diagnostics v_added = row_count;
  if v_added <> cardinality(_dead_letters_add.message_ids) then
    raise exception using errcode = 'XX001',
      message = format('only %s of %s messages that could not be delivered are still in the outbox', v_added,
        cardinality(_dead_letters_add.message_ids)),
      hint = 'Messages were removed from its tables by hand. Nothing was settled.';
  end if;
  perform tide._dead_letters_advance(_dead_letters_add.pipeline_id,
    array(select distinct a.ordering_key from unnest(_dead_letters_add.ordering_keys, _dead_letters_add.parked) a (ordering_key, parked) where a.parked));
  return v_added;
end $$;
comment on function tide._dead_letters_add(integer, integer, integer, uuid, bigint, bigint, bigint[], boolean[], boolean[], bytea[], text[], text[], text[], text[]) is
  'Keeps messages that could not be delivered, and those parked behind them, in the transaction of the settle that passes them; null: the pipeline is gone, settle nothing';

-- What is parked with no dead letter of its key before it has its turn.
create function tide._dead_letters_advance(pipeline_id integer, ordering_keys bytea[]) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  update tide.dead_letter d
     set state = 'redriving', changed_at = clock_timestamp(), changed_by = session_user
   where d.pipeline_id = _dead_letters_advance.pipeline_id and d.ordering_key = any (_dead_letters_advance.ordering_keys)
     and d.parks and d.state = 'parked'
     and not exists (select from tide.dead_letter h
                      where h.pipeline_id = d.pipeline_id and h.ordering_key = d.ordering_key and h.parks and h.state = 'dead'
                        and h.message_id < d.message_id);
end $$;
comment on function tide._dead_letters_advance(integer, bytea[]) is 'Lets parked messages go that no longer have a dead letter of their key before them';

-- What became of dead letters that the owner sent. "waiting": not sent, because an earlier one of their key failed again.
-- drained: ordering keys of delivered ones that have nothing open any more; null: another transaction holds the cursor's row.
create function tide._redrive_settle(
  pipeline_id integer, group_id integer, shard integer, owner_token uuid, epoch bigint, version bigint,
  delivered bigint[], waiting bigint[], failed bigint[], topics text[], error_classes text[], error_codes text[], errors text[])
returns table (drained bytea[]) language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_keys bytea[];
begin
  if not tide._cursor_lock(_redrive_settle.group_id, _redrive_settle.shard) then
    return query select null::bytea[];
    return;
  end if;
  perform from tide.cursor c
    where c.group_id = _redrive_settle.group_id and c.shard = _redrive_settle.shard
      and c.owner_token = _redrive_settle.owner_token and c.epoch = _redrive_settle.epoch;
  if not found then
    return;
  end if;
  with gone as (
    update tide.dead_letter d
       set state = 'redriven', version = _redrive_settle.version, changed_at = clock_timestamp(), changed_by = session_user
     where d.pipeline_id = _redrive_settle.pipeline_id and d.dead_letter_id = any (_redrive_settle.delivered)
    returning d.ordering_key, d.parks)
  select coalesce(array_agg(distinct g.ordering_key), '{}') into v_keys from gone g where g.parks;
  with failed as (
    update tide.dead_letter d
       set state = 'dead', attempts = d.attempts + 1, topic = coalesce(f.topic, d.topic), error_class = f.error_class,
           error_code = f.error_code, error = f.error, version = _redrive_settle.version, died_at = clock_timestamp(),
           changed_at = clock_timestamp(), changed_by = session_user
      from unnest(_redrive_settle.failed, _redrive_settle.topics, _redrive_settle.error_classes, _redrive_settle.error_codes,
                  _redrive_settle.errors) as f (dead_letter_id, topic, error_class, error_code, error)
     where d.pipeline_id = _redrive_settle.pipeline_id and d.dead_letter_id = f.dead_letter_id
    returning d.dead_letter_id, d.ordering_key, d.message_id)
  update tide.dead_letter d
     set state = case when d.attempts > 0 then 'dead' else 'parked' end, changed_at = clock_timestamp(), changed_by = session_user
   where d.pipeline_id = _redrive_settle.pipeline_id and d.state = 'redriving'
     and (d.dead_letter_id = any (_redrive_settle.waiting)
          or exists (select from failed f where f.ordering_key = d.ordering_key and f.message_id < d.message_id))
     and d.dead_letter_id <> all (_redrive_settle.failed);
  perform tide._dead_letters_advance(_redrive_settle.pipeline_id, v_keys);
  return query
    select coalesce(array_agg(k.ordering_key), '{}') from unnest(v_keys) as k (ordering_key)
     where not exists (select from tide.dead_letter d
                        where d.pipeline_id = _redrive_settle.pipeline_id and d.ordering_key = k.ordering_key
                          and d.parks and d.state in ('dead', 'parked', 'redriving'));
end $$;
comment on function tide._redrive_settle(integer, integer, integer, uuid, bigint, bigint, bigint[], bigint[], bigint[], text[], text[], text[], text[]) is
  'Records what became of dead letters that were sent again; returns the ordering keys that are free again; no row: this relay is not the owner, null: ask again';

create function tide._dead_letters_chosen(
  pipeline tide.pipeline, states text[], ids bigint[], key text, error_class text, error_code text, matching jsonpath,
  everything boolean)
returns setof tide.dead_letter language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  v_pipeline_id integer := (_dead_letters_chosen.pipeline).pipeline_id;
  v_missing bigint[];
begin
  if not coalesce(_dead_letters_chosen.everything, false)
     and num_nonnulls(_dead_letters_chosen.ids, _dead_letters_chosen.key, _dead_letters_chosen.error_class, _dead_letters_chosen.error_code,
       _dead_letters_chosen.matching) = 0 then
    raise exception using errcode = 'TD060', message = format('nothing says which dead letters of pipeline %L', (_dead_letters_chosen.pipeline).name),
      hint = 'Give ids, key, error_class, error_code, matching (a jsonpath), or everything => true; several of them narrow the choice.';
  end if;
  select array_agg(i.id order by i.id) into v_missing
    from unnest(_dead_letters_chosen.ids) as i (id)
   where not exists (select from tide.dead_letter d
                      where d.pipeline_id = v_pipeline_id and d.message_id = i.id and d.state = any (_dead_letters_chosen.states));
  if v_missing is not null then
    raise exception using errcode = 'TD061',
      message = format('pipeline %L has no dead letter of message %s in state %s', (_dead_letters_chosen.pipeline).name,
        array_to_string(v_missing[1:10], ', '), array_to_string(_dead_letters_chosen.states, ' or ')),
      hint = format('See: select message_id, state from tide.dead_letters where pipeline = %L;', (_dead_letters_chosen.pipeline).name);
  end if;
  return query
    select d.* from tide.dead_letter d
     where d.pipeline_id = v_pipeline_id and d.state = any (_dead_letters_chosen.states)
       and (_dead_letters_chosen.ids is null or d.message_id = any (_dead_letters_chosen.ids))
       and (_dead_letters_chosen.key is null or d.key = _dead_letters_chosen.key
            or d.ordering_key = convert_to(_dead_letters_chosen.key, 'UTF8'))
       and (_dead_letters_chosen.error_class is null or d.error_class = _dead_letters_chosen.error_class)
       and (_dead_letters_chosen.error_code is null or d.error_code = _dead_letters_chosen.error_code)
       and (_dead_letters_chosen.matching is null or d.payload::jsonb @? _dead_letters_chosen.matching)
     order by d.message_id
       for update;
end $$;
comment on function tide._dead_letters_chosen(tide.pipeline, text[], bigint[], text, text, text, jsonpath, boolean) is
  'The open dead letters that all given conditions choose, locked; raises TD060 when none is given, TD061 for ids that are not there';

create function tide.dlq_redrive(
  pipeline text, ids bigint[] default null, key text default null, error_class text default null, error_code text default null,
  matching jsonpath default null, everything boolean default false, dry_run boolean default false)
returns table (message_id bigint, action text, ordering_key text, code text, error text, attempts integer)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
  v_pipeline tide.pipeline := tide._pipeline(dlq_redrive.pipeline);
  v_chosen bigint[];
begin
  select coalesce(array_agg(c.dead_letter_id), '{}') into v_chosen
    from tide._dead_letters_chosen(v_pipeline, array['dead'], dlq_redrive.ids, dlq_redrive.key, dlq_redrive.error_class,
      dlq_redrive.error_code, dlq_redrive.matching, dlq_redrive.everything) c;
  return query
  with planned as (
    select d.dead_letter_id, d.state,
           (select min(h.message_id) from tide.dead_letter h
             where d.parks and h.pipeline_id = d.pipeline_id and h.ordering_key = d.ordering_key and h.parks and h.state = 'dead'
               and h.message_id < d.message_id and h.dead_letter_id <> all (v_chosen)) as behind
      from tide.dead_letter d
     where d.dead_letter_id = any (v_chosen)
        or (d.pipeline_id = v_pipeline.pipeline_id and d.parks and d.state = 'parked'
            and d.ordering_key = any (select k.ordering_key from tide.dead_letter k where k.dead_letter_id = any (v_chosen) and k.parks))
  ), marked as (
    update tide.dead_letter d set state = 'redriving', changed_at = clock_timestamp(), changed_by = session_user
      from planned p
     where not coalesce(dlq_redrive.dry_run, false) and d.dead_letter_id = p.dead_letter_id and p.behind is null
  )
  select d.message_id,
         case when p.behind is not null then 'waits for ' || p.behind when p.state = 'parked' then 'follows' else 'redrive' end,
         tide._key_shown(d.ordering_key), d.error_code, d.error, d.attempts
    from planned p join tide.dead_letter d on d.dead_letter_id = p.dead_letter_id
   order by d.message_id;
  if not v_pipeline.enabled then
    raise notice 'pipeline % is disabled: dead letters are sent again once it is enabled', quote_literal(v_pipeline.name);
  end if;
end $$;
comment on function tide.dlq_redrive(text, bigint[], text, text, text, jsonpath, boolean, boolean) is
  'Has the pipeline''s relay send dead letters again, in id order within a key, with the configuration of then; messages parked behind them follow. Returns what it does with each: redrive, follows, or waits for an earlier one of its key that was not chosen. dry_run: nothing is done';

create function tide.dlq_discard(
  pipeline text, ids bigint[] default null, reason text default null, key text default null, error_class text default null,
  error_code text default null, matching jsonpath default null, everything boolean default false, dry_run boolean default false)
returns table (message_id bigint, action text, ordering_key text, code text, error text, attempts integer)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
  v_pipeline tide.pipeline := tide._pipeline(dlq_discard.pipeline);
  v_chosen bigint[];
  v_keys bytea[];
begin
  if coalesce(btrim(dlq_discard.reason), '') = '' then
    raise exception using errcode = 'TD062', message = 'a dead letter is discarded for a reason, and none is given',
      hint = format('For example: select * from tide.dlq_discard(%L, ids => array[17], reason => ''test data'');', v_pipeline.name);
  end if;
  select coalesce(array_agg(c.dead_letter_id), '{}'), coalesce(array_agg(distinct c.ordering_key) filter (where c.parks), '{}')
    into v_chosen, v_keys
    from tide._dead_letters_chosen(v_pipeline, array['dead', 'parked'], dlq_discard.ids, dlq_discard.key, dlq_discard.error_class,
      dlq_discard.error_code, dlq_discard.matching, dlq_discard.everything) c;
  return query
    select d.message_id, 'discard'::text, tide._key_shown(d.ordering_key), d.error_code, d.error, d.attempts
      from tide.dead_letter d where d.dead_letter_id = any (v_chosen) order by d.message_id;
  if not coalesce(dlq_discard.dry_run, false) then
    update tide.dead_letter d
       set state = 'discarded', reason = dlq_discard.reason, changed_at = clock_timestamp(), changed_by = session_user
     where d.dead_letter_id = any (v_chosen);
    perform tide._dead_letters_advance(v_pipeline.pipeline_id, v_keys);
  end if;
end $$;
comment on function tide.dlq_discard(text, bigint[], text, text, text, text, jsonpath, boolean, boolean) is
  'Gives dead letters up, for a reason that is kept; messages that were parked behind them are sent. dry_run: nothing is done';

create function tide._key_shown(ordering_key bytea) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return convert_from(_key_shown.ordering_key, 'UTF8');
exception when character_not_in_repertoire or untranslatable_character then
  return _key_shown.ordering_key::text;
end $$;
comment on function tide._key_shown(bytea) is 'An ordering key as text; as \x... where it is none';

create function tide.dlq_retention_run() returns table (pipeline text, removed bigint)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
  return query
  with gone as (
    delete from tide.dead_letter d using tide.pipeline p
     where p.pipeline_id = d.pipeline_id and d.state in ('redriven', 'discarded')
       and d.changed_at < clock_timestamp() - coalesce((p.config #>> '{dlq,retention_days}')::integer, 14) * interval '1 day'
    returning p.name)
  select g.name, count(*) from gone g group by g.name order by g.name;
end $$;
comment on function tide.dlq_retention_run() is
  'Removes dead letters that were redriven or discarded longer than dlq.retention_days ago; those that wait for a decision stay. Relays call it';

create view tide.dead_letters as
  select p.name as pipeline, d.message_id, d.created_at, d.state, tide._key_shown(d.ordering_key) as ordering_key, d.parks,
         d.error_class, d.error_code, d.error, d.attempts, d.topic, d.op, d.key, d.dedup_key, d.payload, d.old_payload, d.headers,
         d.version, d.died_at, d.changed_at, d.changed_by, d.reason
    from tide.dead_letter d join tide.pipeline p on p.pipeline_id = d.pipeline_id;
comment on view tide.dead_letters is
  'Messages that could not be delivered (dead), that wait behind one of their key (parked), that are being sent again (redriving), or were (redriven), or were given up (discarded)';

create view tide.dead_letter_counts as
  select p.name as pipeline, d.state, d.error_class, d.error_code, count(*) as messages, count(distinct d.ordering_key) as keys,
         min(d.died_at) as oldest_at
    from tide.dead_letter d join tide.pipeline p on p.pipeline_id = d.pipeline_id
   where d.state in ('dead', 'parked', 'redriving')
   group by p.name, d.state, d.error_class, d.error_code;
comment on view tide.dead_letter_counts is 'How many dead letters wait, by pipeline, state and error; for monitoring, without payloads';
