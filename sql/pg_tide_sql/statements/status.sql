-- What pg-tide status and pg-tide validate read. All of it is open to tide_monitor.

-- name: status_schema
-- The version in force.
select version, release, installed_at, installed_by from tide.schema_version order by version desc limit 1;

-- name: status_pipelines
-- Secrets in the configuration are already hidden by the view.
select pipeline, outbox, consumer_group, enabled, version, state, owner, since, error_class, error_code, error, cure, message_id,
       attempts, next_attempt_at, throttled_ms, shards, resharding
  from tide.pipelines order by pipeline;

-- name: status_lag
-- One row per group, also for groups that no pipeline drives.
select outbox, consumer_group, pipeline, pending, pending_text, oldest_at, oldest_age, settled_at
  from tide.lag order by outbox, consumer_group;

-- name: status_relays
-- Relays that run, and those that ended without a word or within the last day.
select relay_id, host, pid, release, state, pipelines, started_at, seen_at, take_overs
  from tide.relays where state <> 'ended' or ended_at > clock_timestamp() - interval '1 day'
 order by state, relay_id;

-- name: validate_pipelines
-- Configurations as they are stored, with the columns of a stored row schema in the place of its version.
select pipeline, tide._config_resolved(config, outbox) as config from tide.pipelines order by pipeline;
