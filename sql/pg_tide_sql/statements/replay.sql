-- What pg-tide replay runs: looking needs a monitor's rights, all else an administrator's.

-- name: replay_ask
select replay_id, selected, left_out, gone, oldest_id, oldest_at, newest_id, newest_at
  from tide.replay(%(pipeline)s, ids => %(ids)s::bigint[], key => %(key)s, from_id => %(from_id)s::bigint, to_id => %(to_id)s::bigint,
    from_time => %(from_time)s::timestamptz, to_time => %(to_time)s::timestamptz, matching => %(matching)s::jsonpath,
    everything => %(everything)s, to_topic => %(to_topic)s, headers => %(headers)s::jsonb,
    max_messages_per_second => %(max_messages_per_second)s::int, dry_run => %(dry_run)s)

-- name: replay_progress
select replay_id, state, selected, sent, filtered, failed, left_out, gone, first_failed_id, first_error, error, cure, reason
  from tide.replays where replay_id = %(replay_id)s::bigint

-- name: replay_list
select replay_id, pipeline, state, selected, sent, filtered, failed, left_out, gone, position, to_topic, first_error, error, cure, relay,
       requested_at, requested_by, started_at, ended_at, ended_by, reason
  from tide.replays
 where %(pipeline)s::text is null or pipeline = %(pipeline)s
 order by replay_id desc limit %(limit)s

-- name: replay_cancel
select tide.replay_cancel(%(replay_id)s::bigint, %(reason)s)
