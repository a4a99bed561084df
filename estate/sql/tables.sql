-- ORION 6, tables as in the department of Isère. One column a line: estate/schema.py reads names and widths here.
create schema orion authorization orion_owner;
set local role orion_owner;

create table orion.t_unite (
  id_unite numeric(10) not null primary key,
  code_unite char(8),
  type_unite char(4),
  lib_unite varchar(60),
  code_commune char(5),
  dt_deb numeric(8),
  dt_fin numeric(8),
  dt_maj timestamp(0)
);
create table orion.t_agent (
  id_agent numeric(10) not null primary key,
  matricule char(8),
  grade char(4),
  id_unite numeric(10),
  qualif char(4),
  dt_maj timestamp(0)
);
create table orion.t_proc (
  id_proc numeric(10) not null primary key,
  num_proc char(12),
  id_unite numeric(10),
  id_agent numeric(10),
  type_proc char(2),
  cadre char(2),
  dt_ouv numeric(8),
  dt_clo numeric(8),
  dt_trans numeric(8),
  code_tj char(4),
  num_parquet varchar(14),
  statut char(1),
  confid char(1),
  observ varchar(250),
  flag3 char(1),
  top_supp char(1) default 'N',
  dt_maj timestamp(0)
);
create table orion.t_fait (
  id_fait numeric(10) not null primary key,
  id_proc numeric(10),
  natinf char(6),
  index_4001 numeric(3),
  lib_fait varchar(80),
  dt_fait numeric(8),
  h_fait char(4),
  dt_fait_fin numeric(8),
  tentative char(1),
  elucide char(1),
  dt_eluc numeric(8),
  top_supp char(1) default 'N',
  dt_maj timestamp(0)
);
create table orion.t_personne (
  id_pers numeric(10) not null primary key,
  nom varchar(40),
  prenom varchar(40),
  sexe char(1),
  ddn numeric(8),
  lieu_naiss varchar(40),
  code_naiss char(5),
  nation char(3),
  profession varchar(40),
  tel varchar(24),
  immat varchar(12),
  religion char(1),
  flag3 char(1),
  top_supp char(1) default 'N',
  dt_maj timestamp(0)
);
create table orion.t_implic (
  id_implic numeric(10) not null primary key,
  id_pers numeric(10),
  id_proc numeric(10),
  qualite char(3),
  no_ordre numeric(3),
  mineur char(1),
  plainte char(1),
  dt_plainte numeric(8),
  top_supp char(1) default 'N',
  dt_maj timestamp(0)
);
create table orion.t_suite (
  id_suite numeric(10) not null primary key,
  id_implic numeric(10),
  id_fait numeric(10),
  code_suite char(3),
  dt_suite numeric(8),
  autorite varchar(40),
  top_supp char(1) default 'N',
  dt_maj timestamp(0)
);
create table orion.t_adresse (
  id_adr numeric(10) not null primary key,
  id_pers numeric(10),
  num_voie varchar(8),
  nom_voie varchar(60),
  cp char(5),
  ville varchar(40),
  code_commune char(5),
  type_adr char(1),
  dt_adr numeric(8),
  top_supp char(1) default 'N',
  dt_maj timestamp(0)
);
create table orion.t_tel (
  id_tel numeric(10) not null primary key,
  id_pers numeric(10),
  num_tel varchar(30),
  type_tel char(1),
  top_supp char(1) default 'N',
  dt_maj timestamp(0)
);
create table orion.t_vehic (
  id_vehic numeric(10) not null primary key,
  id_proc numeric(10),
  immat varchar(14),
  pays char(3),
  vin varchar(17),
  marque char(6),
  modele varchar(30),
  couleur char(3),
  statut_v char(2),
  top_supp char(1) default 'N',
  dt_maj timestamp(0)
);
create table orion.t_objet (
  id_objet numeric(10) not null primary key,
  id_proc numeric(10),
  cat_obj char(5),
  statut_o char(2),
  descr varchar(120),
  num_serie varchar(30),
  qte numeric(6),
  valeur varchar(12),
  top_supp char(1) default 'N',
  dt_maj timestamp(0)
);
create table orion.t_piece (
  id_piece numeric(10) not null primary key,
  id_proc numeric(10),
  no_piece numeric(4),
  type_piece char(4),
  titre varchar(80),
  dt_piece numeric(8),
  id_agent numeric(10),
  fichier varchar(60),
  taille numeric(10),
  empreinte char(40),
  top_supp char(1) default 'N',
  dt_maj timestamp(0)
);
create table orion.t_scelle (
  id_scelle numeric(10) not null primary key,
  id_proc numeric(10),
  id_objet numeric(10),
  no_scelle numeric(4),
  descr varchar(120),
  dt_scelle numeric(8),
  lieu varchar(40),
  destin char(3),
  top_supp char(1) default 'N',
  dt_maj timestamp(0)
);
create table orion.t_mvt_scelle (
  id_mvt numeric(10) not null primary key,
  id_scelle numeric(10),
  no_mvt numeric(3),
  dt_mvt numeric(8),
  h_mvt char(4),
  lieu_de varchar(40),
  lieu_vers varchar(40),
  id_agent numeric(10),
  top_supp char(1) default 'N',
  dt_maj timestamp(0)
);
create table orion.t_gav (
  id_gav numeric(10) not null primary key,
  id_implic numeric(10),
  dt_deb numeric(8),
  h_deb char(4),
  dt_fin numeric(8),
  h_fin char(4),
  prolong char(1),
  h_droits char(4),
  motif varchar(120),
  top_supp char(1) default 'N',
  dt_maj timestamp(0)
);
create table orion.t_mainc (
  id_mainc numeric(10) not null primary key,
  id_unite numeric(10),
  id_agent numeric(10),
  id_proc numeric(10),
  type_evt char(4),
  dt_evt numeric(8),
  h_evt char(4),
  code_commune char(5),
  texte varchar(500),
  top_supp char(1) default 'N',
  dt_maj timestamp(0)
);

-- Code tables: a code may come back for another meaning, so the first day is part of the key; 99999999 is open.
create table orion.r_adresse (
  code varchar(8) not null,
  libelle varchar(120),
  dt_deb numeric(8) not null,
  dt_fin numeric(8),
  primary key (code, dt_deb)
);
create table orion.r_cadre (
  code varchar(8) not null,
  libelle varchar(120),
  dt_deb numeric(8) not null,
  dt_fin numeric(8),
  primary key (code, dt_deb)
);
create table orion.r_cat_obj (
  code varchar(8) not null,
  libelle varchar(120),
  dt_deb numeric(8) not null,
  dt_fin numeric(8),
  primary key (code, dt_deb)
);
create table orion.r_commune (
  code varchar(8) not null,
  libelle varchar(120),
  dt_deb numeric(8) not null,
  dt_fin numeric(8),
  primary key (code, dt_deb)
);
create table orion.r_couleur (
  code varchar(8) not null,
  libelle varchar(120),
  dt_deb numeric(8) not null,
  dt_fin numeric(8),
  primary key (code, dt_deb)
);
create table orion.r_evenement (
  code varchar(8) not null,
  libelle varchar(120),
  dt_deb numeric(8) not null,
  dt_fin numeric(8),
  primary key (code, dt_deb)
);
create table orion.r_flag (
  code varchar(8) not null,
  libelle varchar(120),
  dt_deb numeric(8) not null,
  dt_fin numeric(8),
  primary key (code, dt_deb)
);
create table orion.r_grade (
  code varchar(8) not null,
  libelle varchar(120),
  dt_deb numeric(8) not null,
  dt_fin numeric(8),
  primary key (code, dt_deb)
);
create table orion.r_index_4001 (
  code varchar(8) not null,
  libelle varchar(120),
  dt_deb numeric(8) not null,
  dt_fin numeric(8),
  primary key (code, dt_deb)
);
create table orion.r_marque (
  code varchar(8) not null,
  libelle varchar(120),
  dt_deb numeric(8) not null,
  dt_fin numeric(8),
  primary key (code, dt_deb)
);
create table orion.r_natinf (
  code varchar(8) not null,
  libelle varchar(120),
  dt_deb numeric(8) not null,
  dt_fin numeric(8),
  primary key (code, dt_deb)
);
create table orion.r_pays (
  code varchar(8) not null,
  libelle varchar(120),
  dt_deb numeric(8) not null,
  dt_fin numeric(8),
  primary key (code, dt_deb)
);
create table orion.r_piece (
  code varchar(8) not null,
  libelle varchar(120),
  dt_deb numeric(8) not null,
  dt_fin numeric(8),
  primary key (code, dt_deb)
);
create table orion.r_qualif (
  code varchar(8) not null,
  libelle varchar(120),
  dt_deb numeric(8) not null,
  dt_fin numeric(8),
  primary key (code, dt_deb)
);
create table orion.r_qualite (
  code varchar(8) not null,
  libelle varchar(120),
  dt_deb numeric(8) not null,
  dt_fin numeric(8),
  primary key (code, dt_deb)
);
create table orion.r_sexe (
  code varchar(8) not null,
  libelle varchar(120),
  dt_deb numeric(8) not null,
  dt_fin numeric(8),
  primary key (code, dt_deb)
);
create table orion.r_statut (
  code varchar(8) not null,
  libelle varchar(120),
  dt_deb numeric(8) not null,
  dt_fin numeric(8),
  primary key (code, dt_deb)
);
create table orion.r_statut_o (
  code varchar(8) not null,
  libelle varchar(120),
  dt_deb numeric(8) not null,
  dt_fin numeric(8),
  primary key (code, dt_deb)
);
create table orion.r_statut_v (
  code varchar(8) not null,
  libelle varchar(120),
  dt_deb numeric(8) not null,
  dt_fin numeric(8),
  primary key (code, dt_deb)
);
create table orion.r_suite (
  code varchar(8) not null,
  libelle varchar(120),
  dt_deb numeric(8) not null,
  dt_fin numeric(8),
  primary key (code, dt_deb)
);
create table orion.r_tel (
  code varchar(8) not null,
  libelle varchar(120),
  dt_deb numeric(8) not null,
  dt_fin numeric(8),
  primary key (code, dt_deb)
);
create table orion.r_tj (
  code varchar(8) not null,
  libelle varchar(120),
  dt_deb numeric(8) not null,
  dt_fin numeric(8),
  primary key (code, dt_deb)
);
create table orion.r_type_proc (
  code varchar(8) not null,
  libelle varchar(120),
  dt_deb numeric(8) not null,
  dt_fin numeric(8),
  primary key (code, dt_deb)
);
create table orion.r_unite (
  code varchar(8) not null,
  libelle varchar(120),
  dt_deb numeric(8) not null,
  dt_fin numeric(8),
  primary key (code, dt_deb)
);

-- Keys are taken by the application from these, never by a default.
create sequence orion.seq_unite start 1;
create sequence orion.seq_agent start 1;
create sequence orion.seq_proc start 1;
create sequence orion.seq_fait start 1;
create sequence orion.seq_personne start 1;
create sequence orion.seq_implic start 1;
create sequence orion.seq_suite start 1;
create sequence orion.seq_adresse start 1;
create sequence orion.seq_tel start 1;
create sequence orion.seq_vehic start 1;
create sequence orion.seq_objet start 1;
create sequence orion.seq_piece start 1;
create sequence orion.seq_scelle start 1;
create sequence orion.seq_mvt_scelle start 1;
create sequence orion.seq_gav start 1;
create sequence orion.seq_mainc start 1;

reset role;
