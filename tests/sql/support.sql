-- What the files of pgtap/ use besides pgTAP itself; loaded once into each test database, after pgTAP.

-- Passes when the statement fails with that SQLSTATE and exactly that message, and with a hint that is LIKE hint:
-- the hint must name the cure, the message the object.
create function refuses(statement text, code text, message text, hint text, description text)
returns text language plpgsql as $$
declare
  v_code text;
  v_message text;
  v_hint text;
begin
  begin
    execute refuses.statement;
    return fail(refuses.description) || E'\n' || diag('the statement succeeded: ' || refuses.statement);
  exception when others then
    get stacked diagnostics v_code = returned_sqlstate, v_message = message_text, v_hint = pg_exception_hint;
  end;
  if v_code = refuses.code and v_message = refuses.message and v_hint like refuses.hint then
    return pass(refuses.description);
  end if;
  return fail(refuses.description)
    || E'\n' || diag(format('found: %s %s HINT %s', v_code, v_message, v_hint))
    || E'\n' || diag(format('wanted: %s %s HINT %s', refuses.code, refuses.message, refuses.hint));
end $$;

-- Passes when the statement fails for want of a right (42501), whatever the object is.
create function forbids(statement text, description text)
returns text language plpgsql as $$
begin
  return throws_ok(forbids.statement, '42501', null, forbids.description);
end $$;

-- The shortest configuration that is valid.
create function minimal_config() returns jsonb language sql immutable as $$
  select '{"sink_type": "kafka", "brokers": "kafka:9092", "topic": "order-events"}'::jsonb
$$;
