-- Run by install as superuser in each database: the rights on the database itself are not copied with a template.
do $$
begin
  execute format('revoke all on database %I from public', current_database());
  execute format('grant create on database %I to banyan_owner', current_database());
  execute format('grant connect on database %I to banyan_migrator, banyan_forward, banyan_reverse, banyan_app, '
                 'banyan_steward, banyan_auditor, banyan_judge, banyan_guard', current_database());
  execute format('grant temporary on database %I to banyan_forward, banyan_reverse', current_database());
end $$;
revoke all on schema public from public;
