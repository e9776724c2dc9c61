-- Who may do what, and above all what not: PUBLIC, publishers, relays, admins, monitors. With SET ROLE, in one session;
-- real logins are tested elsewhere.
begin;
select plan(117);

select tide.outbox_create('orders'), tide.outbox_create('payments');
select tide.outbox_publish('orders', '{"card": "secret"}', 'd', key => 'k');
select tide.relay_set_outbox('p', 'orders', 'g', minimal_config());
select tide.row_schema_set('orders', '[{"name": "id", "type": "bigint"}]');
create role shop nologin;
create role other nologin;
create role r nologin;
create role a nologin;
create role m nologin;
select tide.role_grant('relay', 'r'), tide.role_grant('admin', 'a'), tide.role_grant('monitor', 'm');
select tide.outbox_grant('orders', 'shop'), tide.outbox_grant('payments', 'other');

-- Nothing for PUBLIC, not even on what is made later.
select is_empty(
  $$select 'schema', n.nspname::text, x.privilege_type from pg_namespace n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) x
     where n.nspname = 'tide' and x.grantee = 0
    union all
    select 'relation', c.relname, x.privilege_type
      from pg_class c, aclexplode(coalesce(c.relacl, acldefault(case c.relkind when 'S' then 's' else 'r' end::"char", c.relowner))) x
     where c.relnamespace = 'tide'::regnamespace and c.relkind in ('r', 'p', 'v', 'S', 'm', 'f') and x.grantee = 0
    union all
    select 'column', format('%s.%s', c.relname, t.attname), x.privilege_type from pg_attribute t join pg_class c on c.oid = t.attrelid, aclexplode(t.attacl) x
     where c.relnamespace = 'tide'::regnamespace and x.grantee = 0
    union all
    select 'function', f.oid::regprocedure::text, x.privilege_type from pg_proc f, aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) x
     where f.pronamespace = 'tide'::regnamespace and x.grantee = 0$$,
  'PUBLIC has no right on the schema, nor on any relation, column or function in it');
select is((select count(*)::int from pg_class c where c.relnamespace = 'tide'::regnamespace and c.relname like 'message\__%' and c.relkind in ('r', 'p')
  and has_table_privilege('other', c.oid, 'select, insert, update, delete, truncate, references, trigger')), 0, 'nobody has a right on a whole message table by itself');

create function everything_about(outbox text) returns setof text language sql stable as $$
  select format('tide.message_%s', o.outbox_id) from tide.outbox o where o.name = everything_about.outbox
  union all
  select format('tide.message_%s_%s', s.outbox_id, s.slot) from tide.outbox o join tide.slot s using (outbox_id) where o.name = everything_about.outbox
$$;
create temporary table message_table as select everything_about('orders') as name union all select 'tide.message';
create temporary table own_table as select 'tide.message_' || outbox_id as name, outbox_id from tide.outbox where name = 'orders';
create temporary table theirs as select tablename, columnname from (
  select c.oid::regclass::text, t.attname::text from pg_class c join pg_attribute t on t.attrelid = c.oid
   where c.relnamespace = 'tide'::regnamespace and t.attnum > 0 and c.relkind in ('r', 'p', 'v')) t (tablename, columnname);
grant select on message_table, own_table, theirs to public;

-- A publisher.
set local role shop;
select lives_ok($$select tide.outbox_publish('orders', '{}')$$, 'a publisher publishes where it was granted');
select lives_ok($$select tide.outbox_publish_batch('orders', array['1', '2']::jsonb[])$$, 'batches, too');
select ok(tide.version() is not null, 'and may ask for the version');
select refuses($$select tide.outbox_publish('payments', '{}')$$, 'TD010', 'role shop may not publish to outbox ''payments''',
  '%tide.outbox_grant(''payments'', ''shop'')%', 'it cannot publish elsewhere');
select refuses($$select tide.outbox_publish_batch('payments', array['1']::jsonb[])$$, 'TD010', 'role shop may not publish to outbox ''payments''',
  '%tide.outbox_grant(''payments'', ''shop'')%', 'nor a batch');
select refuses($$select tide.outbox_publish('nowhere', '{}')$$, 'TD001', 'outbox ''nowhere'' does not exist', '%tide.outbox_create%', 'an unknown outbox is unknown to it');
select forbids(format('select 1 from %s', name), 'it cannot read ' || name) from message_table;
select forbids(format('select %I from %s', c, name), 'nor its column ' || c) from own_table, unnest(array['id', 'xid', 'payload', 'key', 'outbox_id']) c;
select forbids(format('insert into %s (outbox_id) values (%s)', name, outbox_id), 'the granted column does not suffice to insert') from own_table;
select forbids(format('insert into %s (outbox_id, slot, op) values (%s, 0, ''delete'')', name, outbox_id), 'nor with the others') from own_table;
select forbids(format('insert into tide.message (outbox_id, slot, op) values (%s, 0, ''delete'')', outbox_id), 'nor through the parent') from own_table;
select forbids(format('delete from %s', name), 'it cannot delete') from own_table;
select forbids(format('update %s set outbox_id = 1', name), 'it cannot update') from own_table;
select forbids(format('truncate %s', name), 'it cannot truncate') from own_table;
select forbids(format('lock table %s in access share mode', name), 'it cannot lock') from own_table;
select forbids($$insert into tide._publication (id, outbox, payload, op) values (1, 'orders', '{}', 'insert')$$, 'it cannot choose an id');
select forbids($$insert into tide._publication (caller, outbox, payload, op) values ('postgres', 'orders', '{}', 'insert')$$, 'nor another caller');
select forbids($$insert into tide._publication (outbox, payload, op, caller) values ('payments', '{}', 'insert', default)$$, 'not even by default');
select forbids($$insert into tide._publication_batch (ids, outbox, payloads) values ('{1}', 'orders', '{1}')$$, 'nor ids of a batch');
select forbids($$insert into tide._publication_batch (caller, outbox, payloads) values ('postgres', 'orders', '{1}')$$, 'nor its caller');
select forbids($$insert into tide._publication values (1, 'orders', '{}', null, 'insert', null, null, null, 'postgres')$$, 'nor everything at once');
select forbids($$insert into tide._publication (outbox, payload, op) values ('orders', '{}', 'insert') returning caller$$, 'it reads nothing back but the id');
select lives_ok($$insert into tide._publication (outbox, payload, op) values ('orders', '{}', 'insert') returning id$$, 'an INSERT by hand is a publish');
select refuses($$insert into tide._publication (outbox, payload, op) values ('payments', '{}', 'insert')$$, 'TD010', 'role shop may not publish to outbox ''payments''',
  '%tide.outbox_grant%', 'and checked like one');
select forbids($$alter view tide._publication alter column caller set default 'postgres'$$, 'it cannot change who the caller is');
select forbids($$select nextval('tide.message_id')$$, 'it cannot draw ids');
select forbids($$select last_value from tide.message_id$$, 'nor look at them');
select is((select count(*)::int from pg_proc f where f.pronamespace = 'tide'::regnamespace and has_function_privilege(f.oid, 'execute')
  and f.proname not in ('outbox_publish', 'outbox_publish_batch', 'version')), 0, 'it may call nothing else');
select is((select count(*)::int from theirs where has_column_privilege(tablename, columnname, 'select, update, references')
  and (tablename, columnname) not in (('tide._publication', 'id'), ('tide._publication_batch', 'ids'))), 0, 'and read or change nothing else');
select is((select array_agg(distinct tablename order by tablename) from theirs where has_column_privilege(tablename, columnname, 'insert')),
  array['tide._publication', 'tide._publication_batch', (select name from own_table)], 'its rights to insert are those');
select forbids($$create table tide.mine ()$$, 'it cannot make things in the schema');
select forbids($$select tide.outbox_grant('payments', 'shop')$$, 'it cannot grant itself more');
reset role;

select tide.outbox_revoke('orders', 'shop');
set local role shop;
select refuses($$select tide.outbox_publish('orders', '{}')$$, 'TD010', 'role shop may not publish to outbox ''orders''', '%tide.outbox_grant%', 'a right that was taken is gone');
reset role;
select tide.outbox_grant('orders', 'shop');
drop owned by shop;
set local role shop;
select forbids($$select tide.outbox_publish('orders', '{}')$$, 'DROP OWNED takes all rights');
reset role;

-- Membership.
create role clerk nologin in role other;
set local role clerk;
select lives_ok($$select tide.outbox_publish('payments', '{}')$$, 'a member publishes with its group''s right');
select refuses($$select tide.outbox_publish('orders', '{}')$$, 'TD010', 'role clerk may not publish to outbox ''orders''', '%', 'not more');
reset role;

-- A relay.
set local role r;
select lives_ok(format('select id, xid, payload from %s', name), 'a relay reads the messages of an outbox') from own_table;
select lives_ok($$select * from tide.pipeline, tide.cursor, tide.outbox, tide.consumer_group$$, 'pipelines, cursors, outboxes and groups');
select lives_ok($$select tide._timeline(), tide._flush()$$, 'the relay''s own functions are its to call');
select lives_ok($$select * from tide.retention_run()$$, 'retention, too');
select forbids($$select tide.outbox_publish('orders', '{}')$$, 'it cannot publish');
select forbids($$select tide.outbox_create('x')$$, 'nor make outboxes');
select forbids($$select tide.outbox_drop('orders', true)$$, 'nor drop them');
select forbids($$select tide.outbox_grant('orders', 'r')$$, 'nor grant');
select forbids($$select tide.relay_set_outbox('p', 'orders', 'g', '{}')$$, 'nor configure pipelines');
select forbids($$select tide.relay_disable('p')$$, 'nor disable them');
select is(tide.row_schema_columns('orders', 1), '[{"name": "id", "type": "bigint"}]', 'it reads row schemas');
select forbids($$select tide.row_schema_set('orders', '[{"name": "id", "type": "uuid"}]')$$, 'but stores none');
select forbids($$select tide.row_schema_drop('orders', 1)$$, 'drops none');
select forbids($$select * from tide.row_schema_infer('orders')$$, 'and infers none');
select forbids($$update tide.row_schema set columns = '[]'$$, 'nor does it change one');
select forbids($$select tide.group_skip('g', 'orders')$$, 'nor move groups');
select forbids($$select * from tide.pipeline_change$$, 'nor read who changed what');
select forbids($$update tide.cursor set last_id = 1$$, 'nor write a cursor directly');
select forbids($$select * from tide.replay('p', everything => true)$$, 'nor ask for a replay');
select forbids($$select tide.replay_cancel(1)$$, 'nor cancel one');
select forbids($$update tide.pipeline set config = '{}'$$, 'nor a configuration');
select forbids(format('insert into %s (outbox_id, slot, op) values (%s, 0, ''delete'')', name, outbox_id), 'nor a message') from own_table;
select is((select count(*)::int from theirs where has_column_privilege(tablename, columnname, 'insert, update')), 0, 'it writes no column of any table');
select is((select count(*)::int from (select distinct tablename from theirs) t where has_table_privilege(tablename, 'delete, truncate')), 0, 'and deletes nothing');
reset role;

-- An admin.
set local role a;
select lives_ok($$select tide.outbox_create('mine'), tide.outbox_alter('mine', 24), tide.outbox_disable('mine'), tide.outbox_enable('mine')$$, 'an admin makes and alters outboxes');
select lives_ok($$select tide.relay_set_outbox('mine', 'mine', 'mine', minimal_config()), tide.relay_disable('mine'), tide.relay_enable('mine')$$, 'configures pipelines');
select lives_ok($$select tide.group_rewind('mine', 'mine', 1), tide.group_skip('mine', 'mine'), tide.group_rebase('mine', 'mine')$$, 'moves groups');
select lives_ok($$select * from tide.relay_validate('{}')$$, 'validates');
select lives_ok($$select tide.replay_cancel(r.replay_id) from tide.replay('p', everything => true, dry_run => true) r where r.replay_id > 0$$, 'asks for replays and cancels them');
select lives_ok($$select tide.row_schema_set('mine', tide.row_schema_of_table('tide.outbox')), tide.row_schema_drop('mine', 1)$$, 'stores and drops row schemas');
select lives_ok($$select * from tide.row_schema_infer('orders')$$, 'and infers them from messages');
select forbids($$update tide.row_schema set columns = '[]'$$, 'but changes none');
select lives_ok($$select tide.relay_drop('mine'), tide.group_drop('mine', 'mine'), tide.outbox_drop('mine', true)$$, 'and drops');
select lives_ok($$select tide.outbox_grant('orders', 'shop'), tide.outbox_revoke('orders', 'shop')$$, 'grants and revokes');
select lives_ok(format('select payload from %s', name), 'reads messages') from own_table;
select lives_ok($$select * from tide.pipeline_change, tide.pipeline_state, tide.slot, tide.relay$$, 'and all else');
select refuses($$select tide.outbox_publish('orders', '{}')$$, 'TD010', 'role a may not publish to outbox ''orders''', '%tide.outbox_grant(''orders'', ''a'')%',
  'it publishes only where it granted itself the right');
select is((select count(*)::int from theirs where has_column_privilege(tablename, columnname, 'insert, update') and tablename not like 'tide.\_publication%'), 0, 'it writes no column of any table');
select is((select count(*)::int from (select distinct tablename from theirs) t where has_table_privilege(tablename, 'delete, truncate')), 0, 'and deletes nothing directly');
select forbids($$select tide.role_grant('admin', 'shop')$$, 'it makes no other admins');
select forbids($$select nextval('tide.message_id')$$, 'it draws no ids');
select is((select count(*)::int from pg_proc f where f.pronamespace = 'tide'::regnamespace and f.proname like '\_%'
  and f.proname not in ('_config_shown', '_config_resolved', '_cursor_doubt', '_pending', '_key_shown', '_shards_wanted', '_shard_stands') and has_function_privilege(f.oid, 'execute')), 0, 'internals are not its to call');
reset role;

-- A monitor.
set local role m;
select lives_ok(format('select * from tide.%I', v), 'a monitor reads ' || v) from unnest(array['outboxes', 'row_schemas', 'pipelines', 'consumer_groups', 'relays', 'lag', 'config_keys', 'replays']) v;
select lives_ok($$select * from tide.holders()$$, 'and tide.holders');
select isnt(tide.version(), null, 'and the version');
select forbids(format('select payload from %s', name), 'it cannot read messages') from own_table;
select forbids('select payload from tide.message', 'nor through the parent');
select forbids('select config from tide.pipeline', 'nor configurations with their secrets');
select forbids('select * from tide.cursor', 'nor cursors');
select forbids('select * from tide.retention_run()', 'nor run retention');
select forbids($$select * from tide.replay('p', everything => true, dry_run => true)$$, 'nor count messages for a replay');
select is(tide.row_schema_columns('orders', 1), '[{"name": "id", "type": "bigint"}]', 'a row schema is no secret');
select forbids($$select * from tide.row_schema_infer('orders')$$, 'but examples from messages are');
select forbids($$select tide.row_schema_set('orders', '[{"name": "id", "type": "uuid"}]')$$, 'nor store row schemas');
select forbids($$select tide.relay_disable('p')$$, 'nor change anything');
select is((select count(*)::int from theirs where has_column_privilege(tablename, columnname, 'insert, update')), 0, 'it writes nothing');
reset role;

-- What is made later is open to those who were granted before, and to nobody else.
select tide.outbox_create('later');
select tide.outbox_publish('later', '{}');
create temporary table later_table as select 'tide.message_' || outbox_id as name from tide.outbox where name = 'later';
select is((select array_agg(g order by g) from unnest(array['shop', 'other', 'clerk', 'r', 'a', 'm', 'tide_publisher', 'tide_relay', 'tide_admin', 'tide_monitor']) g, later_table
  where has_table_privilege(g, name, 'select')), array['a', 'r', 'tide_admin', 'tide_relay'], 'relays and admins read a new outbox');
drop owned by r;
select tide.outbox_create('after_drop_owned');
select is((select has_table_privilege('r', 'tide.message_' || outbox_id, 'select') from tide.outbox where name = 'after_drop_owned'), false,
  'a relay whose rights were dropped gets none on a new outbox');

select refuses($$select tide.role_grant('boss', 'shop')$$, 'TD020', '''boss'' is no kind of role', 'Use publisher, relay, admin or monitor.', 'a kind that is not known');
select refuses($$select tide.role_grant(null, 'shop')$$, 'TD020', 'null is no kind of role', 'Use publisher, relay, admin or monitor.', 'no kind');
select refuses($$select tide.role_grant('relay', 'nobody')$$, '42704', 'role ''nobody'' does not exist', 'Create it: create role nobody;', 'a role that does not exist');
select lives_ok($$select tide.role_grant('relay', 'r'), tide.role_grant('relay', 'r')$$, 'granting twice is allowed');
select is((select has_table_privilege('r', name, 'select') from later_table), true, 'and opens the outboxes that exist');

select * from finish();
rollback;
