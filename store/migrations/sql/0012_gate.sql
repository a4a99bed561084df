-- Evidence opens what it was made for: a switch rests on the profile of a switch, the end of the way back on its own,
-- and every decision carries its signature. No row was ever written to mig.sign_off without one.

-- One person, whatever the spelling: the same as validation/sign_off.py, blanks of every kind and full case folding.
create function mig.person(name text) returns text
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
return btrim(regexp_replace(
  casefold(normalize(name, NFKC) collate pg_unicode_fast),
  '[\u0009-\u000d\u001c-\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+', ' ', 'g'));

alter table mig.sign_off
  alter column signature set not null,
  add constraint sign_off_signature_check check (octet_length(signature) > 0);
alter table mig.waiver_approval
  drop constraint waiver_approval_two_persons_check,
  add constraint waiver_approval_two_persons_check check (mig.person(actor) <> mig.person(author));

-- Evidence made for one of these profiles, accepted by a steward and a lead who are two persons, refused by nobody, not
-- expired. That the signatures verify and that the bundle is what was signed is asked by the program before it closes
-- anything (cutover/proof.py): the store knows no public key.
create function mig.is_signed_for(evidence text, profiles text[]) returns boolean
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
  select exists (
      select from mig.sign_off steward join mig.sign_off lead using (evidence_id) join mig.evidence e using (evidence_id)
      where e.evidence_id = evidence and e.profile = any(profiles) and e.verdict <> 'NO-GO'
        and steward.role = 'steward' and lead.role = 'lead'
        and mig.person(steward.actor) <> mig.person(lead.actor)
        and steward.decision = 'ACCEPTED' and lead.decision = 'ACCEPTED'
        and (e.expires_at is null or e.expires_at > clock_timestamp()))
    and not exists (select from mig.sign_off where evidence_id = evidence and decision = 'REFUSED');
end;

create or replace function mig.is_signed(evidence text) returns boolean
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
  select mig.is_signed_for(evidence, array['switch', 'full']);
end;

create or replace function mig.check_slice() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  profiles constant text[] := case new.phase when 'FENCING' then array['switch', 'full']
                                             when 'COMPLETING' then array['complete'] end;
begin
  if tg_op = 'UPDATE' then
    if new.epoch < old.epoch then
      raise exception 'banyan: the epoch of a slice never goes back' using errcode = '23514';
    end if;
    if new.owner <> old.owner and new.epoch = old.epoch then
      raise exception 'banyan: a slice changes its owner only with a new epoch' using errcode = '23514';
    end if;
  end if;
  if profiles is not null and (tg_op = 'INSERT' or old.phase <> new.phase
                               or old.evidence_id is distinct from new.evidence_id) then
    if new.evidence_id is null or not mig.is_signed_for(new.evidence_id, profiles) then
      raise exception 'banyan: no slice is % without evidence of the profile %, signed by a steward and a lead',
        case new.phase when 'FENCING' then 'fenced' else 'completed' end, array_to_string(profiles, ' or ')
        using errcode = '23514', hint = 'banyan gate sign';
    end if;
    if not exists (select from mig.evidence where evidence_id = new.evidence_id and closure = new.closure) then
      raise exception 'banyan: this evidence is not about closure %', new.closure using errcode = '23514';
    end if;
  end if;
  return new;
end $$;

revoke execute on function mig.person(text), mig.is_signed_for(text, text[]) from public;
grant execute on function mig.person(text) to banyan_steward;
grant execute on function mig.is_signed_for(text, text[])
  to banyan_forward, banyan_steward, banyan_auditor, banyan_guard;
