-- The views that operators look at.
begin;
select plan(49);

select columns_are('tide', 'outboxes', array['outbox', 'enabled', 'retention_hours', 'max_payload_bytes', 'drop_without_group', 'contract', 'slots', 'slot', 'slot_since',
  'message_table', 'retained_bytes', 'last_emptied_at', 'dropped_to', 'created_at', 'created_by']::name[], 'columns of tide.outboxes');
select columns_are('tide', 'pipelines', array['pipeline', 'outbox', 'consumer_group', 'enabled', 'version', 'state', 'owner', 'lease_until', 'error_class', 'error_code',
  'error', 'cure', 'message_id', 'attempts', 'next_attempt_at', 'throttled_ms', 'since', 'running_version', 'config', 'updated_at', 'updated_by', 'shards', 'resharding']::name[], 'columns of tide.pipelines');
select columns_are('tide', 'shards', array['pipeline', 'outbox', 'consumer_group', 'shard', 'shards', 'state', 'owner', 'lease_until', 'error_class', 'error_code',
  'error', 'cure', 'message_id', 'attempts', 'next_attempt_at', 'throttled_ms', 'since', 'running_version', 'settled_at', 'taken_over_at', 'taken_over_from', 'stands']::name[],
  'columns of tide.shards');
select columns_are('tide', 'consumer_groups', array['consumer_group', 'outbox', 'pipeline', 'prev', 'cur', 'first_id', 'last_id', 'replay_from', 'replay_last',
  'generation', 'epoch', 'timeline', 'settled_at', 'doubt', 'created_at', 'created_by', 'shard', 'shards']::name[], 'columns of tide.consumer_groups');
select columns_are('tide', 'relays', array['relay_id', 'host', 'pid', 'release', 'started_at', 'seen_at', 'ended_at', 'state', 'pipelines', 'serves', 'take_overs']::name[],
  'columns of tide.relays');
select columns_are('tide', 'lag', array['pipeline', 'outbox', 'consumer_group', 'pending', 'pending_text', 'oldest_at', 'oldest_age', 'settled_at']::name[],
  'columns of tide.lag');
select is((select count(*)::int from information_schema.columns c where c.table_schema = 'tide' and c.table_name in ('outboxes', 'pipelines', 'consumer_groups', 'relays', 'lag', 'config_keys')
  and c.column_name in ('payload', 'old_payload', 'key', 'headers') and c.table_name <> 'config_keys'), 0, 'no view shows what is in a message');

-- Empty at first.
select is_empty($$select 1 from tide.outboxes union all select 1 from tide.pipelines union all select 1 from tide.consumer_groups
  union all select 1 from tide.relays union all select 1 from tide.lag$$, 'nothing is there at first');

select tide.outbox_create('orders');
select results_eq($$select outbox, enabled, slots::int, slot::int, message_table, retained_bytes > 0, last_emptied_at from tide.outboxes$$,
  $$select 'orders'::text, true, 4, 0, 'tide.message_' || outbox_id, true, null::timestamptz from tide.outbox$$, 'an outbox, its table and size');
select is((select to_regclass(message_table) is not null from tide.outboxes), true, 'the table that is named is there');

select tide.relay_set_outbox('p', 'orders', 'g', minimal_config() || '{"sasl_mechanism": "PLAIN", "sasl_username": "u", "sasl_password": "secret", "tls_enabled": true}');
select is((select config ->> 'sasl_password' from tide.pipelines), '***', 'a password is not shown');
select is((select config ->> 'sasl_password' from tide.pipeline), 'secret', 'but kept');
select tide.relay_set_outbox('p', 'orders', 'g', minimal_config() || '{"sasl_mechanism": "PLAIN", "sasl_username": "u", "sasl_password": "${env:KAFKA_PASSWORD}", "tls_enabled": true}');
select is((select config ->> 'sasl_password' from tide.pipelines), '${env:KAFKA_PASSWORD}', 'a reference is shown');
select tide.relay_set_outbox('p', 'orders', 'g', minimal_config() || '{"sasl_mechanism": "PLAIN", "sasl_username": "u", "sasl_password": "x${env:KAFKA_PASSWORD}", "tls_enabled": true}');
select is((select config ->> 'sasl_password' from tide.pipelines), '***', 'a password with a reference in it is not');
select tide.relay_set_outbox('p', 'orders', 'g', minimal_config() || '{"wire_format": "avro", "serialization": {"schema": {"type": "long"}}, "schema_registry": {"url": "http://schemas:8081", "username": "u", "password": "secret"}}');
select is((select config #>> '{schema_registry,password}' from tide.pipelines), '***', 'nor is that of a schema registry');
select tide.relay_set_outbox('p', 'orders', 'g', minimal_config() || '{"wire_format": "avro", "serialization": {"schema": {"type": "long"}}, "schema_registry": {"url": "http://schemas:8081", "bearer_token": "secret"}}');
select is((select config #>> '{schema_registry,bearer_token}' from tide.pipelines), '***', 'nor its token');
select tide.relay_set_outbox('p', 'orders', 'g', minimal_config() || '{"wire_format": "avro", "serialization": {"schema": {"type": "long"}}, "schema_registry": {"url": "http://schemas:8081", "bearer_token": "${env:SCHEMA_REGISTRY_TOKEN}"}}');
select is((select config #>> '{schema_registry,bearer_token}' from tide.pipelines), '${env:SCHEMA_REGISTRY_TOKEN}', 'but a reference to it is');
select tide.relay_set_outbox('p', 'orders', 'g', minimal_config());
select is((select config from tide.pipelines), minimal_config(), 'a configuration without one is shown as it is');

-- States.
create function say(state text, version bigint default null) returns void language sql as $$
  select tide._pipeline_report(p.pipeline_id, 'relay-1', coalesce(say.version, p.version), say.state, 'destination', '3', 'topic order-events is not there', 'Create it.', 7)
    from tide.pipeline p
$$;
create function own(owner text, for_ms integer) returns void language sql as $$
  update tide.cursor set owner = own.owner, owner_token = '00000000-0000-4000-8000-000000000001', lease_until = clock_timestamp() + own.for_ms * interval '1 ms',
    stamp = pg_current_xact_id()::xid
$$;
prepare shown as select state, owner from tide.pipelines;
select results_eq('shown', $$values ('waiting'::text, null::text)$$, 'nobody owns it: waiting');
select own('relay-1', 60000);
select results_eq('shown', $$values ('waiting'::text, 'relay-1'::text)$$, 'owned, and nothing said yet');
select say('running');
select results_eq('shown', $$values ('running'::text, 'relay-1'::text)$$, 'running');
select say('backing_off');
select results_eq($$select state, error_class, error_code, error, cure, message_id, running_version from tide.pipelines$$,
  $$select 'backing_off'::text, 'destination'::text, '3'::text, 'topic order-events is not there'::text, 'Create it.'::text, 7::bigint, version from tide.pipeline$$,
  'backing off, with error, cure and message');
select own('relay-1', -1000);
select results_eq('shown', $$values ('waiting'::text, null::text)$$, 'the lease ran out: waiting');
select say('error');
select results_eq('shown', $$values ('error'::text, null::text)$$, 'an error stays, also without an owner');
select tide.relay_set_outbox('p', 'orders', 'g', minimal_config() || '{"batch_size": 7}');
select results_eq('shown', $$values ('waiting'::text, null::text)$$, 'until the configuration changes');
select tide.relay_disable('p');
select results_eq('shown', $$values ('disabled'::text, null::text)$$, 'disabled');
select tide.relay_enable('p');

select own('relay-1', 60000);
select tide._pipeline_report(p.pipeline_id, 'relay-1', p.version, 'backing_off', 'destination', '3', 'no topic', 'Create it.', null, 7, '2026-01-01 00:00:01+00', 250)
  from tide.pipeline p;
select results_eq($$select attempts, next_attempt_at, throttled_ms from tide.pipelines$$, $$values (7, '2026-01-01 00:00:01+00'::timestamptz, 250)$$, 'attempts, the time of the next, and what a quota costs');
select own('relay-1', -1000);
select results_eq($$select attempts, next_attempt_at from tide.pipelines$$, $$values (null::integer, null::timestamptz)$$, 'without an owner nobody tries');
select is((select throttled_ms from tide.pipelines), null, 'and nobody is made to wait');
select own('relay-1', 60000);
select say('running');
select results_eq($$select attempts, next_attempt_at from tide.pipelines$$, $$values (null::integer, null::timestamptz)$$, 'what runs has none');
update tide.cursor set owner = null, owner_token = null, lease_until = null, stamp = pg_current_xact_id()::xid;

-- Lag: what is committed and not settled. This transaction's own messages count for it as not settled.
select results_eq($$select pipeline, outbox, consumer_group, pending, pending_text, oldest_at, oldest_age from tide.lag$$,
  $$values ('p'::text, 'orders'::text, 'g'::text, 0::bigint, '0'::text, null::timestamptz, interval '0')$$, 'no message, no lag');
select tide.outbox_publish('orders', to_jsonb(n)) from generate_series(1, 3) n;
select results_eq($$select pending, pending_text, oldest_at = (select min(created_at) from tide.message), oldest_age > interval '0' from tide.lag$$,
  $$values (3::bigint, '3'::text, true, true)$$, 'three messages wait; the age is that of the oldest');
-- Messages of finished transactions, in the window (1 settled, 2 not) and behind it.
delete from tide.message;
insert into tide.message (id, xid, outbox_id, slot, op) select n, '3', outbox_id, 0, 'delete' from tide.outbox, generate_series(1, 3) n;
create function place(prev text, cur text, first_id bigint, last_id bigint, replay bigint) returns void language sql as $$
  update tide.cursor set prev = place.prev::pg_snapshot, cur = place.cur::pg_snapshot, first_id = place.first_id, last_id = place.last_id,
    window_token = case when place.cur is not null then gen_random_uuid() end, replay_from = place.replay, replay_last = place.replay, stamp = pg_current_xact_id()::xid
$$;
select place('1:1:', '10:10:', 0, 1, null);
select is((select pending from tide.lag), 2::bigint, 'of an open window what lies behind its last id is pending');
select place('1:1:', '10:10:', 3, 0, null);
select is((select pending from tide.lag), 1::bigint, 'and what lies at its first id or behind');
select place('3:10:3', '11:11:', 5, 1, null);
select is((select pending from tide.lag), 2::bigint, 'stragglers count by their id, however small');
select place('10:10:', null, null, 0, null);
select is((select pending from tide.lag), 0::bigint, 'what prev sees is settled');
select place('10:10:', null, null, 0, 1);
select is((select pending from tide.lag), 2::bigint, 'but for what a replay pass still has to send');
select place('1:1:', null, null, 0, null);
select is((select pending from tide.lag), 3::bigint, 'before the first window all is pending');
insert into tide.message (xid, outbox_id, slot, op) select '3', outbox_id, 0, 'delete' from tide.outbox, generate_series(1, 99998) n;
select results_eq($$select pending, pending_text ~ '100000$', pending_text <> '100000' from tide.lag$$, $$values (100000::bigint, true, true)$$,
  'a long backlog is not counted to its end, and says so');
delete from tide.message where id = 1;
select results_eq($$select pending, pending_text from tide.lag$$, $$values (100000::bigint, '100000'::text)$$, '100,000 is exact');

-- Groups and relays.
select results_eq($$select consumer_group, outbox, pipeline, doubt from tide.consumer_groups$$, $$values ('g'::text, 'orders'::text, 'p'::text, null::text)$$,
  'a group, who drives it, no doubt');
select ok(tide._relay_seen('relay-1', '00000000-0000-4000-8000-000000000001', 'host-1', 42, '0.1.0', 10000), 'a relay says that it lives');
select results_eq($$select relay_id, host, pid, release, state, pipelines, take_overs from tide.relays$$,
  $$values ('relay-1'::text, 'host-1'::text, 42, '0.1.0'::text, 'standby'::text, '{}'::text[], '{}'::text[])$$, 'one that owns nothing stands by');
select ok(tide._relay_seen('relay-1', '00000000-0000-4000-8000-000000000001', 'host-1', 42, '0.1.0', 10000, 5000, array(select pipeline_id from tide.pipeline)), 'a relay says what it could drive');
select results_eq($$select v.state, v.serves, r.lease_ms from tide.relays v join tide.relay r using (relay_id)$$, $$values ('standby'::text, array['p'], 5000)$$, 'which is shown');
select own('relay-1', 60000);
update tide.cursor set taken_over_from = 'relay-0', taken_over_at = '2001-01-01 00:00:00+00', stamp = pg_current_xact_id()::xid;
select results_eq($$select state, pipelines, take_overs[1] like 'p from relay-0 at 200%' from tide.relays$$, $$values ('owner'::text, array['p'], true)$$,
  'an owner, its pipelines, and from whom it took them');
select ok(not tide._relay_seen('relay-1', gen_random_uuid(), 'host-2', 43, '0.1.0', 10000), 'a second process does not live under the same id');
update tide.relay set seen_at = clock_timestamp() - interval '31 seconds';
select is((select state from tide.relays), 'lost', 'one that is silent for 30 seconds is lost');
select tide._relay_ended('relay-1', '00000000-0000-4000-8000-000000000001');
select is((select state from tide.relays), 'ended', 'one that signed off has ended');

select * from finish();
rollback;
