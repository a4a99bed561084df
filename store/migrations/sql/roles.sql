-- Run by install as superuser before the migrations: roles belong to the whole cluster, migrations to one database.
-- banyan_owner owns everything and nobody logs in as it; banyan_migrator may become it, the others may not.
do $$
declare
  wanted text;
begin
  foreach wanted in array array['banyan_owner', 'banyan_migrator', 'banyan_forward', 'banyan_reverse', 'banyan_app',
                                'banyan_steward', 'banyan_auditor', 'banyan_judge', 'banyan_guard'] loop
    if not exists (select from pg_roles where rolname = wanted) then
      begin
        execute format('create role %I %s noinherit nosuperuser nocreatedb nocreaterole noreplication nobypassrls',
                       wanted, case wanted when 'banyan_owner' then 'nologin' else 'login' end);
      exception when duplicate_object or unique_violation then
        null;  -- another database of this cluster is being installed at the same moment
      end;
    end if;
  end loop;
  if not exists (select from pg_auth_members
                 where roleid = 'banyan_owner'::regrole and member = 'banyan_migrator'::regrole) then
    grant banyan_owner to banyan_migrator with inherit false, set true;
  end if;
end $$;
