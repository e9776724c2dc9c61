-- Installing, upgrading and removing the schema tide.
-- Run by pg_tide_relay.install, and written into pg-tide-install.sql with the placeholders filled.
-- All of it runs in one READ COMMITTED transaction: a snapshot taken before the lock would not show
-- what the installer before us did.
-- The settings tide.* below live until the end of that transaction.

-- name: install_session
-- Names are resolved in pg_catalog only, whatever the database or the role has set; the wait for another
-- installer is bounded by installer_wait.
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true),
       pg_catalog.set_config('standard_conforming_strings', 'on', true),
       pg_catalog.set_config('check_function_bodies', 'on', true),
       pg_catalog.set_config('client_min_messages', 'notice', true),
       pg_catalog.set_config('statement_timeout', '0', true),
       pg_catalog.set_config('idle_in_transaction_session_timeout', '0', true),
       pg_catalog.set_config('lock_timeout', %(installer_wait)s, true),
       pg_catalog.set_config('tide.program_version', %(version)s::text, true);

-- name: install_lock
-- One installer at a time in this database. The key is the text 'pg-tide' and a zero byte, read as a number.
select pg_catalog.pg_advisory_xact_lock(8099492432856769792);

-- name: install_lock_timeout
-- From here on, wait for nobody: a waiting ACCESS EXCLUSIVE lock stops everybody behind it.
select pg_catalog.set_config('lock_timeout', %(lock_timeout)s, true);

-- name: install_check
-- Refuses what can't be right, and leaves the installed version (0: none) in tide.installed_version.
do $check$
declare
  v_program   integer := current_setting('tide.program_version')::integer;
  v_installed integer;
  v_release   text;
  v_owner     name;
begin
  if current_setting('server_version_num')::integer < 140000 then
    raise exception using
      errcode = 'feature_not_supported',
      message = format('this is PostgreSQL %s: pg-tide needs version 14 or newer', current_setting('server_version')),
      hint = 'Upgrade the server, or choose another one.';
  end if;
  select r.rolname into v_owner
    from pg_namespace n join pg_roles r on r.oid = n.nspowner
   where n.nspname = 'tide';
  if not found then
    if not has_database_privilege(current_database(), 'create') then
      raise exception using
        errcode = 'insufficient_privilege',
        message = format('role %I may not create a schema in database %I', current_user, current_database()),
        hint = format('As the owner of the database: grant create on database %I to %I;', current_database(), current_user);
    end if;
    perform set_config('tide.installed_version', '0', true);
    return;
  end if;
  if not exists (
    select from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = 'tide' and c.relname = 'schema_version'
  ) then
    raise exception using
      errcode = 'TD051',
      message = 'a schema tide exists in this database, but pg-tide did not make it',
      hint = 'Rename it (alter schema tide rename to ...) or use another database.';
  end if;
  if not pg_has_role(current_user, v_owner, 'usage') then
    raise exception using
      errcode = 'insufficient_privilege',
      message = format('schema tide belongs to %I: role %I may not change it', v_owner, current_user),
      hint = format('Connect as %I.', v_owner);
  end if;
  execute 'select version, release from tide.schema_version order by version desc limit 1'
    into v_installed, v_release;
  if v_installed is null then
    raise exception using
      errcode = 'TD051',
      message = 'table tide.schema_version is empty: the version of the schema tide is not known',
      hint = 'Restore its rows from a backup of this database.';
  end if;
  if v_installed > v_program then
    raise exception using
      errcode = 'TD050',
      message = format('schema tide has version %s (release %s), newer than version %s of this program',
                       v_installed, v_release, v_program),
      hint = format('Use release %s of pg-tide or a newer one.', v_release);
  end if;
  perform set_config('tide.installed_version', v_installed::text, true);
end
$check$;

-- name: installed_version
-- What install_check found.
select current_setting('tide.installed_version')::integer as installed;

-- name: install_record
-- Ends each installation and each migration step.
insert into tide.schema_version (version, release) values (%(version)s, %(release)s);
