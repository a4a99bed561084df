-- The first copy writes into a partition by its name. The fence stands there as on the parent: the same function, with
-- the same question about owner, phase and boot; everybody else is refused before a row is written. A COPY through the
-- parent hands the server one row after the other, because the fence there reads what was written to any partition.

-- Refuses whoever is not the forward applier. session_user is compared, as in the fence: SET ROLE changes nothing.
create function mig.refuse_others() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if session_user = 'banyan_forward' then
    return null;
  end if;
  raise exception 'banyan: % on %.% is never allowed', tg_op, tg_table_schema, tg_table_name using errcode = '42501';
end $$;
revoke execute on function mig.refuse_others() from public;

create or replace procedure mig.fit(parent regclass)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  item record;
begin
  execute format('create or replace trigger zz_banyan_i after insert on %s referencing new table as new_rows '
                 'for each statement execute function mig.fence()', parent);
  execute format('create or replace trigger zz_banyan_u after update on %s referencing old table as old_rows '
                 'new table as new_rows for each statement execute function mig.fence()', parent);
  execute format('create or replace trigger zz_banyan_d after delete on %s referencing old table as old_rows '
                 'for each statement execute function mig.fence()', parent);
  execute format('create or replace trigger aa_banyan_t before truncate on %s '
                 'for each statement execute function mig.refuse()', parent);
  for item in select inhrelid::regclass as partition from pg_inherits where inhparent = parent loop
    -- a statement trigger of a partition fires only when the partition itself is named
    execute format('create or replace trigger aa_banyan_p before update or delete or truncate on %s '
                   'for each statement execute function mig.refuse()', item.partition);
    execute format('create or replace trigger aa_banyan_o before insert on %s '
                   'for each statement execute function mig.refuse_others()', item.partition);
    execute format('create or replace trigger zz_banyan_i after insert on %s referencing new table as new_rows '
                   'for each statement execute function mig.fence()', item.partition);
    execute format('alter table %s enable always trigger aa_banyan_p', item.partition);
    execute format('alter table %s enable always trigger aa_banyan_o', item.partition);
    execute format('alter table %s enable always trigger zz_banyan_i', item.partition);
  end loop;
  for item in select tgname from pg_trigger where tgrelid = parent and tgname like '%\_banyan\__' loop
    execute format('alter table %s enable always trigger %I', parent, item.tgname);
  end loop;
end $$;

-- Gives a department its partition of every partitioned table, fenced where it is canonical. Idempotent.
create or replace procedure mig.add_partitions(department text)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  item record;
begin
  for item in
    select c.oid::regclass as parent, n.nspname as home, c.relname || '_' || lower(department) as name
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind = 'p' and n.nspname in ('justice', 'mig') order by n.nspname, c.relname
  loop
    execute format('create table if not exists %I.%I partition of %s for values in (%L)',
                   item.home, item.name, item.parent, department);
    if item.home = 'justice' then
      call mig.fit(item.parent);  -- before anybody has a right on the new partition
    end if;
    if item.home = 'justice' or item.name like 'crosswalk%' or item.name like 'record_link%' then
      -- a first copy does not say the same word in every row
      execute format('alter table %I.%I alter column department_code set default %L', item.home, item.name, department);
      -- ANALYZE, and the first copy; nothing else
      execute format('grant maintain, insert on %I.%I to banyan_forward', item.home, item.name);
    end if;
  end loop;
end $$;

-- Canonical tables and partitions whose triggers are missing, changed or disabled: must be empty (banyan doctor).
create or replace view mig.unfitted as
  select c.oid::regclass::text as relation, wanted.name as trigger_name
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace and n.nspname = 'justice'
  join (values (true, 'aa_banyan_p', 58, 'mig.refuse'), (true, 'aa_banyan_o', 6, 'mig.refuse_others'),
               (true, 'zz_banyan_i', 4, 'mig.fence'), (false, 'zz_banyan_i', 4, 'mig.fence'),
               (false, 'zz_banyan_u', 16, 'mig.fence'), (false, 'zz_banyan_d', 8, 'mig.fence'),
               (false, 'aa_banyan_t', 34, 'mig.refuse')) wanted(is_partition, name, events, function)
    on wanted.is_partition = c.relispartition
  left join pg_trigger t on t.tgrelid = c.oid and t.tgname = wanted.name and t.tgenabled = 'A' and t.tgqual is null
       and t.tgtype = wanted.events and t.tgfoid = wanted.function::regproc
  where c.relkind in ('r', 'p') and t.oid is null;

-- A list names legacy tables that are known: asked once a statement, where a foreign key asks once a row.
create function mig.check_source_table() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  unknown smallint;
begin
  select l.n into unknown from (select distinct source_table_no n from new_rows) l
  where not exists (select from mig.source_table t where t.source_table_no = l.n for key share) limit 1;
  if found then
    raise exception 'banyan: no legacy table has the number %', unknown using errcode = '23503';
  end if;
  return null;
end $$;
revoke execute on function mig.check_source_table() from public;

do $$
declare
  item record;
  kept text;
begin
  foreach kept in array array['filtered_row', 'quarantine', 'retention_term', 'row_mark'] loop
    execute format('alter table mig.%I drop constraint %I', kept, kept || '_source_table_no_fkey');
    execute format('create trigger zz_banyan_k after insert on mig.%I referencing new table as new_rows '
                   'for each statement execute function mig.check_source_table()', kept);
  end loop;
  for item in select c.oid::regclass::text as parent from pg_class c join pg_namespace n on n.oid = c.relnamespace
              where n.nspname = 'justice' and c.relkind = 'p' loop
    execute format('call mig.fit(%L)', item.parent);
  end loop;
  for item in select department_code from mig.department loop
    call mig.add_partitions(item.department_code);
  end loop;
end $$;
