-- tide.outbox_publish: what it stores, what it returns, what it refuses and in which words.
begin;
select plan(61);

select lives_ok($$select tide.outbox_create('orders', retention_hours => 48)$$, 'TID-Q1: an outbox is created as printed');
select isnt(
  tide.outbox_publish('orders', jsonb_build_object('order_id', 12345, 'status', 'new'), 'ord-12345'), null,
  'TID-Q2: publishing as printed returns an id');

prepare stored as
  select m.op, m.key, m.dedup_key, m.payload, m.old_payload, m.headers from tide.message m order by m.id desc limit 1;

select results_eq('stored',
  $$values ('insert'::text, null::text, 'ord-12345'::text, '{"status": "new", "order_id": 12345}'::text, null::text, null::text)$$,
  'three arguments make an insert without key, old payload and headers');

select ok(
  tide.outbox_publish(
    outbox => 'orders', payload => '{"a": 1}', dedup_key => 'd', op => 'update', old_payload => '{"a": 0}',
    headers => '{"source": "checkout"}', key => 'k') > 0,
  'every argument has a name');
select results_eq('stored',
  $$values ('update'::text, 'k'::text, 'd'::text, '{"a": 1}'::text, '{"a": 0}'::text, '{"source": "checkout"}'::text)$$,
  'every argument is stored');

create temporary table returned on commit drop as
  select array_agg(tide.outbox_publish('orders', to_jsonb(n)) order by n) as ids from generate_series(1, 3) n;
select is(
  (select ids from returned),
  (select array_agg(m.id order by m.id) from (select id from tide.message order by id desc limit 3) m),
  'it returns the id of the message');
select is((select m.xid from tide.message m order by m.id desc limit 1), pg_current_xact_id(), 'the message carries the transaction');

savepoint inside;
select tide.outbox_publish('orders', '"in a savepoint"');
release inside;
select is((select m.xid from tide.message m order by m.id desc limit 1), pg_current_xact_id(),
  'in a savepoint it carries the top-level transaction');
select cmp_ok((select m.created_at from tide.message m order by m.id desc limit 1), '>', now(),
  'created_at is the wall clock, not the start of the transaction');

select is(
  (select count(*)::int from tide.message m where m.payload = '"in a savepoint"'), 1, 'a released savepoint keeps its message');
savepoint dropped;
select tide.outbox_publish('orders', '"never"');
rollback to dropped;
select is((select count(*)::int from tide.message m where m.payload = '"never"'), 0, 'rolling back to a savepoint takes its message away');

-- Payloads.
select lives_ok($$select tide.outbox_publish('orders', null, 'd', op => 'delete')$$, 'a delete may have no payload');
select results_eq('stored',
  $$values ('delete'::text, null::text, 'd'::text, null::text, null::text, null::text)$$, 'it is stored as null');
select lives_ok($$select tide.outbox_publish('orders', 'null'::jsonb)$$, 'JSON''s null is a payload');
select is((select m.payload from tide.message m order by m.id desc limit 1), 'null', 'and is stored as such');
select lives_ok($$select tide.outbox_publish('orders', '"Größe 🌊 \" \\ \n"')$$, 'text of any kind is a payload');
select is((select m.payload::jsonb #>> '{}' from tide.message m order by m.id desc limit 1), E'Größe 🌊 " \\ \n', 'and comes back unchanged');
select lives_ok($$select tide.outbox_publish('orders', '123456789012345678901234567890.10')$$, 'long numbers are payloads');
select is((select m.payload from tide.message m order by m.id desc limit 1), '123456789012345678901234567890.10', 'and keep every digit');

select refuses($$select tide.outbox_publish('orders', null)$$, 'TD006',
  'the payload of an insert to outbox ''orders'' is null', '%''null''::jsonb%', 'an insert needs a payload');
select refuses($$select tide.outbox_publish('orders', null, op => 'update')$$, 'TD006',
  'the payload of an update to outbox ''orders'' is null', '%''null''::jsonb%', 'so does an update');
select refuses($$select tide.outbox_publish(null, '{}')$$, 'TD006',
  'the outbox to publish to is null', '%tide.outbox_publish(''orders''%', 'the outbox cannot be null');
select refuses($$select tide.outbox_publish('orders', '{}', op => null)$$, 'TD006',
  'op is null', '%''insert'', ''update'' or ''delete''%', 'op cannot be null');

-- Refusals that name the object and the cure.
select refuses($$select tide.outbox_publish('order', '{}')$$, 'TD001',
  'outbox ''order'' does not exist', 'Did you mean ''orders''?%tide.outbox_create(''order'')%', 'an unknown outbox names the nearest one');
select refuses($$select tide.outbox_publish('', '{}')$$, 'TD001',
  'outbox '''' does not exist', '%tide.outbox_create('''')%', 'an empty name is an unknown outbox');
select refuses($$select tide.outbox_publish('o''brien', '{}')$$, 'TD001',
  'outbox ''o''''brien'' does not exist', '%tide.outbox_create(''o''''brien'');', 'the cure of an unknown outbox is quoted');
select refuses($$select tide.outbox_publish('orders', '{}', op => 'upsert')$$, 'TD003',
  'op ''upsert'' is not known', '%''insert'', ''update'' or ''delete''%', 'op is one of three');
select refuses($$select tide.outbox_publish('orders', '{}', op => 'INSERT')$$, 'TD003',
  'op ''INSERT'' is not known', '%''insert'', ''update'' or ''delete''%', 'op is written in lower case');

select tide.outbox_disable('orders');
select refuses($$select tide.outbox_publish('orders', '{}')$$, 'TD002',
  'outbox ''orders'' is disabled', '%tide.outbox_enable(''orders'')%', 'a disabled outbox refuses');
select tide.outbox_enable('orders');
select lives_ok($$select tide.outbox_publish('orders', '{}')$$, 'an enabled one takes messages again');

-- The limit counts the bytes of the text that jsonb renders.
select tide.outbox_alter('orders', max_payload_bytes => 12);
select lives_ok($$select tide.outbox_publish('orders', '"0123456789"')$$, 'a payload may have exactly as many bytes as the limit');
select refuses($$select tide.outbox_publish('orders', '"0123456789a"')$$, 'TD004',
  'a payload of 13 bytes is above the limit of outbox ''orders'', 12 bytes', '%tide.outbox_alter(''orders'', max_payload_bytes => ...)%',
  'one byte more is refused');
select lives_ok($$select tide.outbox_publish('orders', '"äöüäö"')$$, 'five characters of two bytes fit');
select refuses($$select tide.outbox_publish('orders', '"äöüäöü"')$$, 'TD004',
  'a payload of 14 bytes is above the limit of outbox ''orders'', 12 bytes', '%max_payload_bytes%', 'bytes are counted, not characters');
select refuses($$select tide.outbox_publish('orders', '1', op => 'update', old_payload => '"0123456789a"')$$, 'TD004',
  'a payload of 13 bytes is above the limit of outbox ''orders'', 12 bytes', '%max_payload_bytes%', 'the old payload has the same limit');
select refuses($$select tide.outbox_publish('orders', null, op => 'delete', old_payload => '"0123456789a"')$$, 'TD004',
  'a payload of 13 bytes is above the limit of outbox ''orders'', 12 bytes', '%max_payload_bytes%', 'also when there is no payload');
select lives_ok($$select tide.outbox_publish('orders', '[1, 2,   3 ]')$$, 'spaces that jsonb drops are not counted');
select tide.outbox_alter('orders', max_payload_bytes => 1000000);

-- Headers.
select refuses($$select tide.outbox_publish('orders', '{}', headers => '["a"]')$$, 'TD005',
  'headers must be a JSON object of strings, not array', '%headers => ''{%', 'headers are an object');
select refuses($$select tide.outbox_publish('orders', '{}', headers => 'null')$$, 'TD005',
  'headers must be a JSON object of strings, not null', '%headers => ''{%', 'JSON''s null is no object');
select refuses($$select tide.outbox_publish('orders', '{}', headers => '{"a": "b", "n": 1}')$$, 'TD005',
  'header ''n'' is not a string but number', 'Header values are strings%', 'a header that is no string is named');
select refuses($$select tide.outbox_publish('orders', '{}', headers => '{"a": null}')$$, 'TD005',
  'header ''a'' is not a string but null', 'Header values are strings%', 'null is no string');
select refuses($$select tide.outbox_publish('orders', '{}', headers => '{"": "b"}')$$, 'TD005',
  'a header name is empty', '%names are not empty%', 'header names are not empty');
select refuses($$select tide.outbox_publish('orders', '{}', headers => '{"pg_tide_id": "1"}')$$, 'TD005',
  'header name ''pg_tide_id'' is reserved', '%pg_tide_%', 'reserved names are refused');
select lives_ok($$select tide.outbox_publish('orders', '{}', headers => '{"pgXtideYid": "1"}')$$, 'only names that begin with pg_tide_ are');
select lives_ok($$select tide.outbox_publish('orders', '{}', headers => '{}')$$, 'no headers are headers');
select is((select m.headers from tide.message m order by m.id desc limit 1), null, 'and are stored as null');

select set_config('tide.traceparent', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', true),
       set_config('tide.tracestate', 'vendor=1', true), set_config('tide.actor', 'alice "A"', true), set_config('tide.tenant', 'acme', true);
select tide.outbox_publish('orders', '{}', headers => '{"source": "checkout", "tracestate": "mine"}');
select is((select m.headers::jsonb from tide.message m order by m.id desc limit 1),
  '{"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "tracestate": "mine", "source": "checkout",
    "pg_tide_actor": "alice \"A\"", "pg_tide_tenant": "acme"}'::jsonb,
  'settings of the session become headers; a header of the call wins');
select tide.outbox_publish('orders', '{}');
select is((select m.headers::jsonb ->> 'pg_tide_tenant' from tide.message m order by m.id desc limit 1), 'acme', 'also without headers in the call');
select set_config('tide.traceparent', '', true), set_config('tide.tracestate', '', true), set_config('tide.actor', '', true),
       set_config('tide.tenant', '', true);
select tide.outbox_publish('orders', '{}');
select is((select m.headers from tide.message m order by m.id desc limit 1), null, 'empty settings add nothing');

-- synchronous_commit: raised from off only, for the transaction, also in a savepoint that is released.
set local synchronous_commit = off;
savepoint durable;
select tide.outbox_publish('orders', '{}');
release durable;
select is(current_setting('synchronous_commit'), 'on', 'publishing raises synchronous_commit from off, also in a released savepoint');
set local synchronous_commit = local;
select tide.outbox_publish('orders', '{}');
select is(current_setting('synchronous_commit'), 'local', 'local stays local');
set local synchronous_commit = remote_apply;
select tide.outbox_publish('orders', '{}');
select is(current_setting('synchronous_commit'), 'remote_apply', 'remote_apply stays remote_apply');
set local synchronous_commit = off;
savepoint undone;
select tide.outbox_publish('orders', '{}');
rollback to undone;
select is(current_setting('synchronous_commit'), 'off', 'a publish that is rolled back leaves the setting as it was');

-- One row trigger for each of several messages; names of any kind.
select is((select count(tide.outbox_publish('orders', to_jsonb(n)))::int from generate_series(1, 100) n), 100,
  'a statement may publish many messages');
select tide.outbox_create(name) from (values ('my-orders.eu'), ('o''brien "x"'), (repeat('n', 255)), ('Bestellungen größer 🌊')) n (name);
select lives_ok(format('select tide.outbox_publish(%L, ''{}'')', name), 'publishes to outbox ' || left(name, 30))
  from (values ('my-orders.eu'), ('o''brien "x"'), (repeat('n', 255)), ('Bestellungen größer 🌊')) n (name);

select volatility_is('tide', 'outbox_publish', 'volatile', 'publishing is never optimised away');
select is((select p.provolatile::text || p.proisstrict::text from pg_proc p where p.oid = 'tide.outbox_publish'::regproc), 'vfalse',
  'a null argument does not make it return without a word');

set transaction read only;
select refuses($$select tide.outbox_publish('orders', '{}')$$, 'TD007',
  'cannot publish to outbox ''orders'' in a read-only transaction', '%read-write transaction on the primary%', 'a read-only transaction refuses');

select * from finish();
rollback;
