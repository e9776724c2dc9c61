-- What pg-tide topics and pg-tide schemas read. The configurations are whole, with their secrets: only a relay's rights suffice.

-- name: topics_pipelines
-- The pipelines, or the one of this name.
select p.name, o.name, tide._config_resolved(p.config, o.name)
  from tide.pipeline p
  join tide.outbox o on o.outbox_id = p.outbox_id
 where %(pipeline)s::text is null or p.name = %(pipeline)s::text
 order by p.name
