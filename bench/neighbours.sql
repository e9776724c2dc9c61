-- What the benchmark of neighbours does in SQL.

-- name: named_pipeline
-- Also one that was disabled: it goes on behind what it has delivered.
select tide.relay_set_outbox(%(name)s, %(name)s, %(name)s, %(config)s), tide.relay_enable(%(name)s)

-- name: disable
select tide.relay_disable(%(name)s)

-- name: neighbours
select tide.outbox_create('silent'), tide.outbox_create('poison')

-- name: publish_poison
select tide.outbox_publish('poison', jsonb_build_object('note', repeat('x', %(size)s))), tide.outbox_publish('silent', '{}')

-- name: redrive_poison
select count(*) from tide.dlq_redrive('poison', everything => true)

-- name: trouble
select (select count(*) from tide.dead_letters where pipeline = 'poison'), (select state from tide.pipelines where pipeline = 'silent')
