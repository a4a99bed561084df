-- Each role may do what it must. Nobody has rights on a partition, nobody but banyan_guard changes a slice.
revoke execute on all functions in schema mig from public;
revoke execute on all procedures in schema mig from public;
grant execute on function mig.is_signed(text) to banyan_forward, banyan_steward, banyan_auditor, banyan_guard;

grant usage on schema justice to banyan_forward, banyan_reverse, banyan_app, banyan_steward, banyan_judge;
grant usage on schema code to banyan_forward, banyan_reverse, banyan_app, banyan_steward, banyan_auditor;
grant usage on schema mig
  to banyan_forward, banyan_reverse, banyan_steward, banyan_auditor, banyan_judge, banyan_guard;
grant select on all tables in schema code
  to banyan_forward, banyan_reverse, banyan_app, banyan_steward, banyan_auditor;

do $$
declare
  parent text;
begin
  for parent in select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
                where n.nspname = 'justice' and c.relkind = 'p' loop
    execute format('grant select, insert, update, delete on %s to banyan_forward, banyan_app', parent);
    execute format('grant maintain on %s to banyan_forward', parent);  -- ANALYZE after the first copy
    execute format('grant select on %s to banyan_reverse, banyan_steward, banyan_judge', parent);
  end loop;
end $$;

grant select on mig.department, mig.source_system, mig.source_table, mig.slice
  to banyan_forward, banyan_reverse, banyan_steward, banyan_auditor, banyan_judge, banyan_guard;
grant select on mig.run, mig.chunk, mig.watermark, mig.figure, mig.conservation
  to banyan_forward, banyan_reverse, banyan_steward, banyan_auditor, banyan_judge, banyan_guard;
grant insert, update on mig.run, mig.chunk, mig.watermark, mig.figure to banyan_forward, banyan_reverse;
grant select on mig.evidence, mig.sign_off, mig.waiver
  to banyan_forward, banyan_steward, banyan_auditor, banyan_judge, banyan_guard;
grant insert on mig.evidence to banyan_judge, banyan_guard;
grant select on mig.unfitted to banyan_forward, banyan_auditor, banyan_guard;

-- forward applier
grant select, insert, update on mig.crosswalk, mig.record_link, mig.quarantine, mig.filtered_row to banyan_forward;
grant delete on mig.record_link, mig.filtered_row to banyan_forward;
grant maintain on mig.crosswalk, mig.record_link to banyan_forward;
grant select on mig.adopted_key, mig.degraded_write_back, mig.lineage to banyan_forward;

-- reverse applier: reads what people did, remembers the legacy keys of rows born in the target
grant select on mig.outbox, mig.record_link, mig.crosswalk, mig.adopted_key,
  mig.degraded_write_back, mig.filtered_row to banyan_reverse;
grant insert, update on mig.degraded_write_back, mig.adopted_key, mig.crosswalk,
  mig.record_link to banyan_reverse;
grant delete on mig.record_link to banyan_reverse;

-- the judge reads both lists and records, and writes nothing but its evidence
grant select on mig.crosswalk, mig.record_link, mig.adopted_key, mig.quarantine, mig.filtered_row,
  mig.degraded_write_back, mig.lineage to banyan_judge;

-- steward
grant select on mig.quarantine, mig.filtered_row, mig.degraded_write_back, mig.lineage to banyan_steward;
grant update (state, decided_by, decided_at, decision) on mig.quarantine to banyan_steward;
grant update (state) on mig.degraded_write_back to banyan_steward;
grant insert on mig.sign_off, mig.waiver to banyan_steward;

-- logs: whoever touches personal data writes the processing log; the journal belongs to the switch
grant select on mig.journal, mig.processing_log, mig.chain to banyan_auditor;
grant insert on mig.processing_log to banyan_forward, banyan_reverse, banyan_steward;
grant select on mig.journal, mig.chain to banyan_guard, banyan_steward;
grant insert on mig.journal to banyan_guard;

-- guard and switch controller
grant update (owner, phase, epoch, armed_boot, nonce, drain_position, deadline, evidence_id, updated_at)
  on mig.slice to banyan_guard;
grant select (id, department_code, domain_code, xid) on mig.outbox to banyan_guard;
