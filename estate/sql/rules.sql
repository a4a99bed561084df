-- Indexes, triggers and rights. Installed after the rows: the oldest ones were keyed in before these triggers existed.
set local role orion_owner;

create index ix_proc_unite on orion.t_proc (id_unite, dt_ouv);
create index ix_fait_proc on orion.t_fait (id_proc);
create index ix_personne_nom on orion.t_personne (nom, prenom);
create index ix_implic_pers on orion.t_implic (id_pers);
create index ix_implic_proc on orion.t_implic (id_proc);
create index ix_suite_implic on orion.t_suite (id_implic);
create index ix_suite_fait on orion.t_suite (id_fait);
create index ix_adresse_pers on orion.t_adresse (id_pers);
create index ix_tel_pers on orion.t_tel (id_pers);
create index ix_vehic_proc on orion.t_vehic (id_proc);
create index ix_objet_proc on orion.t_objet (id_proc);
create index ix_piece_proc on orion.t_piece (id_proc);
create index ix_scelle_proc on orion.t_scelle (id_proc);
create index ix_scelle_objet on orion.t_scelle (id_objet);
create index ix_mvt_scelle on orion.t_mvt_scelle (id_scelle);
create index ix_gav_implic on orion.t_gav (id_implic);
create index ix_mainc_unite on orion.t_mainc (id_unite, dt_evt);
create index ix_mainc_proc on orion.t_mainc (id_proc);

create function orion.f_maj() returns trigger language plpgsql as $$
begin
  if current_user <> 'orion_batch' then  -- the night batches were written before the stamp and never learnt it
    new.dt_maj := localtimestamp(0);
  end if;
  return new;
end
$$;
create function orion.f_nom() returns trigger language plpgsql as $$
begin
  new.nom := upper(new.nom);
  return new;
end
$$;

do $$
declare
  stamped name;
begin
  for stamped in
    select table_name from information_schema.tables where table_schema = 'orion' and table_name like 't\_%'
  loop
    execute format('create trigger tr_maj before update on orion.%I for each row execute function orion.f_maj()',
                   stamped);
  end loop;
end
$$;
create trigger tr_nom before insert or update on orion.t_personne for each row execute function orion.f_nom();

grant usage on schema orion to orion_app, orion_batch, banyan_reader, banyan_reverse;
grant select, insert, update, delete on all tables in schema orion to orion_app;
grant usage, select on all sequences in schema orion to orion_app;
grant select, update on all tables in schema orion to orion_batch;
grant select on all tables in schema orion to banyan_reader;
reset role;
