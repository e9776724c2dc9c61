-- tide.outbox_publish_batch: the same as many calls of tide.outbox_publish, with ids in the order of the arrays.
begin;
select plan(33);

select tide.outbox_create('orders', max_payload_bytes => 12);

create temporary table returned on commit drop as
  select tide.outbox_publish_batch('orders', array['1', '2', '3']::jsonb[]) as ids;
select results_eq(
  $$select m.id, m.payload, m.op, m.key, m.dedup_key, m.headers, m.old_payload from tide.message m order by m.id$$,
  $$select i.id, i.place::text, 'insert'::text, null::text, null::text, null::text, null::text
      from returned, unnest(ids) with ordinality i (id, place)$$,
  'payloads alone make inserts; ids come in the order of the array');

truncate returned;
insert into returned select tide.outbox_publish_batch('orders',
  payloads => array['1', null, '3']::jsonb[], dedup_keys => array['d1', 'd2', null], ops => array['insert', 'delete', 'update'],
  keys => array['k1', null, 'k3'], headers => array['{"a": "1"}', null, '{}']::jsonb[], old_payloads => array[null, '20', '30']::jsonb[]);
select results_eq(
  $$select m.id, m.payload, m.op, m.key, m.dedup_key, m.headers, m.old_payload from tide.message m join returned r on m.id = any (r.ids) order by m.id$$,
  $$select r.ids[n], p, o, k, d, h, old from returned r,
      (values (1, '1'::text, 'insert'::text, 'k1'::text, 'd1'::text, '{"a": "1"}'::text, null::text),
              (2, null, 'delete', null, 'd2', null, '20'), (3, '3', 'update', 'k3', null, null, '30')) v (n, p, o, k, d, h, old)$$,
  'each element takes its place in every array');

select is((select count(distinct m.xid)::int from tide.message m), 1, 'all carry the transaction');

create temporary table many on commit drop as
  select tide.outbox_publish_batch('orders', array_agg(to_jsonb(n) order by n desc)) as ids from generate_series(1, 1000) n;
select results_eq(
  $$select m.payload from many, unnest(ids) with ordinality i (id, place) join tide.message m on m.id = i.id order by i.place$$,
  $$select n::text from generate_series(1000, 1, -1) n$$,
  'the id at a place is that of the payload at that place, in a long batch, too');
select ok((select bool_and(i.id > i.before) from (select u.id, lag(u.id) over (order by u.place) as before
    from many, unnest(ids) with ordinality u (id, place)) i where i.before is not null), 'ids rise with the place');

select is(tide.outbox_publish_batch('orders', '{}'), '{}', 'an empty batch publishes nothing and returns no ids');
select is(tide.outbox_publish_batch('orders', '{}', ops => '{}', keys => '{}'), '{}', 'also with empty arrays beside it');
select is(cardinality(tide.outbox_publish_batch('orders', '[5:6]={1,2}'::jsonb[])), 2, 'an array may begin at any number');

savepoint dropped;
select tide.outbox_publish_batch('orders', array['7777']::jsonb[]);
rollback to dropped;
select is((select count(*)::int from tide.message m where m.payload = '7777'), 0, 'rolling back takes a batch away');

-- Nothing of a refused batch stays.
create temporary table before on commit drop as select count(*) as messages from tide.message;

select refuses($$select tide.outbox_publish_batch('order', array['1']::jsonb[])$$, 'TD001',
  'outbox ''order'' does not exist', 'Did you mean ''orders''?%tide.outbox_create(''order'')%', 'an unknown outbox');
select refuses($$select tide.outbox_publish_batch(null, array['1']::jsonb[])$$, 'TD006',
  'the outbox to publish to is null', 'Name the outbox%', 'no outbox');
select refuses($$select tide.outbox_publish_batch('orders', null)$$, 'TD006',
  'the payloads of a batch to outbox ''orders'' are null', 'Pass an array of jsonb%', 'no payloads');
select refuses($$select tide.outbox_publish_batch('orders', array['1', null]::jsonb[])$$, 'TD006',
  'the payload of element 2 is null', '%''null''::jsonb%', 'a payload that is null, by its place');
select refuses($$select tide.outbox_publish_batch('orders', array['1', '2']::jsonb[], ops => array['insert', null])$$, 'TD006',
  'op null of element 2 is not known', '%''insert'', ''update'' or ''delete''%', 'an op that is null, by its place');
select refuses($$select tide.outbox_publish_batch('orders', array['1', '2']::jsonb[], ops => array['upsert', 'insert'])$$, 'TD003',
  'op ''upsert'' of element 1 is not known', '%''insert'', ''update'' or ''delete''%', 'an op that is not known, by its place');
select refuses($$select tide.outbox_publish_batch('orders', array['1', '2']::jsonb[], ops => array['insert'])$$, 'TD006',
  'the arrays of a batch are not equally long', '%one element for each payload%', 'too few ops');
select refuses($$select tide.outbox_publish_batch('orders', array['1']::jsonb[], dedup_keys => array['a', 'b'])$$, 'TD006',
  'the arrays of a batch are not equally long', '%one element for each payload%', 'too many dedup keys');
select refuses($$select tide.outbox_publish_batch('orders', array['1']::jsonb[], keys => '{}')$$, 'TD006',
  'the arrays of a batch are not equally long', '%one element for each payload%', 'no keys');
select refuses($$select tide.outbox_publish_batch('orders', array['1']::jsonb[], headers => array['{}', '{}']::jsonb[])$$, 'TD006',
  'the arrays of a batch are not equally long', '%one element for each payload%', 'too many headers');
select refuses($$select tide.outbox_publish_batch('orders', array['1']::jsonb[], old_payloads => '{}')$$, 'TD006',
  'the arrays of a batch are not equally long', '%one element for each payload%', 'no old payloads');
select refuses($$select tide.outbox_publish_batch('orders', array['1', '"äöüäöü"']::jsonb[])$$, 'TD004',
  'the payload of element 2 has 14 bytes, above the limit of outbox ''orders'', 12 bytes', '%tide.outbox_alter(''orders'', max_payload_bytes => ...)%',
  'a payload above the limit in bytes, by its place');
select is(cardinality(tide.outbox_publish_batch('orders', array['"äöüäö"']::jsonb[], old_payloads => array['"0123456789"']::jsonb[])), 1,
  'payloads at the limit are taken');
select refuses($$select tide.outbox_publish_batch('orders', array['1']::jsonb[], old_payloads => array['"0123456789a"']::jsonb[])$$, 'TD004',
  'the payload of element 1 has 13 bytes, above the limit of outbox ''orders'', 12 bytes', '%max_payload_bytes%', 'an old payload above it');
select refuses($$select tide.outbox_publish_batch('orders', array['1', '2']::jsonb[], headers => array['{}', '{"n": 1}']::jsonb[])$$, 'TD005',
  'header ''n'' of element 2 is not a string but number', 'Header values are strings%', 'a header that is no string, by its place');
select refuses($$select tide.outbox_publish_batch('orders', array['1', '2']::jsonb[], headers => array['[]', '{}']::jsonb[])$$, 'TD005',
  'headers of element 1 must be a JSON object of strings, not array', 'Pass an object%', 'headers that are no object, by their place');
select refuses($$select tide.outbox_publish_batch('orders', array['1']::jsonb[], headers => array['{"pg_tide_op": "x"}']::jsonb[])$$, 'TD005',
  'header name ''pg_tide_op'' of element 1 is reserved', '%pg_tide_%', 'a reserved header, by its place');
select refuses($$select tide.outbox_publish_batch('orders', array['1']::jsonb[], headers => array['{"": "x"}']::jsonb[])$$, 'TD005',
  'a header name of element 1 is empty', '%not empty%', 'an empty header name, by its place');
select tide.outbox_disable('orders');
select refuses($$select tide.outbox_publish_batch('orders', array['1']::jsonb[])$$, 'TD002',
  'outbox ''orders'' is disabled', '%tide.outbox_enable(''orders'')%', 'a disabled outbox');
select tide.outbox_enable('orders');
select is((select count(*) from tide.message), (select messages + 1 from before), 'a refused batch leaves no message');

select set_config('tide.tenant', 'acme', true);
select tide.outbox_publish_batch('orders', array['1', '2']::jsonb[], headers => array[null, '{"a": "b"}']::jsonb[]);
select results_eq($$select m.headers::jsonb from (select id, headers from tide.message order by id desc limit 2) m order by m.id$$,
  $$values ('{"pg_tide_tenant": "acme"}'::jsonb), ('{"pg_tide_tenant": "acme", "a": "b"}')$$, 'settings of the session become headers of each');

set local synchronous_commit = off;
select tide.outbox_publish_batch('orders', array['1']::jsonb[]);
select is(current_setting('synchronous_commit'), 'on', 'a batch raises synchronous_commit from off');
select is((select p.provolatile::text || p.proisstrict::text from pg_proc p where p.oid = 'tide.outbox_publish_batch'::regproc), 'vfalse',
  'a null argument does not make it return without a word');

set transaction read only;
select refuses($$select tide.outbox_publish_batch('orders', array['1']::jsonb[])$$, 'TD007',
  'cannot publish to outbox ''orders'' in a read-only transaction', '%read-write transaction on the primary%', 'a read-only transaction');

select * from finish();
rollback;
