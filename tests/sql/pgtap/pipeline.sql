-- Pipelines: set, enable, disable, drop, in any order; what is written down about it; what is refused.
begin;
select plan(65);

select tide.outbox_create('orders'), tide.outbox_create('payments');

-- TID-Q3 to TID-Q5, as printed.
select is(tide.relay_set_outbox('orders-to-kafka', 'orders', 'kafka-relay',
  '{"sink_type": "kafka", "brokers": "kafka:9092", "topic": "order-events"}'::jsonb), 1::bigint, 'TID-Q3: set as printed makes version 1');
select results_eq(
  $$select p.pipeline, p.outbox, p.consumer_group, p.enabled, p.version, p.state from tide.pipelines p$$,
  $$values ('orders-to-kafka'::text, 'orders'::text, 'kafka-relay'::text, true, 1::bigint, 'waiting'::text)$$,
  'TID-Q5: set makes an enabled pipeline and its group');
select is((select p.config from tide.pipeline p), minimal_config(), 'the configuration is kept as it was given');
select lives_ok($$select tide.relay_enable('orders-to-kafka')$$, 'TID-Q4: enable right after set');
select results_eq($$select enabled, version from tide.pipeline$$, $$values (true, 1::bigint)$$, 'TID-Q5: enabling what is enabled changes nothing');
select tide.relay_disable('orders-to-kafka');
select results_eq($$select enabled, version from tide.pipeline$$, $$values (false, 2::bigint)$$, 'disabling raises the version');
select is((select state from tide.pipelines), 'disabled', 'and shows');
select tide.relay_disable('orders-to-kafka');
select is((select version from tide.pipeline), 2::bigint, 'disabling twice changes nothing');
select is(tide.relay_set_outbox('orders-to-kafka', 'orders', 'kafka-relay', minimal_config() || '{"batch_size": 500}'), 3::bigint, 'set on a disabled pipeline');
select results_eq($$select enabled, version, config ->> 'batch_size' from tide.pipeline$$, $$values (false, 3::bigint, '500'::text)$$,
  'TID-Q5: leaves it disabled');
select tide.relay_enable('orders-to-kafka');
select results_eq($$select enabled, version from tide.pipeline$$, $$values (true, 4::bigint)$$, 'TID-Q5: enable after disable and set');
select refuses($$select tide.relay_enable('later')$$, 'TD021', 'pipeline ''later'' does not exist', 'See tide.pipelines%', 'TID-Q5: enable before set is refused');

-- The same again.
create temporary table changes on commit drop as select count(*) as n from tide.pipeline_change;
select is(tide.relay_set_outbox('orders-to-kafka', 'orders', 'kafka-relay', '{"topic": "order-events", "batch_size": 500, "brokers": "kafka:9092", "sink_type": "kafka"}'),
  4::bigint, 'set with the same arguments returns the same version');
select is((select count(*) from tide.pipeline_change), (select n from changes), 'and writes nothing down');
select is((select count(*)::int from tide.consumer_group), 1, 'and makes no group');
select is(tide.relay_set_outbox('orders-to-kafka', 'orders', 'kafka-relay', minimal_config(), start => 'latest'), 5::bigint, 'a changed configuration is a new version');
select is((select c.prev::text from tide.cursor c), '1:1:', 'start says nothing to a group that exists');

-- Who did it.
create role "O'Brien ""ops""";
grant usage on schema public to "O'Brien ""ops""";
select tide.role_grant('admin', 'O''Brien "ops"');
set local role "O'Brien ""ops""";
select tide.relay_set_outbox('orders-to-kafka', 'orders', 'kafka-relay', minimal_config() || '{"batch_size": 7}');
select tide.relay_drop('orders-to-kafka');
reset role;
select results_eq(
  $$select c.action, c.version, c.config ->> 'batch_size', c.changed_by, c.acting_as from tide.pipeline_change c order by c.change_id$$,
  $$select a, v::bigint, b, session_user::text collate "default", w collate "default" from (values
      ('set', 1, null, session_user::text), ('disable', 2, null, session_user::text), ('set', 3, '500', session_user::text),
      ('enable', 4, '500', session_user::text), ('set', 5, null, session_user::text), ('set', 6, '7', 'O''Brien "ops"'),
      ('drop', 7, null, 'O''Brien "ops"')) c (a, v, b, w)$$,
  'each change is written down with session user and acting role');
select ok((select bool_and(c.changed_at between now() and clock_timestamp()) from tide.pipeline_change c), 'and its time');
select is((select count(*)::int from tide.pipeline), 0, 'the pipeline is gone');
select is((select count(*)::int from tide.consumer_group), 1, 'its group stays');
select is((select p.consumer_group from tide.consumer_groups p where p.pipeline is null), 'kafka-relay', 'and shows without a pipeline');

-- Made anew on the group that stayed.
select tide.group_skip('kafka-relay', 'orders');
create temporary table place on commit drop as select c.prev::text, c.generation from tide.cursor c;
select is(tide.relay_set_outbox('orders-to-kafka', 'orders', 'kafka-relay', minimal_config()), 1::bigint, 'a dropped pipeline begins anew with version 1');
select results_eq($$select c.prev::text, c.generation from tide.cursor c$$, $$select * from place$$, 'its group goes on where it was');

-- One driver per cursor.
select refuses($$select tide.relay_set_outbox('second', 'orders', 'kafka-relay', minimal_config())$$, 'TD023',
  'consumer group ''kafka-relay'' on outbox ''orders'' is driven by pipeline ''orders-to-kafka''', 'A cursor is driven by one pipeline%', 'a second driver is refused');
select is((select count(*)::int from tide.pipeline), 1, 'and leaves nothing');
select is(tide.relay_set_outbox('second', 'payments', 'kafka-relay', minimal_config()), 1::bigint, 'the same group name on another outbox is another cursor');
select is((select count(*)::int from tide.cursor), 2, 'of its own');
select is(tide.relay_set_outbox('third', 'orders', 'other', minimal_config()), 1::bigint, 'another group on the same outbox');

-- The outbox of a pipeline cannot change, its group can, with a notice (its text is tested elsewhere).
select refuses($$select tide.relay_set_outbox('orders-to-kafka', 'payments', 'kafka-relay', minimal_config())$$, 'TD022',
  'pipeline ''orders-to-kafka'' reads outbox ''orders''; that cannot change to ''payments''', '%tide.relay_drop(''orders-to-kafka'')%', 'another outbox is refused');
select is(tide.relay_set_outbox('orders-to-kafka', 'orders', 'new-group', minimal_config()), 2::bigint, 'another group is a new version');
select is((select consumer_group from tide.pipelines where pipeline = 'orders-to-kafka'), 'new-group', 'which the pipeline drives now');
select is((select count(*)::int from tide.consumer_groups where outbox = 'orders' and consumer_group = 'kafka-relay' and pipeline is null), 1, 'the old group stays');
select refuses($$select tide.relay_set_outbox('orders-to-kafka', 'orders', 'other', minimal_config())$$, 'TD023',
  'consumer group ''other'' on outbox ''orders'' is driven by pipeline ''third''', 'A cursor is driven by one pipeline%', 'a group that is driven is refused here, too');

-- Where a new group starts.
select tide.relay_set_outbox(pipeline => 'early', outbox => 'orders', consumer_group => 'early', config => minimal_config(), start => 'earliest');
select tide.relay_set_outbox('late', 'orders', 'late', minimal_config(), 'latest');
select results_eq($$select g.name, c.prev::text = '1:1:' from tide.cursor c join tide.consumer_group g using (group_id) where g.name in ('early', 'late') order by 1$$,
  $$values ('early'::text, true), ('late', false)$$, 'earliest starts before everything, latest at this moment');
select refuses($$select tide.relay_set_outbox('x', 'orders', 'x', minimal_config(), start => 'now')$$, 'TD020', 'start is ''now''', 'Use ''earliest''%''latest''%', 'start is one of two');
select refuses($$select tide.relay_set_outbox('x', 'orders', 'x', minimal_config(), start => null)$$, 'TD020', 'start is null', 'Use ''earliest''%', 'start cannot be null');

-- Configurations that are refused: all errors at once.
select refuses($$select tide.relay_set_outbox('x', 'orders', 'x', '{"sink_type": "kafka", "topic": "t"}')$$, 'TD020',
  'the configuration of pipeline ''x'' is not valid: brokers: is required', '%tide.config_keys%tide.relay_validate%', 'a configuration with errors');
select refuses($$select tide.relay_set_outbox('x', 'orders', 'x', null)$$, 'TD020',
  'the configuration of pipeline ''x'' is not valid: $: must be an object, not null', '%tide.config_keys%', 'no configuration');
select refuses($$select tide.relay_set_outbox('x', 'orders', 'x', '[]')$$, 'TD020',
  'the configuration of pipeline ''x'' is not valid: $: must be an object, not a list', '%tide.config_keys%', 'a list');
select refuses(
  format('select tide.relay_set_outbox(''x'', ''orders'', ''x'', minimal_config() || %L)', '{"headers": ' || repeat('[', 101) || repeat(']', 101) || '}'), 'TD020',
  'the configuration of pipeline ''x'' is not valid: it is nested more than 100 levels deep', '%tide.config_keys%', 'more levels than a relay could read');
create function detail_of(statement text) returns text language plpgsql as $$
declare
  v_detail text;
begin
  execute detail_of.statement;
  return null;
exception when others then
  get stacked diagnostics v_detail = pg_exception_detail;
  return v_detail;
end $$;
select is(
  (select string_to_array(detail_of($$select tide.relay_set_outbox('x', 'orders', 'x', '{"sink_type": "kafka", "broker": "kafka:9092", "topic": "t", "batch_size": 0}')$$), E'\n')),
  (select array_agg(format('%s: %s', v.path, v.message))
     from tide.relay_validate('{"sink_type": "kafka", "broker": "kafka:9092", "topic": "t", "batch_size": 0}') v where v.severity = 'error'),
  'the detail lists all errors, as relay_validate does');
select is((select count(*)::int from tide.relay_validate('{"sink_type": "kafka", "broker": "kafka:9092", "topic": "t", "batch_size": 0}') where severity = 'error'), 3,
  'unknown key, missing key, value out of range');
select is((select count(*)::int from tide.relay_validate(minimal_config()) where severity = 'error'), 0, 'the shortest configuration is valid');
select is((select count(*)::int from tide.pipeline where name = 'x') + (select count(*)::int from tide.consumer_group where name = 'x'), 0, 'a refused pipeline leaves nothing');

-- Unknown things, and names.
select refuses($$select tide.relay_set_outbox('x', 'order', 'x', minimal_config())$$, 'TD001', 'outbox ''order'' does not exist', 'Did you mean ''orders''?%', 'an unknown outbox');
select refuses($$select tide.relay_set_outbox('x', null, 'x', minimal_config())$$, 'TD006', 'the name of the outbox is null', 'Name the outbox.', 'no outbox');
select refuses($$select tide.relay_set_outbox(null, 'orders', 'x', minimal_config())$$, 'TD006', 'the name of the pipeline is null', '%1 to 255 bytes%', 'no pipeline');
select refuses($$select tide.relay_set_outbox('x', 'orders', null, minimal_config())$$, 'TD006', 'the name of the consumer group is null', '%1 to 255 bytes%', 'no group');
select refuses($$select tide.relay_set_outbox('', 'orders', 'x', minimal_config())$$, 'TD008', 'pipeline name '''' is not valid', '%1 to 255 bytes%', 'an empty pipeline name');
select refuses($$select tide.relay_set_outbox('x', 'orders', E'a\tb', minimal_config())$$, 'TD008', E'consumer group name ''a\tb'' is not valid', '%no control characters%', 'a group name with a tab');
select is(tide.relay_set_outbox(name, 'orders', name, minimal_config()), 1::bigint, 'TID-Q6: a pipeline and a group may be named ' || left(name, 20))
  from (values ('my.pipe-line'), ('o''brien "x"'), (repeat('p', 64)), (repeat('ä', 127)), ('größer 🌊'), ('%s'), ('null')) n (name);
select tide.relay_disable('o''brien "x"'), tide.relay_enable('o''brien "x"');
select is((select version from tide.pipeline where name = 'o''brien "x"'), 3::bigint, 'and be called by it');

select refuses($$select tide.relay_enable('order-to-kafka')$$, 'TD021', 'pipeline ''order-to-kafka'' does not exist', 'Did you mean ''orders-to-kafka''?', 'enabling names the nearest');
select refuses($$select tide.relay_disable('order-to-kafka')$$, 'TD021', 'pipeline ''order-to-kafka'' does not exist', 'Did you mean ''orders-to-kafka''?', 'disabling, too');
select refuses($$select tide.relay_drop('order-to-kafka')$$, 'TD021', 'pipeline ''order-to-kafka'' does not exist', 'Did you mean ''orders-to-kafka''?', 'and dropping');
select refuses($$select tide.relay_enable(null)$$, 'TD021', 'pipeline NULL does not exist', '%tide.pipelines%', 'enabling null');
select refuses($$select tide.relay_drop(null)$$, 'TD021', 'pipeline NULL does not exist', '%tide.pipelines%', 'dropping null');

-- Configuration commits synchronously, whatever the session says.
set local synchronous_commit = off;
select tide.relay_disable('late');
select is(current_setting('synchronous_commit'), 'on', 'a change of a pipeline waits for the log');

select * from finish();
rollback;
