-- What the comparison of formats does in SQL.

-- name: fresh_documents
select tide.outbox_create('documents', if_not_exists => true)

-- name: fill_documents
-- Ten members, all kept by the benchmark's filter; in slices, because a batch's arrays live in memory.
select count(tide.outbox_publish_batch('documents', s.payloads, s.keys)) from (
  select array_agg(jsonb_build_object('id', i, 'total', (i %% 90 + 11) + 0.25, 'status', 'paid',
           'customer', jsonb_build_object('name', 'Customer ' || i, 'country', 'DE'),
           'items', jsonb_build_array(jsonb_build_object('sku', 'A-1', 'quantity', 2), jsonb_build_object('sku', 'B-2', 'quantity', 1)),
           'note', repeat('x', 40), 'currency', 'EUR', 'channel', 'web', 'created_at', timestamptz '2026-01-01 00:00:00Z', 'version', 3)) as payloads,
         array_agg('key-' || i) as keys
    from generate_series(1, %(messages)s) i group by i / 1000) s

-- name: set_document_pipeline
select tide.relay_set_outbox(%(name)s, 'documents', %(name)s, %(config)s, start => 'earliest')

-- name: relay_is_there
select exists (select from tide.relays r where r.pid = %(pid)s and r.state <> 'ended')

-- name: drop_document_pipeline
select tide.relay_drop(%(name)s)
