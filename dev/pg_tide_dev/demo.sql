-- What the demo does in SQL, as an application and a DBA would.

-- name: shop
-- The business table. Each customer's row is locked before an order is placed: that is what keeps the order per key.
create table public.customer (customer_id int primary key, orders int not null default 0)

-- name: customers
insert into public.customer (customer_id) select generate_series(1, %(customers)s)

-- name: outbox
select tide.outbox_create('orders', retention_hours => 48)

-- name: pipeline
select tide.relay_set_outbox('orders-to-kafka', 'orders', 'kafka-relay', %(config)s)

-- name: is_running
select 1 from tide.pipelines where pipeline = 'orders-to-kafka' and state = 'running'

-- name: is_delivered
select 1 from tide.lag where pipeline = 'orders-to-kafka' and pending = 0 and settled_at is not null

-- name: place_order
update public.customer set orders = orders + 1 where customer_id = %(customer)s returning orders

-- name: publish_order
select tide.outbox_publish('orders', %(payload)s, dedup_key => %(dedup_key)s, key => %(key)s)
