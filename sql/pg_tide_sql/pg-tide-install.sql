-- pg-tide 0.1.0: installs or upgrades the schema tide, version 1. GENERATED: do not edit.
--   psql -X -f pg-tide-install.sql "postgresql://owner@host/database"
-- One transaction: it does all, or nothing. Where the schema has this version already, it changes nothing.
-- Needs a role that may create schemas in the database; roles are made where it has CREATEROLE, too.
-- The command pg-tide install does the same.

\set pg_tide_stop :ON_ERROR_STOP
\set pg_tide_quiet :QUIET
\set pg_tide_encoding :ENCODING
\set ON_ERROR_STOP on
\set QUIET on
\encoding UTF8

begin isolation level read committed read write;

select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true),
       pg_catalog.set_config('standard_conforming_strings', 'on', true),
       pg_catalog.set_config('check_function_bodies', 'on', true),
       pg_catalog.set_config('client_min_messages', 'notice', true),
       pg_catalog.set_config('statement_timeout', '0', true),
       pg_catalog.set_config('idle_in_transaction_session_timeout', '0', true),
       pg_catalog.set_config('lock_timeout', '60s', true),
       pg_catalog.set_config('tide.program_version', 1::text, true) \gset pg_tide_
select pg_catalog.pg_advisory_xact_lock(8099492432856769792) \gset pg_tide_
select pg_catalog.set_config('lock_timeout', '5s', true) \gset pg_tide_
do $check$
declare
  v_program   integer := current_setting('tide.program_version')::integer;
  v_installed integer;
  v_release   text;
  v_owner     name;
begin
  if current_setting('server_version_num')::integer < 140000 then
    raise exception using
      errcode = 'feature_not_supported',
      message = format('this is PostgreSQL %s: pg-tide needs version 14 or newer', current_setting('server_version')),
      hint = 'Upgrade the server, or choose another one.';
  end if;
  select r.rolname into v_owner
    from pg_namespace n join pg_roles r on r.oid = n.nspowner
   where n.nspname = 'tide';
  if not found then
    if not has_database_privilege(current_database(), 'create') then
      raise exception using
        errcode = 'insufficient_privilege',
        message = format('role %I may not create a schema in database %I', current_user, current_database()),
        hint = format('As the owner of the database: grant create on database %I to %I;', current_database(), current_user);
    end if;
    perform set_config('tide.installed_version', '0', true);
    return;
  end if;
  if not exists (
    select from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = 'tide' and c.relname = 'schema_version'
  ) then
    raise exception using
      errcode = 'TD051',
      message = 'a schema tide exists in this database, but pg-tide did not make it',
      hint = 'Rename it (alter schema tide rename to ...) or use another database.';
  end if;
  if not pg_has_role(current_user, v_owner, 'usage') then
    raise exception using
      errcode = 'insufficient_privilege',
      message = format('schema tide belongs to %I: role %I may not change it', v_owner, current_user),
      hint = format('Connect as %I.', v_owner);
  end if;
  execute 'select version, release from tide.schema_version order by version desc limit 1'
    into v_installed, v_release;
  if v_installed is null then
    raise exception using
      errcode = 'TD051',
      message = 'table tide.schema_version is empty: the version of the schema tide is not known',
      hint = 'Restore its rows from a backup of this database.';
  end if;
  if v_installed > v_program then
    raise exception using
      errcode = 'TD050',
      message = format('schema tide has version %s (release %s), newer than version %s of this program',
                       v_installed, v_release, v_program),
      hint = format('Use release %s of pg-tide or a newer one.', v_release);
  end if;
  perform set_config('tide.installed_version', v_installed::text, true);
end
$check$;
select current_setting('tide.installed_version')::integer as installed \gset pg_tide_
select :pg_tide_installed = 0 as fresh, :pg_tide_installed = 1 as current \gset pg_tide_

\if :pg_tide_fresh

-- ---- 0100_schema.sql ----
-- The schema and its tables: what pg-tide stores, and nothing that runs.
-- Messages are append-only; the one row that the relay updates per settle is tide.cursor's.
-- The ring of an outbox: tide.message -> tide.message_<outbox id> -> tide.message_<outbox id>_<slot>.
-- Nothing here is granted to PUBLIC; 0900_privileges.sql is the only place that grants.
-- Lock order: tide.outbox, tide.row_schema, tide.consumer_group, tide.cursor, tide.pipeline, tide.dead_letter, tide.replay_request, message tables.

create schema tide;
comment on schema tide is 'pg-tide: transactional outboxes, and the pipelines that deliver them to Kafka';

create table tide.schema_version (
  version      integer     not null,
  release      text        not null,
  installed_at timestamptz not null default clock_timestamp(),
  installed_by text        not null default session_user,
  constraint schema_version_pk primary key (version)
);
comment on table tide.schema_version is 'One row for each version of this schema that was installed here; the highest one is in force';
comment on column tide.schema_version.version is 'Number of the schema version, counting up';
comment on column tide.schema_version.release is 'The pg-tide release that brought the version';
comment on column tide.schema_version.installed_at is 'When it was installed';
comment on column tide.schema_version.installed_by is 'The session user who installed it';

create table tide.installation (
  installation smallint    not null default 1,
  name         text        not null,
  set_at       timestamptz not null default clock_timestamp(),
  set_by       text        not null default session_user,
  constraint installation_pk primary key (installation),
  constraint installation_one check (installation = 1),
  constraint installation_name_length check (octet_length(name) between 1 and 255)
);
comment on table tide.installation is 'The name that relays must have been given to work on this database; no row: any relay may';
comment on column tide.installation.installation is 'Always 1: there is one name at most';
comment on column tide.installation.name is 'The name; a clone of the storage has it too, until somebody gives it another one';
comment on column tide.installation.set_at is 'When it was set';
comment on column tide.installation.set_by is 'The session user who set it';

create sequence tide.message_id as bigint cache 1 no cycle;
comment on sequence tide.message_id is 'Ids of all messages of all outboxes; never starts again, so an id is used once in the life of a database';

create table tide.outbox (
  outbox_id          integer     generated always as identity,
  name               text        not null,
  enabled            boolean     not null default true,
  retention_hours    integer     not null,
  max_payload_bytes  integer     not null,
  drop_without_group boolean     not null,
  contract           jsonb,
  slots              smallint    not null,
  rotations          smallint    not null,
  slot               smallint    not null default 0,
  slot_since         timestamptz not null default clock_timestamp(),
  row_schemas        integer     not null default 0,
  created_at         timestamptz not null default clock_timestamp(),
  created_by         text        not null default session_user,
  constraint outbox_pk primary key (outbox_id),
  constraint outbox_name_unique unique (name),
  constraint outbox_name_length check (octet_length(name) between 1 and 255),
  constraint outbox_retention_positive check (retention_hours between 1 and 87600),
  constraint outbox_max_payload_range check (max_payload_bytes between 1 and 100000000),
  constraint outbox_slots_range check (slots between 3 and 1000),
  constraint outbox_rotations_range check (rotations between 1 and slots - 2)
);
comment on sequence tide.outbox_outbox_id_seq is 'Numbers of outboxes';
comment on table tide.outbox is 'An outbox: a named, append-only stream of messages, stored in a ring of slots';
comment on column tide.outbox.outbox_id is 'Number of the outbox; names its tables';
comment on column tide.outbox.name is 'Name used by publishers and pipelines; any text of 1 to 255 bytes';
comment on column tide.outbox.contract is 'JSON Schema that payloads must meet when they are published; null: any payload';
comment on column tide.outbox.enabled is 'False: tide.outbox_publish refuses';
comment on column tide.outbox.retention_hours is 'Delivered messages older than this many hours may be dropped';
comment on column tide.outbox.max_payload_bytes is 'Largest payload in bytes of its text that a publisher may send';
comment on column tide.outbox.drop_without_group is 'Whether retention may drop messages while the outbox has no consumer group at all';
comment on column tide.outbox.slots is 'Number of slots in the ring; grows when a slot cannot be emptied, never shrinks';
comment on column tide.outbox.rotations is 'How often within the retention new messages go to another slot: the slots it was created with, less 2. A grown ring does not turn faster';
comment on column tide.outbox.slot is 'The slot that new messages go to';
comment on column tide.outbox.slot_since is 'Since when new messages go to it';
comment on column tide.outbox.row_schemas is 'How many row schemas were stored for it, dropped ones too: the version of the newest';
comment on column tide.outbox.created_at is 'When the outbox was created';
comment on column tide.outbox.created_by is 'The session user who created it';

create table tide.slot (
  outbox_id  integer  not null,
  slot       smallint not null,
  closed_at  timestamptz,
  emptied_at timestamptz,
  dropped_to bigint,
  constraint slot_pk primary key (outbox_id, slot),
  constraint slot_outbox_fk foreign key (outbox_id) references tide.outbox (outbox_id) on delete cascade
);
comment on table tide.slot is 'One slot of an outbox''s ring';
comment on column tide.slot.outbox_id is 'The outbox';
comment on column tide.slot.slot is 'Number of the slot in the ring';
comment on column tide.slot.closed_at is 'When new messages stopped going to it; null while it is open or empty';
comment on column tide.slot.emptied_at is 'When retention emptied it last';
comment on column tide.slot.dropped_to is 'Largest id that retention dropped from it: a replay can begin behind it only';

create table tide.message (
  id          bigint      not null default nextval('tide.message_id'),
  xid         xid8        not null default pg_current_xact_id(),
  outbox_id   integer     not null,
  slot        smallint    not null,
  op          text        not null,
  key         text,
  dedup_key   text,
  payload     text,
  old_payload text,
  headers     text,
  created_at  timestamptz not null default clock_timestamp()
) partition by list (outbox_id);
comment on table tide.message is 'All messages. For publishing and for reading by hand; the relay reads an outbox''s own table, tide.message_<outbox id>';
comment on column tide.message.id is 'Id of the message; larger ids were published later where publishers wait for each other';
comment on column tide.message.xid is 'Top-level transaction that published it; snapshots tell from it whether the message is visible';
comment on column tide.message.outbox_id is 'The outbox';
comment on column tide.message.slot is 'The slot of the ring it lies in';
comment on column tide.message.op is 'insert, update or delete';
comment on column tide.message.key is 'What orders it: messages of one key are delivered in id order';
comment on column tide.message.dedup_key is 'Names the event for consumers; the record key when there is no key';
comment on column tide.message.payload is 'The payload as jsonb renders it; null only for a delete';
comment on column tide.message.old_payload is 'The payload before an update or delete, as jsonb renders it';
comment on column tide.message.headers is 'The message''s own headers: a JSON object of strings';
comment on column tide.message.created_at is 'Wall clock of the publish call; with the id it identifies the message for ever';

create table tide.row_schema (
  outbox_id  integer     not null,
  version    integer     not null,
  columns    jsonb       not null,
  origin     text        not null,
  comment    text,
  created_at timestamptz not null default clock_timestamp(),
  created_by text        not null default session_user,
  constraint row_schema_pk primary key (outbox_id, version),
  constraint row_schema_outbox_fk foreign key (outbox_id) references tide.outbox (outbox_id) on delete cascade,
  constraint row_schema_version_positive check (version > 0),
  constraint row_schema_origin_known check (origin in ('declared', 'inferred', 'table'))
);
comment on table tide.row_schema is 'A row schema: the columns of an outbox''s payloads and their types; a version never changes';
comment on column tide.row_schema.outbox_id is 'The outbox';
comment on column tide.row_schema.version is 'Number of the version, counting from 1 for each outbox; never used again';
comment on column tide.row_schema.columns is 'The columns in order: a list of {"name": ..., "type": ...}';
comment on column tide.row_schema.origin is 'Where the columns came from: declared, inferred (from messages) or table (from the catalogue)';
comment on column tide.row_schema.comment is 'What whoever stored it wanted to say';
comment on column tide.row_schema.created_at is 'When it was stored';
comment on column tide.row_schema.created_by is 'The session user who stored it';

create table tide.consumer_group (
  group_id   integer     generated always as identity,
  outbox_id  integer     not null,
  name       text        not null,
  uid        uuid        not null default gen_random_uuid(),
  created_at timestamptz not null default clock_timestamp(),
  created_by text        not null default session_user,
  constraint consumer_group_pk primary key (group_id),
  constraint consumer_group_name_unique unique (outbox_id, name),
  constraint consumer_group_name_length check (octet_length(name) between 1 and 255),
  constraint consumer_group_outbox_fk foreign key (outbox_id) references tide.outbox (outbox_id)
);
comment on sequence tide.consumer_group_group_id_seq is 'Numbers of consumer groups';
comment on table tide.consumer_group is 'A named cursor over one outbox; groups of one outbox each see every message';
comment on column tide.consumer_group.group_id is 'Number of the group';
comment on column tide.consumer_group.outbox_id is 'The outbox it reads';
comment on column tide.consumer_group.name is 'Name of the group, unique within the outbox';
comment on column tide.consumer_group.uid is 'Random name that is never used again: its transactional ids and positions in Kafka bear it';
comment on column tide.consumer_group.created_at is 'When it was created';
comment on column tide.consumer_group.created_by is 'The session user who created it';

-- No index but the primary key, and room on the page: every settle is a HOT update.
-- The stamp is the xid that wrote the row last. It differs from the row's physical xmin only after a
-- logical copy (dump and restore): then the snapshots below speak of another cluster's xids.
create table tide.cursor (
  group_id        integer     not null,
  shard           smallint    not null default 0,
  shards          smallint    not null default 1,
  prev            pg_snapshot not null,
  cur             pg_snapshot,
  first_id        bigint,
  last_id         bigint      not null default 0,
  window_token    uuid,
  replay_from     bigint,
  replay_last     bigint,
  generation      bigint      not null default 1,
  timeline        integer     not null,
  stamp           xid         not null,
  epoch           bigint      not null default 0,
  owner_token     uuid,
  owner           text,
  lease_until     timestamptz,
  takeover_ms     integer     not null default 0,
  taken_over_at   timestamptz,
  taken_over_from text,
  settled_at      timestamptz,
  passed_over     pg_snapshot,
  passed_below    bigint,
  known_tokens    uuid[]      default '{}',
  division        bigint      not null default 0,
  owner_division  bigint,
  barrier         pg_snapshot,
  constraint cursor_pk primary key (group_id, shard),
  constraint cursor_group_fk foreign key (group_id) references tide.consumer_group (group_id) on delete cascade,
  constraint cursor_shard_range check (shard >= 0 and shard < shards),
  constraint cursor_window_whole check ((cur is null) = (first_id is null)),
  constraint cursor_token_named check (case when cur is not null then window_token is not null else window_token is null or replay_last is not null end),
  constraint cursor_replay_whole check ((replay_from is null) = (replay_last is null)),
  constraint cursor_owner_whole check ((owner_token is null) = (lease_until is null)),
  constraint cursor_passed_whole check ((passed_over is null) = (passed_below is null))
) with (fillfactor = 25, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200);
comment on table tide.cursor is 'The position of a consumer group, and what guards it; see docs/decisions/0001-cursor.md';
comment on column tide.cursor.group_id is 'The consumer group';
comment on column tide.cursor.shard is 'Number of the shard, counting from 0';
comment on column tide.cursor.shards is 'How many shards the group has, each with a row of its own; the configuration may want another number';
comment on column tide.cursor.prev is 'Everything visible in this snapshot is settled';
comment on column tide.cursor.cur is 'End of the open window: its messages are visible here and not in prev; null: no window is open';
comment on column tide.cursor.first_id is 'Smallest id of the window''s messages that began after prev';
comment on column tide.cursor.last_id is 'The window''s messages up to this id are settled';
comment on column tide.cursor.window_token is 'Random name of the open window; of a replay pass, where delivery is exactly once';
comment on column tide.cursor.replay_from is 'A rewind''s target: messages from this id on that are visible in prev are sent again before the next window';
comment on column tide.cursor.replay_last is 'The replay pass is settled up to this id; null: no pass is under way';
comment on column tide.cursor.generation is 'Raised by rewind, skip and rebase: whoever remembers an older one must read the cursor again';
comment on column tide.cursor.timeline is 'WAL timeline of the last write; a changed one means a promoted server';
comment on column tide.cursor.stamp is 'The xid that wrote this row; another physical xmin means that the row was copied logically';
comment on column tide.cursor.epoch is 'Counts owners; every settle compares it';
comment on column tide.cursor.owner_token is 'Random token of the owning relay process; null: nobody owns it';
comment on column tide.cursor.owner is 'Id of the relay that owns it, or owned it last';
comment on column tide.cursor.lease_until is 'Until when the owner may drive the pipeline, on this server''s clock';
comment on column tide.cursor.takeover_ms is 'Milliseconds that a successor waits after the lease of an owner that did not sign off: its request timeout';
comment on column tide.cursor.taken_over_at is 'When the cursor was last taken from an owner that had not signed off';
comment on column tide.cursor.taken_over_from is 'That owner';
comment on column tide.cursor.settled_at is 'When a settle moved it last';
comment on column tide.cursor.passed_over is 'Where the group began at the end, or was moved there: what is visible in this snapshot may never have been sent; null: it began with the oldest message';
comment on column tide.cursor.known_tokens is 'Where delivery is exactly once: names of windows and passes that the newest position in Kafka may bear; null: any, after a rebase';
comment on column tide.cursor.passed_below is 'And only messages with ids below this: a rewind sends those from its target on';
comment on column tide.cursor.division is 'Counts the ways in which messages were divided among shards: raised when another number of shards, or another record key, is asked for';
comment on column tide.cursor.owner_division is 'The division under which the owner began; while one of an older division owns a shard, no relay begins to drive another';
comment on column tide.cursor.barrier is 'Where all shards stop, so that their number can change; null: it is not about to';

create table tide.pipeline (
  pipeline_id integer     generated always as identity,
  name        text        not null,
  outbox_id   integer     not null,
  group_id    integer     not null,
  config      jsonb       not null,
  row_schema  integer     generated always as (
    case jsonb_typeof(config #> '{wire_config,row_schema}') when 'number' then (config #> '{wire_config,row_schema}')::integer end) stored,
  version     bigint      not null default 1,
  enabled     boolean     not null default true,
  created_at  timestamptz not null default clock_timestamp(),
  created_by  text        not null default session_user,
  updated_at  timestamptz not null default clock_timestamp(),
  updated_by  text        not null default session_user,
  constraint pipeline_pk primary key (pipeline_id),
  constraint pipeline_name_unique unique (name),
  constraint pipeline_group_unique unique (group_id),
  constraint pipeline_name_length check (octet_length(name) between 1 and 255),
  constraint pipeline_outbox_fk foreign key (outbox_id) references tide.outbox (outbox_id),
  constraint pipeline_group_fk foreign key (group_id) references tide.consumer_group (group_id),
  constraint pipeline_row_schema_fk foreign key (outbox_id, row_schema) references tide.row_schema (outbox_id, version)
);
comment on sequence tide.pipeline_pipeline_id_seq is 'Numbers of pipelines';
comment on table tide.pipeline is 'A pipeline: outbox to sink, with its own configuration; it alone drives its consumer group';
comment on column tide.pipeline.pipeline_id is 'Number of the pipeline';
comment on column tide.pipeline.name is 'Name of the pipeline';
comment on column tide.pipeline.outbox_id is 'The outbox it reads; never changes';
comment on column tide.pipeline.group_id is 'The consumer group whose cursor it moves';
comment on column tide.pipeline.config is 'Configuration as it was given, references such as ${env:NAME} unresolved';
comment on column tide.pipeline.row_schema is 'Version of the stored row schema that the configuration names; null: none';
comment on column tide.pipeline.version is 'Raised by every change; relays pick up the new one within a second';
comment on column tide.pipeline.enabled is 'False: no relay runs it';
comment on column tide.pipeline.created_at is 'When it was created';
comment on column tide.pipeline.created_by is 'The session user who created it';
comment on column tide.pipeline.updated_at is 'When it changed last';
comment on column tide.pipeline.updated_by is 'The session user who changed it last';

create table tide.pipeline_change (
  change_id  bigint      generated always as identity,
  pipeline   text        not null,
  action     text        not null,
  version    bigint      not null,
  config     jsonb,
  changed_at timestamptz not null default clock_timestamp(),
  changed_by text        not null default session_user,
  acting_as  text        not null,
  constraint pipeline_change_pk primary key (change_id),
  constraint pipeline_change_action check (action in ('set', 'enable', 'disable', 'drop'))
);
comment on sequence tide.pipeline_change_change_id_seq is 'Numbers of changes of pipelines';
comment on table tide.pipeline_change is 'Who changed which pipeline, when, and to what';
comment on column tide.pipeline_change.change_id is 'Number of the change';
comment on column tide.pipeline_change.pipeline is 'Name of the pipeline; the pipeline itself may be gone';
comment on column tide.pipeline_change.action is 'set, enable, disable or drop';
comment on column tide.pipeline_change.version is 'The pipeline''s version after the change';
comment on column tide.pipeline_change.config is 'Configuration after the change';
comment on column tide.pipeline_change.changed_at is 'When';
comment on column tide.pipeline_change.changed_by is 'The session user';
comment on column tide.pipeline_change.acting_as is 'The role the session had taken on with SET ROLE, else the session user';

create table tide.pipeline_state (
  pipeline_id integer     not null,
  shard       smallint    not null default 0,
  state       text        not null,
  relay_id    text        not null,
  version     bigint      not null,
  error_class text,
  error_code  text,
  error       text,
  cure        text,
  message_id  bigint,
  attempts    integer,
  next_attempt_at timestamptz,
  throttled_ms integer,
  since       timestamptz not null default clock_timestamp(),
  constraint pipeline_state_pk primary key (pipeline_id, shard),
  constraint pipeline_state_pipeline_fk foreign key (pipeline_id) references tide.pipeline (pipeline_id) on delete cascade,
  constraint pipeline_state_known check (state in ('running', 'backing_off', 'error'))
);
comment on table tide.pipeline_state is 'What the owning relay last said of a shard of a pipeline';
comment on column tide.pipeline_state.pipeline_id is 'The pipeline';
comment on column tide.pipeline_state.shard is 'The shard';
comment on column tide.pipeline_state.state is 'running, backing_off or error';
comment on column tide.pipeline_state.relay_id is 'The relay that said so';
comment on column tide.pipeline_state.version is 'The version of the configuration that the relay runs';
comment on column tide.pipeline_state.error_class is 'Class of the error: message, destination, cluster_away, credentials, configuration, fatal_producer, fenced';
comment on column tide.pipeline_state.error_code is 'Code of the error: a Kafka error name or an SQLSTATE';
comment on column tide.pipeline_state.error is 'What happened, to which object';
comment on column tide.pipeline_state.cure is 'What to do about it';
comment on column tide.pipeline_state.message_id is 'The message that cannot be delivered';
comment on column tide.pipeline_state.attempts is 'Attempts that failed since the last progress; null: none, or the client tries without pauses';
comment on column tide.pipeline_state.next_attempt_at is 'When the next attempt is made';
comment on column tide.pipeline_state.throttled_ms is 'The longest that a quota of the cluster made the relay wait, of late; null: it does not';
comment on column tide.pipeline_state.since is 'Since when the pipeline is in this state';

create table tide.relay (
  relay_id   text        not null,
  token      uuid        not null,
  host       text        not null,
  pid        integer     not null,
  release    text        not null,
  started_at timestamptz not null default clock_timestamp(),
  seen_at    timestamptz not null default clock_timestamp(),
  ended_at   timestamptz,
  lease_ms   integer     not null default 10000,
  serves     integer[]   not null default '{}',
  constraint relay_pk primary key (relay_id)
) with (fillfactor = 50);
comment on table tide.relay is 'Relay processes that work, or worked, on this database';
comment on column tide.relay.relay_id is 'Id of the relay: --relay-id, else host name and process id';
comment on column tide.relay.token is 'Random token of the process';
comment on column tide.relay.host is 'Host name';
comment on column tide.relay.pid is 'Process id on that host';
comment on column tide.relay.release is 'Its pg-tide release';
comment on column tide.relay.started_at is 'When it started';
comment on column tide.relay.seen_at is 'When it was last seen alive';
comment on column tide.relay.ended_at is 'When it signed off; null: it runs, or it ended without a word';
comment on column tide.relay.lease_ms is 'Length of its leases; not seen for so long, and without a lease, it gets no share of the pipelines';
comment on column tide.relay.serves is 'Pipelines that it could drive: enabled, not excluded by its options, and their configuration can be used there';

create table tide.role_grant (
  kind text not null,
  role text not null,
  constraint role_grant_pk primary key (kind, role),
  constraint role_grant_kind check (kind in ('publisher', 'relay', 'admin', 'monitor'))
);
comment on table tide.role_grant is 'Roles that were given rights with tide.role_grant, for the record: what counts are the rights in the catalogue';
comment on column tide.role_grant.kind is 'publisher, relay, admin or monitor';
comment on column tide.role_grant.role is 'Name of the role';

-- ---- 0200_publish.sql ----
-- Publishing: tide.outbox_publish and tide.outbox_publish_batch, called by applications in their own transaction.
-- The calls run with the caller's rights and insert into a view; the view's trigger does the work with the owner's.
-- The view fills its column "caller" by a default that publishers cannot override, so the trigger knows on whose
-- behalf it works: inside SECURITY DEFINER, current_user is the owner (docs/decisions/0004-rights-of-publishers.md).
-- No lock that another publisher or a relay waits for, no NOTIFY; one read of tide.outbox, one insert.

create view tide._publication as
  select null::bigint as id, null::text as outbox, null::jsonb as payload, null::text as dedup_key, null::text as op,
         null::jsonb as old_payload, null::jsonb as headers, null::text as key, null::name as caller
   where false;
alter view tide._publication alter column caller set default current_user;
comment on view tide._publication is 'Always empty. What tide.outbox_publish inserts into; its trigger checks and stores the message';

create view tide._publication_batch as
  select null::bigint[] as ids, null::text as outbox, null::jsonb[] as payloads, null::text[] as dedup_keys, null::text[] as ops,
         null::jsonb[] as old_payloads, null::jsonb[] as headers, null::text[] as keys, null::name as caller
   where false;
alter view tide._publication_batch alter column caller set default current_user;
comment on view tide._publication_batch is 'Always empty. What tide.outbox_publish_batch inserts into; its trigger checks and stores the messages';

-- Raises what is wrong with a publish. Called only when something is; keeps the way of a good message short.
create function tide._publish_refuse(outbox text, caller name) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_near text;
  v_found tide.outbox;
begin
  if _publish_refuse.outbox is null then
    raise exception using errcode = 'TD006', message = 'the outbox to publish to is null',
      hint = 'Name the outbox: select tide.outbox_publish(''orders'', ...).';
  end if;
  select o.* into v_found from tide.outbox o where o.name = _publish_refuse.outbox;
  if not found then
    select tide._nearest(_publish_refuse.outbox, array_agg(o.name order by o.name)) into v_near from tide.outbox o;
    raise exception using errcode = 'TD001', message = format('outbox %L does not exist', _publish_refuse.outbox),
      hint = case when v_near is null then '' else format('Did you mean %L? ', v_near) end
        || format('Create it: select tide.outbox_create(%L);', _publish_refuse.outbox);
  end if;
  if not tide._may_publish(v_found.outbox_id, _publish_refuse.caller) then
    raise exception using errcode = 'TD010',
      message = format('role %I may not publish to outbox %L', _publish_refuse.caller, v_found.name),
      hint = format('Let an administrator run: select tide.outbox_grant(%L, %L);', v_found.name, _publish_refuse.caller);
  end if;
  if not v_found.enabled then
    raise exception using errcode = 'TD002', message = format('outbox %L is disabled', v_found.name),
      hint = format('Enable it: select tide.outbox_enable(%L);', v_found.name);
  end if;
end $$;
comment on function tide._publish_refuse(text, name) is 'Raises the reason why a publish by this caller to this outbox is refused, if there is one';

-- The right to publish is INSERT on the outbox's own table, column outbox_id: an ordinary entry of the catalogue's
-- ACL, so it follows role membership, survives a dump and goes with DROP OWNED. It does not suffice for an INSERT.
create function tide._may_publish(outbox_id integer, caller name) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return has_column_privilege(_may_publish.caller, 'tide.message_' || _may_publish.outbox_id, 'outbox_id', 'INSERT');
end $$;
comment on function tide._may_publish(integer, name) is 'Whether a role may publish to an outbox';

-- Joins the headers of the call with those of the session: tide.traceparent, tide.tracestate, tide.actor, tide.tenant.
-- A header given in the call wins. Returns null when there is none. Of a batch, place tells the element.
create function tide._publish_headers(headers jsonb, place bigint default null) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_session jsonb;
  v_name text;
  v_of text := coalesce(' of element ' || _publish_headers.place, '');
begin
  if _publish_headers.headers is not null then
    if jsonb_typeof(_publish_headers.headers) <> 'object' then
      raise exception using errcode = 'TD005',
        message = format('headers%s must be a JSON object of strings, not %s', v_of, jsonb_typeof(_publish_headers.headers)),
        hint = 'Pass an object: headers => ''{"source": "checkout"}''.';
    end if;
    select h.key into v_name from jsonb_each(_publish_headers.headers) h
     where jsonb_typeof(h.value) <> 'string' or h.key = '' or h.key like 'pg\_tide\_%' order by h.key limit 1;
    if found then
      raise exception using errcode = 'TD005',
        message = case when v_name = '' then format('a header name%s is empty', v_of)
          when v_name like 'pg\_tide\_%' then format('header name %L%s is reserved', v_name, v_of)
          else format('header %L%s is not a string but %s', v_name, v_of, jsonb_typeof(_publish_headers.headers -> v_name)) end,
        hint = 'Header values are strings, their names are not empty and do not begin with pg_tide_.';
    end if;
  end if;
  v_session := jsonb_strip_nulls(jsonb_build_object(
    'traceparent', nullif(current_setting('tide.traceparent', true), ''),
    'tracestate', nullif(current_setting('tide.tracestate', true), ''),
    'pg_tide_actor', nullif(current_setting('tide.actor', true), ''),
    'pg_tide_tenant', nullif(current_setting('tide.tenant', true), '')));
  return nullif(v_session || coalesce(_publish_headers.headers, '{}'), '{}');
end $$;
comment on function tide._publish_headers(jsonb, bigint) is 'The headers of a message: those of the call, then those of the session settings tide.traceparent, tide.tracestate, tide.actor and tide.tenant';

-- Stores one message. Locks: ROW EXCLUSIVE on the message tables on its way; nothing that anybody waits for.
create function tide._publication_insert() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_outbox tide.outbox;
  v_payload text := new.payload::text;
  v_old_payload text := new.old_payload::text;
  v_headers jsonb;
begin
  select o.* into v_outbox from tide.outbox o where o.name = new.outbox;
  if not found or not v_outbox.enabled
     or not has_column_privilege(new.caller, 'tide.message_' || v_outbox.outbox_id, 'outbox_id', 'INSERT') then
    perform tide._publish_refuse(new.outbox, new.caller);
  end if;
  if new.op is null or new.op not in ('insert', 'update', 'delete') then
    raise exception using errcode = case when new.op is null then 'TD006' else 'TD003' end,
      message = case when new.op is null then 'op is null' else format('op %L is not known', new.op) end,
      hint = 'op is ''insert'', ''update'' or ''delete''.';
  end if;
  if v_payload is null and new.op <> 'delete' then
    raise exception using errcode = 'TD006', message = format('the payload of an %s to outbox %L is null', new.op, new.outbox),
      hint = 'Only a delete may have no payload; for the JSON value null pass ''null''::jsonb.';
  end if;
  if greatest(octet_length(v_payload), octet_length(v_old_payload)) > v_outbox.max_payload_bytes then
    raise exception using errcode = 'TD004',
      message = format('a payload of %s bytes is above the limit of outbox %L, %s bytes',
        greatest(octet_length(v_payload), octet_length(v_old_payload)), new.outbox, v_outbox.max_payload_bytes),
      hint = format('Publish less, or raise the limit (and Kafka''s max.message.bytes): select tide.outbox_alter(%L, max_payload_bytes => ...);', new.outbox);
  end if;
  if v_outbox.contract is not null and new.payload is not null then
    perform tide._contract_refuse(v_outbox, new.payload);
  end if;
  if new.headers is not null or current_setting('tide.traceparent', true) <> '' or current_setting('tide.tracestate', true) <> ''
     or current_setting('tide.actor', true) <> '' or current_setting('tide.tenant', true) <> '' then
    v_headers := tide._publish_headers(new.headers);
  end if;
  -- What a relay can see must not be taken back by a crash of the server: see docs/decisions/0001-cursor.md.
  if current_setting('synchronous_commit') = 'off' then
    perform set_config('synchronous_commit', 'on', true);
  end if;
  insert into tide.message (outbox_id, slot, op, key, dedup_key, payload, old_payload, headers)
  values (v_outbox.outbox_id, v_outbox.slot, new.op, new.key, new.dedup_key, v_payload, v_old_payload, v_headers::text)
  returning id into new.id;
  return new;
end $$;
comment on function tide._publication_insert() is 'Trigger function: checks one message and stores it';

create trigger publication_insert instead of insert on tide._publication
  for each row execute function tide._publication_insert();
comment on trigger publication_insert on tide._publication is 'Checks one message and stores it';

-- What is wrong with the arrays of a batch; the element is named by its place, counting from 1.
create function tide._publish_batch_refuse(outbox text, max_payload_bytes integer, payloads jsonb[], old_payloads jsonb[], ops text[], others integer[])
returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_bad record;
begin
  if exists (select from unnest(_publish_batch_refuse.others) as n where n <> cardinality(_publish_batch_refuse.payloads)) then
    raise exception using errcode = 'TD006', message = 'the arrays of a batch are not equally long',
      hint = 'Pass arrays with one element for each payload, or leave them out.';
  end if;
  select e.place, e.op, e.payload is null as payload_is_null,
         greatest(octet_length(e.payload::text), octet_length(e.old_payload::text)) as bytes into v_bad
    from unnest(_publish_batch_refuse.payloads, _publish_batch_refuse.old_payloads, _publish_batch_refuse.ops)
         with ordinality as e (payload, old_payload, op, place)
   where e.op is null or e.op not in ('insert', 'update', 'delete') or (e.payload is null and e.op <> 'delete')
      or greatest(octet_length(e.payload::text), octet_length(e.old_payload::text)) > _publish_batch_refuse.max_payload_bytes
   order by e.place limit 1;
  if not found then
    return;
  end if;
  if v_bad.op is null or v_bad.op not in ('insert', 'update', 'delete') then
    raise exception using errcode = case when v_bad.op is null then 'TD006' else 'TD003' end,
      message = format('op %s of element %s is not known', coalesce(quote_literal(v_bad.op), 'null'), v_bad.place),
      hint = 'op is ''insert'', ''update'' or ''delete''.';
  elsif v_bad.payload_is_null and v_bad.op <> 'delete' then
    raise exception using errcode = 'TD006', message = format('the payload of element %s is null', v_bad.place),
      hint = 'Only a delete may have no payload; for the JSON value null pass ''null''::jsonb.';
  end if;
  raise exception using errcode = 'TD004',
    message = format('the payload of element %s has %s bytes, above the limit of outbox %L, %s bytes',
      v_bad.place, v_bad.bytes, _publish_batch_refuse.outbox, _publish_batch_refuse.max_payload_bytes),
    hint = format('Publish less, or raise the limit: select tide.outbox_alter(%L, max_payload_bytes => ...);', _publish_batch_refuse.outbox);
end $$;
comment on function tide._publish_batch_refuse(text, integer, jsonb[], jsonb[], text[], integer[]) is 'Raises what is wrong with the elements of a batch, if anything is';

-- Stores a batch with one INSERT; ids come in the order of the arrays. Locks as for one message.
create function tide._publication_batch_insert() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_outbox tide.outbox;
  v_count integer := coalesce(cardinality(new.payloads), 0);
  v_ops text[] := coalesce(new.ops, array_fill('insert'::text, array[v_count]));
begin
  select o.* into v_outbox from tide.outbox o where o.name = new.outbox;
  if not found or not v_outbox.enabled
     or not has_column_privilege(new.caller, 'tide.message_' || v_outbox.outbox_id, 'outbox_id', 'INSERT') then
    perform tide._publish_refuse(new.outbox, new.caller);
  end if;
  if new.payloads is null then
    raise exception using errcode = 'TD006', message = format('the payloads of a batch to outbox %L are null', new.outbox),
      hint = 'Pass an array of jsonb; an empty one publishes nothing.';
  end if;
  perform tide._publish_batch_refuse(new.outbox, v_outbox.max_payload_bytes, new.payloads, new.old_payloads, v_ops,
    array[cardinality(new.dedup_keys), cardinality(v_ops), cardinality(new.keys), cardinality(new.headers), cardinality(new.old_payloads)]);
  if v_outbox.contract is not null then
    perform tide._contract_refuse(v_outbox, e.payload, e.place)
       from unnest(new.payloads) with ordinality as e (payload, place) where e.payload is not null;
  end if;
  if current_setting('synchronous_commit') = 'off' then
    perform set_config('synchronous_commit', 'on', true);
  end if;
  with stored as (
    insert into tide.message (outbox_id, slot, op, key, dedup_key, payload, old_payload, headers)
    select v_outbox.outbox_id, v_outbox.slot, e.op, e.key, e.dedup_key, e.payload::text, e.old_payload::text,
           tide._publish_headers(e.header, e.place)::text
      from unnest(new.payloads, new.dedup_keys, v_ops, new.keys, new.headers, new.old_payloads)
           with ordinality as e (payload, dedup_key, op, key, header, old_payload, place)
     order by e.place
    returning id)
  select coalesce(array_agg(s.id order by s.id), '{}') into new.ids from stored s;
  return new;
end $$;
comment on function tide._publication_batch_insert() is 'Trigger function: checks a batch of messages and stores it';

create trigger publication_batch_insert instead of insert on tide._publication_batch
  for each row execute function tide._publication_batch_insert();
comment on trigger publication_batch_insert on tide._publication_batch is 'Checks a batch of messages and stores it';

create function tide.outbox_publish(
  outbox text, payload jsonb, dedup_key text default null, op text default 'insert',
  old_payload jsonb default null, headers jsonb default null, key text default null)
returns bigint language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  v_id bigint;
begin
  if current_setting('transaction_read_only') = 'on' then
    raise exception using errcode = 'TD007',
      message = format('cannot publish to outbox %L in a read-only transaction', outbox_publish.outbox),
      hint = 'Publish in a read-write transaction on the primary server.';
  end if;
  insert into tide._publication as p (outbox, payload, dedup_key, op, old_payload, headers, key)
  values (outbox_publish.outbox, outbox_publish.payload, outbox_publish.dedup_key, outbox_publish.op,
          outbox_publish.old_payload, outbox_publish.headers, outbox_publish.key)
  returning p.id into v_id;
  return v_id;
end $$;
comment on function tide.outbox_publish(text, jsonb, text, text, jsonb, jsonb, text) is
  'Publishes a message in the caller''s transaction and returns its id: delivered if the transaction commits, never seen if it rolls back. Order per key holds when it is called after the entity was locked';

create function tide.outbox_publish_batch(
  outbox text, payloads jsonb[], dedup_keys text[] default null, ops text[] default null,
  keys text[] default null, headers jsonb[] default null, old_payloads jsonb[] default null)
returns bigint[] language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  v_ids bigint[];
begin
  if current_setting('transaction_read_only') = 'on' then
    raise exception using errcode = 'TD007',
      message = format('cannot publish to outbox %L in a read-only transaction', outbox_publish_batch.outbox),
      hint = 'Publish in a read-write transaction on the primary server.';
  end if;
  insert into tide._publication_batch as p (outbox, payloads, dedup_keys, ops, keys, headers, old_payloads)
  values (outbox_publish_batch.outbox, outbox_publish_batch.payloads, outbox_publish_batch.dedup_keys, outbox_publish_batch.ops,
          outbox_publish_batch.keys, outbox_publish_batch.headers, outbox_publish_batch.old_payloads)
  returning p.ids into v_ids;
  return v_ids;
end $$;
comment on function tide.outbox_publish_batch(text, jsonb[], text[], text[], text[], jsonb[], jsonb[]) is
  'Publishes many messages with one INSERT in the caller''s transaction and returns their ids in the order of the arrays';

-- ---- 0205_contract.sql ----
-- Contracts: what the payloads of an outbox must look like, as a subset of JSON Schema, checked while publishing.
-- A payload that breaks its outbox's contract never becomes a message: the publishing transaction gets the error.
-- tide._contract_check is asked when a contract is set, tide._contract_faults for every payload. Both work through a
-- list instead of calling themselves, because entering a function costs more than checking a value.
-- Locks: none.

-- The keywords, and what the value of each must be.
create function tide._contract_keyword_kind(keyword text) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select case _contract_keyword_kind.keyword
    when 'type' then 'type' when 'required' then 'strings' when 'properties' then 'schemas'
    when 'additionalProperties' then 'schema' when 'items' then 'schema' when 'anyOf' then 'schema list'
    when 'enum' then 'list' when 'const' then 'any' when 'pattern' then 'pattern'
    when 'minimum' then 'number' when 'maximum' then 'number'
    when 'minLength' then 'count' when 'maxLength' then 'count' when 'minItems' then 'count' when 'maxItems' then 'count'
  end
$$;
comment on function tide._contract_keyword_kind(text) is 'What the value of a contract''s keyword must be; null: no keyword of a contract';

create function tide._contract_is_regex(pattern text) returns boolean
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  perform '' ~ _contract_is_regex.pattern;
  return true;
exception when invalid_regular_expression then
  return false;
end $$;
comment on function tide._contract_is_regex(text) is 'Whether PostgreSQL can compile a regular expression';

-- What is wrong with the value of one keyword, null when nothing is.
create function tide._contract_keyword_fault(keyword text, value jsonb) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_kind text := tide._contract_keyword_kind(_contract_keyword_fault.keyword);
  v_is text := jsonb_typeof(_contract_keyword_fault.value);
  v_types constant jsonb := jsonb '["null", "boolean", "object", "array", "number", "string", "integer"]';
begin
  return case
    when v_kind is null then 'is no keyword of a contract; known are type, required, properties, additionalProperties, items, enum, const, '
      || 'minimum, maximum, minLength, maxLength, pattern, minItems, maxItems and anyOf'
    when v_kind = 'type' and not (case v_is when 'array' then value <@ v_types and value <> '[]' else v_types @> value and v_is = 'string' end)
      then 'must be null, boolean, object, array, number, string or integer, or a list of these'
    when v_kind = 'strings' and (v_is <> 'array' or jsonb_path_exists(value, 'strict $[*] ? (@.type() != "string")')) then 'must be a list of strings'
    when v_kind = 'schemas' and v_is <> 'object' then 'must be an object of schemas'
    when v_kind = 'schema' and v_is not in ('object', 'boolean') then 'must be a schema: an object, true or false'
    when v_kind in ('schema list', 'list') and (v_is <> 'array' or value = '[]') then 'must be a list that is not empty'
    when v_kind = 'number' and v_is <> 'number' then 'must be a number'
    when v_kind = 'count' and (v_is <> 'number' or value::text::numeric < 0 or value::text::numeric % 1 <> 0) then 'must be a whole number from 0 on'
    when v_kind = 'pattern' and v_is <> 'string' then 'must be a regular expression'
    when v_kind = 'pattern' and not tide._contract_is_regex(value #>> '{}') then 'is no regular expression that PostgreSQL understands'
  end;
end $$;
comment on function tide._contract_keyword_fault(text, jsonb) is 'What is wrong with one keyword of a contract, null when nothing is';

create function tide._contract_path(parent text, key text) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select case when _contract_path.key ~ '^[A-Za-z_][A-Za-z0-9_]*$' then _contract_path.parent || '.' || _contract_path.key
    else _contract_path.parent || '[' || to_json(_contract_path.key)::text || ']' end
$$;
comment on function tide._contract_path(text, text) is 'JSON path of an object''s member';

-- Refuses what is no contract, so that no publisher ever meets it.
create function tide._contract_check(outbox text, contract jsonb) returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_schemas jsonb[] := array[_contract_check.contract];
  v_paths text[] := array['$'];
  v_next integer := 1;
  v_schema jsonb;
  v_path text;
  v_keyword record;
  v_fault text := case when jsonb_typeof(_contract_check.contract) <> 'object' then 'must be an object' end;
begin
  while v_fault is null and v_next <= cardinality(v_schemas) loop
    v_schema := v_schemas[v_next];
    v_path := v_paths[v_next];
    v_next := v_next + 1;
    if jsonb_typeof(v_schema) = 'boolean' then
      continue;
    elsif jsonb_typeof(v_schema) <> 'object' then
      v_fault := 'must be a schema: an object, true or false';
      exit;
    end if;
    for v_keyword in select k.key, k.value from jsonb_each(v_schema) k order by k.key loop
      v_fault := tide._contract_keyword_fault(v_keyword.key, v_keyword.value);
      if v_fault is not null then
        v_path := tide._contract_path(v_path, v_keyword.key);
        exit;
      end if;
      case tide._contract_keyword_kind(v_keyword.key)
        when 'schema' then
          v_schemas := v_schemas || v_keyword.value;
          v_paths := v_paths || tide._contract_path(v_path, v_keyword.key);
        when 'schemas' then
          v_paths := v_paths || array(select tide._contract_path(tide._contract_path(v_path, v_keyword.key), p.key) from jsonb_each(v_keyword.value) p order by p.key);
          v_schemas := v_schemas || array(select p.value from jsonb_each(v_keyword.value) p order by p.key);
        when 'schema list' then
          v_paths := v_paths || array(select format('%s[%s]', tide._contract_path(v_path, v_keyword.key), e.place - 1)
            from jsonb_array_elements(v_keyword.value) with ordinality as e (schema, place) order by e.place);
          v_schemas := v_schemas || array(select e.schema from jsonb_array_elements(v_keyword.value) with ordinality as e (schema, place) order by e.place);
        else null;
      end case;
    end loop;
  end loop;
  if v_fault is not null then
    raise exception using errcode = 'TD020',
      message = format('the contract%s is not valid: %s %s', coalesce(' of outbox ' || quote_literal(_contract_check.outbox), ''), coalesce(v_path, '$'), v_fault),
      hint = 'A contract is a JSON Schema of these keywords alone; see docs/contracts.md.';
  end if;
end $$;
comment on function tide._contract_check(text, jsonb) is 'Raises TD020 when a contract is not valid, with the path of the keyword';

-- What is wrong with one value under one schema, without its members; null when nothing is.
create function tide._contract_value_fault(schema jsonb, value jsonb) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_kind text := jsonb_typeof(value);
  v_text text;
  v_type jsonb := schema -> 'type';
begin
  if v_type is not null then
    v_type := case jsonb_typeof(v_type) when 'array' then v_type else jsonb_build_array(v_type) end;
    if not (v_type ? v_kind or (v_kind = 'number' and v_type ? 'integer' and value::numeric % 1 = 0)) then
      return format('must be %s, not %s', (select string_agg(t.name, ' or ' order by t.place) from jsonb_array_elements_text(v_type)
        with ordinality as t (name, place)), v_kind);
    end if;
  end if;
  if schema ? 'const' and schema -> 'const' <> value then
    return format('must be %s', schema ->> 'const');
  elsif schema ? 'enum' and not exists (select from jsonb_array_elements(schema -> 'enum') as e (value) where e.value = _contract_value_fault.value) then
    return format('must be one of %s', left(schema ->> 'enum', 200));
  end if;
  if v_kind = 'number' then
    return case when value::numeric < (schema -> 'minimum')::numeric then format('must be at least %s', schema ->> 'minimum')
      when value::numeric > (schema -> 'maximum')::numeric then format('must be at most %s', schema ->> 'maximum') end;
  elsif v_kind = 'string' then
    v_text := value #>> '{}';
    return case when length(v_text) < (schema -> 'minLength')::numeric then format('must have at least %s characters', schema ->> 'minLength')
      when length(v_text) > (schema -> 'maxLength')::numeric then format('must have at most %s characters', schema ->> 'maxLength')
      when v_text !~ (schema ->> 'pattern') then format('must match %s', schema ->> 'pattern') end;
  elsif v_kind = 'array' then
    return case when jsonb_array_length(value) < (schema -> 'minItems')::numeric then format('must have at least %s items', schema ->> 'minItems')
      when jsonb_array_length(value) > (schema -> 'maxItems')::numeric then format('must have at most %s items', schema ->> 'maxItems') end;
  elsif v_kind = 'object' and schema ? 'required' then
    return (select 'lacks ' || string_agg(to_json(r.name)::text, ', ' order by r.place)
              from jsonb_array_elements_text(schema -> 'required') with ordinality as r (name, place) where not value ? r.name);
  end if;
  return null;
end $$;
comment on function tide._contract_value_fault(jsonb, jsonb) is 'What is wrong with one value under one schema, without its members; null when nothing is';

-- Everything that is wrong with a document; a member of an "anyOf" is asked by a call of its own.
create function tide._contract_faults(contract jsonb, document jsonb, root text default '$') returns table (path text, fault text)
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_schemas jsonb[] := array[_contract_faults.contract];
  v_values jsonb[] := array[_contract_faults.document];
  v_paths text[] := array[_contract_faults.root];
  v_next integer := 1;
  v_schema jsonb;
  v_value jsonb;
  v_member record;
begin
  while v_next <= cardinality(v_schemas) loop
    v_schema := v_schemas[v_next];
    v_value := v_values[v_next];
    path := v_paths[v_next];
    v_next := v_next + 1;
    if v_schema in ('true', '{}') then
      continue;
    end if;
    fault := case when v_schema = 'false' then 'is not allowed' else tide._contract_value_fault(v_schema, v_value) end;
    if fault is null and v_schema ? 'anyOf' and not exists (
         select from jsonb_array_elements(v_schema -> 'anyOf') as a (schema)
          where not exists (select from tide._contract_faults(a.schema, v_value, path))) then
      fault := 'is none of what "anyOf" allows';
    end if;
    if fault is not null then
      return next;
    end if;
    if v_schema ? 'items' and jsonb_typeof(v_value) = 'array' then
      for v_member in select e.value, e.place from jsonb_array_elements(v_value) with ordinality as e (value, place) loop
        v_schemas := v_schemas || (v_schema -> 'items');
        v_values := v_values || v_member.value;
        v_paths := v_paths || format('%s[%s]', path, v_member.place - 1);
      end loop;
    elsif jsonb_typeof(v_value) = 'object' and (v_schema ? 'properties' or v_schema ? 'additionalProperties') then
      for v_member in
        select m.key, m.value, coalesce(v_schema -> 'properties' -> m.key, v_schema -> 'additionalProperties') as schema
          from jsonb_each(v_value) m order by m.key
      loop
        if v_member.schema is not null then
          v_schemas := v_schemas || v_member.schema;
          v_values := v_values || v_member.value;
          v_paths := v_paths || tide._contract_path(path, v_member.key);
        end if;
      end loop;
    end if;
  end loop;
end $$;
comment on function tide._contract_faults(jsonb, jsonb, text) is 'Everything that is wrong with a document under a contract, with the JSON path of each fault';

create function tide._contract_refuse(outbox tide.outbox, payload jsonb, place bigint default null) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_faults text[] := array(select format('%s %s', f.path, f.fault) from tide._contract_faults((_contract_refuse.outbox).contract, _contract_refuse.payload) f);
begin
  if cardinality(v_faults) > 0 then
    raise exception using errcode = 'TD012',
      message = format('a payload%s breaks the contract of outbox %L: %s', coalesce(' (element ' || _contract_refuse.place || ')', ''),
        (_contract_refuse.outbox).name, v_faults[1]),
      detail = array_to_string(v_faults[1:20], E'\n'),
      hint = format('The contract: select contract from tide.outboxes where outbox = %L;', (_contract_refuse.outbox).name);
  end if;
end $$;
comment on function tide._contract_refuse(tide.outbox, jsonb, bigint) is 'Raises TD012 when a payload breaks its outbox''s contract, with the JSON path of each fault';

-- For administrators: would these payloads have met that contract?
create function tide.contract_faults(contract jsonb, payload jsonb) returns table (path text, fault text)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform tide._contract_check(null, contract_faults.contract);
  return query select f.path, f.fault from tide._contract_faults(contract_faults.contract, contract_faults.payload) f;
end $$;
comment on function tide.contract_faults(jsonb, jsonb) is 'What is wrong with a payload under a contract, with the JSON path of each fault; no row: nothing. TD020 when it is no contract';

-- ---- 0210_outbox.sql ----
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

-- ---- 0215_row_schema.sql ----
-- Row schemas: the columns of an outbox's payloads and their types, for formats that have to name types.
-- Declared, taken from a table, or proposed from messages by an explicit call; stored with a version that never changes.
-- A pipeline names a version in its configuration (wire_config.row_schema); relays get the columns in its place.
-- Publishing knows nothing of row schemas: what does not fit is found by the relay, message by message.
-- Locks: storing one takes the outbox's row (FOR NO KEY UPDATE), which no publisher waits for; proposing one reads the
-- outbox's own table like a page does.

-- The name of a type as row schemas have it, null when they know none of that name. The text is parsed as the name of a
-- type by to_regtype and never run; before that it may hold nothing but words and one pair of modifiers.
create function tide._row_schema_type(type text) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_element text := regexp_replace(btrim(_row_schema_type.type), '\s*\[\s*\]$', '');
  v_suffix text := case when v_element <> btrim(_row_schema_type.type) then '[]' else '' end;
  v_mods cstring[];
  v_oid oid;
  v_name text;
begin
  if lower(v_element) in ('citext', 'ltree') then -- an extension's, wherever it is installed
    return lower(v_element) || v_suffix;
  elsif v_element !~ '^[A-Za-z][A-Za-z0-9_ ]*(\( *\d{1,4} *(, *\d{1,4} *)?\)[A-Za-z ]*)?$' then
    return null;
  elsif v_element ~* '^bpchar *$' then -- character without a limit
    return 'text' || v_suffix;
  elsif v_element ~* '^(time|interval).*\( *([7-9]|\d\d)' then -- PostgreSQL would cut such a modifier down to 6 with a warning
    return null;
  end if;
  begin
    v_oid := to_regtype(v_element);
    v_mods := string_to_array(replace(substring(v_element from '\((.*)\)'), ' ', ''), ',')::cstring[];
    if v_oid = 'character'::regtype and v_mods is null then
      v_mods := '{1}';
    end if;
    v_name := format_type(v_oid, case when v_mods is null then null else case v_oid
      when 'numeric'::regtype then numerictypmodin(v_mods)
      when 'character varying'::regtype then varchartypmodin(v_mods)
      when 'character'::regtype then bpchartypmodin(v_mods)
      when 'time'::regtype then timetypmodin(v_mods)
      when 'timetz'::regtype then timetztypmodin(v_mods)
      when 'timestamp'::regtype then timestamptypmodin(v_mods)
      when 'timestamptz'::regtype then timestamptztypmodin(v_mods)
    end end);
  exception when syntax_error_or_access_rule_violation or data_exception then
    return null; -- no name of a type, or a modifier that the type does not take
  end;
  if v_oid is null or v_oid <> all (array['boolean', 'smallint', 'integer', 'bigint', 'real', 'double precision', 'numeric', 'text',
      'character varying', 'character', 'name', 'uuid', 'json', 'jsonb', 'xml', 'bytea', 'date', 'time', 'timetz', 'timestamp', 'timestamptz',
      'interval', 'inet', 'cidr', 'macaddr', 'macaddr8', 'oid', 'tsvector', 'int4range', 'int8range', 'numrange', 'daterange', 'tsrange',
      'tstzrange']::regtype[]) then
    return null;
  end if;
  v_name := replace(replace(replace(v_name, 'character varying', 'varchar'), 'character', 'char'), ' without time zone', '');
  return regexp_replace(v_name, '^(time|timestamp)(\(\d\))? with time zone$', '\1tz\2') || v_suffix;
end $$;
comment on function tide._row_schema_type(text) is 'A type''s name as row schemas have it (int8 is bigint), null when they do not know it';

create function tide._row_schema_types() returns text[]
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select array['boolean', 'smallint', 'integer', 'bigint', 'real', 'double precision', 'numeric', 'text', 'varchar', 'char', 'citext', 'name',
    'uuid', 'json', 'jsonb', 'xml', 'bytea', 'date', 'time', 'timetz', 'timestamp', 'timestamptz', 'interval', 'inet', 'cidr', 'macaddr', 'macaddr8',
    'oid', 'ltree', 'tsvector', 'int4range', 'int8range', 'numrange', 'daterange', 'tsrange', 'tstzrange']
$$;
comment on function tide._row_schema_types() is 'Names of the types of row schemas, without modifiers';

create function tide._row_schema_faults(columns jsonb) returns setof text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  if jsonb_typeof(_row_schema_faults.columns) <> 'array' or _row_schema_faults.columns = '[]' then
    return next 'it must be a list of columns that is not empty';
    return;
  end if;
  return query
    select format('[%s]%s', i.place - 1, f.fault)
      from (
        select e.value, e.place, row_number() over (partition by e.value -> 'name' order by e.place) > 1 as is_again,
               coalesce(jsonb_typeof(e.value) = 'object' and jsonb_typeof(e.value -> 'name') = 'string' and jsonb_typeof(e.value -> 'type') = 'string'
                 and e.value ->> 'name' <> '', false) as is_whole
          from jsonb_array_elements(_row_schema_faults.columns) with ordinality as e (value, place)
      ) i
     cross join lateral (
       select ' must be an object of two strings that are not empty, "name" and "type"' as fault where not i.is_whole
       union all
       select format(' has the unknown key %s', to_json(k.key)) from jsonb_object_keys(case when i.is_whole then i.value - 'name' - 'type' else '{}' end) as k (key)
       union all
       select format('.name: %s is the name of another column', i.value -> 'name') where i.is_whole and i.is_again
       union all
       select format('.type: %s is no type that a row schema knows', i.value -> 'type')
           || coalesce('; did you mean "' || tide._nearest(i.value ->> 'type', tide._row_schema_types()) || '"?', '')
        where i.is_whole and tide._row_schema_type(i.value ->> 'type') is null
     ) f
     order by i.place, f.fault;
end $$;
comment on function tide._row_schema_faults(jsonb) is 'What is wrong with the columns of a row schema, each with its place; no row: nothing';

create function tide._row_schema_checked(outbox text, columns jsonb, place text) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_faults text[];
begin
  if _row_schema_checked.columns is null then
    raise exception using errcode = 'TD006', message = format('the columns of a row schema of outbox %L are null', _row_schema_checked.outbox),
      hint = 'Pass a list: ''[{"name": "id", "type": "bigint"}]''.';
  end if;
  v_faults := array(select _row_schema_checked.place || f from tide._row_schema_faults(_row_schema_checked.columns) f);
  if v_faults <> '{}' then
    raise exception using errcode = 'TD024',
      message = format('the row schema of outbox %L is not valid: %s', _row_schema_checked.outbox, v_faults[1]),
      detail = array_to_string(v_faults[1:50], E'\n'),
      hint = format('Types are %s; numeric, varchar, char, time, timestamp and interval may have modifiers, and each may be an array, as in text[].',
        array_to_string(tide._row_schema_types(), ', '));
  end if;
  return (select jsonb_agg(jsonb_build_object('name', e.value -> 'name', 'type', tide._row_schema_type(e.value ->> 'type')) order by e.place)
            from jsonb_array_elements(_row_schema_checked.columns) with ordinality as e (value, place));
end $$;
comment on function tide._row_schema_checked(text, jsonb, text) is
  'The columns of a row schema with the names of types made uniform; raises TD006 or TD024 with all faults, each behind the place that the columns stand at';

-- Locks: the outbox's row, FOR NO KEY UPDATE: of two that store at once, the second sees what the first stored.
create function tide.row_schema_set(outbox text, columns jsonb, origin text default 'declared', comment text default null) returns integer
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_outbox tide.outbox := tide._outbox(row_schema_set.outbox);
  v_columns jsonb := tide._row_schema_checked(v_outbox.name, row_schema_set.columns, '');
  v_version integer;
begin
  if row_schema_set.origin is null or row_schema_set.origin not in ('declared', 'inferred', 'table') then
    raise exception using errcode = 'TD020', message = format('the origin of a row schema of outbox %L is %s', v_outbox.name, coalesce(quote_literal(row_schema_set.origin), 'null')),
      hint = 'Use declared, inferred (from messages) or table (from tide.row_schema_of_table).';
  end if;
  perform from tide.outbox o where o.outbox_id = v_outbox.outbox_id for no key update;
  if not found then -- it was dropped meanwhile
    return tide.row_schema_set(row_schema_set.outbox, row_schema_set.columns, row_schema_set.origin, row_schema_set.comment);
  end if;
  select max(s.version) into v_version from tide.row_schema s where s.outbox_id = v_outbox.outbox_id and s.columns = v_columns;
  if v_version is null then
    update tide.outbox o set row_schemas = o.row_schemas + 1 where o.outbox_id = v_outbox.outbox_id returning o.row_schemas into v_version;
    insert into tide.row_schema (outbox_id, version, columns, origin, comment)
    values (v_outbox.outbox_id, v_version, v_columns, row_schema_set.origin, row_schema_set.comment);
  end if;
  return v_version;
end $$;
comment on function tide.row_schema_set(text, jsonb, text, text) is
  'Stores a row schema of an outbox, a list of {"name", "type"} with PostgreSQL''s names of types, and returns its version; the same columns again return the version that they have. origin: declared, inferred or table';

create function tide._row_schema_missing(outbox tide.outbox, version text) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_known text;
begin
  select string_agg(s.version::text, ', ' order by s.version) into v_known from tide.row_schema s where s.outbox_id = (_row_schema_missing.outbox).outbox_id;
  raise exception using errcode = 'TD025',
    message = format('outbox %L has no row schema of version %s', (_row_schema_missing.outbox).name, coalesce(_row_schema_missing.version, 'null')),
    hint = case when v_known is null then format('It has none at all; store one: select tide.row_schema_set(%L, ''[{"name": "id", "type": "bigint"}]'');',
        (_row_schema_missing.outbox).name)
      else format('Its versions are: %s; see tide.row_schemas.', v_known) end;
end $$;
comment on function tide._row_schema_missing(tide.outbox, text) is 'Raises TD025, naming the versions that there are';

create function tide.row_schema_columns(outbox text, version integer) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_outbox tide.outbox := tide._outbox(row_schema_columns.outbox);
  v_columns jsonb;
begin
  select s.columns into v_columns from tide.row_schema s
   where s.outbox_id = v_outbox.outbox_id and s.version = row_schema_columns.version;
  if not found then
    perform tide._row_schema_missing(v_outbox, row_schema_columns.version::text);
  end if;
  return v_columns;
end $$;
comment on function tide.row_schema_columns(text, integer) is
  'The columns of a stored row schema: a list of {"name", "type"}; TD025 with the versions that there are when this one does not exist';

-- The foreign key tide.pipeline_row_schema_fk decides, whatever snapshot the caller has.
create function tide.row_schema_drop(outbox text, version integer) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_outbox tide.outbox := tide._outbox(row_schema_drop.outbox);
  v_pipelines text;
begin
  perform tide.row_schema_columns(v_outbox.name, row_schema_drop.version);
  delete from tide.row_schema s where s.outbox_id = v_outbox.outbox_id and s.version = row_schema_drop.version;
exception when foreign_key_violation then
  select string_agg(quote_literal(p.name), ', ' order by p.name) into v_pipelines
    from tide.pipeline p where p.outbox_id = v_outbox.outbox_id and p.row_schema = row_schema_drop.version;
  raise exception using errcode = 'TD026',
    message = format('row schema version %s of outbox %L is used by %s', row_schema_drop.version, v_outbox.name,
      coalesce('pipeline ' || v_pipelines, 'a pipeline that was set meanwhile')),
    hint = 'Give the pipeline another one with tide.relay_set_outbox, or drop it with tide.relay_drop.';
end $$;
comment on function tide.row_schema_drop(text, integer) is 'Drops a version of an outbox''s row schema that no pipeline uses (else TD026 names them); its number is not used again';

-- Caller: tide.relay_set_outbox. Locks: the version's row, so that nobody drops it before the pipeline is stored.
create function tide._row_schema_refuse(outbox tide.outbox, config jsonb) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  v_given jsonb := _row_schema_refuse.config #> '{wire_config,row_schema}';
begin
  if jsonb_typeof(v_given) = 'number' then
    perform from tide.row_schema s
      where s.outbox_id = (_row_schema_refuse.outbox).outbox_id and s.version = v_given::numeric for key share;
    if not found then
      perform tide._row_schema_missing(_row_schema_refuse.outbox, v_given #>> '{}');
    end if;
  elsif jsonb_typeof(v_given) = 'array' then
    perform tide._row_schema_checked((_row_schema_refuse.outbox).name, v_given, 'wire_config.row_schema');
  end if;
end $$;
comment on function tide._row_schema_refuse(tide.outbox, jsonb) is
  'Raises TD025 when a configuration names a version of a row schema that its outbox has not, TD024 when it declares one that is not valid';

create function tide._config_resolved(config jsonb, outbox text) returns jsonb
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select case when jsonb_typeof(_config_resolved.config #> '{wire_config,row_schema}') = 'number' then coalesce(
      (select jsonb_set(_config_resolved.config, '{wire_config,row_schema}', s.columns)
         from tide.row_schema s join tide.outbox o on o.outbox_id = s.outbox_id
        where o.name = _config_resolved.outbox and s.version = (_config_resolved.config #> '{wire_config,row_schema}')::numeric),
      _config_resolved.config)
    else _config_resolved.config end
$$;
comment on function tide._config_resolved(jsonb, text) is 'A configuration with the columns of a stored row schema in the place of its version, as relays get it';

-- Types of a table's columns. What to_jsonb writes decides: whatever has a cast to json becomes an object, whatever is not
-- known a string.
create function tide._row_schema_type_of(type oid, typmod integer, out name text, out note text)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_type pg_type;
  v_element record;
begin
  select t.* into v_type from pg_type t where t.oid = _row_schema_type_of.type;
  if v_type.typtype = 'd' then
    select e.name, e.note into name, note from tide._row_schema_type_of(v_type.typbasetype, v_type.typtypmod) e;
    return;
  elsif v_type.typcategory = 'A' and v_type.typelem <> 0 then
    select e.name, e.note into v_element from tide._row_schema_type_of(v_type.typelem, _row_schema_type_of.typmod) e;
    name := v_element.name || '[]';
    note := v_element.note;
    return;
  end if;
  name := case when v_type.typtype = 'b' and v_type.typname in ('citext', 'ltree') then v_type.typname
    else tide._row_schema_type(format_type(_row_schema_type_of.type, _row_schema_type_of.typmod)) end;
  if name is null then
    name := case when v_type.oid = 'numeric'::regtype then 'numeric' -- of a negative scale
      when v_type.typtype = 'c' or exists (select from pg_cast c where c.castsource = v_type.oid and c.casttarget = 'json'::regtype)
      then 'jsonb' else 'text' end;
    note := format('%s is told as %s', format_type(_row_schema_type_of.type, _row_schema_type_of.typmod), name);
  end if;
end $$;
comment on function tide._row_schema_type_of(oid, integer) is 'The type of a row schema for a type of the catalogue, and a note where it is another one';

create function tide.row_schema_of_table(relation regclass) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_column record;
  v_columns jsonb := jsonb '[]';
begin
  if not coalesce((select c.relkind in ('r', 'p', 'f', 'v', 'm') from pg_class c where c.oid = row_schema_of_table.relation), false) then
    raise exception using errcode = '42809', message = format('%s is no table', coalesce(row_schema_of_table.relation::text, 'null')),
      hint = 'Name a table or a view, with its schema: select tide.row_schema_of_table(''public.orders'');';
  end if;
  for v_column in
    select a.attname, t.name, t.note, a.attndims > 1 as deep
      from pg_attribute a cross join lateral tide._row_schema_type_of(a.atttypid, a.atttypmod) t
     where a.attrelid = row_schema_of_table.relation and a.attnum > 0 and not a.attisdropped order by a.attnum
  loop
    if v_column.deep then
      v_column.name := 'jsonb';
      v_column.note := 'an array of several dimensions is told as jsonb';
    end if;
    if v_column.note is not null then
      raise notice using message = format('column %s: %s', v_column.attname, v_column.note);
    end if;
    v_columns := v_columns || jsonb_build_object('name', v_column.attname, 'type', v_column.name);
  end loop;
  return v_columns;
end $$;
comment on function tide.row_schema_of_table(regclass) is
  'The columns of a table for tide.row_schema_set, as to_jsonb(row) renders them; domains become their base types, enums and other types text, each with a notice';

-- ---- 0216_row_schema_infer.sql ----
-- A row schema proposed from messages: the narrowest type that takes every value seen and is likely to take the next.
-- Called by administrators, by hand: a relay never infers. What is proposed is shown with its reason and stored by nobody.
-- Bounded: the newest messages up to a number and 64 MiB of payload, read by id from the end of the outbox's own table.
-- Locks: ACCESS SHARE on that table and its slots, as a page takes it; publishers do not notice.

-- Whether a text of the right form names a day and time that exist: 2024-02-30 has the form only.
create function tide._row_schema_exists(type text, value text) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp set datestyle = 'ISO, YMD' set timezone = 'UTC' as $$
begin
  case _row_schema_exists.type
    when 'date' then perform _row_schema_exists.value::date;
    when 'timestamp' then perform _row_schema_exists.value::timestamp;
    else perform _row_schema_exists.value::timestamptz;
  end case;
  return true;
exception when data_exception then
  return false;
end $$;
comment on function tide._row_schema_exists(text, text) is 'Whether a text in the form of a date or timestamp is one';

-- Forms as to_jsonb writes them; other spellings (24:00, a second of 60, more than six digits of a second) are text.
create function tide._row_schema_kind(value jsonb) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_text text := _row_schema_kind.value #>> '{}';
  v_time constant text := '[T ]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?';
  v_form text;
begin
  case jsonb_typeof(_row_schema_kind.value)
    when 'null' then return null;
    when 'boolean' then return 'boolean';
    when 'number' then
      return case when v_text ~ '^-?\d{1,19}$' and v_text::numeric between -9223372036854775808 and 9223372036854775807 then 'bigint' else 'numeric' end;
    when 'string' then
      if v_text ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' then
        return 'uuid';
      elsif v_text !~ '^\d{4}-\d\d-\d\d' then
        return 'text';
      end if;
      v_form := case
        when v_text ~ '^.{10}$' then 'date'
        when v_text ~ ('^.{10}' || v_time || '$') then 'timestamp'
        when v_text ~ ('^.{10}' || v_time || '(Z|[+-]\d\d:[0-5]\d)$') then 'timestamptz' end;
      return case when v_form is not null and tide._row_schema_exists(v_form, v_text) then v_form else 'text' end;
    else return 'jsonb';
  end case;
end $$;
comment on function tide._row_schema_kind(jsonb) is 'The type that one value asks for; null for JSON''s null, which every type takes';

create function tide._row_schema_widest(kinds text[], digits integer, decimals integer, out type text, out reason text)
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  type := case
    when kinds is null then 'text'
    when cardinality(kinds) = 1 then kinds[1]
    when kinds <@ array['bigint', 'numeric'] then 'numeric'
    when kinds <@ array['text', 'uuid', 'date', 'timestamp', 'timestamptz'] then 'text'
    else 'jsonb' end;
  reason := case
    when kinds is null then 'only nulls were seen: text is a guess'
    when type = 'bigint' then 'whole numbers; integer would fail at the first larger one'
    when type = 'numeric' then format('numbers of up to %s digits before and %s behind the point', digits, decimals)
      || case when digits + decimals <= 1000 then format('; if more never come, declare numeric(%s,%s)', digits + decimals, decimals) else '' end
    when type = 'text' and kinds = '{text}' then 'strings'
    when type = 'text' then format('strings of several forms: %s', array_to_string(kinds, ', '))
    when type = 'jsonb' and kinds = '{jsonb}' then 'objects or arrays'
    when type = 'jsonb' then format('values of several types: %s', array_to_string(kinds, ', '))
    else 'every value is one' end;
end $$;
comment on function tide._row_schema_widest(text[], integer, integer) is 'The type that takes values of all these kinds, and why';

create function tide.row_schema_infer(outbox text, messages integer default 1000)
returns table (name text, type text, seen bigint, nulls bigint, example text, reason text, entry jsonb)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set jit = off set max_parallel_workers_per_gather = 0 as $$
declare
  v_outbox tide.outbox := tide._outbox(row_schema_infer.outbox);
  v_bytes_max constant bigint := 67108864;
  v_kinds text[];
  v_digits integer;
  v_decimals integer;
begin
  if row_schema_infer.messages is null or row_schema_infer.messages not between 1 and 100000 then
    raise exception using errcode = 'TD020', message = format('messages is %s', coalesce(row_schema_infer.messages::text, 'null')),
      hint = 'Use 1 to 100000 messages.';
  end if;
  for name, seen, nulls, v_kinds, example, v_digits, v_decimals in execute format(
    'select e.key, count(*) as seen, count(*) - count(k.kind) as nulls, array_agg(distinct k.kind) filter (where k.kind is not null) as kinds,
            min(left(e.value #>> ''{}'', 60) collate "C") as example,
            max(length(trunc(abs(n.number))::text)) as digits, max(scale(n.number)) as decimals
       from (select r.payload, r.old_payload, sum(octet_length(r.payload) + coalesce(octet_length(r.old_payload), 0))
                      over (order by r.id desc rows between unbounded preceding and 1 preceding) as bytes_before
               from (select m.id, coalesce(m.payload, '''') as payload, m.old_payload from tide.%I m order by m.id desc limit $1) r) b
      cross join lateral (values (nullif(b.payload, '''')::jsonb), (b.old_payload::jsonb)) d (document)
      cross join lateral (
        select o.key, o.value from jsonb_each(case jsonb_typeof(d.document) when ''object'' then d.document else ''{}'' end) o
        union all select null, null where jsonb_typeof(d.document) <> ''object'') e
      cross join lateral tide._row_schema_kind(e.value) k (kind)
      cross join lateral (select case when k.kind in (''bigint'', ''numeric'') then e.value::numeric end) n (number)
      where d.document is not null and (b.bytes_before is null or b.bytes_before < $2)
      group by e.key order by e.key is null desc, octet_length(e.key), e.key collate "C"', 'message_' || v_outbox.outbox_id)
    using row_schema_infer.messages, v_bytes_max
  loop
    if name is null then
      raise notice using message = format('%s payloads are no objects and were left out', seen),
        hint = 'A format that needs a row schema puts such messages in error.';
      continue;
    end if;
    select w.type, w.reason into type, reason from tide._row_schema_widest(v_kinds, v_digits, v_decimals) w;
    entry := jsonb_build_object('name', name, 'type', type);
    return next;
  end loop;
  if name is null then
    raise exception using errcode = 'TD027', message = format('outbox %L holds no payload that a row schema could be inferred from', v_outbox.name),
      hint = format('Declare one: select tide.row_schema_set(%L, ''[{"name": "id", "type": "bigint"}]'');', v_outbox.name);
  end if;
end $$;
comment on function tide.row_schema_infer(text, integer) is
  'Proposes a row schema from the newest messages of an outbox (payloads and old payloads, at most 64 MiB) and stores nothing: each column with its type, how often it was seen, how often as null, an example, and why that type; to store it: select tide.row_schema_set(''orders'', jsonb_agg(i.entry), origin => ''inferred'') from tide.row_schema_infer(''orders'') i';

-- ---- 0220_cursor.sql ----
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

-- ---- 0230_pipeline.sql ----
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

-- ---- 0240_group.sql ----
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

-- ---- 0242_shards.sql ----
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

-- ---- 0245_dead_letters.sql ----
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

-- ---- 0247_replay.sql ----
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

-- ---- 0248_replay_relay.sql ----
-- Replays as the relay runs them, and as operators see them. The functions are called by the owner of the pipeline's cursor.
-- It runs the oldest open replay of the pipeline: begin, then page by page, each settled with owner token and epoch compared.
-- Locks: the cursor's row, then the replay's; neither is waited for, because one connection writes for all pipelines.

-- Whether this relay owns the cursor: null when another transaction holds its row.
create function tide._replay_owned(group_id integer, shard integer, owner_token uuid, epoch bigint) returns boolean
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  if not tide._cursor_lock(_replay_owned.group_id, _replay_owned.shard) then
    return null;
  end if;
  perform from tide.cursor c
    where c.group_id = _replay_owned.group_id and c.shard = _replay_owned.shard
      and c.owner_token = _replay_owned.owner_token and c.epoch = _replay_owned.epoch;
  return found;
end $$;
comment on function tide._replay_owned(integer, integer, uuid, bigint) is 'Locks a cursor''s row and tells whether this relay owns it; null: another transaction holds the row';

create function tide._replay_begin(pipeline_id integer, group_id integer, shard integer, owner_token uuid, epoch bigint, relay_id text)
returns table (replay_id bigint, requested_us bigint, last_position bigint, until_id bigint, to_topic text, headers jsonb,
               max_messages_per_second integer)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
  v_request tide.replay_request;
  v_owned boolean := tide._replay_owned(_replay_begin.group_id, _replay_begin.shard, _replay_begin.owner_token, _replay_begin.epoch);
begin
  if v_owned is distinct from true then
    if v_owned is null then
      return query select null::bigint, null::bigint, null::bigint, null::bigint, null::text, null::jsonb, null::integer;
    end if;
    return;
  end if;
  loop
    select r.* into v_request from tide.replay_request r
     where r.pipeline_id = _replay_begin.pipeline_id and r.state in ('waiting', 'running') order by r.replay_id limit 1;
    if not found then
      return query select 0::bigint, null::bigint, null::bigint, null::bigint, null::text, null::jsonb, null::integer;
      return;
    end if;
    perform from tide.replay_request r where r.replay_id = v_request.replay_id for no key update skip locked;
    if not found then
      return query select null::bigint, null::bigint, null::bigint, null::bigint, null::text, null::jsonb, null::integer;
      return;
    end if;
    exit when v_request.group_id = _replay_begin.group_id;
    update tide.replay_request r
       set state = 'failed', ended_at = clock_timestamp(), ended_by = session_user, error_class = 'configuration', error_code = 'TD023',
           error = 'the pipeline drives another consumer group since it was asked for, which has delivered other messages',
           cure = 'Ask for it again with tide.replay.'
     where r.replay_id = v_request.replay_id and r.state in ('waiting', 'running');
  end loop;
  return query
  update tide.replay_request r
     set state = 'running', started_at = coalesce(r.started_at, clock_timestamp()), relay_id = _replay_begin.relay_id,
         error_class = null, error_code = null, error = null, cure = null
   where r.replay_id = v_request.replay_id and r.state in ('waiting', 'running')
  returning r.replay_id, (extract(epoch from r.requested_at) * 1000000)::bigint, r.position, r.until_id, r.to_topic, r.headers, r.max_messages_per_second;
end $$;
comment on function tide._replay_begin(integer, integer, integer, uuid, bigint, text) is
  'The pipeline''s owner begins its oldest open replay, or goes on with it; replay_id 0: there is none, null: another transaction is in the way, ask again; no row: this relay is not the owner';

-- How far one look reaches is bounded by ids, whatever the conditions choose: the connection reads for all pipelines.
create function tide._replay_page(replay_id bigint, behind_id bigint, size integer, bytes bigint, reach integer)
returns table (up_to bigint, id bigint, op text, key text, dedup_key text, payload text, old_payload text, headers text,
               created_at timestamptz, letter boolean)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = on set jit = off set max_parallel_workers_per_gather = 0 as $$
#variable_conflict use_column
declare
  v_request tide.replay_request;
  v_table text;
  v_up_to bigint;
begin
  select r.* into v_request from tide.replay_request r where r.replay_id = _replay_page.replay_id;
  select 'message_' || p.outbox_id into v_table from tide.pipeline p where p.pipeline_id = v_request.pipeline_id;
  if v_table is null then
    return;
  end if;
  if v_request.ids is null then
    execute format('select m.id from tide.%I m where m.id > $1 order by m.id offset $2 - 1 limit 1', v_table)
      into v_up_to using _replay_page.behind_id, _replay_page.reach;
  else
    select i.id into v_up_to from unnest(v_request.ids) as i (id) where i.id > _replay_page.behind_id order by i.id offset _replay_page.reach - 1 limit 1;
    v_request.ids := array(select i.id from unnest(v_request.ids) as i (id)
      where i.id > _replay_page.behind_id and i.id <= coalesce(v_up_to, i.id) order by i.id);
  end if;
  v_up_to := least(v_up_to, v_request.until_id);
  for up_to, id, op, key, dedup_key, payload, old_payload, headers, created_at, letter in execute format(
    'with found as materialized (
       select m.id, m.op, m.key, m.dedup_key, m.payload, m.old_payload, m.headers, m.created_at, %s as letter
         from tide.%I m
        where m.id > $2 and m.id <= $3 and %s and %s
        order by m.id limit $4),
     cut as materialized (
       select c.*
         from (select f.*, sum(coalesce(octet_length(f.payload), 0) + coalesce(octet_length(f.old_payload), 0)
                             + coalesce(octet_length(f.headers), 0) + coalesce(octet_length(f.key), 0) + coalesce(octet_length(f.dedup_key), 0))
                             over (order by f.id rows between unbounded preceding and 1 preceding) as bytes_before
                 from found f) c
        where c.bytes_before is null or c.bytes_before < $5)
     select r.up_to, c.id, c.op, c.key, c.dedup_key, c.payload, c.old_payload, c.headers, c.created_at, c.letter
       from (select case when (select count(*) from found) = $4 or (select count(*) from cut) < (select count(*) from found)
                         then (select max(k.id) from cut k) else $3 end) as r (up_to)
       left join cut c on true
      order by c.id',
    tide._replay_open_letter(), v_table, tide._replay_chooses(), tide._replay_delivered())
  using v_request, _replay_page.behind_id, v_up_to, _replay_page.size, _replay_page.bytes
  loop
    return next;
  end loop;
end $$;
comment on function tide._replay_page(bigint, bigint, integer, bigint, integer) is
  'The next messages of a replay in id order, and up to which id they are all: at most size of them, about bytes of texts, out of the next reach messages; one row without a message when there is none, no row when the replay is gone';

-- Adds what became of messages up to a position, and says what stands in the way. what: null (it goes on), done or failed.
create function tide._replay_settle(
  replay_id bigint, group_id integer, shard integer, owner_token uuid, epoch bigint, last_position bigint,
  sent bigint, filtered bigint, failed bigint, left_out bigint, first_failed_id bigint, first_error text,
  what text, error_class text, error_code text, error text, cure text)
returns table (state text) language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
  v_owned boolean;
begin
  perform set_config('synchronous_commit', 'off', true);
  v_owned := tide._replay_owned(_replay_settle.group_id, _replay_settle.shard, _replay_settle.owner_token, _replay_settle.epoch);
  if v_owned then
    perform from tide.replay_request r where r.replay_id = _replay_settle.replay_id for no key update skip locked;
    if not found then
      v_owned := case when exists (select from tide.replay_request r where r.replay_id = _replay_settle.replay_id) then null else false end;
    end if;
  end if;
  if v_owned is null then
    return query select null::text;
  elsif v_owned then
    return query
    update tide.replay_request r
       set position = greatest(r.position, _replay_settle.last_position), sent = r.sent + _replay_settle.sent,
           filtered = r.filtered + _replay_settle.filtered, failed = r.failed + _replay_settle.failed,
           left_out = r.left_out + _replay_settle.left_out,
           first_failed_id = coalesce(r.first_failed_id, _replay_settle.first_failed_id),
           first_error = coalesce(r.first_error, _replay_settle.first_error),
           gone = case when r.state = 'running' and _replay_settle.what = 'done'
             then r.selected - r.sent - r.filtered - r.failed - r.left_out - _replay_settle.sent - _replay_settle.filtered - _replay_settle.failed - _replay_settle.left_out
             else r.gone end,
           state = case when r.state = 'running' then coalesce(_replay_settle.what, r.state) else r.state end,
           ended_at = case when r.state = 'running' and _replay_settle.what is not null then clock_timestamp() else r.ended_at end,
           ended_by = case when r.state = 'running' and _replay_settle.what is not null then session_user else r.ended_by end,
           error_class = case when r.state = 'running' then _replay_settle.error_class else r.error_class end,
           error_code = case when r.state = 'running' then _replay_settle.error_code else r.error_code end,
           error = case when r.state = 'running' then _replay_settle.error else r.error end,
           cure = case when r.state = 'running' then _replay_settle.cure else r.cure end
     where r.replay_id = _replay_settle.replay_id
    returning r.state;
  end if;
end $$;
comment on function tide._replay_settle(bigint, integer, integer, uuid, bigint, bigint, bigint, bigint, bigint, bigint, bigint, text, text, text, text, text, text) is
  'Records how far the owner has come with a replay, or that it is at its end; returns the state it is in; no row: this relay is not the owner or the replay is gone, null: another transaction is in the way, ask again';

create view tide.replays as
  select r.replay_id, p.name as pipeline,
         case when r.state = 'running' and not o.owned then 'waiting' else r.state end as state,
         r.selected, r.sent, r.filtered, r.failed, r.left_out, r.gone, r.position, r.until_id,
         case when r.state = 'running' and o.owned then r.relay_id end as relay,
         r.first_failed_id, r.first_error, case when w.error is null then r.error_class end as error_class,
         case when w.error is null then r.error_code end as error_code,
         coalesce(w.error, r.error) as error, case when w.error is null then r.cure else w.cure end as cure,
         r.ids, r.key, r.from_id, r.to_id, r.from_time, r.to_time, r.matching, r.everything, r.to_topic, r.headers, r.max_messages_per_second,
         r.requested_at, r.requested_by, r.started_at, r.ended_at, r.ended_by, r.reason
    from tide.replay_request r
    join tide.pipeline p on p.pipeline_id = r.pipeline_id
    left join tide.cursor c on c.group_id = p.group_id and c.shard = 0
    cross join lateral (
      select coalesce(c.lease_until >= clock_timestamp(), false),
             (select min(e.replay_id) from tide.replay_request e
               where e.pipeline_id = r.pipeline_id and e.state in ('waiting', 'running') and e.replay_id < r.replay_id)) as o (owned, earlier)
    cross join lateral (
      select case when r.ended_at is not null then null
                  when not p.enabled then format('pipeline %L is disabled', p.name)
                  when not o.owned then format('no relay runs pipeline %L', p.name)
                  when o.earlier is not null then format('replay %s of the pipeline comes first', o.earlier) end,
             case when not p.enabled then format('select tide.relay_enable(%L);', p.name)
                  when not o.owned then 'Start one: pg-tide run. After one that died its successor goes on by itself: see tide.pipelines.'
                  else 'Nothing: one replay of a pipeline runs at a time.' end) as w (error, cure);
comment on view tide.replays is
  'Replays: which messages, where to, how far they are (selected = sent + filtered + failed + left_out + gone at the end), what stands in their way, and the cure. Those at their end are kept for 30 days';

-- ---- 0250_retention.sql ----
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

-- ---- 0260_views.sql ----
-- What operators look at: outboxes, row schemas, pipelines, groups, relays, lag, and who holds things up.
-- All are cheap enough to be read every few seconds; none counts a whole backlog.
-- Secrets written into a configuration are shown as ***; references such as ${env:NAME} are shown as they are.

create view tide.outboxes as
  select o.name as outbox, o.enabled, o.retention_hours, o.max_payload_bytes, o.drop_without_group, o.contract, o.slots, o.slot, o.slot_since,
         'tide.message_' || o.outbox_id as message_table,
         (select coalesce(sum(pg_total_relation_size(i.inhrelid)), 0)::bigint from pg_inherits i
           where i.inhparent = to_regclass('tide.message_' || o.outbox_id)) as retained_bytes,
         (select max(s.emptied_at) from tide.slot s where s.outbox_id = o.outbox_id) as last_emptied_at,
         (select max(s.dropped_to) from tide.slot s where s.outbox_id = o.outbox_id) as dropped_to,
         o.created_at, o.created_by
    from tide.outbox o;
comment on view tide.outboxes is 'Outboxes, their settings and their size on disk';

create view tide.row_schemas as
  select o.name as outbox, s.version, s.columns, s.origin, s.comment,
         array(select p.name from tide.pipeline p where p.outbox_id = s.outbox_id and p.row_schema = s.version order by p.name) as pipelines,
         s.created_at, s.created_by
    from tide.row_schema s
    join tide.outbox o on o.outbox_id = s.outbox_id;
comment on view tide.row_schemas is 'Row schemas: the columns of outboxes'' payloads by version, and the pipelines whose configuration names the version';

create function tide._config_shown(config jsonb) returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_shown jsonb := _config_shown.config;
  v_path text[];
begin
  foreach v_path slice 1 in array array[
    array[null, 'sasl_password'], array['schema_registry', 'password'], array['schema_registry', 'bearer_token']]
  loop
    v_path := array_remove(v_path, null);
    if v_shown #>> v_path !~ '^\$\{[a-z]+:[^}]*\}$' then
      v_shown := jsonb_set(v_shown, v_path, '"***"');
    end if;
  end loop;
  return v_shown;
end $$;
comment on function tide._config_shown(jsonb) is 'A configuration with secrets replaced by ***';

create view tide.shards as
  select p.name as pipeline, o.name as outbox, g.name as consumer_group, c.shard, c.shards,
         case when not p.enabled then 'disabled'
              when c.owner_token is null or c.lease_until < clock_timestamp() then
                case when s.state = 'error' and s.version = p.version then s.state else 'waiting' end
              else coalesce(s.state, 'waiting') end as state,
         case when c.lease_until >= clock_timestamp() then c.owner end as owner, c.lease_until,
         s.error_class, s.error_code, s.error, s.cure, s.message_id,
         case when c.lease_until >= clock_timestamp() then s.attempts end as attempts,
         case when c.lease_until >= clock_timestamp() then s.next_attempt_at end as next_attempt_at,
         case when c.lease_until >= clock_timestamp() then s.throttled_ms end as throttled_ms,
         s.since, s.version as running_version, c.settled_at, c.taken_over_at, c.taken_over_from,
         case when c.barrier is not null then tide._shard_stands(c) end as stands
    from tide.pipeline p
    join tide.outbox o on o.outbox_id = p.outbox_id
    join tide.consumer_group g on g.group_id = p.group_id
    join tide.cursor c on c.group_id = p.group_id
    left join tide.pipeline_state s on s.pipeline_id = p.pipeline_id and s.shard = c.shard;
comment on view tide.shards is
  'A row for each shard of each pipeline: its owner and state; stands: while their number changes, whether it has come to where all stop';

create view tide.pipelines as
  select p.name as pipeline, o.name as outbox, g.name as consumer_group, p.enabled, p.version,
         w.state, w.owner, w.lease_until, w.error_class, w.error_code, w.error, w.cure, w.message_id,
         w.attempts, w.next_attempt_at, w.throttled_ms, w.since, w.running_version,
         tide._config_shown(p.config) as config, p.updated_at, p.updated_by, w.shards,
         case when w.shards <> tide._shards_wanted(p.config) then format('%s -> %s', w.shards, tide._shards_wanted(p.config)) end as resharding
    from tide.pipeline p
    join tide.outbox o on o.outbox_id = p.outbox_id
    join tide.consumer_group g on g.group_id = p.group_id
    left join lateral (
      select h.* from tide.shards h where h.pipeline = p.name
       order by array_position(array['error', 'backing_off', 'waiting'], h.state), h.shard
       limit 1) w on true;
comment on view tide.pipelines is
  'Pipelines: configuration, owner, and state (running, backing_off, error as the owner says it; disabled; waiting: no relay owns it). Of several shards the one that is worst off, and how many there are; all of them: tide.shards';

create view tide.consumer_groups as
  select g.name as consumer_group, o.name as outbox, p.name as pipeline, c.prev, c.cur, c.first_id, c.last_id,
         c.replay_from, c.replay_last, c.generation, c.epoch, c.timeline, c.settled_at,
         tide._cursor_doubt(c, c.xmin) as doubt, g.created_at, g.created_by, c.shard, c.shards
    from tide.consumer_group g
    join tide.outbox o on o.outbox_id = g.outbox_id
    join tide.cursor c on c.group_id = g.group_id
    left join tide.pipeline p on p.group_id = g.group_id;
comment on view tide.consumer_groups is
  'Consumer groups and their cursors, a row for each shard; doubt: why a cursor cannot be trusted (then tide.group_rebase repairs it)';

create view tide.relays as
  select r.relay_id, r.host, r.pid, r.release, r.started_at, r.seen_at, r.ended_at,
         case when r.ended_at is not null then 'ended'
              when r.seen_at < clock_timestamp() - interval '30 seconds' then 'lost'
              when exists (select from tide.cursor c where c.owner_token = r.token and c.lease_until >= clock_timestamp()) then 'owner'
              else 'standby' end as state,
         array(select distinct p.name from tide.cursor c join tide.pipeline p on p.group_id = c.group_id
                where c.owner_token = r.token and c.lease_until >= clock_timestamp() order by p.name) as pipelines,
         array(select p.name from tide.pipeline p where p.pipeline_id = any(r.serves) order by p.name) as serves,
         array(select format('%s%s from %s at %s', p.name, case when c.shards > 1 then ' shard ' || c.shard end, c.taken_over_from, c.taken_over_at)
                 from tide.cursor c join tide.pipeline p on p.group_id = c.group_id
                where c.owner = r.relay_id and c.taken_over_at is not null order by c.taken_over_at) as take_overs
    from tide.relay r;
comment on view tide.relays is
  'Relay processes: owner, standby, ended (signed off) or lost; serves: pipelines that it could drive; take_overs: pipelines taken from a relay that had not signed off';

-- Pending messages of one cursor: committed, and not settled. Each part stops at 100,001. Without an open window its
-- end is prev itself. Four parts without a row in common: the window's messages that began after prev, its stragglers,
-- what committed after the window's end, and what a replay pass still has to send.
create function tide._pending(outbox_id integer, position_read tide.cursor, out pending bigint, out oldest_at timestamptz)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set jit = off set max_parallel_workers_per_gather = 0 as $$
declare
  v_prev pg_snapshot := (_pending.position_read).prev;
begin
  execute format(
    'select count(*), min(m.created_at) from (
       (select m.created_at from tide.%1$I m
         where m.id > greatest($3, $4 - 1) and m.xid >= pg_snapshot_xmax($1) and m.xid < pg_snapshot_xmax($2)
           and pg_visible_in_snapshot(m.xid, $2) order by m.id limit 100001)
       union all
       (select m.created_at from unnest(array(select pg_snapshot_xip($1))) o (xid)
          cross join lateral (select s.created_at, s.xid, s.id from tide.%1$I s
             where (s.xid, s.id) > (o.xid, $3) and s.xid <= o.xid
             order by s.xid, s.id limit 100001) m
         where pg_visible_in_snapshot(m.xid, $2) limit 100001)
       union all
       (select m.created_at from tide.%1$I m
         where m.xid >= pg_snapshot_xmin($2) and not pg_visible_in_snapshot(m.xid, $2) order by m.xid, m.id limit 100001)
       union all
       (select m.created_at from tide.%1$I m where m.id > $5 and pg_visible_in_snapshot(m.xid, $1) order by m.id limit 100001)
     ) m', 'message_' || _pending.outbox_id)
    into pending, oldest_at
    using v_prev, coalesce((_pending.position_read).cur, v_prev), (_pending.position_read).last_id,
      coalesce((_pending.position_read).first_id, 0), coalesce((_pending.position_read).replay_last, 9223372036854775807);
end $$;
comment on function tide._pending(integer, tide.cursor) is 'How many committed messages a cursor has not settled (up to 100,001 of each kind) and when the oldest was published';

create view tide.lag as
  select p.name as pipeline, o.name as outbox, g.name as consumer_group,
         least(n.pending, 100000) as pending,
         case when n.pending > 100000 then '>= 100000' else n.pending::text end as pending_text,
         n.oldest_at, coalesce(clock_timestamp() - n.oldest_at, interval '0') as oldest_age, n.settled_at
    from tide.consumer_group g
    join tide.outbox o on o.outbox_id = g.outbox_id
    left join tide.pipeline p on p.group_id = g.group_id
    cross join lateral (
      select max(l.pending) as pending, min(l.oldest_at) as oldest_at, max(c.settled_at) as settled_at
        from tide.cursor c cross join lateral tide._pending(o.outbox_id, c) l
       where c.group_id = g.group_id) n;
comment on view tide.lag is
  'What each consumer group still has to deliver: the number of committed messages, exact up to 100,000, and the age of the oldest. Of several shards what the slowest has before it, the messages of the others among it';

-- What keeps a pipeline from sending what is committed: one reason, and the cure; nulls when a relay is at it, or nothing
-- waits. Reads messages: raises 55P03 rather than wait for who has locked them.
create function tide._pipeline_held(pipeline tide.pipeline, shard integer, out since timestamptz, out cause text, out cure text)
language plpgsql volatile set search_path = pg_catalog, pg_temp set lock_timeout = '200ms' as $$
declare
  v_pipeline tide.pipeline := _pipeline_held.pipeline;
  v_outbox text := (select o.name from tide.outbox o where o.outbox_id = v_pipeline.outbox_id);
  v_group text := (select g.name from tide.consumer_group g where g.group_id = v_pipeline.group_id);
  v_cursor tide.cursor;
  v_state tide.pipeline_state;
  v_doubt text;
  v_seen_at timestamptz;
  v_successor_from timestamptz;
begin
  select c.* into v_cursor from tide.cursor c where c.group_id = v_pipeline.group_id and c.shard = _pipeline_held.shard;
  if (select n.pending from tide._pending(v_pipeline.outbox_id, v_cursor) n) = 0 then
    return;
  end if;
  select tide._cursor_doubt(c, c.xmin) into v_doubt
    from tide.cursor c where c.group_id = v_pipeline.group_id and c.shard = _pipeline_held.shard;
  select s.* into v_state from tide.pipeline_state s
   where s.pipeline_id = v_pipeline.pipeline_id and s.shard = _pipeline_held.shard and s.version = v_pipeline.version;
  select r.seen_at into v_seen_at from tide.relay r where r.relay_id = v_cursor.owner and r.token = v_cursor.owner_token;
  v_successor_from := v_cursor.lease_until + v_cursor.takeover_ms * interval '1 ms';
  if v_doubt is not null then
    cause := format('the cursor of group %L cannot be trusted: %s', v_group, v_doubt);
    cure := format('Repair it; messages may be sent again: select tide.group_rebase(%L, %L);', v_group, v_outbox);
  elsif not v_pipeline.enabled then
    since := v_pipeline.updated_at;
    cause := format('pipeline %L is disabled', v_pipeline.name);
    cure := format('select tide.relay_enable(%L);', v_pipeline.name);
  elsif v_successor_from >= clock_timestamp()
    and (v_cursor.lease_until < clock_timestamp() or v_seen_at < clock_timestamp() - interval '10 seconds') then
    since := v_seen_at;
    cause := format('relay %L has not been seen since %s, and did not sign off: its lease must run out', v_cursor.owner, v_seen_at);
    cure := format('Nothing: another relay, or the same one started again, goes on after %s.', v_successor_from);
  elsif v_state.state = 'error' or (v_state.state = 'backing_off' and v_cursor.lease_until >= clock_timestamp()) then
    since := v_state.since;
    cause := v_state.error;
    cure := v_state.cure;
  elsif v_successor_from is null or v_successor_from < clock_timestamp() then
    since := coalesce(v_cursor.lease_until, v_pipeline.updated_at);
    cause := format('no relay runs pipeline %L', v_pipeline.name);
    cure := 'Start one: pg-tide run. See tide.relays for those there were.';
  elsif v_cursor.replay_last is not null then
    cause := format('it sends messages from id %s on again, and has come to id %s', v_cursor.replay_from, v_cursor.replay_last);
    cure := 'Let it finish; see tide.lag.';
  elsif tide._shard_stands(v_cursor) then
    since := v_pipeline.updated_at;
    cause := format('shard %s of pipeline %L stands until all shards have come as far: their number changes', v_cursor.shard, v_pipeline.name);
    cure := format('See tide.shards. When one can''t come there, all may begin anew, and messages are sent again: select tide.group_reshard(%L, %L);',
      v_group, v_outbox);
  end if;
end $$;
comment on function tide._pipeline_held(tide.pipeline, integer) is 'Why a shard of a pipeline that has something to send does not send it now, and the cure';

-- Who has locked an outbox's messages is told by _pipelines_locked and by the locks on its slots: others are not kept waiting.
create function tide._pipelines_held()
returns table (outbox text, consumer_group text, age interval, cause text, cure text)
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  v_row record;
  v_pipeline tide.pipeline;
  v_since timestamptz;
begin
  for v_row in
    select p, c.shard from tide.pipeline p join tide.cursor c on c.group_id = p.group_id order by p.pipeline_id, c.shard
  loop
    v_pipeline := v_row.p;
    begin
      select h.since, h.cause, h.cure into v_since, cause, cure from tide._pipeline_held(v_pipeline, v_row.shard) h;
    exception when lock_not_available then
      continue;
    end;
    if cause is not null then
      outbox := (select o.name from tide.outbox o where o.outbox_id = v_pipeline.outbox_id);
      consumer_group := (select g.name from tide.consumer_group g where g.group_id = v_pipeline.group_id);
      age := clock_timestamp() - v_since;
      return next;
    end if;
  end loop;
end $$;
comment on function tide._pipelines_held() is 'Pipelines that have something to send and do not send it now, why, and the cure';

create function tide._slot_held_now(outbox tide.outbox, slot integer, out reason text, out consumer_group text, out cure text)
language plpgsql volatile set search_path = pg_catalog, pg_temp set lock_timeout = '200ms' as $$
begin
  select h.reason, h.consumer_group, h.cure into reason, consumer_group, cure
    from tide._slot_held(_slot_held_now.outbox, _slot_held_now.slot) h;
exception when lock_not_available then
  null;
end $$;
comment on function tide._slot_held_now(tide.outbox, integer) is 'tide._slot_held, or nulls where somebody has locked the slot''s messages';

-- Sessions and prepared transactions that keep a pipeline from settling (the row of its cursor) or from reading (its tables).
create function tide._pipelines_locked()
returns table (outbox text, consumer_group text, pid integer, username text, database text, age interval, cause text, cure text)
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  return query
  select k.outbox, k.consumer_group, k.pid, coalesce(a.usename, x.owner)::text, coalesce(a.datname, x.database)::text,
         clock_timestamp() - coalesce(a.xact_start, x.prepared),
         case when k.pid is null then format('transaction prepared as %L %s', x.gid, k.what)
              else format('transaction open in state %s %s', a.state, k.what) end,
         case when k.pid is null then format('commit prepared %L; or rollback prepared %L;', x.gid, x.gid)
              else format('End it, or: select pg_terminate_backend(%s);', k.pid) end
    from (
      -- The lock on a row is the lock on the transaction that the row's xmax names, which may be a savepoint's.
      select o.name as outbox, g.name as consumer_group, 'holds the row of the cursor' as what, v.pid, v.virtualtransaction
        from tide.cursor c join tide.consumer_group g on g.group_id = c.group_id join tide.outbox o on o.outbox_id = g.outbox_id
        join pg_locks v on v.locktype = 'transactionid' and v.transactionid = c.xmax and v.mode = 'ExclusiveLock'
      union all
      select o.name, null, format('holds an AccessExclusiveLock on tide.%s', min(t.relname)), v.pid, v.virtualtransaction
        from tide.outbox o
        join pg_class t on t.oid = to_regclass('tide.message_' || o.outbox_id)
              or t.oid in (select i.inhrelid from pg_inherits i where i.inhparent = to_regclass('tide.message_' || o.outbox_id))
        join pg_locks v on v.relation = t.oid and v.mode = 'AccessExclusiveLock' and v.granted
       group by o.name, v.pid, v.virtualtransaction
    ) k
    left join pg_stat_activity a on a.pid = k.pid
    left join lateral (
      select q.* from pg_locks t join pg_prepared_xacts q on q.transaction = t.transactionid
       where t.virtualtransaction = k.virtualtransaction and t.locktype = 'transactionid' and t.pid is null
       limit 1) x on k.pid is null
   where k.pid is distinct from pg_backend_pid()
     and clock_timestamp() - coalesce(a.xact_start, x.prepared) > interval '1 second'; -- not a settle on its way
end $$;
comment on function tide._pipelines_locked() is 'Transactions of more than a second whose locks keep pipelines from settling or reading';

create function tide.holders()
returns table (holds text, outbox text, consumer_group text, pid integer, username text, database text, age interval, cause text, cure text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
  return query
  select 'its own messages'::text, null::text, null::text, a.pid, a.usename::text, a.datname::text, clock_timestamp() - a.xact_start,
         format('transaction open in state %s', a.state), format('End it, or: select pg_terminate_backend(%s);', a.pid)
    from pg_stat_activity a where a.backend_xid is not null and a.pid <> pg_backend_pid()
  union all
  select 'its own messages', null, null, null, x.owner::text, x.database::text, clock_timestamp() - x.prepared,
         format('transaction prepared as %L', x.gid), format('commit prepared %L; or rollback prepared %L;', x.gid, x.gid)
    from pg_prepared_xacts x
  union all
  select 'retention', o.name, h.consumer_group, null, null, null, clock_timestamp() - s.closed_at, h.reason, h.cure
    from tide.outbox o join tide.slot s on s.outbox_id = o.outbox_id
    cross join lateral tide._slot_held_now(o, s.slot) h
   where s.closed_at + o.retention_hours * interval '1 hour' <= clock_timestamp() and h.reason is not null
  union all
  select 'retention', o.name, null, a.pid, a.usename::text, a.datname::text, clock_timestamp() - a.xact_start,
         format('%s lock on tide.%s', l.mode, k.relname), format('End it, or: select pg_terminate_backend(%s);', a.pid)
    from tide.outbox o join tide.slot s on s.outbox_id = o.outbox_id
    join pg_class k on k.oid = to_regclass(format('tide.message_%s_%s', o.outbox_id, s.slot))
    join pg_locks l on l.relation = k.oid and l.granted
    join pg_stat_activity a on a.pid = l.pid and a.pid <> pg_backend_pid()
   where s.closed_at + o.retention_hours * interval '1 hour' <= clock_timestamp()
  union all
  select 'retention', o.name, null, null, x.owner::text, x.database::text, clock_timestamp() - x.prepared,
         format('transaction prepared as %L holds a %s lock on tide.%s', x.gid, l.mode, k.relname),
         format('commit prepared %L; or rollback prepared %L;', x.gid, x.gid)
    from tide.outbox o join tide.slot s on s.outbox_id = o.outbox_id
    join pg_class k on k.oid = to_regclass(format('tide.message_%s_%s', o.outbox_id, s.slot))
    join pg_locks l on l.relation = k.oid and l.pid is null
    join pg_locks t on t.virtualtransaction = l.virtualtransaction and t.locktype = 'transactionid' and t.pid is null
    join pg_prepared_xacts x on x.transaction = t.transactionid
   where s.closed_at + o.retention_hours * interval '1 hour' <= clock_timestamp()
  union all
  select 'delivery', h.outbox, h.consumer_group, null, null, null, h.age, h.cause, h.cure from tide._pipelines_held() h
  union all
  select 'delivery', h.outbox, h.consumer_group, h.pid, h.username, h.database, h.age, h.cause, h.cure from tide._pipelines_locked() h;
end $$;
comment on function tide.holders() is
  'Who keeps messages from being sent (delivery: relays, pipelines, locks; its own messages: open and prepared transactions) or from being dropped (retention: groups, locks), since when, and the cure';

-- ---- 0280_installation.sql ----
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

-- ---- 0300_config_rules.sql ----
-- The rules of a pipeline's configuration.
-- Generated from the models of pg_tide_relay.config by "make generate"; changes made here are lost.
-- tide._config_rules() holds the rule document that tide.relay_validate reads (0310_validate.sql), the
-- view tide.config_keys lists the keys for people. The rule language is described in the relay's
-- module config.rules.

create or replace function tide._config_rules()
returns jsonb
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  -- The rule document of a pipeline's configuration. Caller: tide.relay_validate. Locks: none.
  select $rules$
{
 "keys": {
  "acks": {
   "default": "all",
   "required": false,
   "rule": {
    "enum": [
     "0",
     "1",
     "all"
    ],
    "expects": "one of \"0\", \"1\", \"all\"",
    "not_yet": [],
    "type": "string",
    "what": "a string"
   }
  },
  "batch_size": {
   "default": 100,
   "required": false,
   "rule": {
    "expects": "a whole number from 1 to 10000 (messages)",
    "max": 10000,
    "min": 1,
    "type": "integer",
    "what": "a whole number"
   }
  },
  "brokers": {
   "required": true,
   "rule": {
    "entries": {
     "expects": "host:port with a port from 1 to 65535 (an IPv6 address in brackets)",
     "pattern": "(?:[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?|\\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*(?:%[A-Za-z0-9._-]+)?\\]):(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])",
     "separator": ","
    },
    "expects": "a comma-separated list of host:port",
    "type": "string",
    "what": "a string"
   }
  },
  "compression": {
   "default": "none",
   "required": false,
   "rule": {
    "enum": [
     "none",
     "gzip",
     "snappy",
     "lz4",
     "zstd"
    ],
    "expects": "one of \"none\", \"gzip\", \"snappy\", \"lz4\", \"zstd\"",
    "not_yet": [],
    "type": "string",
    "what": "a string"
   }
  },
  "delivery": {
   "default": "at_least_once",
   "required": false,
   "rule": {
    "enum": [
     "at_least_once",
     "exactly_once"
    ],
    "expects": "one of \"at_least_once\", \"exactly_once\"",
    "not_yet": [],
    "type": "string",
    "what": "a string"
   }
  },
  "dlq": {
   "default": {
    "max_in_a_row": 1000,
    "max_parked_keys": 10000,
    "on_error": "continue",
    "retention_days": 14
   },
   "required": false,
   "rule": {
    "keys": {
     "max_in_a_row": {
      "default": 1000,
      "required": false,
      "rule": {
       "expects": "a whole number from 1 to 1000000 (messages)",
       "max": 1000000,
       "min": 1,
       "type": "integer",
       "what": "a whole number"
      }
     },
     "max_parked_keys": {
      "default": 10000,
      "required": false,
      "rule": {
       "expects": "a whole number from 1 to 100000 (keys)",
       "max": 100000,
       "min": 1,
       "type": "integer",
       "what": "a whole number"
      }
     },
     "on_error": {
      "default": "continue",
      "required": false,
      "rule": {
       "enum": [
        "continue",
        "park_key",
        "stop"
       ],
       "expects": "one of \"continue\", \"park_key\", \"stop\"",
       "not_yet": [],
       "type": "string",
       "what": "a string"
      }
     },
     "retention_days": {
      "default": 14,
      "required": false,
      "rule": {
       "expects": "a whole number from 1 to 3650 (days)",
       "max": 3650,
       "min": 1,
       "type": "integer",
       "what": "a whole number"
      }
     }
    },
    "not_yet": [
     "on_missing_topic",
     "topic"
    ],
    "relations": [
     {
      "at": "max_parked_keys",
      "message": "has no effect where on_error is \"continue\"",
      "severity": "error",
      "when": [
       {
        "keys": [
         "max_parked_keys"
        ],
        "test": "none_of",
        "values": [
         10000
        ]
       },
       {
        "keys": [
         "on_error"
        ],
        "test": "one_of",
        "values": [
         "continue"
        ]
       }
      ]
     },
     {
      "at": "max_parked_keys",
      "message": "has no effect where on_error is \"stop\"",
      "severity": "error",
      "when": [
       {
        "keys": [
         "max_parked_keys"
        ],
        "test": "none_of",
        "values": [
         10000
        ]
       },
       {
        "keys": [
         "on_error"
        ],
        "test": "one_of",
        "values": [
         "stop"
        ]
       }
      ]
     },
     {
      "at": "max_in_a_row",
      "message": "has no effect where on_error is \"stop\"",
      "severity": "error",
      "when": [
       {
        "keys": [
         "max_in_a_row"
        ],
        "test": "none_of",
        "values": [
         1000
        ]
       },
       {
        "keys": [
         "on_error"
        ],
        "test": "one_of",
        "values": [
         "stop"
        ]
       }
      ]
     }
    ],
    "type": "object",
    "what": "an object"
   }
  },
  "headers": {
   "default": null,
   "required": false,
   "rule": {
    "names": {
     "expects": "a header name that is not empty",
     "length_min": 1,
     "reserved_prefix": "pg_tide_",
     "type": "string",
     "what": "a string"
    },
    "nullable": true,
    "type": "map",
    "values": {
     "expects": "a string",
     "type": "string",
     "what": "a string"
    },
    "what": "an object or null"
   }
  },
  "idempotent": {
   "default": false,
   "required": false,
   "rule": {
    "type": "boolean",
    "what": "true or false"
   }
  },
  "linger_ms": {
   "default": 10,
   "required": false,
   "rule": {
    "expects": "a whole number from 0 to 900000 (ms)",
    "max": 900000,
    "min": 0,
    "type": "integer",
    "what": "a whole number"
   }
  },
  "message_key": {
   "default": null,
   "required": false,
   "rule": {
    "expects": "a record key template",
    "length_min": 1,
    "nullable": true,
    "template": {
     "dotted": [
      "payload",
      "headers"
     ],
     "literal": null,
     "literal_expects": null,
     "literal_length_max": null,
     "placeholders": [
      "dedup_key",
      "stream_table",
      "op",
      "outbox_id",
      "key"
     ],
     "refused": []
    },
    "type": "string",
    "what": "a string or null"
   }
  },
  "rate_limit": {
   "default": {
    "burst_size": null,
    "max_messages_per_second": null
   },
   "required": false,
   "rule": {
    "keys": {
     "burst_size": {
      "default": null,
      "required": false,
      "rule": {
       "expects": "a whole number from 1 to 10000000 (messages)",
       "max": 10000000,
       "min": 1,
       "nullable": true,
       "type": "integer",
       "what": "a whole number or null"
      }
     },
     "max_messages_per_second": {
      "default": null,
      "required": false,
      "rule": {
       "expects": "a whole number from 1 to 10000000 (messages/s)",
       "max": 10000000,
       "min": 1,
       "nullable": true,
       "type": "integer",
       "what": "a whole number or null"
      }
     }
    },
    "not_yet": [],
    "relations": [
     {
      "at": "burst_size",
      "message": "has no effect without max_messages_per_second",
      "severity": "error",
      "when": [
       {
        "keys": [
         "burst_size"
        ],
        "test": "set",
        "values": []
       },
       {
        "keys": [
         "max_messages_per_second"
        ],
        "test": "unset",
        "values": []
       }
      ]
     }
    ],
    "type": "object",
    "what": "an object"
   }
  },
  "request_timeout_ms": {
   "default": 30000,
   "required": false,
   "rule": {
    "expects": "a whole number from 1 to 900000 (ms)",
    "max": 900000,
    "min": 1,
    "type": "integer",
    "what": "a whole number"
   }
  },
  "retry": {
   "default": {
    "backoff_max_ms": 30000,
    "backoff_ms": 500
   },
   "required": false,
   "rule": {
    "keys": {
     "backoff_max_ms": {
      "default": 30000,
      "required": false,
      "rule": {
       "expects": "a whole number from 100 to 900000 (ms)",
       "max": 900000,
       "min": 100,
       "type": "integer",
       "what": "a whole number"
      }
     },
     "backoff_ms": {
      "default": 500,
      "required": false,
      "rule": {
       "expects": "a whole number from 100 to 900000 (ms)",
       "max": 900000,
       "min": 100,
       "type": "integer",
       "what": "a whole number"
      }
     }
    },
    "not_yet": [],
    "relations": [
     {
      "at": "backoff_max_ms",
      "message": "must not be below backoff_ms",
      "severity": "error",
      "when": [
       {
        "keys": [
         "backoff_ms",
         "backoff_max_ms"
        ],
        "test": "above",
        "values": []
       }
      ]
     }
    ],
    "type": "object",
    "what": "an object"
   }
  },
  "routing": {
   "default": {
    "rules": []
   },
   "required": false,
   "rule": {
    "keys": {
     "rules": {
      "default": [],
      "required": false,
      "rule": {
       "expects": "a list of at most 100 items",
       "items": {
        "keys": {
         "headers": {
          "default": null,
          "required": false,
          "rule": {
           "names": {
            "expects": "a header name that is not empty",
            "length_min": 1,
            "reserved_prefix": "pg_tide_",
            "type": "string",
            "what": "a string"
           },
           "nullable": true,
           "type": "map",
           "values": {
            "expects": "a string",
            "type": "string",
            "what": "a string"
           },
           "what": "an object or null"
          }
         },
         "message_key": {
          "default": null,
          "required": false,
          "rule": {
           "expects": "a record key template",
           "length_min": 1,
           "nullable": true,
           "template": {
            "dotted": [
             "payload",
             "headers"
            ],
            "literal": null,
            "literal_expects": null,
            "literal_length_max": null,
            "placeholders": [
             "dedup_key",
             "stream_table",
             "op",
             "outbox_id",
             "key"
            ],
            "refused": []
           },
           "type": "string",
           "what": "a string or null"
          }
         },
         "topic": {
          "required": true,
          "rule": {
           "expects": "a topic template",
           "length_min": 1,
           "template": {
            "dotted": [
             "payload",
             "headers"
            ],
            "literal": "[A-Za-z0-9._-]",
            "literal_expects": "a topic name has letters, digits, \".\", \"_\" and \"-\"",
            "literal_length_max": 249,
            "placeholders": [
             "stream_table",
             "op",
             "outbox_id"
            ],
            "refused": [
             ".",
             ".."
            ]
           },
           "type": "string",
           "what": "a string"
          }
         },
         "when": {
          "required": true,
          "rule": {
           "expects": "a string that is not empty",
           "length_min": 1,
           "type": "string",
           "what": "a string"
          }
         }
        },
        "not_yet": [],
        "relations": [
         {
          "at": "topic",
          "message": "{op} splits the history of one entity over several topics: its order is lost",
          "severity": "warning",
          "when": [
           {
            "keys": [
             "topic"
            ],
            "test": "uses",
            "values": [
             "op"
            ]
           }
          ]
         },
         {
          "at": "topic",
          "message": "{outbox_id} makes a topic of its own for every message",
          "severity": "warning",
          "when": [
           {
            "keys": [
             "topic"
            ],
            "test": "uses",
            "values": [
             "outbox_id"
            ]
           }
          ]
         }
        ],
        "type": "object",
        "what": "an object"
       },
       "length_max": 100,
       "type": "list",
       "what": "a list"
      }
     }
    },
    "not_yet": [],
    "relations": [],
    "type": "object",
    "what": "an object"
   }
  },
  "sasl_mechanism": {
   "default": null,
   "required": false,
   "rule": {
    "enum": [
     "PLAIN",
     "SCRAM-SHA-256",
     "SCRAM-SHA-512"
    ],
    "expects": "one of \"PLAIN\", \"SCRAM-SHA-256\", \"SCRAM-SHA-512\"",
    "not_yet": [],
    "nullable": true,
    "type": "string",
    "what": "a string or null"
   }
  },
  "sasl_password": {
   "default": null,
   "required": false,
   "rule": {
    "expects": "a string that is not empty",
    "length_min": 1,
    "nullable": true,
    "type": "string",
    "what": "a string or null"
   }
  },
  "sasl_username": {
   "default": null,
   "required": false,
   "rule": {
    "expects": "a string that is not empty",
    "length_min": 1,
    "nullable": true,
    "type": "string",
    "what": "a string or null"
   }
  },
  "schema_registry": {
   "default": {
    "auto_register": false,
    "bearer_token": null,
    "password": null,
    "timeout_ms": 5000,
    "tls_ca_cert": null,
    "tls_client_cert": null,
    "tls_client_key": null,
    "url": null,
    "username": null
   },
   "required": false,
   "rule": {
    "keys": {
     "auto_register": {
      "default": false,
      "required": false,
      "rule": {
       "type": "boolean",
       "what": "true or false"
      }
     },
     "bearer_token": {
      "default": null,
      "required": false,
      "rule": {
       "expects": "a string that is not empty",
       "length_min": 1,
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     },
     "password": {
      "default": null,
      "required": false,
      "rule": {
       "expects": "a string that is not empty",
       "length_min": 1,
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     },
     "timeout_ms": {
      "default": 5000,
      "required": false,
      "rule": {
       "expects": "a whole number from 1 to 60000 (ms)",
       "max": 60000,
       "min": 1,
       "type": "integer",
       "what": "a whole number"
      }
     },
     "tls_ca_cert": {
      "default": null,
      "required": false,
      "rule": {
       "expects": "a string that is not empty",
       "length_min": 1,
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     },
     "tls_client_cert": {
      "default": null,
      "required": false,
      "rule": {
       "expects": "a string that is not empty",
       "length_min": 1,
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     },
     "tls_client_key": {
      "default": null,
      "required": false,
      "rule": {
       "expects": "a string that is not empty",
       "length_min": 1,
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     },
     "url": {
      "default": null,
      "required": false,
      "rule": {
       "entries": {
        "expects": "an http:// or https:// URL without user, password and query",
        "pattern": "https?://(?:[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?|\\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*(?:%[A-Za-z0-9._-]+)?\\])(?::(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?(?:/[A-Za-z0-9._%/-]*)?",
        "separator": ","
       },
       "expects": "a comma-separated list of http:// or https:// URLs",
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     },
     "username": {
      "default": null,
      "required": false,
      "rule": {
       "expects": "a string that is not empty",
       "length_min": 1,
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     }
    },
    "not_yet": [],
    "relations": [
     {
      "at": "username",
      "message": "has no effect without url",
      "severity": "error",
      "when": [
       {
        "keys": [
         "username"
        ],
        "test": "set",
        "values": []
       },
       {
        "keys": [
         "url"
        ],
        "test": "unset",
        "values": []
       }
      ]
     },
     {
      "at": "password",
      "message": "has no effect without url",
      "severity": "error",
      "when": [
       {
        "keys": [
         "password"
        ],
        "test": "set",
        "values": []
       },
       {
        "keys": [
         "url"
        ],
        "test": "unset",
        "values": []
       }
      ]
     },
     {
      "at": "bearer_token",
      "message": "has no effect without url",
      "severity": "error",
      "when": [
       {
        "keys": [
         "bearer_token"
        ],
        "test": "set",
        "values": []
       },
       {
        "keys": [
         "url"
        ],
        "test": "unset",
        "values": []
       }
      ]
     },
     {
      "at": "tls_ca_cert",
      "message": "has no effect without url",
      "severity": "error",
      "when": [
       {
        "keys": [
         "tls_ca_cert"
        ],
        "test": "set",
        "values": []
       },
       {
        "keys": [
         "url"
        ],
        "test": "unset",
        "values": []
       }
      ]
     },
     {
      "at": "tls_client_cert",
      "message": "has no effect without url",
      "severity": "error",
      "when": [
       {
        "keys": [
         "tls_client_cert"
        ],
        "test": "set",
        "values": []
       },
       {
        "keys": [
         "url"
        ],
        "test": "unset",
        "values": []
       }
      ]
     },
     {
      "at": "tls_client_key",
      "message": "has no effect without url",
      "severity": "error",
      "when": [
       {
        "keys": [
         "tls_client_key"
        ],
        "test": "set",
        "values": []
       },
       {
        "keys": [
         "url"
        ],
        "test": "unset",
        "values": []
       }
      ]
     },
     {
      "at": "timeout_ms",
      "message": "has no effect without url",
      "severity": "error",
      "when": [
       {
        "keys": [
         "timeout_ms"
        ],
        "test": "none_of",
        "values": [
         5000
        ]
       },
       {
        "keys": [
         "url"
        ],
        "test": "unset",
        "values": []
       }
      ]
     },
     {
      "at": "auto_register",
      "message": "has no effect without url",
      "severity": "error",
      "when": [
       {
        "keys": [
         "auto_register"
        ],
        "test": "one_of",
        "values": [
         true
        ]
       },
       {
        "keys": [
         "url"
        ],
        "test": "unset",
        "values": []
       }
      ]
     },
     {
      "at": "username",
      "message": "required: username and password belong together",
      "severity": "error",
      "when": [
       {
        "keys": [
         "username"
        ],
        "test": "unset",
        "values": []
       },
       {
        "keys": [
         "password"
        ],
        "test": "set",
        "values": []
       }
      ]
     },
     {
      "at": "password",
      "message": "required: username and password belong together",
      "severity": "error",
      "when": [
       {
        "keys": [
         "password"
        ],
        "test": "unset",
        "values": []
       },
       {
        "keys": [
         "username"
        ],
        "test": "set",
        "values": []
       }
      ]
     },
     {
      "at": "tls_client_cert",
      "message": "required: tls_client_cert and tls_client_key belong together",
      "severity": "error",
      "when": [
       {
        "keys": [
         "tls_client_cert"
        ],
        "test": "unset",
        "values": []
       },
       {
        "keys": [
         "tls_client_key"
        ],
        "test": "set",
        "values": []
       }
      ]
     },
     {
      "at": "tls_client_key",
      "message": "required: tls_client_cert and tls_client_key belong together",
      "severity": "error",
      "when": [
       {
        "keys": [
         "tls_client_key"
        ],
        "test": "unset",
        "values": []
       },
       {
        "keys": [
         "tls_client_cert"
        ],
        "test": "set",
        "values": []
       }
      ]
     },
     {
      "at": "bearer_token",
      "message": "excludes username and password: choose one way to authenticate",
      "severity": "error",
      "when": [
       {
        "keys": [
         "bearer_token"
        ],
        "test": "set",
        "values": []
       },
       {
        "keys": [
         "username",
         "password"
        ],
        "test": "set",
        "values": []
       }
      ]
     }
    ],
    "type": "object",
    "what": "an object"
   }
  },
  "serialization": {
   "default": {
    "format": null,
    "key": null,
    "schema": null,
    "schema_file": null,
    "subject": null,
    "subject_name_strategy": null,
    "version": null
   },
   "required": false,
   "rule": {
    "keys": {
     "format": {
      "default": null,
      "required": false,
      "rule": {
       "enum": [
        "json",
        "avro"
       ],
       "expects": "one of \"json\", \"avro\"",
       "not_yet": [],
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     },
     "key": {
      "default": null,
      "required": false,
      "rule": {
       "enum": [
        "text",
        "avro"
       ],
       "expects": "one of \"text\", \"avro\"",
       "not_yet": [],
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     },
     "schema": {
      "default": null,
      "required": false,
      "rule": {
       "nullable": true,
       "options": {
        "object": {
         "names": {
          "expects": "a string",
          "type": "string",
          "what": "a string"
         },
         "type": "map",
         "values": {
          "type": "any",
          "what": "anything"
         },
         "what": "an object"
        },
        "string": {
         "expects": "a string that is not empty",
         "length_min": 1,
         "type": "string",
         "what": "a string"
        }
       },
       "type": "union",
       "what": "a string or an object or null"
      }
     },
     "schema_file": {
      "default": null,
      "required": false,
      "rule": {
       "expects": "a string that is not empty",
       "length_min": 1,
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     },
     "subject": {
      "default": null,
      "required": false,
      "rule": {
       "expects": "a string that is not empty",
       "length_min": 1,
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     },
     "subject_name_strategy": {
      "default": null,
      "required": false,
      "rule": {
       "enum": [
        "TopicNameStrategy",
        "RecordNameStrategy",
        "TopicRecordNameStrategy"
       ],
       "expects": "one of \"TopicNameStrategy\", \"RecordNameStrategy\", \"TopicRecordNameStrategy\"",
       "not_yet": [],
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     },
     "version": {
      "default": null,
      "required": false,
      "rule": {
       "nullable": true,
       "options": {
        "number": {
         "expects": "a whole number at least 1",
         "min": 1,
         "type": "integer",
         "what": "a whole number"
        },
        "string": {
         "enum": [
          "latest"
         ],
         "expects": "\"latest\"",
         "not_yet": [],
         "type": "string",
         "what": "a string"
        }
       },
       "type": "union",
       "what": "a whole number or a string or null"
      }
     }
    },
    "not_yet": [],
    "relations": [
     {
      "at": "schema_file",
      "message": "excludes schema: the schema comes from one place",
      "severity": "error",
      "when": [
       {
        "keys": [
         "schema"
        ],
        "test": "set",
        "values": []
       },
       {
        "keys": [
         "schema_file"
        ],
        "test": "set",
        "values": []
       }
      ]
     },
     {
      "at": "subject",
      "message": "excludes schema: the schema comes from one place",
      "severity": "error",
      "when": [
       {
        "keys": [
         "schema"
        ],
        "test": "set",
        "values": []
       },
       {
        "keys": [
         "subject"
        ],
        "test": "set",
        "values": []
       }
      ]
     },
     {
      "at": "subject",
      "message": "excludes schema_file: the schema comes from one place",
      "severity": "error",
      "when": [
       {
        "keys": [
         "schema_file"
        ],
        "test": "set",
        "values": []
       },
       {
        "keys": [
         "subject"
        ],
        "test": "set",
        "values": []
       }
      ]
     },
     {
      "at": "subject_name_strategy",
      "message": "excludes subject: the schema comes from one place",
      "severity": "error",
      "when": [
       {
        "keys": [
         "subject"
        ],
        "test": "set",
        "values": []
       },
       {
        "keys": [
         "subject_name_strategy"
        ],
        "test": "set",
        "values": []
       }
      ]
     },
     {
      "at": "subject",
      "message": "required: subject and version belong together",
      "severity": "error",
      "when": [
       {
        "keys": [
         "subject"
        ],
        "test": "unset",
        "values": []
       },
       {
        "keys": [
         "version"
        ],
        "test": "set",
        "values": []
       }
      ]
     },
     {
      "at": "version",
      "message": "required: subject and version belong together",
      "severity": "error",
      "when": [
       {
        "keys": [
         "version"
        ],
        "test": "unset",
        "values": []
       },
       {
        "keys": [
         "subject"
        ],
        "test": "set",
        "values": []
       }
      ]
     }
    ],
    "type": "object",
    "what": "an object"
   }
  },
  "shards": {
   "default": 1,
   "required": false,
   "rule": {
    "expects": "a whole number from 1 to 64 (shards)",
    "max": 64,
    "min": 1,
    "type": "integer",
    "what": "a whole number"
   }
  },
  "sink_type": {
   "required": true,
   "rule": {
    "enum": [
     "kafka"
    ],
    "expects": "\"kafka\"",
    "not_yet": [],
    "type": "string",
    "what": "a string"
   }
  },
  "tls_ca_cert": {
   "default": null,
   "required": false,
   "rule": {
    "expects": "a string that is not empty",
    "length_min": 1,
    "nullable": true,
    "type": "string",
    "what": "a string or null"
   }
  },
  "tls_client_cert": {
   "default": null,
   "required": false,
   "rule": {
    "expects": "a string that is not empty",
    "length_min": 1,
    "nullable": true,
    "type": "string",
    "what": "a string or null"
   }
  },
  "tls_client_key": {
   "default": null,
   "required": false,
   "rule": {
    "expects": "a string that is not empty",
    "length_min": 1,
    "nullable": true,
    "type": "string",
    "what": "a string or null"
   }
  },
  "tls_enabled": {
   "default": false,
   "required": false,
   "rule": {
    "type": "boolean",
    "what": "true or false"
   }
  },
  "topic": {
   "required": true,
   "rule": {
    "expects": "a topic template",
    "length_min": 1,
    "template": {
     "dotted": [
      "payload",
      "headers"
     ],
     "literal": "[A-Za-z0-9._-]",
     "literal_expects": "a topic name has letters, digits, \".\", \"_\" and \"-\"",
     "literal_length_max": 249,
     "placeholders": [
      "stream_table",
      "op",
      "outbox_id"
     ],
     "refused": [
      ".",
      ".."
     ]
    },
    "type": "string",
    "what": "a string"
   }
  },
  "topics": {
   "default": {
    "configs": null,
    "partitions": null,
    "policy": "broker",
    "replication": null
   },
   "required": false,
   "rule": {
    "keys": {
     "configs": {
      "default": null,
      "required": false,
      "rule": {
       "names": {
        "expects": "a string that is not empty",
        "length_min": 1,
        "type": "string",
        "what": "a string"
       },
       "nullable": true,
       "type": "map",
       "values": {
        "expects": "a string",
        "type": "string",
        "what": "a string"
       },
       "what": "an object or null"
      }
     },
     "partitions": {
      "default": null,
      "required": false,
      "rule": {
       "expects": "a whole number from 1 to 100000 (partitions)",
       "max": 100000,
       "min": 1,
       "nullable": true,
       "type": "integer",
       "what": "a whole number or null"
      }
     },
     "policy": {
      "default": "broker",
      "required": false,
      "rule": {
       "enum": [
        "broker",
        "require",
        "create"
       ],
       "expects": "one of \"broker\", \"require\", \"create\"",
       "not_yet": [],
       "type": "string",
       "what": "a string"
      }
     },
     "replication": {
      "default": null,
      "required": false,
      "rule": {
       "expects": "a whole number from 1 to 10000 (copies)",
       "max": 10000,
       "min": 1,
       "nullable": true,
       "type": "integer",
       "what": "a whole number or null"
      }
     }
    },
    "not_yet": [],
    "relations": [
     {
      "at": "partitions",
      "message": "has no effect unless policy is \"create\"",
      "severity": "error",
      "when": [
       {
        "keys": [
         "partitions"
        ],
        "test": "set",
        "values": []
       },
       {
        "keys": [
         "policy"
        ],
        "test": "none_of",
        "values": [
         "create"
        ]
       }
      ]
     },
     {
      "at": "replication",
      "message": "has no effect unless policy is \"create\"",
      "severity": "error",
      "when": [
       {
        "keys": [
         "replication"
        ],
        "test": "set",
        "values": []
       },
       {
        "keys": [
         "policy"
        ],
        "test": "none_of",
        "values": [
         "create"
        ]
       }
      ]
     },
     {
      "at": "configs",
      "message": "has no effect unless policy is \"create\"",
      "severity": "error",
      "when": [
       {
        "keys": [
         "configs"
        ],
        "test": "set",
        "values": []
       },
       {
        "keys": [
         "policy"
        ],
        "test": "none_of",
        "values": [
         "create"
        ]
       }
      ]
     }
    ],
    "type": "object",
    "what": "an object"
   }
  },
  "transactions": {
   "default": {
    "commit_interval_ms": 100,
    "cursor_topic": "pg_tide_cursors",
    "timeout_ms": 60000
   },
   "required": false,
   "rule": {
    "keys": {
     "commit_interval_ms": {
      "default": 100,
      "required": false,
      "rule": {
       "expects": "a whole number from 1 to 60000 (ms)",
       "max": 60000,
       "min": 1,
       "type": "integer",
       "what": "a whole number"
      }
     },
     "cursor_topic": {
      "default": "pg_tide_cursors",
      "required": false,
      "rule": {
       "expects": "a topic name: 1 to 249 letters, digits, \".\", \"_\" and \"-\"",
       "pattern": "[A-Za-z0-9_-][A-Za-z0-9._-]{0,248}",
       "type": "string",
       "what": "a string"
      }
     },
     "timeout_ms": {
      "default": 60000,
      "required": false,
      "rule": {
       "expects": "a whole number from 1000 to 900000 (ms)",
       "max": 900000,
       "min": 1000,
       "type": "integer",
       "what": "a whole number"
      }
     }
    },
    "not_yet": [],
    "relations": [
     {
      "at": "commit_interval_ms",
      "message": "must not be above timeout_ms",
      "severity": "error",
      "when": [
       {
        "keys": [
         "commit_interval_ms",
         "timeout_ms"
        ],
        "test": "above",
        "values": []
       }
      ]
     }
    ],
    "type": "object",
    "what": "an object"
   }
  },
  "transform": {
   "default": {
    "filter": null,
    "on_null": "pass",
    "payload": null
   },
   "required": false,
   "rule": {
    "keys": {
     "filter": {
      "default": null,
      "required": false,
      "rule": {
       "expects": "a string that is not empty",
       "length_min": 1,
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     },
     "on_null": {
      "default": "pass",
      "required": false,
      "rule": {
       "enum": [
        "pass",
        "drop"
       ],
       "expects": "one of \"pass\", \"drop\"",
       "not_yet": [],
       "type": "string",
       "what": "a string"
      }
     },
     "payload": {
      "default": null,
      "required": false,
      "rule": {
       "expects": "a string that is not empty",
       "length_min": 1,
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     }
    },
    "not_yet": [],
    "relations": [],
    "type": "object",
    "what": "an object"
   }
  },
  "wire_config": {
   "default": {
    "binary_handling_mode": null,
    "decimal_handling_mode": null,
    "emit_as": null,
    "emit_tombstones": null,
    "key_converter": null,
    "key_fields": null,
    "key_schemas_enable": null,
    "key_strategy": null,
    "mode": null,
    "payload_as": null,
    "row_schema": null,
    "schemas_enable": null,
    "server_name": null,
    "source": null,
    "table": null,
    "time_precision_mode": null,
    "type": null,
    "value_converter": null
   },
   "required": false,
   "rule": {
    "keys": {
     "binary_handling_mode": {
      "default": null,
      "required": false,
      "rule": {
       "enum": [
        "bytes",
        "base64",
        "base64-url-safe",
        "hex"
       ],
       "expects": "one of \"bytes\", \"base64\", \"base64-url-safe\", \"hex\"",
       "not_yet": [],
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     },
     "decimal_handling_mode": {
      "default": null,
      "required": false,
      "rule": {
       "enum": [
        "precise",
        "double",
        "string"
       ],
       "expects": "one of \"precise\", \"double\", \"string\"",
       "not_yet": [],
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     },
     "emit_as": {
      "default": null,
      "required": false,
      "rule": {
       "enum": [
        "c",
        "error",
        "key_only"
       ],
       "expects": "one of \"c\", \"error\", \"key_only\"",
       "not_yet": [],
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     },
     "emit_tombstones": {
      "default": null,
      "required": false,
      "rule": {
       "nullable": true,
       "type": "boolean",
       "what": "true or false or null"
      }
     },
     "key_converter": {
      "default": null,
      "required": false,
      "rule": {
       "enum": [
        "string",
        "json",
        "json_with_schema"
       ],
       "expects": "one of \"string\", \"json\", \"json_with_schema\"",
       "not_yet": [],
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     },
     "key_fields": {
      "default": null,
      "required": false,
      "rule": {
       "expects": "a list of 1 to 32 items",
       "items": {
        "expects": "a string that is not empty",
        "length_min": 1,
        "type": "string",
        "what": "a string"
       },
       "length_max": 32,
       "length_min": 1,
       "nullable": true,
       "type": "list",
       "what": "a list or null"
      }
     },
     "key_schemas_enable": {
      "default": null,
      "required": false,
      "rule": {
       "nullable": true,
       "type": "boolean",
       "what": "true or false or null"
      }
     },
     "key_strategy": {
      "default": null,
      "required": false,
      "rule": {
       "enum": [
        "text",
        "struct"
       ],
       "expects": "one of \"text\", \"struct\"",
       "not_yet": [],
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     },
     "mode": {
      "default": null,
      "required": false,
      "rule": {
       "enum": [
        "binary",
        "structured"
       ],
       "expects": "one of \"binary\", \"structured\"",
       "not_yet": [],
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     },
     "payload_as": {
      "default": null,
      "required": false,
      "rule": {
       "enum": [
        "row",
        "opaque"
       ],
       "expects": "one of \"row\", \"opaque\"",
       "not_yet": [],
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     },
     "row_schema": {
      "default": null,
      "required": false,
      "rule": {
       "nullable": true,
       "options": {
        "array": {
         "expects": "a list of 1 to 1600 items",
         "items": {
          "keys": {
           "name": {
            "required": true,
            "rule": {
             "expects": "a string that is not empty",
             "length_min": 1,
             "type": "string",
             "what": "a string"
            }
           },
           "type": {
            "required": true,
            "rule": {
             "expects": "a string that is not empty",
             "length_min": 1,
             "type": "string",
             "what": "a string"
            }
           }
          },
          "not_yet": [],
          "relations": [],
          "type": "object",
          "what": "an object"
         },
         "length_max": 1600,
         "length_min": 1,
         "type": "list",
         "what": "a list"
        },
        "number": {
         "expects": "a whole number at least 1",
         "min": 1,
         "type": "integer",
         "what": "a whole number"
        }
       },
       "type": "union",
       "what": "a list or a whole number or null"
      }
     },
     "schemas_enable": {
      "default": null,
      "required": false,
      "rule": {
       "nullable": true,
       "type": "boolean",
       "what": "true or false or null"
      }
     },
     "server_name": {
      "default": null,
      "required": false,
      "rule": {
       "expects": "a name of letters, digits, \".\", \"_\" and \"-\"",
       "nullable": true,
       "pattern": "[A-Za-z0-9._-]+",
       "type": "string",
       "what": "a string or null"
      }
     },
     "source": {
      "default": null,
      "required": false,
      "rule": {
       "expects": "a template of a source",
       "length_min": 1,
       "nullable": true,
       "template": {
        "dotted": [],
        "literal": null,
        "literal_expects": null,
        "literal_length_max": null,
        "placeholders": [
         "stream_table"
        ],
        "refused": []
       },
       "type": "string",
       "what": "a string or null"
      }
     },
     "table": {
      "default": null,
      "required": false,
      "rule": {
       "expects": "schema.table",
       "nullable": true,
       "pattern": "[A-Za-z0-9 _-]+\\.[A-Za-z0-9 _-]+",
       "type": "string",
       "what": "a string or null"
      }
     },
     "time_precision_mode": {
      "default": null,
      "required": false,
      "rule": {
       "enum": [
        "adaptive",
        "adaptive_time_microseconds",
        "connect",
        "isostring",
        "microseconds",
        "nanoseconds"
       ],
       "expects": "one of \"adaptive\", \"adaptive_time_microseconds\", \"connect\", \"isostring\", \"microseconds\", \"nanoseconds\"",
       "not_yet": [],
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     },
     "type": {
      "default": null,
      "required": false,
      "rule": {
       "expects": "a template of a type",
       "length_min": 1,
       "nullable": true,
       "template": {
        "dotted": [],
        "literal": null,
        "literal_expects": null,
        "literal_length_max": null,
        "placeholders": [
         "stream_table",
         "op"
        ],
        "refused": []
       },
       "type": "string",
       "what": "a string or null"
      }
     },
     "value_converter": {
      "default": null,
      "required": false,
      "rule": {
       "enum": [
        "string",
        "json",
        "json_with_schema"
       ],
       "expects": "one of \"string\", \"json\", \"json_with_schema\"",
       "not_yet": [],
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     }
    },
    "not_yet": [
     "envelope"
    ],
    "relations": [],
    "type": "object",
    "what": "an object"
   }
  },
  "wire_format": {
   "default": "native",
   "required": false,
   "rule": {
    "enum": [
     "native",
     "debezium",
     "avro",
     "cloudevents",
     "outbox_router"
    ],
    "expects": "one of \"native\", \"debezium\", \"avro\", \"cloudevents\", \"outbox_router\"",
    "not_yet": [],
    "type": "string",
    "what": "a string"
   }
  }
 },
 "not_yet": [],
 "relations": [
  {
   "at": "idempotent",
   "message": "idempotent true needs acks \"all\": choose acks \"all\" or idempotent false",
   "severity": "error",
   "when": [
    {
     "keys": [
      "idempotent"
     ],
     "test": "one_of",
     "values": [
      true
     ]
    },
    {
     "keys": [
      "acks"
     ],
     "test": "one_of",
     "values": [
      "0",
      "1"
     ]
    }
   ]
  },
  {
   "at": "sasl_mechanism",
   "message": "required: sasl_mechanism, sasl_username and sasl_password belong together",
   "severity": "error",
   "when": [
    {
     "keys": [
      "sasl_mechanism"
     ],
     "test": "unset",
     "values": []
    },
    {
     "keys": [
      "sasl_username",
      "sasl_password"
     ],
     "test": "set",
     "values": []
    }
   ]
  },
  {
   "at": "sasl_username",
   "message": "required: sasl_mechanism, sasl_username and sasl_password belong together",
   "severity": "error",
   "when": [
    {
     "keys": [
      "sasl_username"
     ],
     "test": "unset",
     "values": []
    },
    {
     "keys": [
      "sasl_mechanism",
      "sasl_password"
     ],
     "test": "set",
     "values": []
    }
   ]
  },
  {
   "at": "sasl_password",
   "message": "required: sasl_mechanism, sasl_username and sasl_password belong together",
   "severity": "error",
   "when": [
    {
     "keys": [
      "sasl_password"
     ],
     "test": "unset",
     "values": []
    },
    {
     "keys": [
      "sasl_mechanism",
      "sasl_username"
     ],
     "test": "set",
     "values": []
    }
   ]
  },
  {
   "at": "tls_ca_cert",
   "message": "has no effect unless tls_enabled is true",
   "severity": "error",
   "when": [
    {
     "keys": [
      "tls_ca_cert"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "tls_enabled"
     ],
     "test": "none_of",
     "values": [
      true
     ]
    }
   ]
  },
  {
   "at": "tls_client_cert",
   "message": "has no effect unless tls_enabled is true",
   "severity": "error",
   "when": [
    {
     "keys": [
      "tls_client_cert"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "tls_enabled"
     ],
     "test": "none_of",
     "values": [
      true
     ]
    }
   ]
  },
  {
   "at": "tls_client_key",
   "message": "has no effect unless tls_enabled is true",
   "severity": "error",
   "when": [
    {
     "keys": [
      "tls_client_key"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "tls_enabled"
     ],
     "test": "none_of",
     "values": [
      true
     ]
    }
   ]
  },
  {
   "at": "tls_client_cert",
   "message": "required: tls_client_cert and tls_client_key belong together",
   "severity": "error",
   "when": [
    {
     "keys": [
      "tls_client_cert"
     ],
     "test": "unset",
     "values": []
    },
    {
     "keys": [
      "tls_client_key"
     ],
     "test": "set",
     "values": []
    }
   ]
  },
  {
   "at": "tls_client_key",
   "message": "required: tls_client_cert and tls_client_key belong together",
   "severity": "error",
   "when": [
    {
     "keys": [
      "tls_client_key"
     ],
     "test": "unset",
     "values": []
    },
    {
     "keys": [
      "tls_client_cert"
     ],
     "test": "set",
     "values": []
    }
   ]
  },
  {
   "at": "wire_config.mode",
   "message": "has no effect unless wire_format is \"cloudevents\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.mode"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "cloudevents"
     ]
    }
   ]
  },
  {
   "at": "wire_config.source",
   "message": "has no effect unless wire_format is \"cloudevents\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.source"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "cloudevents"
     ]
    }
   ]
  },
  {
   "at": "wire_config.type",
   "message": "has no effect unless wire_format is \"cloudevents\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.type"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "cloudevents"
     ]
    }
   ]
  },
  {
   "at": "wire_config.key_converter",
   "message": "has no effect unless wire_format is \"outbox_router\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.key_converter"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "outbox_router"
     ]
    }
   ]
  },
  {
   "at": "wire_config.value_converter",
   "message": "has no effect unless wire_format is \"outbox_router\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.value_converter"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "outbox_router"
     ]
    }
   ]
  },
  {
   "at": "wire_config.server_name",
   "message": "has no effect unless wire_format is \"debezium\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.server_name"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "debezium"
     ]
    }
   ]
  },
  {
   "at": "wire_config.table",
   "message": "has no effect unless wire_format is \"debezium\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.table"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "debezium"
     ]
    }
   ]
  },
  {
   "at": "wire_config.schemas_enable",
   "message": "has no effect unless wire_format is \"debezium\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.schemas_enable"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "debezium"
     ]
    }
   ]
  },
  {
   "at": "wire_config.payload_as",
   "message": "has no effect unless wire_format is \"debezium\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.payload_as"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "debezium"
     ]
    }
   ]
  },
  {
   "at": "wire_config.row_schema",
   "message": "has no effect unless wire_format is \"debezium\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.row_schema"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "debezium"
     ]
    }
   ]
  },
  {
   "at": "wire_config.decimal_handling_mode",
   "message": "has no effect unless wire_format is \"debezium\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.decimal_handling_mode"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "debezium"
     ]
    }
   ]
  },
  {
   "at": "wire_config.time_precision_mode",
   "message": "has no effect unless wire_format is \"debezium\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.time_precision_mode"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "debezium"
     ]
    }
   ]
  },
  {
   "at": "wire_config.binary_handling_mode",
   "message": "has no effect unless wire_format is \"debezium\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.binary_handling_mode"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "debezium"
     ]
    }
   ]
  },
  {
   "at": "wire_config.key_strategy",
   "message": "has no effect unless wire_format is \"debezium\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.key_strategy"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "debezium"
     ]
    }
   ]
  },
  {
   "at": "wire_config.key_fields",
   "message": "has no effect unless wire_format is \"debezium\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.key_fields"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "debezium"
     ]
    }
   ]
  },
  {
   "at": "wire_config.key_schemas_enable",
   "message": "has no effect unless wire_format is \"debezium\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.key_schemas_enable"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "debezium"
     ]
    }
   ]
  },
  {
   "at": "wire_config.emit_as",
   "message": "has no effect unless wire_format is \"debezium\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.emit_as"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "debezium"
     ]
    }
   ]
  },
  {
   "at": "wire_config.emit_tombstones",
   "message": "has no effect in cloudevents, where the mode decides",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.emit_tombstones"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "one_of",
     "values": [
      "cloudevents"
     ]
    }
   ]
  },
  {
   "at": "wire_config.decimal_handling_mode",
   "message": "has no effect without row_schema",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.decimal_handling_mode"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_config.row_schema"
     ],
     "test": "unset",
     "values": []
    }
   ]
  },
  {
   "at": "wire_config.time_precision_mode",
   "message": "has no effect without row_schema",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.time_precision_mode"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_config.row_schema"
     ],
     "test": "unset",
     "values": []
    }
   ]
  },
  {
   "at": "wire_config.binary_handling_mode",
   "message": "has no effect without row_schema",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.binary_handling_mode"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_config.row_schema"
     ],
     "test": "unset",
     "values": []
    }
   ]
  },
  {
   "at": "wire_config.row_schema",
   "message": "payload_as \"opaque\" has columns of its own: choose one of the two",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.row_schema"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_config.payload_as"
     ],
     "test": "one_of",
     "values": [
      "opaque"
     ]
    }
   ]
  },
  {
   "at": "wire_config.schemas_enable",
   "message": "needs the types of columns: give row_schema, or set payload_as to \"opaque\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.schemas_enable"
     ],
     "test": "one_of",
     "values": [
      true
     ]
    },
    {
     "keys": [
      "wire_config.row_schema"
     ],
     "test": "unset",
     "values": []
    },
    {
     "keys": [
      "wire_config.payload_as"
     ],
     "test": "none_of",
     "values": [
      "opaque"
     ]
    }
   ]
  },
  {
   "at": "wire_config.key_schemas_enable",
   "message": "needs the types of columns: give row_schema, or set payload_as to \"opaque\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.key_schemas_enable"
     ],
     "test": "one_of",
     "values": [
      true
     ]
    },
    {
     "keys": [
      "wire_config.row_schema"
     ],
     "test": "unset",
     "values": []
    },
    {
     "keys": [
      "wire_config.payload_as"
     ],
     "test": "none_of",
     "values": [
      "opaque"
     ]
    }
   ]
  },
  {
   "at": "wire_config.key_schemas_enable",
   "message": "has no effect unless key_strategy is \"struct\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.key_schemas_enable"
     ],
     "test": "one_of",
     "values": [
      true
     ]
    },
    {
     "keys": [
      "wire_config.key_strategy"
     ],
     "test": "none_of",
     "values": [
      "struct"
     ]
    }
   ]
  },
  {
   "at": "wire_config.key_strategy",
   "message": "needs key_fields",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.key_strategy"
     ],
     "test": "one_of",
     "values": [
      "struct"
     ]
    },
    {
     "keys": [
      "wire_config.key_fields"
     ],
     "test": "unset",
     "values": []
    },
    {
     "keys": [
      "wire_config.payload_as"
     ],
     "test": "none_of",
     "values": [
      "opaque"
     ]
    }
   ]
  },
  {
   "at": "wire_config.emit_as",
   "message": "needs key_fields",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.emit_as"
     ],
     "test": "one_of",
     "values": [
      "key_only"
     ]
    },
    {
     "keys": [
      "wire_config.key_fields"
     ],
     "test": "unset",
     "values": []
    },
    {
     "keys": [
      "wire_config.payload_as"
     ],
     "test": "none_of",
     "values": [
      "opaque"
     ]
    }
   ]
  },
  {
   "at": "wire_config.key_fields",
   "message": "has no effect when payload_as is \"opaque\": the key is id",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.key_fields"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_config.payload_as"
     ],
     "test": "one_of",
     "values": [
      "opaque"
     ]
    }
   ]
  },
  {
   "at": "acks",
   "message": "delivery \"exactly_once\" needs acks \"all\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "acks"
     ],
     "test": "one_of",
     "values": [
      "0",
      "1"
     ]
    },
    {
     "keys": [
      "delivery"
     ],
     "test": "one_of",
     "values": [
      "exactly_once"
     ]
    }
   ]
  },
  {
   "at": "transactions.cursor_topic",
   "message": "has no effect unless delivery is \"exactly_once\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "transactions.cursor_topic"
     ],
     "test": "none_of",
     "values": [
      "pg_tide_cursors"
     ]
    },
    {
     "keys": [
      "delivery"
     ],
     "test": "none_of",
     "values": [
      "exactly_once"
     ]
    }
   ]
  },
  {
   "at": "transactions.commit_interval_ms",
   "message": "has no effect unless delivery is \"exactly_once\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "transactions.commit_interval_ms"
     ],
     "test": "none_of",
     "values": [
      100
     ]
    },
    {
     "keys": [
      "delivery"
     ],
     "test": "none_of",
     "values": [
      "exactly_once"
     ]
    }
   ]
  },
  {
   "at": "transactions.timeout_ms",
   "message": "has no effect unless delivery is \"exactly_once\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "transactions.timeout_ms"
     ],
     "test": "none_of",
     "values": [
      60000
     ]
    },
    {
     "keys": [
      "delivery"
     ],
     "test": "none_of",
     "values": [
      "exactly_once"
     ]
    }
   ]
  },
  {
   "at": "schema_registry.url",
   "message": "required: wire_format \"avro\" needs a schema registry",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_format"
     ],
     "test": "one_of",
     "values": [
      "avro"
     ]
    },
    {
     "keys": [
      "schema_registry.url"
     ],
     "test": "unset",
     "values": []
    }
   ]
  },
  {
   "at": "serialization.schema",
   "message": "required: wire_format \"avro\" needs schema, schema_file, or subject and version",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_format"
     ],
     "test": "one_of",
     "values": [
      "avro"
     ]
    },
    {
     "keys": [
      "serialization.schema",
      "serialization.schema_file",
      "serialization.subject"
     ],
     "test": "unset",
     "values": []
    }
   ]
  },
  {
   "at": "serialization.schema",
   "message": "has no effect unless wire_format is \"avro\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "serialization.schema"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "avro"
     ]
    }
   ]
  },
  {
   "at": "serialization.schema_file",
   "message": "has no effect unless wire_format is \"avro\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "serialization.schema_file"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "avro"
     ]
    }
   ]
  },
  {
   "at": "serialization.subject",
   "message": "has no effect unless wire_format is \"avro\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "serialization.subject"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "avro"
     ]
    }
   ]
  },
  {
   "at": "serialization.version",
   "message": "has no effect unless wire_format is \"avro\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "serialization.version"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "avro"
     ]
    }
   ]
  },
  {
   "at": "schema_registry.url",
   "message": "has no effect unless wire_format or serialization.format is \"avro\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "schema_registry.url"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "avro"
     ]
    },
    {
     "keys": [
      "serialization.format"
     ],
     "test": "none_of",
     "values": [
      "avro"
     ]
    }
   ]
  },
  {
   "at": "serialization.subject_name_strategy",
   "message": "has no effect unless wire_format or serialization.format is \"avro\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "serialization.subject_name_strategy"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "avro"
     ]
    },
    {
     "keys": [
      "serialization.format"
     ],
     "test": "none_of",
     "values": [
      "avro"
     ]
    }
   ]
  },
  {
   "at": "serialization.key",
   "message": "has no effect unless wire_format or serialization.format is \"avro\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "serialization.key"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "avro"
     ]
    },
    {
     "keys": [
      "serialization.format"
     ],
     "test": "none_of",
     "values": [
      "avro"
     ]
    }
   ]
  },
  {
   "at": "serialization.format",
   "message": "has no effect unless wire_format is \"debezium\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "serialization.format"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "debezium"
     ]
    }
   ]
  },
  {
   "at": "schema_registry.url",
   "message": "required: serialization.format \"avro\" needs a schema registry",
   "severity": "error",
   "when": [
    {
     "keys": [
      "serialization.format"
     ],
     "test": "one_of",
     "values": [
      "avro"
     ]
    },
    {
     "keys": [
      "schema_registry.url"
     ],
     "test": "unset",
     "values": []
    }
   ]
  },
  {
   "at": "serialization.format",
   "message": "\"avro\" needs the types of columns: give wire_config.row_schema, or set payload_as to \"opaque\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "serialization.format"
     ],
     "test": "one_of",
     "values": [
      "avro"
     ]
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "one_of",
     "values": [
      "debezium"
     ]
    },
    {
     "keys": [
      "wire_config.row_schema"
     ],
     "test": "unset",
     "values": []
    },
    {
     "keys": [
      "wire_config.payload_as"
     ],
     "test": "none_of",
     "values": [
      "opaque"
     ]
    }
   ]
  },
  {
   "at": "wire_config.schemas_enable",
   "message": "has no effect where serialization.format is \"avro\": schemas are in the registry",
   "severity": "error",
   "when": [
    {
     "keys": [
      "serialization.format"
     ],
     "test": "one_of",
     "values": [
      "avro"
     ]
    },
    {
     "keys": [
      "wire_config.schemas_enable"
     ],
     "test": "set",
     "values": []
    }
   ]
  },
  {
   "at": "wire_config.key_schemas_enable",
   "message": "has no effect where serialization.format is \"avro\": schemas are in the registry",
   "severity": "error",
   "when": [
    {
     "keys": [
      "serialization.format"
     ],
     "test": "one_of",
     "values": [
      "avro"
     ]
    },
    {
     "keys": [
      "wire_config.key_schemas_enable"
     ],
     "test": "set",
     "values": []
    }
   ]
  },
  {
   "at": "serialization.key",
   "message": "\"text\" contradicts wire_config.key_strategy \"struct\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "serialization.format"
     ],
     "test": "one_of",
     "values": [
      "avro"
     ]
    },
    {
     "keys": [
      "wire_config.key_strategy"
     ],
     "test": "one_of",
     "values": [
      "struct"
     ]
    },
    {
     "keys": [
      "serialization.key"
     ],
     "test": "one_of",
     "values": [
      "text"
     ]
    }
   ]
  },
  {
   "at": "wire_config.emit_tombstones",
   "message": "has no effect in avro, where a delete without payload is always a record without value",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.emit_tombstones"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "one_of",
     "values": [
      "avro"
     ]
    }
   ]
  },
  {
   "at": "schema_registry.auto_register",
   "message": "has no effect where the schema comes from the registry",
   "severity": "error",
   "when": [
    {
     "keys": [
      "schema_registry.auto_register"
     ],
     "test": "one_of",
     "values": [
      true
     ]
    },
    {
     "keys": [
      "serialization.subject"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "serialization.key"
     ],
     "test": "none_of",
     "values": [
      "avro"
     ]
    }
   ]
  },
  {
   "at": "acks",
   "message": "a message can be lost when a broker fails; acks \"all\" is safe",
   "severity": "warning",
   "when": [
    {
     "keys": [
      "acks"
     ],
     "test": "one_of",
     "values": [
      "0",
      "1"
     ]
    }
   ]
  },
  {
   "at": "topic",
   "message": "{op} splits the history of one entity over several topics: its order is lost",
   "severity": "warning",
   "when": [
    {
     "keys": [
      "topic"
     ],
     "test": "uses",
     "values": [
      "op"
     ]
    }
   ]
  },
  {
   "at": "topic",
   "message": "{outbox_id} makes a topic of its own for every message",
   "severity": "warning",
   "when": [
    {
     "keys": [
      "topic"
     ],
     "test": "uses",
     "values": [
      "outbox_id"
     ]
    }
   ]
  }
 ],
 "type": "object",
 "what": "an object"
}
$rules$::jsonb
$$;
comment on function tide._config_rules() is
  'The rules of a pipeline''s configuration as one document.';

create or replace view tide.config_keys
  (number, key, type, accepts, unit, required, default_value, description, reason, reaches)
as
  select k.number, k.key, k.type, k.accepts, k.unit, k.required, k.default_value::jsonb,
         k.description, k.reason, k.reaches
    from (values
    (1, 'sink_type', 'string', '"kafka"', null, true, null, 'The kind of sink; must be `"kafka"`.', 'says what the other keys mean', null),
    (2, 'brokers', 'string', 'a comma-separated list of host:port', null, true, null, 'Brokers to begin with, comma-separated `host:port`; an IPv6 address in brackets.', 'only the user knows the cluster', 'bootstrap.servers'),
    (3, 'topic', 'string', 'a topic template', null, true, null, 'Target topic; `{stream_table}` is the outbox''s name, `{op}` is `insert`, `update` or `delete`, `{outbox_id}` the message''s id, `{payload.a.b}` a member of the payload, `{headers.name}` one of the message''s headers.', 'only the user knows the topic', 'the record''s topic'),
    (4, 'sasl_mechanism', 'string', 'one of "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"', null, false, 'null', 'How the relay proves who it is; needs `sasl_username` and `sasl_password`.', 'no authentication', 'sasl.mechanism, security.protocol'),
    (5, 'sasl_username', 'string', 'a string that is not empty', null, false, 'null', 'SASL user name, or the API key of a managed service.', 'no authentication', 'sasl.username'),
    (6, 'sasl_password', 'string', 'a string that is not empty', null, false, 'null', 'SASL password, or the API secret; give it as `${env:KAFKA_PASSWORD}`, so that the database does not hold it.', 'no authentication', 'sasl.password'),
    (7, 'tls_enabled', 'bool', 'true or false', null, false, 'false', 'Whether connections to brokers are encrypted.', 'the brokers'' own default', 'security.protocol'),
    (8, 'tls_ca_cert', 'string', 'a string that is not empty', null, false, 'null', 'Path, on the relay''s machine, of the CA certificate that brokers must show.', 'the system''s certificate authorities', 'ssl.ca.location'),
    (9, 'tls_client_cert', 'string', 'a string that is not empty', null, false, 'null', 'Path of the relay''s own certificate (mTLS); needs `tls_client_key`.', 'no client certificate', 'ssl.certificate.location'),
    (10, 'tls_client_key', 'string', 'a string that is not empty', null, false, 'null', 'Path of the private key of `tls_client_cert`.', 'no client certificate', 'ssl.key.location'),
    (11, 'compression', 'string', 'one of "none", "gzip", "snappy", "lz4", "zstd"', null, false, '"none"', 'How produce batches are compressed.', 'costs no CPU; zstd suits most pipelines', 'compression.type'),
    (12, 'acks', 'string', 'one of "0", "1", "all"', null, false, '"all"', 'When a message counts as delivered: `0` at once, `1` when the leader has written it, `all` when every in-sync replica has.', 'what was acknowledged is not lost', 'acks'),
    (13, 'batch_size', 'int', 'a whole number from 1 to 10000 (messages)', 'messages', false, '100', 'Most messages in one produce batch.', 'small latency; 500 to 1000 suits a high volume', 'batch.num.messages, messages read at a time'),
    (14, 'linger_ms', 'int', 'a whole number from 0 to 900000 (ms)', 'ms', false, '10', 'How long the producer waits for a batch to fill.', 'hardly felt, and fills batches', 'linger.ms'),
    (15, 'idempotent', 'bool', 'true or false', null, false, 'false', 'Whether the broker must drop the producer''s own repeats: `true` makes it an error where the cluster refuses; `false` uses it where the cluster permits.', 'works where the cluster gives no right to it', 'enable.idempotence'),
    (16, 'request_timeout_ms', 'int', 'a whole number from 1 to 900000 (ms)', 'ms', false, '30000', 'How long a broker may take to answer a produce request.', 'Kafka''s own default', 'request.timeout.ms, the detection of an absent cluster'),
    (17, 'message_key', 'string', 'a record key template', null, false, 'null', 'Template of the record''s key, which decides the partition: `{dedup_key}`, `{key}`, `{stream_table}`, `{op}`, `{outbox_id}`, `{payload.a.b}`, `{headers.name}`.', 'the message''s key, else its dedup key', 'the record''s key'),
    (18, 'headers', 'object', 'an object', null, false, 'null', 'Headers on every record; names with `pg_tide_` are reserved.', 'none beside those of the message', 'the record''s headers'),
    (19, 'wire_format', 'string', 'one of "native", "debezium", "avro", "cloudevents", "outbox_router"', null, false, '"native"', 'How a message becomes the record''s bytes: `native` is the payload as it is, `debezium` a change event as Debezium writes it, `avro` the payload in Avro with the id of its registered schema, `cloudevents` an event of CloudEvents 1.0, `outbox_router` the record of Debezium''s outbox event router.', 'the payload as PostgreSQL renders it', 'the record''s value and headers'),
    (20, 'wire_config', 'object', 'an object', null, false, '{"emit_tombstones": null, "mode": null, "source": null, "type": null, "server_name": null, "table": null, "schemas_enable": null, "payload_as": null, "row_schema": null, "decimal_handling_mode": null, "time_precision_mode": null, "binary_handling_mode": null, "key_strategy": null, "key_fields": null, "key_schemas_enable": null, "emit_as": null, "key_converter": null, "value_converter": null}', 'Options of the wire format.', 'see its keys', null),
    (21, 'wire_config.emit_tombstones', 'bool', 'true or false', null, false, 'null', 'Whether a delete makes a record without value: in Debezium''s format a second one behind the event, in the native format and an outbox router''s in place of a payload that is missing; else its value is the JSON `null`.', '`true` for Debezium, as there; else `false`, because a tombstone makes compaction forget the key', 'the record''s value'),
    (22, 'wire_config.mode', 'string', 'one of "binary", "structured"', null, false, 'null', 'CloudEvents'' content mode: `binary` has attributes as headers and the payload as value, `structured` all in one JSON document.', '`binary`, whose value is the payload alone', 'the record''s value and headers'),
    (23, 'wire_config.source', 'string', 'a template of a source', null, false, 'null', 'The event''s `source`, a URI or the end of one; `{stream_table}` is the outbox.', '`/{stream_table}`', 'the event''s source'),
    (24, 'wire_config.type', 'string', 'a template of a type', null, false, 'null', 'The event''s `type`; `{stream_table}` and `{op}`.', '`{stream_table}.{op}`', 'the event''s type'),
    (25, 'wire_config.server_name', 'string', 'a name of letters, digits, ".", "_" and "-"', null, false, 'null', 'What Debezium calls `topic.prefix`.', 'the first of the three names in a topic such as `dbserver1.public.orders`, else `pg_tide`', 'source.name, the names of schemas'),
    (26, 'wire_config.table', 'string', 'schema.table', null, false, 'null', 'The table whose rows the payloads are, as `schema.table`.', 'the other two names in such a topic, else `tide` and the outbox', 'source.schema, source.table, the names of schemas'),
    (27, 'wire_config.schemas_enable', 'bool', 'true or false', null, false, 'null', 'Whether the value has its schema beside it, as JsonConverter''s `schemas.enable`; needs `row_schema`, or `payload_as` `opaque`.', '`false`: types have to be declared for it', 'the record''s value'),
    (28, 'wire_config.payload_as', 'string', 'one of "row", "opaque"', null, false, 'null', 'What a payload is in `before` and `after`: `row`, an object with columns, or `opaque`, any JSON in one column `payload` beside `id`, the record''s key.', '`row`', 'the record''s value'),
    (29, 'wire_config.row_schema', 'union', 'a list or a whole number', null, false, 'null', 'The types of the payload''s members, in order; they are converted as Debezium does.', 'payloads are sent as they are, and readers find the types', 'the record''s value'),
    (30, 'wire_config.decimal_handling_mode', 'string', 'one of "precise", "double", "string"', null, false, 'null', 'Debezium''s `decimal.handling.mode`, for columns of type `numeric`.', '`precise`, as Debezium''s', 'the record''s value'),
    (31, 'wire_config.time_precision_mode', 'string', 'one of "adaptive", "adaptive_time_microseconds", "connect", "isostring", "microseconds", "nanoseconds"', null, false, 'null', 'Debezium''s `time.precision.mode`, for dates and times without zone.', '`adaptive`, as Debezium''s', 'the record''s value'),
    (32, 'wire_config.binary_handling_mode', 'string', 'one of "bytes", "base64", "base64-url-safe", "hex"', null, false, 'null', 'Debezium''s `binary.handling.mode`, for columns of type `bytea`.', '`bytes`, as Debezium''s', 'the record''s value'),
    (33, 'wire_config.key_strategy', 'string', 'one of "text", "struct"', null, false, 'null', 'The record''s key: `text` is what `message_key` says, `struct` a JSON object of columns, as Debezium''s.', '`text`, as in every format', 'the record''s key'),
    (34, 'wire_config.key_fields', 'list', 'a list of 1 to 32 items', null, false, 'null', 'The columns of the primary key.', 'only the user knows them', 'the record''s key, before'),
    (35, 'wire_config.key_schemas_enable', 'bool', 'true or false', null, false, 'null', 'Whether a key of `struct` has its schema beside it.', '`false`, as for the value', 'the record''s key'),
    (36, 'wire_config.emit_as', 'string', 'one of "c", "error", "key_only"', null, false, 'null', 'What becomes of an update or a delete without old payload: `c` sends an update as if it were new, `key_only` with a `before` of `key_fields` alone, `error` not at all. A delete is `key_only` with `c`, too.', '`c`, which every reader takes; a `before` of null in an update stops Flink', 'op, before'),
    (37, 'wire_config.key_converter', 'string', 'one of "string", "json", "json_with_schema"', null, false, 'null', 'Whose bytes an outbox router''s key has: `string` those of Connect''s StringConverter, `json` of its JsonConverter without schemas, `json_with_schema` with them.', '`string`, the key as it is', 'the record''s key'),
    (38, 'wire_config.value_converter', 'string', 'one of "string", "json", "json_with_schema"', null, false, 'null', 'The same of the value: `string` is the payload, `json` the payload as an escaped JSON string, `json_with_schema` that string beside its schema.', '`string`, the payload as it is', 'the record''s value'),
    (39, 'serialization', 'object', 'an object', null, false, '{"schema": null, "format": null, "subject_name_strategy": null, "schema_file": null, "subject": null, "version": null, "key": null}', 'The schemas that records are written with.', 'see its keys', null),
    (40, 'serialization.schema', 'union', 'a string or an object', null, false, 'null', 'The value''s Avro schema itself: a JSON object, or the same as a string.', 'only the user knows the schema', 'the record''s value'),
    (41, 'serialization.format', 'string', 'one of "json", "avro"', null, false, 'null', 'How Debezium''s change events are written: `json`, or `avro` as by Confluent''s AvroConverter, which needs `row_schema` or `payload_as` `opaque`.', '`json`, which needs no registry', 'the record''s key and value'),
    (42, 'serialization.subject_name_strategy', 'string', 'one of "TopicNameStrategy", "RecordNameStrategy", "TopicRecordNameStrategy"', null, false, 'null', 'The subject of a value''s schema: `TopicNameStrategy` is `<topic>-value`, `RecordNameStrategy` the record''s full name, `TopicRecordNameStrategy` both, as in `<topic>-<name>`.', '`TopicNameStrategy`, what registries and readers expect', 'the subject'),
    (43, 'serialization.schema_file', 'string', 'a string that is not empty', null, false, 'null', 'Path, on the relay''s machine, of a file that holds it; read when the pipeline starts.', '`schema` has it', 'the record''s value'),
    (44, 'serialization.subject', 'string', 'a string that is not empty', null, false, 'null', 'The subject in the registry whose schema is the value''s; needs `version`.', '`schema` has it', 'the record''s value'),
    (45, 'serialization.version', 'union', 'a whole number or a string', null, false, 'null', 'Its version: a number, or `latest`, which is looked up when the pipeline starts.', '`schema` has it', 'the record''s value'),
    (46, 'serialization.key', 'string', 'one of "text", "avro"', null, false, 'null', 'How the record''s key is written: `text` as it is, `avro` as an Avro string under the subject `<topic>-key`. A key of `key_strategy` `struct` is always Avro.', '`text`, which every consumer reads', 'the record''s key'),
    (47, 'schema_registry', 'object', 'an object', null, false, '{"url": null, "username": null, "password": null, "bearer_token": null, "tls_ca_cert": null, "tls_client_cert": null, "tls_client_key": null, "timeout_ms": 5000, "auto_register": false}', 'The registry that knows the schemas.', 'see its keys', null),
    (48, 'schema_registry.url', 'string', 'a comma-separated list of http:// or https:// URLs', null, false, 'null', 'Where the registry''s API begins, as in `http://schemas:8081` or, for Apicurio, `http://schemas:8080/apis/ccompat/v7`; of several, comma-separated, the next one is asked when one is away.', 'no schema registry', 'the registry''s client'),
    (49, 'schema_registry.username', 'string', 'a string that is not empty', null, false, 'null', 'User name, or the API key of a managed registry; needs `password`.', 'no authentication', 'HTTP basic authentication'),
    (50, 'schema_registry.password', 'string', 'a string that is not empty', null, false, 'null', 'Password, or the API secret; give it as `${env:SCHEMA_REGISTRY_PASSWORD}`, so that the database does not hold it.', 'no authentication', 'HTTP basic authentication'),
    (51, 'schema_registry.bearer_token', 'string', 'a string that is not empty', null, false, 'null', 'Token in place of user name and password; give it as `${env:SCHEMA_REGISTRY_TOKEN}`.', 'no authentication', 'the header Authorization'),
    (52, 'schema_registry.tls_ca_cert', 'string', 'a string that is not empty', null, false, 'null', 'Path, on the relay''s machine, of the CA certificate that the registry must show.', 'the system''s certificate authorities', 'TLS to the registry'),
    (53, 'schema_registry.tls_client_cert', 'string', 'a string that is not empty', null, false, 'null', 'Path of the relay''s own certificate (mTLS); needs `tls_client_key`.', 'no client certificate', 'TLS to the registry'),
    (54, 'schema_registry.tls_client_key', 'string', 'a string that is not empty', null, false, 'null', 'Path of the private key of `tls_client_cert`.', 'no client certificate', 'TLS to the registry'),
    (55, 'schema_registry.timeout_ms', 'int', 'a whole number from 1 to 60000 (ms)', 'ms', false, '5000', 'How long the registry may take to connect, and to answer; then it counts as away.', 'a registry answers in a few', 'the registry''s client'),
    (56, 'schema_registry.auto_register', 'bool', 'true or false', null, false, 'false', 'Whether the relay registers a schema that its subject does not have, once the registry finds it compatible.', 'who may change a contract should be decided', 'the registry'),
    (57, 'transform', 'object', 'an object', null, false, '{"filter": null, "payload": null, "on_null": "pass"}', 'Which messages are sent, and in which shape.', 'see its keys', null),
    (58, 'transform.filter', 'string', 'a string that is not empty', null, false, 'null', 'JMESPath expression over the payload; a message for which it is false (null, `false`, empty string, array or object; not 0) is not sent, and counts as done.', 'every message is sent', 'which messages are sent'),
    (59, 'transform.payload', 'string', 'a string that is not empty', null, false, 'null', 'JMESPath expression whose value is sent instead of the payload; the old payload gets the same shape.', 'the payload as it was published', 'the record''s value'),
    (60, 'transform.on_null', 'string', 'one of "pass", "drop"', null, false, '"pass"', 'What the filter makes of a message with neither payload nor old payload: `pass` sends it, `drop` does not.', 'a delete says something even without a payload', 'which messages are sent'),
    (61, 'routing', 'object', 'an object', null, false, '{"rules": []}', 'Which message goes to which topic.', 'see its keys', null),
    (62, 'routing.rules', 'list', 'a list of at most 100 items', null, false, '[]', 'Rules in the order in which they are asked; a message that none of them takes goes to `topic`.', 'all messages go to `topic`', 'the record''s topic, key and headers'),
    (63, 'routing.rules[].when', 'string', 'a string that is not empty', null, true, null, 'JMESPath expression over what the filter sees; the first rule for which it is true decides.', 'only the user knows which messages', 'the record''s topic'),
    (64, 'routing.rules[].topic', 'string', 'a topic template', null, true, null, 'Template of the topic for these messages.', 'only the user knows the topic', 'the record''s topic'),
    (65, 'routing.rules[].message_key', 'string', 'a record key template', null, false, 'null', 'Template of the record''s key for these messages.', 'the pipeline''s `message_key`', 'the record''s key'),
    (66, 'routing.rules[].headers', 'object', 'an object', null, false, 'null', 'Headers for these messages, beside and before the pipeline''s of the same name.', 'only the pipeline''s', 'the record''s headers'),
    (67, 'topics', 'object', 'an object', null, false, '{"policy": "broker", "partitions": null, "replication": null, "configs": null}', 'How topics that do not exist are treated.', 'see its keys', null),
    (68, 'topics.policy', 'string', 'one of "broker", "require", "create"', null, false, '"broker"', 'What happens when a topic does not exist: `broker` leaves its creation to the broker''s `auto.create.topics.enable`, `require` never asks for it, `create` makes the relay create it.', 'what a Kafka client does when nobody says otherwise', 'allow.auto.create.topics, the admin API'),
    (69, 'topics.partitions', 'int', 'a whole number from 1 to 100000 (partitions)', 'partitions', false, 'null', 'Number of partitions of a topic that the relay creates.', 'the broker''s `num.partitions`', 'the topic that is created'),
    (70, 'topics.replication', 'int', 'a whole number from 1 to 10000 (copies)', 'copies', false, 'null', 'Copies of each partition of a topic that the relay creates.', 'the broker''s `default.replication.factor`', 'the topic that is created'),
    (71, 'topics.configs', 'object', 'an object', null, false, 'null', 'Kafka''s settings of a topic that the relay creates, such as `{"cleanup.policy": "compact"}`; all values are strings.', 'the broker''s own', 'the topic that is created'),
    (72, 'dlq', 'object', 'an object', null, false, '{"on_error": "continue", "max_parked_keys": 10000, "max_in_a_row": 1000, "retention_days": 14}', 'What becomes of a message that can''t be delivered.', 'see its keys', null),
    (73, 'dlq.on_error', 'string', 'one of "continue", "park_key", "stop"', null, false, '"continue"', 'What happens when a message itself can''t be delivered (an outage never counts): `continue` keeps it as a dead letter and goes on; `park_key` keeps it, and later messages of its key wait behind it; `stop` stops the pipeline at it.', 'one bad message must not stop all others', '`tide.dead_letters`'),
    (74, 'dlq.max_parked_keys', 'int', 'a whole number from 1 to 100000 (keys)', 'keys', false, '10000', 'Most keys that may wait behind a dead letter at a time; at the next one the pipeline stops, and drops nothing.', 'a fault of all messages should not park them all', 'memory'),
    (75, 'dlq.max_in_a_row', 'int', 'a whole number from 1 to 1000000 (messages)', 'messages', false, '1000', 'Most messages that become dead letters one right after the other; at the next one the pipeline stops, and drops nothing.', 'then it is hardly the messages'' fault', '`tide.dead_letters`'),
    (76, 'dlq.retention_days', 'int', 'a whole number from 1 to 3650 (days)', 'days', false, '14', 'How long dead letters are kept after they were redriven or discarded; those that wait for a decision are kept for ever.', 'time to look what happened', '`tide.dlq_retention_run`'),
    (77, 'retry', 'object', 'an object', null, false, '{"backoff_ms": 500, "backoff_max_ms": 30000}', 'The pauses between two attempts at what keeps the pipeline from going on.', 'see its keys', null),
    (78, 'retry.backoff_ms', 'int', 'a whole number from 100 to 900000 (ms)', 'ms', false, '500', 'The first pause; each further one is twice as long, and by chance up to half of that shorter.', 'over before anybody looks', 'the first pause'),
    (79, 'retry.backoff_max_ms', 'int', 'a whole number from 100 to 900000 (ms)', 'ms', false, '30000', 'The longest pause; attempts go on without end.', 'how late a cure is noticed at most', 'all further pauses'),
    (80, 'rate_limit', 'object', 'an object', null, false, '{"max_messages_per_second": null, "burst_size": null}', 'How fast messages may be handed over.', 'see its keys', null),
    (81, 'rate_limit.max_messages_per_second', 'int', 'a whole number from 1 to 10000000 (messages/s)', 'messages/s', false, 'null', 'Most messages a second that the pipeline sends, resent ones and tombstones included.', 'as fast as the cluster takes them', 'the hand-over to the client'),
    (82, 'rate_limit.burst_size', 'int', 'a whole number from 1 to 10000000 (messages)', 'messages', false, 'null', 'Most messages that may go at once after a pause. The relay looks every few milliseconds: below a hundredth of the rate the rate is not reached.', 'a second''s worth', 'the hand-over to the client'),
    (83, 'shards', 'int', 'a whole number from 1 to 64 (shards)', 'shards', false, '1', 'How many parts the pipeline has, by a hash of the record''s key, that relays may drive at a time.', 'each further one reads all messages once more', '`tide.shards`'),
    (84, 'delivery', 'string', 'one of "at_least_once", "exactly_once"', null, false, '"at_least_once"', '`at_least_once`: a crash may repeat messages. `exactly_once`: in transactions, so that consumers that read with `isolation.level=read_committed` see each message once, whatever dies.', 'needs nothing of the cluster, and costs nothing', 'transactional.id'),
    (85, 'transactions', 'object', 'an object', null, false, '{"cursor_topic": "pg_tide_cursors", "commit_interval_ms": 100, "timeout_ms": 60000}', 'The transactions of a pipeline that delivers exactly once.', 'see its keys', null),
    (86, 'transactions.cursor_topic', 'string', 'a topic name: 1 to 249 letters, digits, ".", "_" and "-"', null, false, '"pg_tide_cursors"', 'Topic that keeps how far pipelines have come, one small record in each transaction. The relay creates it with one partition and `cleanup.policy=compact`; one that is there must have both.', 'one topic for all pipelines of a cluster', 'a record in every transaction'),
    (87, 'transactions.commit_interval_ms', 'int', 'a whole number from 1 to 60000 (ms)', 'ms', false, '100', 'How long a transaction stays open while there are more messages to come; without more it ends at once. Consumers see its records when it ends.', 'hardly felt, and a commit costs milliseconds', 'latency'),
    (88, 'transactions.timeout_ms', 'int', 'a whole number from 1000 to 900000 (ms)', 'ms', false, '60000', 'How long a transaction may stay open before the cluster ends it: so long a relay that died may hold back the consumers of its topics, if no other takes over. At most the brokers'' `transaction.max.timeout.ms`.', 'Kafka''s own default', 'transaction.timeout.ms')
    ) as k (number, key, type, accepts, unit, required, default_value, description, reason, reaches);
comment on view tide.config_keys is
  'The keys of a pipeline''s configuration, as tide.relay_set_outbox takes them.';
comment on column tide.config_keys.number is 'Order of the keys for people.';
comment on column tide.config_keys.key is 'The key; dotted when it is inside another.';
comment on column tide.config_keys.type is 'string, int, number, bool, object or list.';
comment on column tide.config_keys.accepts is 'The values it takes, in words.';
comment on column tide.config_keys.unit is 'Unit of a number, null when it has none.';
comment on column tide.config_keys.required is 'Whether it must be given.';
comment on column tide.config_keys.default_value is 'Its value when it is not given; null when required.';
comment on column tide.config_keys.description is 'What it means.';
comment on column tide.config_keys.reason is 'Why the default is what it is.';
comment on column tide.config_keys.reaches is 'The property of the Kafka client it sets, or where else it takes effect.';

-- ---- 0305_config_texts.sql ----
-- What is wrong with one string of a configuration.
-- tide._nearest finds the name somebody probably meant. The functions behind it check references to the
-- environment, templates, lists inside strings and the other restrictions of the rule document's
-- strings (0300_config_rules.sql). The relay's module config.text_faults says the same in Python,
-- word by word. Callers: 0310_validate.sql, and whoever reports an unknown name.

create or replace function tide._levenshtein(word text, other text, most integer)
returns integer
language plpgsql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
-- Edit distance in characters; above most it stops and returns any larger number. Caller:
-- tide._nearest. Locks: none.
declare
  v_other text[] := string_to_array(_levenshtein.other, null);
  v_width integer := length(_levenshtein.other);
  v_above integer[];
  v_row integer[];
  v_letter text;
  v_least integer;
begin
  v_above := array(select generate_series(0, v_width));
  for v_line in 1 .. length(_levenshtein.word) loop
    v_letter := substr(_levenshtein.word, v_line, 1);
    v_row := array[v_line];
    v_least := v_line;
    for v_column in 1 .. v_width loop
      v_row := v_row || least(
        v_above[v_column + 1] + 1,
        v_row[v_column] + 1,
        v_above[v_column] + case when v_letter = v_other[v_column] then 0 else 1 end);
      v_least := least(v_least, v_row[v_column + 1]);
    end loop;
    if v_least > _levenshtein.most then
      return v_least;
    end if;
    v_above := v_row;
  end loop;
  return v_above[v_width + 1];
end
$$;
comment on function tide._levenshtein(text, text, integer) is
  'Edit distance of two words in characters, exact up to a limit.';

create or replace function tide._nearest(word text, candidates text[])
returns text
language plpgsql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
-- The candidate that the word was probably meant to be, null when none is near: a distance of at
-- most a third of the word's length, rounded down; upper and lower case of ASCII are the same; of equals
-- the first in code point order. Callers: validation, errors about unknown names. Locks: none.
declare
  v_limit integer := length(_nearest.word) / 3;
  v_word text := lower(_nearest.word collate "C");
  v_candidate text;
  v_distance integer;
  v_best text;
begin
  for v_candidate in
    select c.name from unnest(_nearest.candidates) as c (name)
     where c.name is not null
     order by c.name collate "C"
  loop
    continue when abs(length(v_candidate) - length(v_word)) > v_limit;
    v_distance := tide._levenshtein(v_word, lower(v_candidate collate "C"), v_limit);
    if v_distance <= v_limit then
      v_best := v_candidate;
      v_limit := v_distance - 1;
    end if;
  end loop;
  return v_best;
end
$$;
comment on function tide._nearest(text, text[]) is
  'The candidate nearest to a word, null when none is near.';

create or replace function tide._config_path(parent text, key text)
returns text
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
  -- Path of an object's key: parent.key, or parent["a key"] when a dot would be ambiguous; the
  -- configuration itself is $. Caller: the other functions of this file. Locks: none.
  select case
    when _config_path.key !~ '^[A-Za-z0-9_-]+$'
      then coalesce(nullif(_config_path.parent, '$'), '') || '[' || to_json(_config_path.key)::text || ']'
    when _config_path.parent = '$' then _config_path.key
    else _config_path.parent || '.' || _config_path.key
  end
$$;
comment on function tide._config_path(text, text) is
  'Path of a key inside a configuration.';

create or replace function tide._config_list(list jsonb)
returns text[]
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
  -- The strings of a JSON list. Caller: the other functions of this file. Locks: none.
  select array(select jsonb_array_elements_text(_config_list.list))
$$;
comment on function tide._config_list(jsonb) is
  'The strings of a JSON list as an array.';

create or replace function tide._config_reference_faults(value text)
returns setof text
language plpgsql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
-- What is wrong with the references ${env:NAME} of a string. The messages never quote the string:
-- it may hold a secret. Caller: tide._config_check. Locks: none.
declare
  v_rest text := _config_reference_faults.value;
  v_passed integer := 0;
  v_start integer;
  v_piece text;
  v_place text;
begin
  loop
    v_start := strpos(v_rest, '${');
    exit when v_start = 0;
    v_piece := substring(substr(v_rest, v_start) from '^[$][{][^}]*[}]?');
    v_place := format('the reference at character %s', v_passed + v_start);
    if right(v_piece, 1) <> '}' then
      return next v_place || ' is not closed; write ${env:NAME}';
    elsif v_piece not like '${env:%' then
      return next v_place || ' is of an unknown kind; write ${env:NAME}';
    elsif v_piece !~ '^[$][{]env:[A-Za-z_][A-Za-z0-9_]*[}]$' then
      return next v_place || ' needs a name of letters, digits and _; write ${env:NAME}';
    end if;
    v_passed := v_passed + v_start - 1 + length(v_piece);
    v_rest := substr(v_rest, v_start + length(v_piece));
  end loop;
end
$$;
comment on function tide._config_reference_faults(text) is
  'What is wrong with the references to environment variables in a string.';

create or replace function tide._config_template_tokens(template text)
returns table (kind text, content text, place integer)
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
  -- The pieces of a template: text, placeholder, or a stray brace (open, close); place counts
  -- characters from 1. Callers: tide._config_template_faults, tide._config_holds. Locks: none.
  select case
           when t.piece in ('{{', '}}') then 'text'
           when t.piece = '{' then 'open'
           when t.piece = '}' then 'close'
           when left(t.piece, 1) = '{' then 'placeholder'
           else 'text'
         end,
         case
           when t.piece in ('{{', '}}') then left(t.piece, 1)
           when left(t.piece, 1) = '{' and t.piece <> '{' then substr(t.piece, 2, length(t.piece) - 2)
           else t.piece
         end,
         (1 + coalesce(sum(length(t.piece)) over (
            order by t.number rows between unbounded preceding and 1 preceding), 0))::integer
    from (select m.found[1] as piece, m.number
            from regexp_matches(
                   _config_template_tokens.template, '([{][{]|[}][}]|[{][^{}]*[}]|[{]|[}]|[^{}]+)', 'g')
                 with ordinality as m (found, number)) as t
   order by t.number
$$;
comment on function tide._config_template_tokens(text) is
  'The pieces of a template: texts, placeholders and stray braces.';

create or replace function tide._config_token_fault(rule jsonb, kind text, content text, place integer)
returns text
language plpgsql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
-- What is wrong with one piece of a template, null when nothing is. Caller:
-- tide._config_template_faults. Locks: none.
declare
  v_known text[] := tide._config_list(_config_token_fault.rule -> 'placeholders');
  v_dotted text[] := tide._config_list(_config_token_fault.rule -> 'dotted');
  v_legal text := _config_token_fault.rule ->> 'literal';
  v_length integer;
  v_cure text;
begin
  if _config_token_fault.kind = 'open' then
    return format('the "{" at character %s is not closed; write "{{" for a brace', place);
  elsif _config_token_fault.kind = 'close' then
    return format('the "}" at character %s was not opened; write "}}" for a brace', place);
  elsif _config_token_fault.kind = 'placeholder' and content <> all (v_known)
        and not (split_part(content, '.', 1) = any (v_dotted) and content ~ '^[^.]+(\.[^.]+)+$') then
    v_cure := coalesce(
      'did you mean {' || tide._nearest(content, v_known) || '}?',
      'known are ' || (select string_agg('{' || k.name || '}', ', ' order by k.number)
                         from unnest(v_known || array(select d.name || '.member' from unnest(v_dotted) with ordinality as d (name, number)
                                                       order by d.number)) with ordinality as k (name, number)));
    return format('unknown placeholder {%s} at character %s; %s', content, place, v_cure);
  elsif _config_token_fault.kind = 'text' and v_legal is not null then
    v_length := length(substring(content from '^(?:' || v_legal || ')*'));
    if v_length < length(content) then
      return format('character %s is not allowed; %s', place + v_length, rule ->> 'literal_expects');
    end if;
  end if;
  return null;
end
$$;
comment on function tide._config_token_fault(jsonb, text, text, integer) is
  'What is wrong with one piece of a template.';

create or replace function tide._config_template_faults(rule jsonb, template text)
returns setof text
language plpgsql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
-- What is wrong with a template. Caller: tide._config_text_faults. Locks: none.
declare
  v_token record;
  v_fault text;
  v_literal text := '';
  v_is_literal boolean := true;
  v_longest integer := (_config_template_faults.rule ->> 'literal_length_max')::integer;
begin
  for v_token in
    select t.kind, t.content, t.place
      from tide._config_template_tokens(_config_template_faults.template) as t
  loop
    if v_token.kind = 'text' then
      v_literal := v_literal || v_token.content;
    else
      v_is_literal := false;
    end if;
    v_fault := tide._config_token_fault(
      _config_template_faults.rule, v_token.kind, v_token.content, v_token.place);
    if v_fault is not null then
      return next v_fault;
    end if;
  end loop;
  if v_is_literal and _config_template_faults.rule -> 'refused' ? v_literal then
    return next format('"%s" is not allowed here', v_literal);
  end if;
  if length(v_literal) > v_longest then
    return next format('must not have more than %s characters beside its placeholders', v_longest);
  end if;
end
$$;
comment on function tide._config_template_faults(jsonb, text) is
  'What is wrong with a template.';

create or replace function tide._config_enum_fault(rule jsonb, value text)
returns text
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
  -- The message for a string that is none of the rule's values. Callers:
  -- tide._config_text_faults, tide._config_check_tagged. Locks: none.
  select case
    when coalesce(_config_enum_fault.rule -> 'not_yet' ? _config_enum_fault.value, false)
      then format('"%s" is not available in this version; must be %s',
                  _config_enum_fault.value, _config_enum_fault.rule ->> 'expects')
    else 'must be ' || (_config_enum_fault.rule ->> 'expects') || coalesce(
           '; did you mean "' || tide._nearest(
             _config_enum_fault.value, tide._config_list(_config_enum_fault.rule -> 'enum')) || '"?', '')
  end
$$;
comment on function tide._config_enum_fault(jsonb, text) is
  'The message for a string that is none of the values allowed.';

create or replace function tide._config_text_faults(rule jsonb, value text)
returns setof text
language plpgsql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
-- What is wrong with a string under its rule. Callers: tide._config_check, and
-- tide._config_check_map for names. Locks: none.
declare
  v_rule jsonb := _config_text_faults.rule;
  v_value text := _config_text_faults.value;
  v_entries jsonb := v_rule -> 'entries';
begin
  if not tide._config_fits(v_rule, length(v_value)) then
    return next 'must be ' || (v_rule ->> 'expects');
    return;
  end if;
  if v_rule ? 'enum' and not v_rule -> 'enum' ? v_value then
    return next tide._config_enum_fault(v_rule, v_value);
  end if;
  if v_rule ? 'pattern' and v_value !~ ('^(?:' || (v_rule ->> 'pattern') || ')$') then
    return next 'must be ' || (v_rule ->> 'expects');
  end if;
  if v_entries is not null then
    return query
      select format('entry %s must be %s', e.number, v_entries ->> 'expects')
        from unnest(
               string_to_array(v_value, v_entries ->> 'separator')
               || case v_value when '' then array[''] end -- which string_to_array takes for no entry
             ) with ordinality as e (entry, number)
       where btrim(e.entry, ' ') !~ ('^(?:' || (v_entries ->> 'pattern') || ')$');
  end if;
  if v_rule ? 'template' then
    return query select f from tide._config_template_faults(v_rule -> 'template', v_value) as f;
  end if;
  if starts_with(v_value, v_rule ->> 'reserved_prefix') then
    return next format('must not begin with "%s", which is reserved', v_rule ->> 'reserved_prefix');
  end if;
end
$$;
comment on function tide._config_text_faults(jsonb, text) is
  'What is wrong with a string under its rule.';

create or replace function tide._config_fits(rule jsonb, size integer)
returns boolean
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
  -- Whether a string's or list's length is within its rule. Callers: tide._config_text_faults,
  -- tide._config_check_list. Locks: none.
  select _config_fits.size between
           coalesce((_config_fits.rule ->> 'length_min')::integer, 0)
           and coalesce((_config_fits.rule ->> 'length_max')::integer, _config_fits.size)
$$;
comment on function tide._config_fits(jsonb, integer) is
  'Whether a length is within its rule.';

-- ---- 0310_validate.sql ----
-- Validation of a pipeline's configuration.
-- tide.relay_validate holds a configuration against the rule document of 0300_config_rules.sql and
-- returns everything that is wrong with it at once. The functions behind it read that document and
-- know nothing of its keys. The relay's module config.check reads the same document in Python, with
-- the same paths, messages and order; strings are checked in 0305_config_texts.sql.

create or replace function tide._config_type(value jsonb)
returns text
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  -- What a value is, in the words of a message. Caller: tide._config_check. Locks: none.
  select case coalesce(jsonb_typeof(_config_type.value), 'null')
    when 'string' then 'a string'
    when 'number' then 'a number'
    when 'boolean' then 'a boolean'
    when 'object' then 'an object'
    when 'array' then 'a list'
    else 'null'
  end
$$;
comment on function tide._config_type(jsonb) is
  'What a JSON value is, in words.';

create or replace function tide._config_in_range(rule jsonb, value numeric)
returns boolean
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
  -- Whether a number is within its rule; 100.0 and 1e2 are whole. Caller: tide._config_check.
  -- Locks: none.
  select (_config_in_range.rule ->> 'type' = 'number'
          or _config_in_range.value = trunc(_config_in_range.value))
     and coalesce(_config_in_range.value >= (_config_in_range.rule ->> 'min')::numeric, true)
     and coalesce(_config_in_range.value <= (_config_in_range.rule ->> 'max')::numeric, true)
     and coalesce(_config_in_range.value > (_config_in_range.rule ->> 'above')::numeric, true)
     and coalesce(_config_in_range.value < (_config_in_range.rule ->> 'below')::numeric, true)
$$;
comment on function tide._config_in_range(jsonb, numeric) is
  'Whether a number is within its rule.';

create or replace function tide._config_effective(rule jsonb, value jsonb, dotted text)
returns jsonb
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
-- The value of a key, dotted when nested, or the default where it is missing; null for JSON's null.
-- Caller: tide._config_holds. Locks: none.
declare
  v_rule jsonb := _config_effective.rule;
  v_value jsonb := _config_effective.value;
  v_part text;
begin
  foreach v_part in array string_to_array(_config_effective.dotted, '.') loop
    if v_value is null or jsonb_typeof(v_value) <> 'object' then
      return null;
    end if;
    v_value := coalesce(v_value -> v_part, v_rule -> 'keys' -> v_part -> 'default');
    v_rule := v_rule -> 'keys' -> v_part -> 'rule';
  end loop;
  return nullif(v_value, 'null');
end
$$;
comment on function tide._config_effective(jsonb, jsonb, text) is
  'The value of a key of a configuration, or its default.';

create or replace function tide._config_condition(test text, value jsonb, allowed jsonb)
returns boolean
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  -- One test of one effective value; of a string with an unresolved reference only "set" is true.
  -- Caller: tide._config_holds. Locks: none.
  select case
    when _config_condition.test = 'set' then _config_condition.value is not null
    when _config_condition.test = 'unset' then _config_condition.value is null
    when coalesce(jsonb_typeof(_config_condition.value) = 'string'
                  and strpos(_config_condition.value #>> '{}', '${') > 0, false) then false
    when _config_condition.test = 'one_of'
      then exists (select from jsonb_array_elements(_config_condition.allowed) as a (item)
                    where a.item = _config_condition.value)
    when _config_condition.test = 'none_of'
      then not exists (select from jsonb_array_elements(_config_condition.allowed) as a (item)
                        where a.item = _config_condition.value)
    else jsonb_typeof(_config_condition.value) is not distinct from 'string' and exists (
           select from tide._config_template_tokens(_config_condition.value #>> '{}') as t
            where t.kind = 'placeholder' and _config_condition.allowed ? t.content)
  end
$$;
comment on function tide._config_condition(text, jsonb, jsonb) is
  'One test of one value of a configuration.';

create or replace function tide._config_above(found jsonb[])
returns boolean
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  -- Whether the first of two values is a larger number than the second. Caller: tide._config_holds. Locks: none.
  select case when jsonb_typeof(_config_above.found[1]) = 'number' and jsonb_typeof(_config_above.found[2]) = 'number'
              then (_config_above.found[1] #>> '{}')::numeric > (_config_above.found[2] #>> '{}')::numeric
              else false end
$$;
comment on function tide._config_above(jsonb[]) is
  'Whether the first of two values of a configuration is a larger number than the second.';

create or replace function tide._config_holds(relation jsonb, rule jsonb, value jsonb)
returns boolean
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  -- Whether all conditions of a relation hold for an object. Caller: tide._config_check_object.
  -- Locks: none.
  select bool_and(
    case c.condition ->> 'test' when 'set' then k.some when 'above' then k.is_above else k.every end)
    from jsonb_array_elements(_config_holds.relation -> 'when') as c (condition),
         lateral (
           select bool_or(r.result) as some, bool_and(r.result) as every,
                  tide._config_above(array_agg(e.value order by n.place)) as is_above
             from jsonb_array_elements_text(c.condition -> 'keys') with ordinality as n (name, place),
                  lateral (select tide._config_effective(_config_holds.rule, _config_holds.value, n.name) as value) as e,
                  lateral (select tide._config_condition(
                     c.condition ->> 'test', e.value, c.condition -> 'values') as result) as r) as k
$$;
comment on function tide._config_holds(jsonb, jsonb, jsonb) is
  'Whether the conditions of a relation between keys hold.';

create or replace function tide._config_check_object(rule jsonb, value jsonb, parent text)
returns table (path text, severity text, message text)
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
-- Problems of an object: unknown, missing and bad keys, and the relations between them. Callers:
-- tide._config_check, tide._config_check_tagged. Locks: none.
declare
  v_keys jsonb := _config_check_object.rule -> 'keys';
  v_names text[] := array(select jsonb_object_keys(v_keys));
begin
  return query
    select tide._config_path(_config_check_object.parent, k.key),
           'error',
           case
             when _config_check_object.rule -> 'not_yet' ? k.key
               then k.key || ' is not available in this version'
             else 'unknown key' || coalesce('; did you mean "' || tide._nearest(k.key, v_names) || '"?', '')
           end
      from jsonb_object_keys(_config_check_object.value) as k (key)
     where k.key <> all (v_names);
  return query
    select tide._config_path(_config_check_object.parent, k.key), 'error', 'is required'
      from jsonb_each(v_keys) as k (key, entry)
     where (k.entry -> 'required')::boolean and not _config_check_object.value ? k.key;
  return query
    select c.path, c.severity, c.message
      from jsonb_each(v_keys) as k (key, entry),
           lateral tide._config_check(
             k.entry -> 'rule',
             _config_check_object.value -> k.key,
             tide._config_path(_config_check_object.parent, k.key)) as c
     where _config_check_object.value ? k.key;
  return query
    select case _config_check_object.parent when '$' then '' else _config_check_object.parent || '.' end
             || (r.relation ->> 'at'),
           r.relation ->> 'severity',
           r.relation ->> 'message'
      from jsonb_array_elements(_config_check_object.rule -> 'relations') as r (relation)
     where tide._config_holds(r.relation, _config_check_object.rule, _config_check_object.value);
end
$$;
comment on function tide._config_check_object(jsonb, jsonb, text) is
  'Problems of an object inside a configuration.';

create or replace function tide._config_check_map(rule jsonb, value jsonb, parent text)
returns table (path text, severity text, message text)
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
-- Problems of an object whose keys are the user's own. Caller: tide._config_check. Locks: none.
begin
  return query
    select tide._config_path(_config_check_map.parent, k.key), 'error', 'the name ' || f.fault
      from jsonb_object_keys(_config_check_map.value) as k (key),
           lateral tide._config_text_faults(_config_check_map.rule -> 'names', k.key) as f (fault);
  return query
    select c.path, c.severity, c.message
      from jsonb_each(_config_check_map.value) as k (key, item),
           lateral tide._config_check(
             _config_check_map.rule -> 'values',
             k.item,
             tide._config_path(_config_check_map.parent, k.key)) as c;
end
$$;
comment on function tide._config_check_map(jsonb, jsonb, text) is
  'Problems of an object whose keys are free.';

create or replace function tide._config_check_list(rule jsonb, value jsonb, parent text)
returns table (path text, severity text, message text)
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
-- Problems of a list and its items. Caller: tide._config_check. Locks: none.
begin
  if not tide._config_fits(_config_check_list.rule, jsonb_array_length(_config_check_list.value)) then
    return query
      select _config_check_list.parent, 'error', 'must be ' || (_config_check_list.rule ->> 'expects');
  end if;
  return query
    select c.path, c.severity, c.message
      from jsonb_array_elements(_config_check_list.value) with ordinality as i (item, number),
           lateral tide._config_check(
             _config_check_list.rule -> 'items',
             i.item,
             format('%s[%s]', _config_check_list.parent, i.number - 1)) as c;
end
$$;
comment on function tide._config_check_list(jsonb, jsonb, text) is
  'Problems of a list inside a configuration.';

create or replace function tide._config_check_tagged(rule jsonb, value jsonb, parent text)
returns table (path text, severity text, message text)
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
-- Problems of an object whose shape one of its keys tells. Caller: tide._config_check. Locks: none.
declare
  v_tag jsonb := _config_check_tagged.value -> (_config_check_tagged.rule ->> 'tag');
  v_place text := tide._config_path(_config_check_tagged.parent, _config_check_tagged.rule ->> 'tag');
  v_variant jsonb := _config_check_tagged.rule -> 'variants' -> (v_tag #>> '{}');
begin
  if v_tag is null then
    return query select v_place, 'error', 'is required';
  elsif jsonb_typeof(v_tag) <> 'string' then
    return query select v_place, 'error', 'must be a string, not ' || tide._config_type(v_tag);
  elsif v_variant is null then
    return query select v_place, 'error', tide._config_enum_fault(_config_check_tagged.rule, v_tag #>> '{}');
  else
    return query
      select c.path, c.severity, c.message
        from tide._config_check_object(
               v_variant, _config_check_tagged.value, _config_check_tagged.parent) as c;
  end if;
end
$$;
comment on function tide._config_check_tagged(jsonb, jsonb, text) is
  'Problems of an object whose shape one of its keys tells.';

create or replace function tide._config_check_text(rule jsonb, value text, parent text)
returns table (path text, severity text, message text)
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
-- Problems of a string. One that refers to the environment is checked in full by the relay, when the
-- reference is resolved. Caller: tide._config_check. Locks: none.
begin
  if strpos(_config_check_text.value, '${') > 0 then
    return query
      select _config_check_text.parent, 'error', f.fault
        from tide._config_reference_faults(_config_check_text.value) as f (fault);
  else
    return query
      select _config_check_text.parent, 'error', f.fault
        from tide._config_text_faults(_config_check_text.rule, _config_check_text.value) as f (fault);
  end if;
end
$$;
comment on function tide._config_check_text(jsonb, text, text) is
  'Problems of a string inside a configuration.';

create or replace function tide._config_check(rule jsonb, value jsonb, parent text)
returns table (path text, severity text, message text)
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
-- Problems of a value under its rule, whatever both are; calls itself for what lies inside. The
-- rule language is described in the relay's module config.rules. Callers: tide._config_problems and
-- the functions above. Locks: none.
declare
  v_rule jsonb := _config_check.rule;
  v_value jsonb := _config_check.value;
  v_parent text := _config_check.parent;
  v_found text := coalesce(jsonb_typeof(v_value), 'null');
  v_kind text;
begin
  if v_rule ->> 'type' = 'union' then
    v_rule := coalesce(v_rule -> 'options' -> v_found, v_rule);
  end if;
  v_kind := v_rule ->> 'type';
  if v_kind = 'any' or (v_found = 'null' and coalesce((v_rule -> 'nullable')::boolean, false)) then
    return;
  elsif v_found is distinct from (case
      when v_kind in ('object', 'map', 'tagged') then 'object'
      when v_kind in ('integer', 'number') then 'number'
      when v_kind = 'list' then 'array'
      else v_kind end) then
    return query
      select v_parent, 'error',
             'must be ' || (v_rule ->> 'what') || ', not ' || tide._config_type(v_value);
  elsif v_kind = 'object' then
    return query select c.* from tide._config_check_object(v_rule, v_value, v_parent) as c;
  elsif v_kind = 'map' then
    return query select c.* from tide._config_check_map(v_rule, v_value, v_parent) as c;
  elsif v_kind = 'tagged' then
    return query select c.* from tide._config_check_tagged(v_rule, v_value, v_parent) as c;
  elsif v_kind = 'list' then
    return query select c.* from tide._config_check_list(v_rule, v_value, v_parent) as c;
  elsif v_kind = 'string' then
    return query select c.* from tide._config_check_text(v_rule, v_value #>> '{}', v_parent) as c;
  elsif v_kind in ('integer', 'number')
        and not tide._config_in_range(v_rule, (v_value #>> '{}')::numeric) then
    return query select v_parent, 'error', 'must be ' || (v_rule ->> 'expects');
  end if;
end
$$;
comment on function tide._config_check(jsonb, jsonb, text) is
  'Problems of a value under its rule.';

create or replace function tide._config_problems(rules jsonb, config jsonb)
returns table (path text, severity text, message text)
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  -- All problems of a configuration under a rule document: errors first, then by path and message in
  -- code point order. Caller: tide.relay_validate. Locks: none.
  select c.path, c.severity, c.message
    from tide._config_check(_config_problems.rules, _config_problems.config, '$') as c
   order by c.severity collate "C", c.path collate "C", c.message collate "C"
$$;
comment on function tide._config_problems(jsonb, jsonb) is
  'All problems of a configuration under a rule document.';

create or replace function tide.relay_validate(config jsonb)
returns table (path text, severity text, message text)
language sql stable parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
  -- Everything that is wrong with a pipeline's configuration; no row of severity error means that
  -- tide.relay_set_outbox takes it. Callers: users, tide.relay_set_outbox. Locks: none. It never
  -- resolves a reference to the environment: only the relay can. It reads no table; security definer
  -- lets administrators call it without rights on the functions behind it.
  select p.path, p.severity, p.message
    from tide._config_problems(tide._config_rules(), relay_validate.config) as p
$$;
comment on function tide.relay_validate(jsonb) is
  'All errors and warnings of a pipeline''s configuration, each with its path.';

-- ---- 0900_privileges.sql ----
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

insert into tide.schema_version (version, release) values (1, '0.1.0');

\endif

commit;

\if :pg_tide_current
\echo 'pg-tide: schema tide has version 1 already; nothing was changed'
\elif :pg_tide_fresh
\echo 'pg-tide: schema tide is installed, version 1'
\else
\echo 'pg-tide: schema tide is upgraded from version' :pg_tide_installed 'to version 1'
\endif

\encoding :pg_tide_encoding
\set QUIET :pg_tide_quiet
\set ON_ERROR_STOP :pg_tide_stop
