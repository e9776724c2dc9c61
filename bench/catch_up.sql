-- What the catch-up benchmark does in SQL.

-- name: fresh_outbox
select tide.outbox_create('bench', if_not_exists => true)

-- name: fill
-- In slices: a batch's arrays live in memory.
select count(tide.outbox_publish_batch('bench', s.payloads, s.keys)) from (
  select array_agg(jsonb_build_object('id', i, 'note', repeat('x', %(pad)s - 24 - length(i::text)))) as payloads,
         array_agg('key-' || i) as keys
    from generate_series(1, %(messages)s) i group by i / 1000) s

-- name: publish_one
select tide.outbox_publish('bench', '{"id": 1}', key => 'key-1')

-- name: settle_storage
vacuum (analyze) tide.message

-- name: write_through
checkpoint

-- name: set_pipeline
select tide.relay_set_outbox('bench', 'bench', 'bench', %(config)s)

-- name: drop_pipeline
select tide.relay_drop('bench')

-- name: set_pipeline_latest
select tide.relay_set_outbox('bench', 'bench', 'bench', %(config)s, start => 'latest')

-- name: drop_group
select tide.group_drop('bench', 'bench')

-- name: transactions
select xact_commit from pg_stat_database where datname = current_database()
