-- What the relay's writing connection runs: ownership, settles, states, configuration.

-- name: backend_pid
-- Differs from what the connection was told at its start when a pooler stands between.
select pg_backend_pid()

-- name: session_ready
-- Asked once per connection: is the schema there, is this a primary, which encoding.
select to_regclass('tide.pipeline') is not null, pg_is_in_recovery(), current_setting('server_version_num')::int

-- name: schema_version
select max(version) from tide.schema_version

-- name: installation
-- The name that relays of this database must have been given; null: none.
select (select i.name from tide.installation i)

-- name: pipeline_versions
-- A row for each shard, with the division that it is driven under, whether there are dead letters to send, and the replay that
-- runs or is next, which is the first shard's: what an administrator asked for is begun, and what was cancelled ends, within the
-- second. And with what decides which relay drives which cursor: the owner while nobody else may have it, and the relays that
-- live and could.
select p.pipeline_id, p.name, p.version, p.enabled,
       exists (select from tide.dead_letter d where d.pipeline_id = p.pipeline_id and d.state = 'redriving') as redriving,
       c.shard, c.division,
       case when c.shard = 0 then
         (select min(r.replay_id) from tide.replay_request r where r.pipeline_id = p.pipeline_id and r.state in ('waiting', 'running')) end as replay,
       case when t.ends_at >= clock_timestamp() then c.owner_token end as owner,
       coalesce(extract(epoch from t.ends_at - clock_timestamp()), 0)::float8 as free_in_s, coalesce(a.able, '{}') as able
  from tide.pipeline p
  join tide.cursor c on c.group_id = p.group_id
  cross join lateral (select c.lease_until + c.takeover_ms * interval '1 ms' as ends_at) t
  left join (select s.pipeline_id, array_agg(r.token) as able
               from tide.relay r cross join unnest(r.serves) s (pipeline_id)
              where r.ended_at is null
                and (r.seen_at > clock_timestamp() - r.lease_ms * interval '1 ms'
                     or r.token in (select l.owner_token from tide.cursor l where l.lease_until > clock_timestamp()))
              group by s.pipeline_id) a on a.pipeline_id = p.pipeline_id
 order by p.pipeline_id, c.shard

-- name: pipeline_load
-- With the columns of a stored row schema in the place of its version: the relay knows no versions of them. One statement
-- for configuration and division: the one is never older than the other.
select p.pipeline_id, p.name, p.version, p.enabled, tide._config_resolved(p.config, o.name) as config, current_database() as database,
       p.outbox_id, o.name as outbox, p.group_id, g.name as consumer_group, g.uid as group_uid, c.shard, c.shards, c.division
  from tide.pipeline p
  join tide.outbox o on o.outbox_id = p.outbox_id
  join tide.consumer_group g on g.group_id = p.group_id
  join tide.cursor c on c.group_id = p.group_id and c.shard = %(shard)s
 where p.pipeline_id = %(pipeline_id)s

-- name: cursor_acquire
select c.prev::text, c.cur::text, c.first_id, c.last_id, c.window_token, c.replay_from, c.replay_last,
       c.known_tokens, c.generation, c.epoch, c.timeline, c.taken_over_from, c.taken_over_at, c.barrier::text
  from tide._cursor_acquire(%(group_id)s::int, %(shard)s::int, %(token)s::uuid, %(relay_id)s::text, %(lease_ms)s::int,
    %(takeover_ms)s::int, %(division)s::bigint) c

-- name: cursor_doubt
-- Why a cursor that nobody could acquire is not to be trusted, who owns it, and whether messages are divided anew.
select tide._cursor_doubt(c, c.xmin), c.owner, c.lease_until, c.division is distinct from %(division)s::bigint
  from tide.cursor c where c.group_id = %(group_id)s and c.shard = %(shard)s

-- name: cursor_renew
select r.group_id, r.shard, r.renewed
  from tide._cursor_renew(%(group_ids)s::int[], %(shards)s::int[], %(token)s::uuid, %(epochs)s::bigint[], %(lease_ms)s::int) r

-- name: cursor_release
select tide._cursor_release(%(group_id)s::int, %(shard)s::int, %(token)s::uuid, %(epoch)s::bigint)

-- name: cursor_settle
select tide._cursor_settle(%(group_id)s::int, %(shard)s::int, %(token)s::uuid, %(epoch)s::bigint, %(generation)s::bigint, %(timeline)s::int,
  %(last_id)s::bigint, %(replay_from)s::bigint, %(replay_last)s::bigint)

-- name: cursor_settle_window
select tide._cursor_settle_window(%(group_id)s::int, %(shard)s::int, %(token)s::uuid, %(epoch)s::bigint, %(generation)s::bigint, %(timeline)s::int,
  %(prev)s::pg_snapshot, %(cur)s::pg_snapshot, %(first_id)s::bigint, %(last_id)s::bigint, %(window_token)s::uuid)

-- name: cursor_open
select tide._cursor_open(%(group_id)s::int, %(shard)s::int, %(token)s::uuid, %(epoch)s::bigint, %(generation)s::bigint, %(timeline)s::int,
  %(prev)s::pg_snapshot, %(cur)s::pg_snapshot, %(first_id)s::bigint, %(last_id)s::bigint, %(window_token)s::uuid,
  %(replay_from)s::bigint, %(replay_last)s::bigint, %(sent_token)s::uuid)

-- name: durably
-- Where the role's or the database's default is off: this transaction waits for the log all the same.
select set_config('synchronous_commit', 'on', true) where current_setting('synchronous_commit') = 'off'

-- name: buried
-- Exactly once: messages whose dead letters were kept, while the transaction in Kafka that passes them may not have been.
select d.message_id, (extract(epoch from d.created_at - timestamptz '2000-01-01 00:00:00+00') * 1000000)::bigint
  from tide.dead_letter d
 where d.pipeline_id = %(pipeline_id)s::int and d.state in ('dead', 'parked', 'redriving') and d.message_id > %(above)s::bigint

-- name: shards_pass
select tide._shards_pass(%(group_id)s::int, %(shard)s::int, %(token)s::uuid, %(epoch)s::bigint)

-- name: parked_keys
-- Whose new messages wait; read when the cursor was acquired, kept in memory by its owner from then on.
select distinct d.ordering_key from tide.dead_letter d
 where d.pipeline_id = %(pipeline_id)s::int and d.parks and d.state in ('dead', 'parked', 'redriving')

-- name: dead_letters_add
select tide._dead_letters_add(%(pipeline_id)s::int, %(group_id)s::int, %(shard)s::int, %(token)s::uuid, %(epoch)s::bigint, %(version)s::bigint,
  %(message_ids)s::bigint[], %(parked)s::boolean[], %(parks)s::boolean[], %(ordering_keys)s::bytea[], %(topics)s::text[],
  %(error_classes)s::text[], %(error_codes)s::text[], %(errors)s::text[])

-- name: redrive_settle
select r.drained
  from tide._redrive_settle(%(pipeline_id)s::int, %(group_id)s::int, %(shard)s::int, %(token)s::uuid, %(epoch)s::bigint, %(version)s::bigint,
    %(delivered)s::bigint[], %(waiting)s::bigint[], %(failed)s::bigint[], %(topics)s::text[], %(error_classes)s::text[],
    %(error_codes)s::text[], %(errors)s::text[]) r

-- name: replay_begin
select r.replay_id, r.requested_us, r.last_position, r.until_id, r.to_topic, r.headers, r.max_messages_per_second
  from tide._replay_begin(%(pipeline_id)s::int, %(group_id)s::int, 0, %(token)s::uuid, %(epoch)s::bigint, %(relay_id)s) r

-- name: replay_settle
select r.state
  from tide._replay_settle(%(replay_id)s::bigint, %(group_id)s::int, 0, %(token)s::uuid, %(epoch)s::bigint, %(position)s::bigint,
    %(sent)s::bigint, %(filtered)s::bigint, %(failed)s::bigint, %(left_out)s::bigint, %(first_failed_id)s::bigint, %(first_error)s,
    %(what)s, %(error_class)s, %(error_code)s, %(error)s, %(cure)s) r

-- name: dlq_retention_run
select r.pipeline, r.removed from tide.dlq_retention_run() r

-- name: relay_seen
select tide._relay_seen(%(relay_id)s, %(token)s::uuid, %(host)s, %(pid)s::int, %(release)s, %(alive_ms)s::int,
  %(lease_ms)s::int, %(serves)s::int[])

-- name: relay_ended
select tide._relay_ended(%(relay_id)s, %(token)s::uuid)

-- name: pipeline_report
select tide._pipeline_report(%(pipeline_id)s::int, %(relay_id)s, %(version)s::bigint, %(state)s, %(error_class)s, %(error_code)s,
  %(error)s, %(cure)s, %(message_id)s::bigint, %(attempts)s::int, %(next_attempt_at)s::timestamptz, %(throttled_ms)s::int, %(shard)s::int)

-- name: retention_run
select outbox, slot, action, reason from tide.retention_run()
