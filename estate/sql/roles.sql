-- Roles are shared by all databases of a server: two installations may meet here, the second one finds them.
do $$
declare
  wanted record;
begin
  for wanted in
    select * from (values ('orion_owner'), ('orion_app'), ('orion_batch'),
                          ('banyan_reader'), ('banyan_reverse'), ('banyan_guard'))
      as role(name)
  loop
    begin
      if not exists (select from pg_catalog.pg_roles where rolname = wanted.name) then
        execute format('create role %I login', wanted.name);
      end if;
    exception when duplicate_object or unique_violation then
      null;  -- another installation created it between the question and the answer
    end;
  end loop;
end
$$;
