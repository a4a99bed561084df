-- A waiver names its rule and cause, freezes the set of findings it accepts, and stands only once another person has
-- approved it. No row was ever written to mig.waiver before this revision.
alter table mig.waiver
  add column level text not null,
  add column rule text not null,
  add column records text[] not null,
  add column records_digest text not null,
  add column rules_digest text not null,
  add column signature text not null,
  add constraint waiver_reason_check check (btrim(reason) <> ''),
  add constraint waiver_records_check check (cardinality(records) between 1 and up_to),
  add constraint waiver_waiver_no_actor_key unique (waiver_no, actor);

create table mig.waiver_approval (
  waiver_no bigint not null,
  author text not null,
  actor text not null,
  role text not null,
  authenticated_by text not null,
  signature text not null,
  approved_at timestamptz not null,
  constraint waiver_approval_pkey primary key (waiver_no),
  constraint waiver_approval_waiver_no_fkey foreign key (waiver_no, author) references mig.waiver (waiver_no, actor),
  constraint waiver_approval_two_persons_check
    check (lower(btrim(normalize(actor, NFKC))) <> lower(btrim(normalize(author, NFKC)))));
create trigger aa_banyan_kept before update or delete or truncate on mig.waiver_approval
  for each statement execute function mig.refuse();
alter table mig.waiver_approval enable always trigger aa_banyan_kept;

-- Two persons are two names whatever their spelling, and evidence that says NO-GO opens nothing however it is signed.
create or replace function mig.is_signed(evidence text) returns boolean
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
  select exists (
      select from mig.sign_off steward join mig.sign_off lead using (evidence_id) join mig.evidence e using (evidence_id)
      where e.evidence_id = evidence and e.verdict <> 'NO-GO' and steward.role = 'steward' and lead.role = 'lead'
        and lower(btrim(normalize(steward.actor, NFKC))) <> lower(btrim(normalize(lead.actor, NFKC)))
        and steward.decision = 'ACCEPTED' and lead.decision = 'ACCEPTED'
        and (e.expires_at is null or e.expires_at > clock_timestamp()))
    and not exists (select from mig.sign_off where evidence_id = evidence and decision = 'REFUSED');
end;

-- What each bucket of records looked like when every record in it had last been judged; written by the judge.
create table mig.bucket (
  department_code text not null,
  canonical_table text not null,
  bucket smallint not null,
  records bigint not null,
  xor_digest bigint not null,
  sum_digest numeric not null,
  algorithm text not null,
  rules_digest text not null,
  incarnation text not null,
  snapshot text not null,
  folded_at timestamptz default now() not null,
  constraint bucket_pkey primary key (department_code, canonical_table, bucket),
  constraint bucket_department_code_fkey foreign key (department_code) references mig.department (department_code));

-- Up to where all records of a closure have been judged: whatever was written or changed before needs no second look.
create table mig.judged (
  department_code text not null,
  closure text not null,
  legacy_position text not null,
  snapshot text not null,
  incarnation text not null,
  rules_digest text not null,
  evidence_id text not null,
  complete_evidence_id text not null,
  judged_at timestamptz default now() not null,
  constraint judged_pkey primary key (closure),
  constraint judged_department_code_fkey foreign key (department_code) references mig.department (department_code),
  constraint judged_evidence_id_fkey foreign key (evidence_id) references mig.evidence (evidence_id));

-- Which buckets a transaction of the forward applier wrote to: one row a statement, in that transaction. Appended and
-- never updated, so that two workers that load side by side never wait for each other.
create table mig.bucket_mark (
  mark_no bigint generated always as identity,
  xid xid8 default pg_current_xact_id() not null,
  department_code text not null,
  canonical_table text not null,
  buckets smallint[] not null,
  constraint bucket_mark_pkey primary key (mark_no));
create index bucket_mark_xid_idx on mig.bucket_mark (xid);

create function mig.bucket_of(id uuid) returns smallint
language sql immutable set search_path = pg_catalog, pg_temp
return get_byte(uuid_send(id), 15)::smallint;

-- Whether a row was written by a transaction that a snapshot did not see. A row keeps 32 bits of its transaction: the
-- rest is that of the nearest one in the past, which holds for four thousand million transactions.
create function mig.written_after(row_xid xid, snapshot text) returns boolean
language sql stable set search_path = pg_catalog, pg_temp
return (
  select not pg_visible_in_snapshot((present - mod(present - row_xid::text::bigint + 4294967296 * 2, 4294967296))
                                      ::text::xid8, snapshot::pg_snapshot)
  from (select pg_snapshot_xmax(pg_current_snapshot())::text::bigint) as s(present));

-- Buckets that were written to after a snapshot by those who may: appliers by their marks, people by the outbox.
create function mig.buckets_written(wanted text, since pg_snapshot) returns table (canonical_table text, bucket smallint)
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
  select distinct m.canonical_table, b.bucket from mig.bucket_mark m cross join lateral unnest(m.buckets) as b(bucket)
  where m.department_code = wanted and m.xid >= pg_snapshot_xmin(since) and not pg_visible_in_snapshot(m.xid, since)
  union
  select distinct o.relation, mig.bucket_of(o.key) from mig.outbox o
  where o.department_code = wanted and o.xid >= pg_snapshot_xmin(since) and not pg_visible_in_snapshot(o.xid, since);
end;

revoke execute on function mig.bucket_of(uuid), mig.written_after(xid, text),
  mig.buckets_written(text, pg_snapshot) from public;
grant execute on function mig.bucket_of(uuid), mig.written_after(xid, text),
  mig.buckets_written(text, pg_snapshot) to banyan_judge;
grant select on mig.waiver_approval to banyan_forward, banyan_steward, banyan_auditor, banyan_judge, banyan_guard;
grant insert on mig.waiver_approval to banyan_steward;
grant insert, select on mig.bucket_mark to banyan_forward;
grant select on mig.bucket_mark to banyan_judge;
grant select, insert, update on mig.bucket, mig.judged to banyan_judge;
grant select on mig.bucket, mig.judged to banyan_auditor, banyan_guard;
