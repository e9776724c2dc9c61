-- What pg-tide dlq runs: counting needs a monitor's rights, all else an administrator's.

-- name: dlq_list
-- Without payloads: they may be long, and private. pg-tide dlq show has them.
select pipeline, message_id, state, ordering_key, error_code, error, attempts, topic, died_at, changed_by, reason
  from tide.dead_letters
 where (%(pipeline)s::text is null or pipeline = %(pipeline)s) and state = any (%(states)s::text[])
 order by pipeline, message_id limit %(limit)s

-- name: dlq_show
select * from tide.dead_letters where pipeline = %(pipeline)s and message_id = %(message_id)s::bigint order by created_at

-- name: dlq_pipelines
-- For whoever misspelt one.
select pipeline from tide.pipelines order by pipeline

-- name: dlq_redrive
select message_id, action, ordering_key, code, error, attempts
  from tide.dlq_redrive(%(pipeline)s, ids => %(ids)s::bigint[], key => %(key)s, error_class => %(error_class)s, error_code => %(error_code)s,
    matching => %(matching)s::jsonpath, everything => %(everything)s, dry_run => %(dry_run)s)

-- name: dlq_discard
select message_id, action, ordering_key, code, error, attempts
  from tide.dlq_discard(%(pipeline)s, ids => %(ids)s::bigint[], reason => %(reason)s, key => %(key)s, error_class => %(error_class)s,
    error_code => %(error_code)s, matching => %(matching)s::jsonpath, everything => %(everything)s, dry_run => %(dry_run)s)

-- name: dlq_progress
-- What became of those that were to be sent.
select count(*) filter (where state = 'redriving'), count(*) filter (where state = 'redriven'),
       (select owner from tide.pipelines where pipeline = %(pipeline)s)
  from tide.dead_letters where pipeline = %(pipeline)s and message_id = any (%(ids)s::bigint[])
