-- MAREL 3, as it was installed in 2009 on MariaDB. One column a line: estate/marel_schema.py reads names and order here.
create table brigades (
  id_brigade int unsigned not null auto_increment primary key,
  code varchar(8) not null,
  libelle varchar(80),
  insee char(5),
  ouverte_le date,
  fermee_le date,
  modifie_le datetime default null on update current_timestamp
) engine=InnoDB default charset=utf8mb3;
create table utilisateurs (
  id_utilisateur int unsigned not null auto_increment primary key,
  matricule varchar(10) not null,
  grade varchar(4),
  id_brigade int unsigned,
  habilitation enum('OPJ','APJ','APJA'),
  modifie_le datetime default null on update current_timestamp
) engine=InnoDB default charset=utf8mb3;
create table dossiers (
  id_dossier int unsigned not null auto_increment primary key,
  numero varchar(20) not null,
  id_brigade int unsigned,
  id_utilisateur int unsigned,
  nature enum('crime','delit','contravention','mort','disparition'),
  cadre enum('flagrance','preliminaire','commission rogatoire','recherche des causes'),
  ouvert_le date,
  clos_le date,
  transmis_le date,
  tribunal varchar(6),
  parquet varchar(20),
  etat char(1),
  confidentiel tinyint(1),
  note text,
  options blob,
  departement char(2),
  modifie_le datetime default null on update current_timestamp
) engine=InnoDB default charset=utf8mb3;
create table infractions (
  id_infraction int unsigned not null auto_increment primary key,
  id_dossier int unsigned,
  natinf int,
  index4001 smallint,
  libelle varchar(120),
  debut datetime,
  fin datetime,
  tentative tinyint(1),
  elucidee enum('oui','non'),
  elucidee_le date,
  modifie_le datetime default null on update current_timestamp,
  constraint fk_infraction_dossier foreign key (id_dossier) references dossiers (id_dossier) on delete cascade
) engine=InnoDB default charset=utf8mb3;
create table personnes (
  id_personne int unsigned not null auto_increment primary key,
  nom varchar(60),
  nom_usage varchar(60),
  prenoms varchar(80),
  sexe enum('M','F'),
  naissance date,
  naissance_ville varchar(60),
  naissance_insee char(5),
  nationalite char(2),
  profession varchar(40),
  telephone varchar(30),
  religion varchar(20),
  cree_le date,
  modifie_le datetime default null on update current_timestamp
) engine=InnoDB default charset=latin1;
create table implications (
  id_implication int unsigned not null auto_increment primary key,
  id_dossier int unsigned,
  id_personne int unsigned,
  qualite enum('auteur','victime','temoin','plaignant','disparu','civilement responsable'),
  rang smallint,
  mineur tinyint(1),
  plainte_le date,
  modifie_le datetime default null on update current_timestamp,
  key ix_implication_dossier (id_dossier),
  key ix_implication_personne (id_personne)
) engine=MyISAM default charset=utf8mb3;
create table suites (
  id_suite int unsigned not null auto_increment primary key,
  id_implication int unsigned,
  id_infraction int unsigned,
  decision enum('relaxe','acquittement','non-lieu','classement','condamnation','requalification'),
  decidee_le date,
  autorite varchar(60),
  modifie_le datetime default null on update current_timestamp
) engine=InnoDB default charset=utf8mb3;
create table adresses (
  id_adresse int unsigned not null auto_increment primary key,
  id_personne int unsigned,
  numero varchar(10),
  voie varchar(80),
  cp varchar(5),
  ville varchar(60),
  insee char(5),
  genre enum('domicile','travail','secondaire'),
  depuis date,
  modifie_le datetime default null on update current_timestamp,
  constraint fk_adresse_personne foreign key (id_personne) references personnes (id_personne) on delete cascade
) engine=InnoDB default charset=utf8mb3;
create table vehicules (
  id_vehicule int unsigned not null auto_increment primary key,
  id_dossier int unsigned,
  immatriculation varchar(14),
  pays char(2),
  chassis varchar(17),
  marque varchar(20),
  modele varchar(30),
  couleur varchar(12),
  etat enum('vole','saisi','retrouve','implique'),
  modifie_le datetime default null on update current_timestamp,
  constraint fk_vehicule_dossier foreign key (id_dossier) references dossiers (id_dossier) on delete cascade
) engine=InnoDB default charset=utf8mb3;
create table objets (
  id_objet int unsigned not null auto_increment primary key,
  id_dossier int unsigned,
  categorie varchar(20),
  etat enum('vole','saisi','retrouve','restitue','detruit'),
  description varchar(120),
  serie varchar(30),
  quantite int,
  valeur decimal(10,2),
  modifie_le datetime default null on update current_timestamp,
  constraint fk_objet_dossier foreign key (id_dossier) references dossiers (id_dossier) on delete cascade
) engine=InnoDB default charset=utf8mb3;
