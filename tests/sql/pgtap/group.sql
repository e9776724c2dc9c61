-- Consumer groups: rewind, skip, rebase, drop.
begin;
select plan(56);

select tide.outbox_create('orders'), tide.outbox_create('payments');
select tide.relay_set_outbox('p', 'orders', 'g', minimal_config());
create temporary table published on commit drop as
  select n, tide.outbox_publish('orders', to_jsonb(n)) as id from generate_series(1, 5) n;
create function id_of(n integer) returns bigint language sql as $$ select p.id from published p where p.n = id_of.n $$;

-- Half of a window is delivered, an owner is at work.
create function half_delivered() returns void language sql as $$
  update tide.cursor set cur = pg_current_snapshot(), first_id = id_of(1), last_id = id_of(3), window_token = gen_random_uuid(),
    replay_from = null, replay_last = null, owner_token = gen_random_uuid(), owner = 'relay-1', lease_until = clock_timestamp() + interval '1 minute',
    stamp = pg_current_xact_id()::xid
$$;
select half_delivered();
create temporary table was on commit drop as select c.* from tide.cursor c;

-- Rewind.
select is(tide.group_rewind('g', 'orders', to_id => id_of(2)), id_of(2), 'a rewind returns the id from which on messages are sent again');
select results_eq(
  $$select c.prev::text, c.cur::text, c.first_id, c.window_token, c.last_id, c.replay_from, c.replay_last from tide.cursor c$$,
  $$select w.prev::text, null::text, null::bigint, null::uuid, 0::bigint, id_of(2), id_of(2) - 1 from was w$$,
  'the window is given up, prev stays, a replay pass begins');
select results_eq($$select c.generation - w.generation, c.epoch - w.epoch from tide.cursor c, was w$$, $$values (1::bigint, 1::bigint)$$,
  'generation and epoch are raised');
select results_eq($$select c.owner_token, c.lease_until from tide.cursor c$$, $$select owner_token, lease_until from was$$, 'the owner stays, and notices at its next settle');
select is((select tide._cursor_doubt(c, c.xmin) from tide.cursor c), null, 'the cursor is to be trusted');
select is(tide.group_rewind('g', 'orders', id_of(4)), id_of(2), 'a rewind during a replay pass does not skip what the pass still has to send');
update tide.cursor set replay_last = id_of(4), stamp = pg_current_xact_id()::xid;
select is(tide.group_rewind('g', 'orders', id_of(3)), id_of(3), 'but goes back to what the pass has sent');
select half_delivered();
select is(tide.group_rewind(consumer_group => 'g', outbox => 'orders', to_time => (select created_at from tide.message where id = id_of(3))), id_of(3),
  'to a time: the smallest id published then or later');
select half_delivered();
select is(tide.group_rewind('g', 'orders', to_time => '-infinity'), id_of(1), 'to a time before everything');
select half_delivered();
select is(tide.group_rewind('g', 'orders', to_time => clock_timestamp() + interval '1 hour'), null, 'to a time after everything: nothing is sent again');
select results_eq($$select c.replay_from, c.replay_last, c.cur::text from tide.cursor c$$, $$values (null::bigint, null::bigint, null::text)$$, 'there is no pass then');
select is(tide.group_rewind('g', 'orders', to_id => 0), 0::bigint, 'nothing was ever dropped: any id will do');

savepoint before;
savepoint inner_one;
select tide.group_rewind('g', 'orders', to_id => id_of(2));
release inner_one;
select is((select tide._cursor_doubt(c, c.xmin) from tide.cursor c), null, 'a rewind in a savepoint leaves a cursor to be trusted');
rollback to before;
release before;

select refuses($$select tide.group_rewind('g', 'orders')$$, 'TD006', 'rewind needs a target: an id or a time, one of them', '%tide.group_rewind(''g'', ''orders'', to_id => %', 'no target');
select refuses($$select tide.group_rewind('g', 'orders', 1, now())$$, 'TD006', 'rewind needs a target: an id or a time, one of them', '%to_id%', 'two targets');
select refuses($$select tide.group_rewind('h', 'orders', 1)$$, 'TD030', 'outbox ''orders'' has no consumer group ''h''', '%tide.consumer_groups%', 'an unknown group');
select refuses($$select tide.group_rewind('g', 'order', 1)$$, 'TD001', 'outbox ''order'' does not exist', 'Did you mean ''orders''?%', 'an unknown outbox');
select refuses($$select tide.group_rewind('g', 'payments', 1)$$, 'TD030', 'outbox ''payments'' has no consumer group ''g''', '%tide.consumer_groups%', 'a group of another outbox');
select refuses($$select tide.group_rewind(null, 'orders', 1)$$, 'TD030', 'outbox ''orders'' has no consumer group NULL', '%tide.consumer_groups%', 'no group');
select refuses($$select tide.group_rewind('g', null, 1)$$, 'TD006', 'the name of the outbox is null', 'Name the outbox.', 'no outbox');
select tide.relay_set_outbox('kafka-relay-eu', 'orders', 'kafka-relay-eu', minimal_config());
select refuses($$select tide.group_skip('kafka-relay-us', 'orders')$$, 'TD030', 'outbox ''orders'' has no consumer group ''kafka-relay-us''',
  'Did you mean ''kafka-relay-eu''?', 'the nearest group is named');

-- Below what is retained.
update tide.slot set dropped_to = id_of(1) - 1 where slot = 3;
select refuses(format('select tide.group_rewind(%L, %L, to_id => %s)', 'g', 'orders', id_of(1) - 1), 'TD031',
  format('outbox ''orders'' no longer holds messages from id %s on', id_of(1) - 1),
  format('The oldest message it holds has id %s, published %%: rewind to that.', id_of(1)), 'an id below what is retained');
select lives_ok(format('select tide.group_rewind(%L, %L, to_id => %s)', 'g', 'orders', id_of(1)), 'the oldest id itself is retained');
select half_delivered();
select refuses($$select tide.group_rewind('g', 'orders', to_time => '2001-01-01 00:00:00+00')$$, 'TD031',
  format('outbox ''orders'' no longer holds messages from %s on', '2001-01-01 00:00:00+00'::timestamptz), '%rewind to that.', 'a time before it');
select tide.relay_set_outbox('q', 'payments', 'g', minimal_config());
update tide.slot set dropped_to = 1;
select refuses($$select tide.group_rewind('g', 'payments', to_id => 1)$$, 'TD031', 'outbox ''payments'' no longer holds messages from id 1 on',
  'It holds no message at all.', 'an outbox that is empty');
update tide.slot set dropped_to = null;

-- Skip.
select half_delivered();
truncate was;
insert into was select c.* from tide.cursor c join tide.consumer_group g using (group_id) where g.name = 'g' and g.outbox_id = (select outbox_id from tide.outbox where name = 'orders');
select lives_ok($$select tide.group_skip('g', 'orders')$$, 'a group skips to the end');
select results_eq(
  $$select c.cur is null and c.first_id is null and c.window_token is null and c.last_id = 0 and c.replay_from is null,
      pg_snapshot_xmax(c.prev) = pg_snapshot_xmax(pg_current_snapshot()), c.generation - w.generation, c.epoch - w.epoch
      from tide.cursor c join was w using (group_id)$$,
  $$values (true, true, 1::bigint, 1::bigint)$$, 'prev is now, there is neither window nor pass, generation and epoch are raised');
select is((select tide._cursor_doubt(c, c.xmin) from tide.cursor c join was using (group_id)), null, 'the cursor is to be trusted');
select refuses($$select tide.group_skip('g', 'order')$$, 'TD001', 'outbox ''order'' does not exist', 'Did you mean ''orders''?%', 'skipping in an unknown outbox');

-- A cursor that cannot be trusted.
update tide.cursor c set stamp = '7' from was where c.group_id = was.group_id;
select refuses($$select tide.group_rewind('g', 'orders', 1)$$, 'TD032',
  'the cursor of group ''g'' on outbox ''orders'' cannot be trusted: its row was not written by the transaction that it names: the database was restored from a dump, or the row was copied',
  '%tide.group_rebase(''g'', ''orders'')%', 'a copied row is not rewound');
select refuses($$select tide.group_skip('g', 'orders')$$, 'TD032',
  'the cursor of group ''g'' on outbox ''orders'' cannot be trusted: its row was not written by the transaction that it names: the database was restored from a dump, or the row was copied',
  '%tide.group_rebase(''g'', ''orders'')%', 'nor skipped');
select isnt((select doubt from tide.consumer_groups where consumer_group = 'g' and outbox = 'orders'), null, 'the view shows the doubt');
select is((select count(*)::int from tide._cursor_acquire((select group_id from was), 0, gen_random_uuid(), 'relay-2', 1000, 0)), 0, 'no relay may own it');
select is(tide.group_rebase('g', 'orders'), 0::bigint, 'rebase repairs it; no message had a foreign transaction');
select is((select doubt from tide.consumer_groups where consumer_group = 'g' and outbox = 'orders'), null, 'then there is no doubt');
select results_eq(
  $$select c.cur::text, c.last_id, c.replay_from, c.replay_last, c.generation - w.generation, c.epoch - w.epoch from tide.cursor c join was w using (group_id)$$,
  $$values (null::text, 0::bigint, 0::bigint, -1::bigint, 2::bigint, 2::bigint)$$, 'everything is sent again; an owner notices by generation and epoch');
update tide.cursor c set prev = '99999999:99999999:', stamp = pg_current_xact_id()::xid from was where c.group_id = was.group_id;
select refuses($$select tide.group_skip('g', 'orders')$$, 'TD032',
  'the cursor of group ''g'' on outbox ''orders'' cannot be trusted: its snapshot names transactions that this server has not reached: the transaction counter was reset',
  '%tide.group_rebase(''g'', ''orders'')%', 'a snapshot of the future is not believed');
-- Two messages of another cluster: one names a transaction that this server has not reached.
insert into tide.message (xid, outbox_id, slot, op) select '99999990', outbox_id, 0, 'delete' from tide.outbox where name = 'orders';
insert into tide.message (xid, outbox_id, slot, op) select '99999991', outbox_id, 0, 'delete' from tide.outbox where name = 'payments';
select is(tide.group_rebase(consumer_group => 'g', outbox => 'orders', from_id => id_of(4)), 1::bigint, 'a foreign transaction is repaired, in this outbox only');
select results_eq($$select xid::text from tide.message where op = 'delete' order by id$$, $$values ('3'::text), ('99999991')$$, 'by one that is finished for everybody');
select is((select count(*)::int from tide.message where xid = pg_current_xact_id()), 5, 'messages of this transaction keep their own');
select results_eq($$select c.replay_from, c.replay_last from tide.cursor c join was using (group_id)$$, $$select id_of(4), id_of(4) - 1$$, 'from the chosen id on');
select lives_ok($$select tide.group_rebase('g', 'orders', from_id => null)$$, 'null means from the beginning');
select is((select c.replay_from from tide.cursor c join was using (group_id)), 0::bigint, 'which is id 0');
select refuses($$select tide.group_rebase('h', 'orders')$$, 'TD030', 'outbox ''orders'' has no consumer group ''h''', '%', 'rebasing an unknown group');

-- Generation, epoch and configuration commit synchronously.
set local synchronous_commit = off;
select tide.group_rebase('g', 'orders');
select is(current_setting('synchronous_commit'), 'on', 'rebase waits for the log');
set local synchronous_commit = off;
select tide.group_rewind('g', 'orders', id_of(2));
select is(current_setting('synchronous_commit'), 'on', 'rewind, too');
set local synchronous_commit = off;
select tide.group_skip('g', 'orders');
select is(current_setting('synchronous_commit'), 'on', 'and skip');

-- Owner, lease, settles: each compares token, epoch, generation and timeline.
update tide.cursor set owner_token = null, lease_until = null, stamp = pg_current_xact_id()::xid;
create temporary table owned on commit drop as
  select * from tide._cursor_acquire((select group_id from was), 0, '00000000-0000-4000-8000-000000000001', 'relay-1', 60000, 500);
select is((select count(*)::int from owned), 1, 'a free cursor is acquired');
select is((select count(*)::int from tide._cursor_acquire((select group_id from was), 0, '00000000-0000-4000-8000-000000000002', 'relay-2', 1000, 0)), 0, 'an owned one is not');
create function settled(epoch_off integer, generation_off integer, timeline_off integer, owner_token uuid default '00000000-0000-4000-8000-000000000001') returns boolean
language sql as $$
  select tide._cursor_settle(o.group_id, 0, settled.owner_token, o.epoch + settled.epoch_off, o.generation + settled.generation_off,
    o.timeline + settled.timeline_off, 5, null, null) from owned o
$$;
select ok(settled(0, 0, 0), 'the owner settles');
select ok(not settled(-1, 0, 0), 'not with an older epoch');
select ok(not settled(0, -1, 0), 'not with an older generation');
select ok(not settled(0, 0, 1), 'not on another timeline');
select ok(not settled(0, 0, 0, gen_random_uuid()), 'and nobody else');

-- Drop.
select refuses($$select tide.group_drop('g', 'orders')$$, 'TD041', 'group ''g'' on outbox ''orders'' is driven by pipeline ''p''', '%tide.relay_drop(''p'')%', 'a group that is driven stays');
select tide.relay_drop('p');
select lives_ok($$select tide.group_drop('g', 'orders')$$, 'a group without a pipeline is dropped');

select * from finish();
rollback;
