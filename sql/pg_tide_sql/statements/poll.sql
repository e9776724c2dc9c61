-- What the relay's reading connection runs. {table} is the outbox's own table (tide.message_<outbox id>), never the
-- common parent: a page through the parent locks every partition of every outbox (docs/decisions/0001-cursor.md).

-- name: tick
-- Has any transaction ended since the last look? Two equal texts mean: none.
select pg_current_snapshot()::text, pg_is_in_recovery()

-- name: begin
begin isolation level read committed

-- name: commit
commit

-- name: window_open
-- The end of a window, a statement of its own: later statements see everything that is visible in it.
select pg_current_snapshot()::text, pg_is_in_recovery(),
       case when pg_is_in_recovery() then null else pg_current_wal_insert_lsn()::text end,
       case when pg_is_in_recovery() then null else tide._timeline() end

-- name: pins
-- The planner must not choose: settings for this transaction, so that a transaction pooler keeps them. And it must
-- not run on a standby, where a pooler or a list of hosts may have led this transaction. Nor wait long for a lock: whoever
-- holds one outbox's table exclusively (an open transaction with tide.outbox_drop, say) must not stop the others.
select set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
       set_config('enable_sort', 'off', true), set_config('jit', 'off', true),
       set_config('max_parallel_workers_per_gather', '0', true), set_config('plan_cache_mode', 'force_generic_plan', true),
       set_config('lock_timeout', '200ms', true),
       pg_is_in_recovery()

-- name: window_first_id
-- id + 0: without it the planner walks the id index from the bottom until it meets a match.
select min(id + 0) from {table}
 where xid >= pg_snapshot_xmax(%(prev)s::pg_snapshot) and xid < pg_snapshot_xmax(%(cur)s::pg_snapshot)

-- name: window_stragglers
-- Is there a message of a transaction that was running in prev and is finished in cur?
select exists (
  select from unnest(%(running)s::xid8[]) as o (xid)
   cross join lateral (select from {table} s where s.xid = o.xid limit 1) m
   where pg_visible_in_snapshot(o.xid, %(cur)s::pg_snapshot))

-- name: page_main
-- At most "size" messages, and none behind the one that brings their texts to "bytes": memory is bounded by bytes.
select p.id, p.op, p.key, p.dedup_key, p.payload, p.old_payload, p.headers, p.created_at
  from (
    select m.*, sum(coalesce(octet_length(m.payload), 0) + coalesce(octet_length(m.old_payload), 0) + coalesce(octet_length(m.headers), 0)
                  + coalesce(octet_length(m.key), 0) + coalesce(octet_length(m.dedup_key), 0))
                  over (order by m.id rows between unbounded preceding and 1 preceding) as bytes_before
      from (
        select id, op, key, dedup_key, payload, old_payload, headers, created_at from {table}
         where id > greatest(%(last_id)s::bigint, %(first_id)s::bigint - 1)
           and xid >= pg_snapshot_xmax(%(prev)s::pg_snapshot) and xid < pg_snapshot_xmax(%(cur)s::pg_snapshot)
           and pg_visible_in_snapshot(xid, %(cur)s::pg_snapshot)
         order by id limit %(size)s) m) p
 where p.bytes_before is null or p.bytes_before < %(bytes)s

-- name: page_stragglers
-- Not "t.xid = o.xid": with that the order is the id's alone, and where a bulk load gave all rows one xid, the planner walks the
-- whole id index for it.
select p.id, p.op, p.key, p.dedup_key, p.payload, p.old_payload, p.headers, p.created_at
  from (
    select m.*, sum(coalesce(octet_length(m.payload), 0) + coalesce(octet_length(m.old_payload), 0) + coalesce(octet_length(m.headers), 0)
                  + coalesce(octet_length(m.key), 0) + coalesce(octet_length(m.dedup_key), 0))
                  over (order by m.id rows between unbounded preceding and 1 preceding) as bytes_before
      from (
        select s.* from unnest(%(running)s::xid8[]) as o (xid)
         cross join lateral (
           select t.* from {table} t
            where (t.xid, t.id) > (o.xid, %(last_id)s::bigint) and t.xid <= o.xid order by t.xid, t.id limit %(size)s) s
         where pg_visible_in_snapshot(o.xid, %(cur)s::pg_snapshot)
         order by s.id limit %(size)s) m) p
 where p.bytes_before is null or p.bytes_before < %(bytes)s

-- name: page_replay
select p.id, p.op, p.key, p.dedup_key, p.payload, p.old_payload, p.headers, p.created_at
  from (
    select m.*, sum(coalesce(octet_length(m.payload), 0) + coalesce(octet_length(m.old_payload), 0) + coalesce(octet_length(m.headers), 0)
                  + coalesce(octet_length(m.key), 0) + coalesce(octet_length(m.dedup_key), 0))
                  over (order by m.id rows between unbounded preceding and 1 preceding) as bytes_before
      from (
        select id, op, key, dedup_key, payload, old_payload, headers, created_at from {table}
         where id > %(replay_last)s::bigint and pg_visible_in_snapshot(xid, %(prev)s::pg_snapshot)
         order by id limit %(size)s) m) p
 where p.bytes_before is null or p.bytes_before < %(bytes)s

-- name: page_redrive
-- Dead letters that are to be sent, in the order of their messages; bounded by bytes as pages are.
select p.message_id, p.op, p.key, p.dedup_key, p.payload, p.old_payload, p.headers, p.created_at, p.dead_letter_id,
       (extract(epoch from p.changed_at - timestamptz '2000-01-01 00:00:00+00') * 1000000)::bigint
  from (
    select m.*, sum(coalesce(octet_length(m.payload), 0) + coalesce(octet_length(m.old_payload), 0) + coalesce(octet_length(m.headers), 0)
                  + coalesce(octet_length(m.key), 0) + coalesce(octet_length(m.dedup_key), 0))
                  over (order by m.message_id rows between unbounded preceding and 1 preceding) as bytes_before
      from (
        select d.* from tide.dead_letter d
         where d.pipeline_id = %(pipeline_id)s::int and d.state = 'redriving' and d.message_id > %(after)s::bigint
         order by d.message_id limit %(size)s) m) p
 where p.bytes_before is null or p.bytes_before < %(bytes)s

-- name: page_of_replay
-- The next messages that a replay sends, out of a bounded number of ids.
select up_to, id, op, key, dedup_key, payload, old_payload, headers, created_at, letter
  from tide._replay_page(%(replay_id)s::bigint, %(behind_id)s::bigint, %(size)s::int, %(bytes)s::bigint, %(reach)s::int)

-- name: is_flushed
select pg_current_wal_flush_lsn() >= %(lsn)s::pg_lsn

-- name: flush
select tide._flush()
