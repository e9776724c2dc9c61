-- Removing the schema tide, and telling beforehand what would be lost.

-- name: uninstall_outboxes
-- One row per outbox and group; an outbox without a group has nobody who waits for its messages.
select o.outbox, l.consumer_group, coalesce(l.pending_text, '') as waiting, pg_size_pretty(o.retained_bytes) as size
  from tide.outboxes o left join tide.lag l on l.outbox = o.outbox
 order by o.outbox, l.consumer_group;

-- name: uninstall_relays
-- Relays that would lose their work under their feet.
select r.relay_id from tide.relays r where r.state in ('owner', 'standby') order by r.relay_id;

-- name: uninstall_dependents
-- Objects outside the schema that use something in it: drop schema ... cascade takes them along. Dependencies lead
-- from the schema to whatever needs it; a view hangs on its rule, and a rule of a foreign table stands for itself.
with recursive dependent (classid, objid, objsubid) as (
  select 'pg_namespace'::regclass::oid, n.oid, 0 from pg_namespace n where n.nspname = 'tide'
  union
  select next.classid, next.objid, next.objsubid
    from dependent d
    cross join lateral (
      select p.classid, p.objid, p.objsubid from pg_depend p
       where p.refclassid = d.classid and p.refobjid = d.objid and d.objsubid in (0, p.refobjsubid) and p.deptype <> 'e'
      union all
      select 'pg_class'::regclass, w.ev_class, 0 from pg_rewrite w
       where d.classid = 'pg_rewrite'::regclass and w.oid = d.objid and w.rulename = '_RETURN'
    ) next
)
select i.type || ' ' || i.identity as object
  from dependent d
  cross join lateral pg_identify_object(d.classid, d.objid, d.objsubid) i
  left join pg_type y on d.classid = 'pg_type'::regclass and y.oid = d.objid and (y.typtype = 'c' or y.typcategory = 'A')
  left join pg_trigger t on d.classid = 'pg_trigger'::regclass and t.oid = d.objid and not t.tgisinternal
  left join pg_constraint c on d.classid = 'pg_constraint'::regclass and c.oid = d.objid
  left join pg_attrdef a on d.classid = 'pg_attrdef'::regclass and a.oid = d.objid
  left join pg_class k on k.oid = coalesce(t.tgrelid, c.conrelid, a.adrelid)
 where y.oid is null -- the types of tables, views and their arrays come and go with them
   and coalesce(i.schema, (select n.nspname from pg_namespace n where n.oid = k.relnamespace), 'tide') <> all (array['tide', 'pg_toast'])
 order by object;

-- name: uninstall_schema
drop schema tide cascade;

-- name: uninstall_roles
-- What stands against dropping the roles that an installation makes: ties to other databases (or to shared objects
-- such as other databases' privileges), and objects they own here. Privileges they were given here do not.
select r.rolname as role,
       exists (
         select from pg_shdepend s
          where s.refclassid = 'pg_authid'::regclass and s.refobjid = r.oid
            and (s.dbid not in (0, h.oid) or s.dbid = 0 and (s.classid, s.objid) <> ('pg_database'::regclass, h.oid))
       ) as used_elsewhere,
       exists (
         select from pg_shdepend s
          where s.refclassid = 'pg_authid'::regclass and s.refobjid = r.oid and s.deptype = 'o' and s.dbid in (0, h.oid)
       ) as owns
  from pg_roles r, pg_database h
 where r.rolname in ('tide_publisher', 'tide_relay', 'tide_admin', 'tide_monitor') and h.datname = current_database()
 order by r.rolname;

-- name: uninstall_role_rights
-- Called only for a role that owns nothing, so that it only takes privileges away.
drop owned by {role};

-- name: uninstall_role
drop role {role};
