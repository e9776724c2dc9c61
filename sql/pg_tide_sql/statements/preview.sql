-- What pg-tide preview reads beside the relay's own statements (poll.sql): open to tide_relay. Locks no row.

-- name: preview_pipeline
-- A pipeline, where its group's cursor stands, and why the cursor can't be trusted.
select tide._config_resolved(p.config, o.name) as config, current_database() as database, o.outbox_id, o.name as outbox, g.name as consumer_group,
       c.prev::text, c.cur::text, c.first_id, c.last_id, c.window_token, c.replay_from, c.replay_last,
       (select max(tide._cursor_doubt(d, d.xmin)) from tide.cursor d where d.group_id = g.group_id) as doubt
  from tide.pipeline p
  join tide.outbox o on o.outbox_id = p.outbox_id
  join tide.consumer_group g on g.group_id = p.group_id
  cross join lateral tide._group_position(g.group_id) c
 where p.name = %(pipeline)s

-- name: preview_row_schema
-- The columns of the version that a configuration to be tried names; TD025 when there is none.
select tide.row_schema_columns(%(outbox)s, %(version)s::int)

-- name: preview_names
-- For whoever misspelt one.
select name from tide.pipeline order by name
