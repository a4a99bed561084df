-- What a change of owner rests on: the newest evidence made for it. A judgement made since for something else takes
-- nothing from it, unless it says NO-GO: then it stands in the way, whatever it was made for.

-- The newest evidence of the same closure that says NO-GO and was made after this one.
create function mig.later_refusal(evidence text) returns text
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
  select l.evidence_id from mig.evidence e join mig.evidence l using (closure)
  where e.evidence_id = evidence and l.evidence_id <> e.evidence_id
    and l.made_at >= e.made_at and l.verdict = 'NO-GO'
  order by l.made_at desc, l.evidence_id desc limit 1;
end;

create or replace function mig.is_signed_for(evidence text, profiles text[]) returns boolean
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
  select exists (
      select from mig.sign_off steward join mig.sign_off lead using (evidence_id) join mig.evidence e using (evidence_id)
      where e.evidence_id = evidence and e.profile = any(profiles) and e.verdict <> 'NO-GO'
        and steward.role = 'steward' and lead.role = 'lead'
        and mig.person(steward.actor) <> mig.person(lead.actor)
        and steward.decision = 'ACCEPTED' and lead.decision = 'ACCEPTED'
        and (e.expires_at is null or e.expires_at > clock_timestamp())
        and not exists (select from mig.evidence n where n.closure = e.closure and n.profile = any(profiles)
                          and (n.made_at, n.evidence_id) > (e.made_at, e.evidence_id)))
    and mig.later_refusal(evidence) is null
    and not exists (select from mig.sign_off where evidence_id = evidence and decision = 'REFUSED');
end;

create or replace function mig.check_slice() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  profiles constant text[] := case new.phase when 'FENCING' then array['switch', 'full']
                                             when 'COMPLETING' then array['complete'] end;
  refusal text;
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
    refusal := mig.later_refusal(new.evidence_id);
    if refusal is not null then
      raise exception 'banyan: evidence % was made after % and says NO-GO', refusal, new.evidence_id
        using errcode = '23514', hint = 'banyan gate show';
    end if;
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

revoke execute on function mig.later_refusal(text) from public;
grant execute on function mig.later_refusal(text)
  to banyan_forward, banyan_steward, banyan_auditor, banyan_guard;
