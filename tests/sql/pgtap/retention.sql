-- tide.retention_run as a scheduler calls it, and tide.holders. What happens beside other sessions is tested elsewhere.
begin;
select plan(23);

select tide.outbox_create('orders', retention_hours => 48, slots => 4);
select tide.relay_set_outbox('p', 'orders', 'g', minimal_config());
select tide.outbox_publish('orders', '{}');

select is_empty($$select * from tide.retention_run()$$, 'nothing is old: nothing is done');
select results_eq($$select * from tide.retention_run(at_time => clock_timestamp() + interval '25 hours')$$,
  $$values ('orders'::text, 0, 'rotated'::text, null::text)$$, 'a rotation is told');
select results_eq($$select o.slot::int, o.slots::int, o.slot_since > now() from tide.outbox o$$, $$values (1, 4, true)$$, 'the next slot is open');
select results_eq($$select s.slot::int, s.closed_at is null, s.emptied_at is null from tide.slot s order by 1$$,
  $$values (0, false, true), (1, true, true), (2, true, true), (3, true, true)$$, 'the old one is closed');

-- This transaction wrote the message, so no cursor can be past it; the sessions of the other tests show how that ends.
update tide.slot set closed_at = closed_at - interval '48 hours' where closed_at is not null;
select results_eq($$select * from tide.retention_run()$$,
  $$values ('orders'::text, 0, 'held'::text, 'group ''g'' has not delivered all of it'::text)$$, 'what is held is told, and by whom');
select results_eq(
  $$select h.holds, h.outbox, h.consumer_group, h.pid, h.cause, h.cure, h.age > interval '48 hours' from tide.holders() h where h.holds = 'retention' and h.pid is null$$,
  $$values ('retention'::text, 'orders'::text, 'g'::text, null::int, 'group ''g'' has not delivered all of it'::text,
      'Let it deliver, or drop it: select tide.group_drop(''g'', ''orders'');'::text, true)$$,
  'holders names the group, since when, and the cure');

update tide.cursor set stamp = '7';
select results_eq($$select reason from tide.retention_run()$$, $$values ('the cursor of group ''g'' cannot be trusted'::text)$$, 'a cursor that cannot be trusted holds');
select results_eq($$select consumer_group, cure from tide.holders() where cause like '%trusted'$$,
  $$values ('g'::text, 'Repair it; messages may be sent again: select tide.group_rebase(''g'', ''orders'');'::text)$$, 'its cure is group_rebase');

-- A message of a transaction that is finished for everybody stands for a delivered one.
delete from tide.message;
insert into tide.message (xid, outbox_id, slot, op) select '3', outbox_id, 0, 'delete' from tide.outbox;
update tide.cursor set prev = pg_current_snapshot(), replay_from = 1, replay_last = 0, stamp = pg_current_xact_id()::xid;
select results_eq($$select reason from tide.retention_run()$$, $$values ('group ''g'' is sending it again'::text)$$, 'a replay pass holds');
select results_eq($$select consumer_group, cure from tide.holders() where cause like '%again'$$,
  $$values ('g'::text, 'Let it finish; see tide.lag.'::text)$$, 'its cure is to wait');
update tide.cursor set replay_from = null, replay_last = null, stamp = pg_current_xact_id()::xid;
select results_eq($$select * from tide.retention_run()$$, $$values ('orders'::text, 0, 'emptied'::text, null::text)$$, 'what is old and delivered is emptied');
select is((select count(*)::int from tide.message), 0, 'its messages are gone');
select results_eq($$select s.closed_at is null, s.emptied_at > now() from tide.slot s where s.slot = 0$$, $$values (true, true)$$, 'the slot says when');
select is_empty($$select * from tide.retention_run()$$, 'then nothing is left to do');
select is((select count(*)::int from tide.holders() where holds = 'retention'), 0, 'and nothing is held');

select tide.outbox_create('lonely', retention_hours => 1);
select tide.outbox_publish('lonely', '{}');
select tide.retention_run(clock_timestamp() + interval '45 minutes');
update tide.slot s set closed_at = closed_at - interval '1 hour' from tide.outbox o where o.outbox_id = s.outbox_id and o.name = 'lonely' and closed_at is not null;
select results_eq($$select outbox, reason from tide.retention_run()$$,
  $$values ('lonely'::text, 'the outbox has no consumer group and drop_without_group is off'::text)$$, 'an outbox that nobody reads holds');
select results_eq($$select consumer_group, cure from tide.holders() where outbox = 'lonely' and pid is null$$,
  $$values (null::text, 'Give it a pipeline, or: select tide.outbox_alter(''lonely'', drop_without_group => true);'::text)$$, 'its cure is a pipeline, or leave to drop');
select tide.outbox_alter('lonely', drop_without_group => true);
select results_eq($$select outbox, action from tide.retention_run()$$, $$values ('lonely'::text, 'emptied'::text)$$, 'with that leave it is emptied');

select refuses($$select * from tide.retention_run(null)$$, 'TD006', 'the time to run retention for is null', 'Leave the argument out%', 'no time');
select is(obj_description('tide.retention_run'::regproc) like '%Call it again while it says emptied%', true, 'the comment says how to call it');
select function_returns('tide', 'retention_run', 'setof record', 'it returns rows');
select ok(tide.version() ~ '^\d+\.\d+\.\d+\S* \(schema \d+\)$', 'tide.version tells release and schema');
select is_empty($$select * from tide.holders() where pid = pg_backend_pid()$$, 'holders does not name its own session');

select * from finish();
rollback;
