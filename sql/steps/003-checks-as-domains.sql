-- The checks of the tables that every claim writes become domains. Each table is written anew once (about a second for 300,000 beads);
-- its indexes are made again with it.
do $$
declare
  d  text[];
begin
  foreach d slice 1 in array array[
    ['not_empty', 'text', $c$value <> ''$c$],
    ['positive', 'integer', 'value >= 1'],
    ['not_negative', 'integer', 'value >= 0'],
    ['big_positive', 'bigint', 'value >= 1'],
    ['big_not_negative', 'bigint', 'value >= 0'],
    ['bead_priority', 'text collate "C"', $c$value in ('p0', 'p1', 'p2', 'p3', 'p4')$c$],
    ['bead_status', 'text', $c$value in ('pending', 'in_progress', 'completed', 'blocked', 'failed', 'deferred', 'cancelled')$c$],
    ['bead_verification', 'text', $c$value in ('unverified', 'claimed', 'verified')$c$],
    ['claim_status', 'text', $c$value in ('in_progress', 'completed', 'blocked')$c$],
    ['attempt_status', 'text', $c$value in ('started', 'passed', 'failed', 'error')$c$],
    ['agent_status', 'text', $c$value in ('idle', 'working', 'waiting', 'error', 'done')$c$]] loop
    if to_regtype('swarm.' || d[1]) is null then
      execute format('create domain swarm.%I as %s check (%s)', d[1], d[2], d[3]);
    end if;
  end loop;
end $$;

alter table swarm.agent_state
  drop constraint if exists agent_state_agent_id_check,
  drop constraint if exists agent_state_status_check,
  drop constraint if exists agent_state_implementation_attempt_check,
  alter agent_id type swarm.positive,
  alter status type swarm.agent_status,
  alter implementation_attempt type swarm.not_negative;

alter table swarm.bead_backlog
  drop constraint if exists bead_backlog_bead_id_check,
  drop constraint if exists bead_backlog_priority_check,
  drop constraint if exists bead_backlog_status_check,
  drop constraint if exists bead_backlog_attempt_check,
  drop constraint if exists bead_backlog_retry_count_check,
  drop constraint if exists bead_backlog_open_blockers_check,
  drop constraint if exists bead_backlog_fence_check,
  drop constraint if exists bead_backlog_verification_status_check,
  alter bead_id type swarm.not_empty,
  alter priority type swarm.bead_priority,
  alter status type swarm.bead_status,
  alter attempt type swarm.positive,
  alter retry_count type swarm.not_negative,
  alter open_blockers type swarm.not_negative,
  alter fence type swarm.big_not_negative,
  alter verification_status type swarm.bead_verification;

alter table swarm.bead_claims
  drop constraint if exists bead_claims_claimed_by_check,
  drop constraint if exists bead_claims_status_check,
  drop constraint if exists bead_claims_fence_check,
  drop constraint if exists bead_claims_lease_ms_check,
  alter claimed_by type swarm.positive,
  alter status type swarm.claim_status,
  alter fence type swarm.big_positive,
  alter lease_ms type swarm.positive;

alter table swarm.stage_history
  drop constraint if exists stage_history_attempt_number_check,
  drop constraint if exists stage_history_status_check,
  drop constraint if exists stage_history_duration_ms_check,
  alter attempt_number type swarm.positive,
  alter status type swarm.attempt_status,
  alter duration_ms type swarm.big_not_negative;
