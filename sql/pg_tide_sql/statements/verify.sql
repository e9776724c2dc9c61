-- What pg-tide verify reads: open to tide_relay. Locks no row. {table} is the outbox's own table (tide.message_<outbox id>).

-- name: verify_pipeline
-- A pipeline, where its group's cursor stands, and what its outbox may hold no longer.
select tide._config_resolved(p.config, o.name) as config, current_database() as database, o.outbox_id, o.name as outbox, g.name as consumer_group,
       c.prev::text, c.cur::text, c.first_id, c.last_id, c.window_token, c.replay_from, c.replay_last,
       c.passed_over::text, c.passed_below, (select max(tide._cursor_doubt(d, d.xmin)) from tide.cursor d where d.group_id = g.group_id) as doubt,
       (extract(epoch from o.created_at) * 1000000)::bigint as created_us, coalesce(v.dropped_to, -1) as dropped_to
  from tide.pipeline p
  join tide.outbox o on o.outbox_id = p.outbox_id
  join tide.outboxes v on v.outbox = o.name
  join tide.consumer_group g on g.group_id = p.group_id
  cross join lateral tide._group_position(g.group_id) c
 where p.name = %(pipeline)s

-- name: verify_left_out
-- The largest id but for the newest "limit" ones; no row when there are no more messages than that.
select id from {table} order by id desc offset %(limit)s limit 1

-- name: verify_page
-- Messages in id order, as page_replay reads them; and of each, whether the cursor has settled it, and whether the group was
-- moved past it.
select p.id, p.op, p.key, p.dedup_key, p.payload, p.old_payload, p.headers, p.created_at,
       case when pg_visible_in_snapshot(p.xid, %(prev)s::pg_snapshot) then p.id <= coalesce(%(replay_last)s::bigint, p.id)
            else coalesce(pg_visible_in_snapshot(p.xid, %(cur)s::pg_snapshot), false) and p.id <= %(last_id)s::bigint end as settled,
       coalesce(pg_visible_in_snapshot(p.xid, %(passed_over)s::pg_snapshot) and p.id < %(passed_below)s::bigint, false) as passed_over
  from (
    select m.*, sum(coalesce(octet_length(m.payload), 0) + coalesce(octet_length(m.old_payload), 0))
                  over (order by m.id rows between unbounded preceding and 1 preceding) as bytes_before
      from (
        select id, op, key, dedup_key, payload, old_payload, headers, created_at, xid from {table}
         where id > %(after)s::bigint and id <= %(to_id)s::bigint order by id limit %(size)s) m) p
 where p.bytes_before is null or p.bytes_before < %(bytes)s

-- name: verify_dead_letters
-- Messages that are, or were, dead letters of this pipeline. One that was sent again is expected, though behind later messages
-- of its key, unless these were parked; the others are expected on no topic.
select d.message_id, d.created_at, d.state = 'redriven', d.parks
  from tide.dead_letter d join tide.pipeline p on p.pipeline_id = d.pipeline_id
 where p.name = %(pipeline)s

-- name: verify_rows
-- Messages once more, by their ids.
select id, op, key, dedup_key, payload, old_payload, headers, created_at from {table} where id = any(%(ids)s::bigint[])

-- name: verify_known
-- Which of these ids the outbox holds by now, and whose messages they are.
select id, created_at from {table} where id = any(%(ids)s::bigint[])

-- name: verify_dropped
-- Messages with ids up to this may have been dropped by retention by now.
select coalesce(dropped_to, -1) from tide.outboxes where outbox = %(outbox)s
