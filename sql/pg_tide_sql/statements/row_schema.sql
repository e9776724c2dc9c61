-- What pg-tide row-schema runs: proposing and storing need an administrator's rights, showing a monitor's.

-- name: row_schema_infer
select i.name, i.type, i.seen, i.nulls, i.example, i.reason, i.entry
  from tide.row_schema_infer(%(outbox)s, %(messages)s::int) i

-- name: row_schema_set
select tide.row_schema_set(%(outbox)s, %(columns)s::jsonb, origin => 'inferred')

-- name: row_schema_list
-- One row without a version for an outbox that has none, no row for an outbox that does not exist.
select s.version, s.columns, s.origin, s.comment, s.pipelines, s.created_at, s.created_by
  from tide.outboxes o left join tide.row_schemas s on s.outbox = o.outbox
 where o.outbox = %(outbox)s
 order by s.version

-- name: row_schema_outboxes
-- For whoever misspelt one.
select outbox from tide.outboxes order by outbox
