-- Outboxes: create, alter, enable, disable, drop; names; what each refuses.
begin;
select plan(77);

-- Creating.
create temporary table made on commit drop as select tide.outbox_create('orders', retention_hours => 48) as outbox_id;
select results_eq(
  $$select o.enabled, o.retention_hours, o.max_payload_bytes, o.drop_without_group, o.slots::int, o.slot::int, o.created_by
      from tide.outbox o join made using (outbox_id) where o.name = 'orders'$$,
  $$select true, 48, 1000000, false, 4, 0, session_user::text collate "default"$$, 'TID-Q1: the defaults of an outbox; its number is returned');
select results_eq(
  $$select c.relname::text collate "default" from pg_class c join pg_inherits i on i.inhrelid = c.oid
     where i.inhparent = to_regclass('tide.message_' || (select outbox_id from made)) and c.relkind = 'r' order by 1$$,
  $$select format('message_%s_%s', outbox_id, n) from made, generate_series(0, 3) n order by 1$$, 'its ring has four slots');
select is((select count(*)::int from tide.slot s join made using (outbox_id)), 4, 'and four rows that tell of them');
select ok((select bool_and(indexed) from (
    select count(*) filter (where pg_get_indexdef(x.indexrelid) like '%btree (id)') = 1
       and count(*) filter (where pg_get_indexdef(x.indexrelid) like '%btree (xid, id)') = 1 and count(*) = 2 as indexed
      from pg_class c join pg_index x on x.indrelid = c.oid where c.relname like 'message\_%\_%' group by c.oid) i),
  'each slot has an index on id and one on (xid, id), no more');

select tide.outbox_create('fine', 1, 10, 3, true);
select results_eq($$select retention_hours, max_payload_bytes, slots::int, drop_without_group from tide.outbox where name = 'fine'$$,
  $$values (1, 10, 3, true)$$, 'settings by place');
select tide.outbox_create(name => 'named', retention_hours => 2, max_payload_bytes => 3, slots => 5, drop_without_group => true, if_not_exists => true);
select results_eq($$select retention_hours, max_payload_bytes, slots::int, drop_without_group from tide.outbox where name = 'named'$$,
  $$values (2, 3, 5, true)$$, 'settings by name');
select isnt(tide.outbox_create('another'), (select outbox_id from made), 'each has a number of its own');

select refuses($$select tide.outbox_create('orders')$$, 'TD009', 'outbox ''orders'' exists already', '%if_not_exists => true%', 'a name is used once');
select is(tide.outbox_create('orders', retention_hours => 7, if_not_exists => true), (select outbox_id from made), 'unless if_not_exists says so');
select is((select retention_hours from tide.outbox where name = 'orders'), 48, 'the outbox that exists stays as it is');
select refuses($$select tide.outbox_create('orders', if_not_exists => null)$$, 'TD009', 'outbox ''orders'' exists already', '%if_not_exists => true%',
  'null is not true');

-- Names are data.

select is(tide.outbox_create(name) is not null, true, 'a name may be ' || left(name, 20))
  from (values ('orders-to-kafka'), ('orders.eu'), ('o''brien'), ('a "quoted" name'), ('select * from x; --'), ('größer 🌊'), (' '),
               ('Mixed Case'), ('$1'), ('%s %L'), ('null'), (repeat('x', 64)), (repeat('ä', 127) || 'x')) n (name);
select is((select count(*)::int from tide.outbox o where obj_description(format('tide.message_%s', o.outbox_id)::regclass) <> 'Messages of outbox ' || o.name), 0,
  'the comment of an outbox''s table has its name');
select refuses($$select tide.outbox_create(null)$$, 'TD006', 'the name of the outbox is null', '%1 to 255 bytes%', 'null is no name');
select refuses($$select tide.outbox_create('')$$, 'TD008', 'outbox name '''' is not valid', '%1 to 255 bytes%', 'nor is nothing');
select refuses(format('select tide.outbox_create(%L)', repeat('x', 256)), 'TD008', 'outbox name ' || quote_literal(repeat('x', 256)) || ' is not valid',
  '%1 to 255 bytes%', 'nor 256 bytes');
select refuses(format('select tide.outbox_create(%L)', repeat('ä', 128)), 'TD008', 'outbox name ' || quote_literal(repeat('ä', 128)) || ' is not valid',
  '%1 to 255 bytes%', 'bytes are counted, not characters');
select refuses(format('select tide.outbox_create(%L)', E'a\nb'), 'TD008', E'outbox name \'a\nb\' is not valid', '%no control characters%', 'nor a line break');
select refuses(format('select tide.outbox_create(%L)', E'a\x7f'), 'TD008', E'outbox name \'a\x7f\' is not valid', '%no control characters%',
  'nor a control character');

-- Settings out of range, in create and alter.
select refuses($$select tide.outbox_create('x', retention_hours => 0)$$, 'TD020', 'retention_hours of outbox ''x'' is 0', 'Use 1 to 87600 hours.', 'retention 0');
select refuses($$select tide.outbox_create('x', retention_hours => 87601)$$, 'TD020', 'retention_hours of outbox ''x'' is 87601', 'Use 1 to 87600 hours.', 'retention above ten years');
select refuses($$select tide.outbox_create('x', max_payload_bytes => 0)$$, 'TD020', 'max_payload_bytes of outbox ''x'' is 0', 'Use 1 to 100000000 bytes.', 'limit 0');
select refuses($$select tide.outbox_create('x', max_payload_bytes => 100000001)$$, 'TD020', 'max_payload_bytes of outbox ''x'' is 100000001', 'Use 1 to 100000000 bytes.', 'limit above 100 MB');
select refuses($$select tide.outbox_create('x', slots => 2)$$, 'TD020', 'slots of outbox ''x'' is 2', 'Use 3 to 1000 slots%', 'two slots');
select refuses($$select tide.outbox_create('x', slots => 1001)$$, 'TD020', 'slots of outbox ''x'' is 1001', 'Use 3 to 1000 slots%', '1001 slots');
select refuses($$select tide.outbox_create('x', retention_hours => null)$$, 'TD006', 'a setting of outbox ''x'' is null', 'Leave the argument out%', 'retention null');
select refuses($$select tide.outbox_create('x', max_payload_bytes => null)$$, 'TD006', 'a setting of outbox ''x'' is null', 'Leave the argument out%', 'limit null');
select refuses($$select tide.outbox_create('x', slots => null)$$, 'TD006', 'a setting of outbox ''x'' is null', 'Leave the argument out%', 'slots null');
select refuses($$select tide.outbox_create('x', drop_without_group => null)$$, 'TD006', 'a setting of outbox ''x'' is null', 'Leave the argument out%', 'drop_without_group null');
select is((select count(*)::int from tide.outbox where name = 'x'), 0, 'a refused outbox leaves nothing');
select refuses($$select tide.outbox_alter('orders', retention_hours => 0)$$, 'TD020', 'retention_hours of outbox ''orders'' is 0', 'Use 1 to 87600 hours.', 'altered to 0 hours');
select refuses($$select tide.outbox_alter('orders', max_payload_bytes => -1)$$, 'TD020', 'max_payload_bytes of outbox ''orders'' is -1', 'Use 1 to 100000000 bytes.', 'altered to -1 bytes');

-- Altering.
select tide.outbox_alter('orders', retention_hours => 72);
select results_eq($$select retention_hours, max_payload_bytes, drop_without_group from tide.outbox where name = 'orders'$$,
  $$values (72, 1000000, false)$$, 'altering changes what is named');
select tide.outbox_alter(name => 'orders', max_payload_bytes => 5, drop_without_group => true);
select results_eq($$select retention_hours, max_payload_bytes, drop_without_group from tide.outbox where name = 'orders'$$,
  $$values (72, 5, true)$$, 'and leaves the rest');
select lives_ok($$select tide.outbox_alter('orders')$$, 'altering nothing is allowed');
select refuses($$select tide.outbox_alter('order', retention_hours => 1)$$, 'TD001', 'outbox ''order'' does not exist', 'Did you mean ''orders''?%', 'altering what does not exist');
select refuses($$select tide.outbox_alter(null, retention_hours => 1)$$, 'TD006', 'the name of the outbox is null', 'Name the outbox.', 'altering null');
select tide.outbox_alter('orders', max_payload_bytes => 1000000, drop_without_group => false);

-- Enabling and disabling.
select tide.outbox_disable('orders');
select is((select enabled from tide.outbox where name = 'orders'), false, 'disabled');
select lives_ok($$select tide.outbox_disable('orders')$$, 'disabling twice is allowed');
select tide.outbox_enable('orders');
select is((select enabled from tide.outbox where name = 'orders'), true, 'enabled');
select lives_ok($$select tide.outbox_enable('orders')$$, 'enabling twice is allowed');
select refuses($$select tide.outbox_disable('order')$$, 'TD001', 'outbox ''order'' does not exist', 'Did you mean ''orders''?%', 'disabling what does not exist');
select refuses($$select tide.outbox_enable('order')$$, 'TD001', 'outbox ''order'' does not exist', 'Did you mean ''orders''?%', 'enabling what does not exist');
select refuses($$select tide.outbox_enable(null)$$, 'TD006', 'the name of the outbox is null', 'Name the outbox.', 'enabling null');
select refuses($$select tide.outbox_disable(null)$$, 'TD006', 'the name of the outbox is null', 'Name the outbox.', 'disabling null');

-- Rights of roles that do not exist.
select refuses($$select tide.outbox_grant('orders', 'nobody''s "role"')$$, '42704', 'role ''nobody''''s "role"'' does not exist', 'Create it: create role "nobody''s ""role""";', 'granting to nobody');
select refuses($$select tide.outbox_grant('orders', null)$$, '42704', 'role NULL does not exist', 'Create it%', 'granting to null');
select refuses($$select tide.outbox_grant('orders', 'public')$$, '42704', 'role ''public'' does not exist', 'Create it%', 'PUBLIC is no role');
select refuses($$select tide.outbox_grant('order', 'postgres')$$, 'TD001', 'outbox ''order'' does not exist', 'Did you mean ''orders''?%', 'granting what does not exist');
select refuses($$select tide.outbox_revoke('orders', 'nobody')$$, '42704', 'role ''nobody'' does not exist', 'Create it%', 'revoking from nobody');
select refuses($$select tide.outbox_revoke('order', 'postgres')$$, 'TD001', 'outbox ''order'' does not exist', 'Did you mean ''orders''?%', 'revoking what does not exist');

-- Dropping.
select tide.outbox_publish('orders', '{}');
select tide.relay_set_outbox('p1', 'orders', 'g1', minimal_config());
select tide.relay_set_outbox('p2', 'orders', 'g2', minimal_config());
select refuses($$select tide.outbox_drop('order')$$, 'TD001', 'outbox ''order'' does not exist', 'Did you mean ''orders''?%', 'dropping what does not exist');
select refuses($$select tide.outbox_drop(null, true)$$, 'TD006', 'the name of the outbox is null', 'Name the outbox.', 'dropping null');
select refuses($$select tide.outbox_drop('orders', force => true)$$, 'TD011', 'outbox ''orders'' is read by pipeline ''p1'', ''p2''', '%tide.relay_drop%', 'an outbox that pipelines read stays, also with force');
select tide.relay_drop('p1'), tide.relay_drop('p2');
select refuses($$select tide.outbox_drop('orders')$$, 'TD011', 'outbox ''orders'' is enabled', '%tide.outbox_disable(''orders'')%', 'one that is enabled stays');
select tide.outbox_disable('orders');
select refuses($$select tide.outbox_drop('orders')$$, 'TD011', 'outbox ''orders'' holds messages', '%tide.outbox_drop(''orders'', force => true)%', 'one that holds messages stays');
select refuses($$select tide.outbox_drop('orders', force => null)$$, 'TD011', 'outbox ''orders'' holds messages', '%tide.outbox_drop(''orders'', force => true)%', 'a force that is null is no force');
select lives_ok($$select tide.outbox_drop('orders', force => true)$$, 'force drops its messages, too');
select is((select count(*)::int from tide.outbox where name = 'orders'), 0, 'it is gone');
select is((select count(*)::int from pg_class c, made where c.relname = 'message_' || outbox_id or c.relname like format('message\_%s\_%%', outbox_id)), 0, 'with its tables');
select is((select count(*)::int from tide.slot join made using (outbox_id)), 0, 'its slots');
select is((select count(*)::int from tide.consumer_group join made using (outbox_id)), 0, 'and its groups');
select tide.outbox_disable('fine');
select lives_ok($$select tide.outbox_drop(name => 'fine')$$, 'a disabled, empty outbox needs no force');
select isnt(tide.outbox_create('orders'), (select outbox_id from made), 'made anew, it has another number');
create temporary table last_id on commit drop as select last_value as id from tide.message_id;
select cmp_ok(tide.outbox_publish('orders', '{}'), '>', (select id from last_id), 'and its ids go on where they were');

select * from finish();
rollback;
