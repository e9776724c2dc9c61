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
