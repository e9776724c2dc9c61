-- Shards: how many cursors a group has, and how that changes.
begin;
select plan(52);

create function shards(n integer) returns jsonb language sql as $$ select minimal_config() || jsonb_build_object('shards', n) $$;
create function token(n integer) returns uuid language sql as $$ select ('00000000-0000-4000-8000-00000000000' || n)::uuid $$;
create function group_id() returns integer language sql as $$ select g.group_id from tide.consumer_group g where g.name = 'g' $$;
create function division() returns bigint language sql as $$ select max(c.division) from tide.cursor c where c.group_id = group_id() $$;
-- A relay asks for a shard, with the division that it read its configuration under; its epoch, or null.
create function acquires(relay integer, shard integer, division bigint default division()) returns bigint language sql as $$
  select c.epoch from tide._cursor_acquire(group_id(), shard, token(relay), 'relay-' || relay, 60000, 0, division) c $$;
create function releases(relay integer, shard integer) returns boolean language sql as $$
  select tide._cursor_release(group_id(), shard, token(relay), c.epoch) from tide.cursor c where c.group_id = group_id() and c.shard = releases.shard $$;
create function passes(relay integer, shard integer) returns boolean language sql as $$
  select tide._shards_pass(group_id(), shard, token(relay), c.epoch) from tide.cursor c where c.group_id = group_id() and c.shard = passes.shard $$;
-- It delivers everything before the barrier.
create function comes_to_the_barrier(relay integer, shard integer) returns boolean language sql as $$
  select tide._cursor_settle_window(group_id(), shard, token(relay), c.epoch, c.generation, c.timeline, c.barrier, null, null, 0, null)
    from tide.cursor c where c.group_id = group_id() and c.shard = comes_to_the_barrier.shard $$;
create function shard_rows() returns table (shard integer, shards integer) language sql as $$
  select c.shard, c.shards from tide.cursor c where c.group_id = group_id() order by 1 $$;

select tide.outbox_create('orders');
select tide.relay_set_outbox('p', 'orders', 'g', shards(2));
select results_eq('select * from shard_rows()', $$values (0, 2), (1, 2)$$, 'a new group has its shards at once');
select results_eq($$select prev::text, passed_over::text from tide.cursor$$, $$values ('1:1:', null), ('1:1:', null)$$, 'each at the beginning');
select is(acquires(1, 0), 1::bigint, 'a relay takes one shard');
select is(acquires(2, 1), 1::bigint, 'another relay the other');
select is(acquires(2, 0), null, 'which it can''t have twice');
select is(acquires(1, 2), null, 'there is no third');
create temporary table renewed on commit drop as select * from tide._cursor_renew(array[group_id(), group_id()], '{0,1}', token(1), '{1,1}', 60000);
select results_eq($$select * from renewed order by 2$$,
  $$select group_id(), s, s = 0 from generate_series(0, 1) s$$, 'each prolongs its own lease');
select results_eq($$select shard, state, owner from tide.shards order by 1$$, $$values (0::smallint, 'waiting', 'relay-1'), (1::smallint, 'waiting', 'relay-2')$$, 'tide.shards says whose they are');
select tide._pipeline_report(p.pipeline_id, 'relay-1', p.version, 'running', null, null, null, null, null) from tide.pipeline p;
select is((select state from tide.pipelines), 'waiting', 'a pipeline is what its worst shard is');
select tide._pipeline_report(p.pipeline_id, 'relay-2', p.version, 'backing_off', 'destination', '3', 'no topic', 'Create it.', null, shard => 1) from tide.pipeline p;
select results_eq($$select state, owner, error, shards::int, resharding from tide.pipelines$$, $$values ('backing_off', 'relay-2', 'no topic', 2, null)$$, 'and says why');
select tide._pipeline_report(p.pipeline_id, 'relay-1', p.version, 'error', 'destination', '3', 'no right', 'Grant it.', null, shard => 1) from tide.pipeline p;
select is((select error from tide.shards where shard = 1), 'no topic', 'who does not own a shard does not speak of it');

-- Another number: nobody may begin before those who know the old one have signed off; then all stop at one place.
select tide.relay_set_outbox('p', 'orders', 'g', shards(3));
select is((select resharding from tide.pipelines), '2 -> 3', 'it is said that the number changes');
select is(acquires(1, 0, division() - 1), null, 'a relay that has not heard of it can''t go on');
select is(acquires(1, 0), null, 'nor can one that has, while another drives a shard as before');
select is(releases(1, 0), true, 'the first signs off');
select is(acquires(1, 0), null, 'the second has not yet');
select is(releases(2, 1), true, 'it signs off too');
select isnt(acquires(1, 0), null, 'now they begin');
select is((select count(distinct barrier::text)::int from tide.cursor where barrier is not null), 1, 'one place is said for all to stop at');
select isnt(acquires(2, 1), null, 'the other begins as well');
select is(passes(1, 0), null, 'who has not come there may not pass');
select is(comes_to_the_barrier(1, 0), true, 'one comes there');
select results_eq($$select stands from tide.shards order by shard$$, $$values (true), (false)$$, 'and stands');
select is(passes(1, 0), null, 'it waits for the other');
select results_eq('select * from shard_rows()', $$values (0, 2), (1, 2)$$, 'nothing has changed');
select is(comes_to_the_barrier(2, 1), true, 'which comes too');
select is(passes(1, 0), false, 'whoever asks then changes the number, and reads again');
select results_eq('select * from shard_rows()', $$values (0, 3), (1, 3), (2, 3)$$, 'there are three');
select is((select count(distinct prev::text)::int from tide.cursor where cur is null and last_id = 0 and barrier is null and owner_token is null), 1, 'all begin at one place, nobody''s');
select is((select count(*)::int from tide.cursor c where tide._cursor_doubt(c, c.xmin) is null), 3, 'and all are to be trusted');
select is(passes(2, 1), false, 'the other hears of it when it asks');
select is((select resharding from tide.pipelines), null, 'it is over');

-- Changed back before it began.
select tide.relay_set_outbox('p', 'orders', 'g', shards(1));
select acquires(1, 0);
select tide.relay_set_outbox('p', 'orders', 'g', shards(3));
select is((select count(*)::int from tide.cursor where barrier is not null), 0, 'nobody stops any more when the old number is wanted again');
select is(passes(1, 0), false, 'who stands already reads again');

-- Another record key: all shards go back to the slowest.
update tide.cursor set prev = case shard when 0 then '1:1:' else pg_current_snapshot() end, last_id = 7, stamp = pg_current_xact_id()::xid;
create temporary table was on commit drop as select * from tide.cursor;
select tide.relay_set_outbox('p', 'orders', 'g', shards(3) || '{"linger_ms": 7}');
select is((select count(distinct prev::text)::int from tide.cursor), 2, 'a key that decides no record key moves nothing');
select tide.relay_set_outbox('p', 'orders', 'g', shards(3) || '{"message_key": "{outbox_id}"}');
select results_eq($$select c.prev::text, c.last_id, c.generation > w.generation, c.division > w.division from tide.cursor c join was w using (group_id, shard)$$,
  $$select w.prev::text, 0::bigint, true, true from was w cross join generate_series(1, 3) where w.shard = 0$$, 'the oldest place, for all');
select refuses($$select tide.relay_set_outbox('p', 'orders', 'g', shards(3) || '{"message_key": "${env:PREFIX}-{key}"}')$$, 'TD020',
  'the configuration of pipeline ''p'' is not valid: with several shards, what decides a record''s key must not depend on a relay''s environment', 'Write the value%', 'references');

select tide.relay_set_outbox('p', 'orders', 'g', shards(3) || '{"message_key": "{outbox_id}", "delivery": "exactly_once"}');
select refuses($$select tide.relay_set_outbox('p', 'orders', 'g', shards(3) || '{"message_key": "{key}", "delivery": "exactly_once"}')$$, 'TD070',
  'pipeline ''p'' delivers exactly once, and has several shards: this change would send messages again', 'Set shards to 1 first%', 'what may not be sent twice');
select tide.relay_set_outbox('p', 'orders', 'g', shards(3) || '{"message_key": "{outbox_id}"}');

-- At once, for a pipeline that can't come to a common place.
select tide.relay_set_outbox('p', 'orders', 'g', shards(2) || '{"message_key": "{outbox_id}"}');
select is(tide.group_reshard('g', 'orders'), 2, 'as many as are wanted');
select results_eq('select * from shard_rows()', $$values (0, 2), (1, 2)$$, 'at once');
select is(tide.group_reshard('g', 'orders'), 2, 'and nothing more to do');

-- Everything about a group is about all its shards.
create temporary table published on commit drop as select tide.outbox_publish('orders', '{}', key => 'k' || n) as id from generate_series(1, 3) n;
update tide.message set xid = '3';
update tide.cursor set prev = '1:1:', stamp = pg_current_xact_id()::xid;
create function held() returns text language sql as $$ select h.reason from tide.outbox o cross join lateral tide._slot_held(o, 0) h $$;
create function past(past_shard integer) returns void language sql as $$
  update tide.cursor set prev = pg_current_snapshot(), stamp = pg_current_xact_id()::xid where shard = past_shard $$;
select past(1);
select is(held(), 'group ''g'' has not delivered all of it', 'retention waits for the slowest shard');
select results_eq('select pending, pipeline from tide.lag', $$values (3::bigint, 'p')$$, 'tide.lag tells what it has before it');
select past(0);
select is(held(), null, 'then the slot may be emptied');
select is(tide.group_rewind('g', 'orders', to_id => (select min(id) from published)), (select min(id) from published), 'a rewind');
select is((select count(*)::int from tide.cursor where replay_from = (select min(id) from published)), 2, 'moves all');
select is(held(), 'group ''g'' is sending it again', 'and is waited for');
select tide.group_skip('g', 'orders');
select is((select count(*)::int from tide.cursor where replay_from is null), 2, 'as does a skip');
update tide.cursor set stamp = '99' where shard = 1;
select refuses($$select tide.group_skip('g', 'orders')$$, 'TD032', 'the cursor of group ''g'' on outbox ''orders'' cannot be trusted: its row was not written by the transaction that it names: the database was restored from a dump, or the row was copied', '%tide.group_rebase%', 'doubt about one is doubt about all');
select tide.relay_set_outbox('p', 'orders', 'g', shards(4));
select is((select stamp from tide.cursor where shard = 1), '99'::xid, 'and no change of the pipeline makes it go away');
select isnt(tide.group_rebase('g', 'orders'), null, 'a rebase does');
select is((select count(*)::int from tide.cursor c where tide._cursor_doubt(c, c.xmin) is null and c.replay_from = 0), 2, 'for all');
select * from finish();
rollback;
