-- What the benchmark of take-overs does in SQL.

-- name: publish_empty
select tide.outbox_publish('bench', '{}')

-- name: bench_relays
-- Whether all of these live and could drive the pipeline.
select count(*) = cardinality(%(names)s::text[]) from tide.relays
 where relay_id = any(%(names)s::text[]) and ended_at is null and cardinality(serves) > 0

-- name: bench_owner
select owner from tide.pipelines where pipeline = 'bench'
