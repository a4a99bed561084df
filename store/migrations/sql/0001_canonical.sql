-- Canonical tables, as declared in banyan/canonical.
CREATE TABLE justice.case_file (
  id UUID NOT NULL,
  department_code TEXT NOT NULL,
  case_number TEXT,
  case_number_normalised TEXT,
  case_category_code TEXT,
  legal_framework_code TEXT,
  unit_id UUID,
  lead_official_id UUID,
  opened_on DATE,
  opened_on_precision_code TEXT,
  closed_on DATE,
  transmitted_on DATE,
  court_code TEXT,
  prosecutor_number TEXT,
  case_status_code TEXT,
  confidentiality_code TEXT,
  parent_case_id UUID,
  note_text TEXT,
  domain_code TEXT NOT NULL,
  origin TEXT NOT NULL,
  row_version BIGINT DEFAULT 1 NOT NULL,
  updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT case_file_pkey PRIMARY KEY (id, department_code),
  CONSTRAINT case_file_origin_check CHECK (origin in ('LEGACY', 'TARGET', 'STEWARD'))
)
 PARTITION BY LIST (department_code);
CREATE TABLE justice.contact_means (
  id UUID NOT NULL,
  department_code TEXT NOT NULL,
  person_identity_id UUID,
  contact_category_code TEXT,
  value_raw TEXT,
  value_normalised TEXT,
  country_code TEXT,
  domain_code TEXT NOT NULL,
  origin TEXT NOT NULL,
  row_version BIGINT DEFAULT 1 NOT NULL,
  updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT contact_means_pkey PRIMARY KEY (id, department_code),
  CONSTRAINT contact_means_origin_check CHECK (origin in ('LEGACY', 'TARGET', 'STEWARD'))
)
 PARTITION BY LIST (department_code);
CREATE TABLE justice.custody_transfer (
  id UUID NOT NULL,
  department_code TEXT NOT NULL,
  evidence_id UUID,
  sequence_number INTEGER,
  transferred_at TIMESTAMP WITH TIME ZONE,
  action_code TEXT,
  from_holder TEXT,
  to_holder TEXT,
  domain_code TEXT NOT NULL,
  origin TEXT NOT NULL,
  row_version BIGINT DEFAULT 1 NOT NULL,
  updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT custody_transfer_pkey PRIMARY KEY (id, department_code),
  CONSTRAINT custody_transfer_origin_check CHECK (origin in ('LEGACY', 'TARGET', 'STEWARD'))
)
 PARTITION BY LIST (department_code);
CREATE TABLE justice.detention (
  id UUID NOT NULL,
  department_code TEXT NOT NULL,
  participation_id UUID,
  detention_category_code TEXT,
  started_at TIMESTAMP WITH TIME ZONE,
  ended_at TIMESTAMP WITH TIME ZONE,
  rights_notified_at TIMESTAMP WITH TIME ZONE,
  outcome_code TEXT,
  domain_code TEXT NOT NULL,
  origin TEXT NOT NULL,
  row_version BIGINT DEFAULT 1 NOT NULL,
  updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT detention_pkey PRIMARY KEY (id, department_code),
  CONSTRAINT detention_origin_check CHECK (origin in ('LEGACY', 'TARGET', 'STEWARD'))
)
 PARTITION BY LIST (department_code);
CREATE TABLE justice.disposition (
  id UUID NOT NULL,
  department_code TEXT NOT NULL,
  participation_id UUID,
  offense_id UUID,
  disposition_code TEXT,
  decided_on DATE,
  authority_text TEXT,
  file_effect_code TEXT,
  domain_code TEXT NOT NULL,
  origin TEXT NOT NULL,
  row_version BIGINT DEFAULT 1 NOT NULL,
  updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT disposition_pkey PRIMARY KEY (id, department_code),
  CONSTRAINT disposition_origin_check CHECK (origin in ('LEGACY', 'TARGET', 'STEWARD'))
)
 PARTITION BY LIST (department_code);
CREATE TABLE justice.document (
  id UUID NOT NULL,
  department_code TEXT NOT NULL,
  case_file_id UUID,
  document_number TEXT,
  document_category_code TEXT,
  title TEXT,
  author_id UUID,
  drawn_up_at TIMESTAMP WITH TIME ZONE,
  body TEXT,
  domain_code TEXT NOT NULL,
  origin TEXT NOT NULL,
  row_version BIGINT DEFAULT 1 NOT NULL,
  updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT document_pkey PRIMARY KEY (id, department_code),
  CONSTRAINT document_origin_check CHECK (origin in ('LEGACY', 'TARGET', 'STEWARD'))
)
 PARTITION BY LIST (department_code);
CREATE TABLE justice.enforcement_official (
  id UUID NOT NULL,
  department_code TEXT NOT NULL,
  badge_number TEXT,
  rank_code TEXT,
  unit_id UUID,
  judicial_capacity_code TEXT,
  active_from DATE,
  active_to DATE,
  domain_code TEXT NOT NULL,
  origin TEXT NOT NULL,
  row_version BIGINT DEFAULT 1 NOT NULL,
  updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT enforcement_official_pkey PRIMARY KEY (id, department_code),
  CONSTRAINT enforcement_official_origin_check CHECK (origin in ('LEGACY', 'TARGET', 'STEWARD'))
)
 PARTITION BY LIST (department_code);
CREATE TABLE justice.enforcement_unit (
  id UUID NOT NULL,
  department_code TEXT NOT NULL,
  unit_code TEXT,
  unit_category_code TEXT,
  name TEXT,
  parent_unit_id UUID,
  commune_code TEXT,
  valid_from DATE,
  valid_to DATE,
  domain_code TEXT NOT NULL,
  origin TEXT NOT NULL,
  row_version BIGINT DEFAULT 1 NOT NULL,
  updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT enforcement_unit_pkey PRIMARY KEY (id, department_code),
  CONSTRAINT enforcement_unit_origin_check CHECK (origin in ('LEGACY', 'TARGET', 'STEWARD'))
)
 PARTITION BY LIST (department_code);
CREATE TABLE justice.evidence (
  id UUID NOT NULL,
  department_code TEXT NOT NULL,
  case_file_id UUID,
  item_id UUID,
  seal_number TEXT,
  sealed_at TIMESTAMP WITH TIME ZONE,
  storage_location_text TEXT,
  evidence_status_code TEXT,
  domain_code TEXT NOT NULL,
  origin TEXT NOT NULL,
  row_version BIGINT DEFAULT 1 NOT NULL,
  updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT evidence_pkey PRIMARY KEY (id, department_code),
  CONSTRAINT evidence_origin_check CHECK (origin in ('LEGACY', 'TARGET', 'STEWARD'))
)
 PARTITION BY LIST (department_code);
CREATE TABLE justice.incident (
  id UUID NOT NULL,
  department_code TEXT NOT NULL,
  case_file_id UUID,
  incident_category_code TEXT,
  reported_at TIMESTAMP WITH TIME ZONE,
  occurred_from TIMESTAMP WITH TIME ZONE,
  occurred_to TIMESTAMP WITH TIME ZONE,
  occurred_precision_code TEXT,
  location_id UUID,
  reporting_unit_id UUID,
  summary TEXT,
  domain_code TEXT NOT NULL,
  origin TEXT NOT NULL,
  row_version BIGINT DEFAULT 1 NOT NULL,
  updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT incident_pkey PRIMARY KEY (id, department_code),
  CONSTRAINT incident_origin_check CHECK (origin in ('LEGACY', 'TARGET', 'STEWARD'))
)
 PARTITION BY LIST (department_code);
CREATE TABLE justice.item (
  id UUID NOT NULL,
  department_code TEXT NOT NULL,
  case_file_id UUID,
  item_category_code TEXT,
  item_status_code TEXT,
  description TEXT,
  serial_number TEXT,
  quantity NUMERIC(18, 4),
  value_eur NUMERIC(18, 4),
  domain_code TEXT NOT NULL,
  origin TEXT NOT NULL,
  row_version BIGINT DEFAULT 1 NOT NULL,
  updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT item_pkey PRIMARY KEY (id, department_code),
  CONSTRAINT item_origin_check CHECK (origin in ('LEGACY', 'TARGET', 'STEWARD'))
)
 PARTITION BY LIST (department_code);
CREATE TABLE justice.location (
  id UUID NOT NULL,
  department_code TEXT NOT NULL,
  address_full_text TEXT,
  address_number TEXT,
  street_name TEXT,
  postal_code TEXT,
  city_name TEXT,
  commune_code TEXT,
  location_category_code TEXT,
  census_tract TEXT,
  x_coordinate NUMERIC(18, 4),
  y_coordinate NUMERIC(18, 4),
  domain_code TEXT NOT NULL,
  origin TEXT NOT NULL,
  row_version BIGINT DEFAULT 1 NOT NULL,
  updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT location_pkey PRIMARY KEY (id, department_code),
  CONSTRAINT location_origin_check CHECK (origin in ('LEGACY', 'TARGET', 'STEWARD'))
)
 PARTITION BY LIST (department_code);
CREATE TABLE justice.offense (
  id UUID NOT NULL,
  department_code TEXT NOT NULL,
  case_file_id UUID,
  incident_id UUID,
  natinf_code TEXT,
  statistical_index_code SMALLINT,
  offense_label TEXT,
  attempt BOOLEAN,
  clearance_code TEXT,
  cleared_on DATE,
  domain_code TEXT NOT NULL,
  origin TEXT NOT NULL,
  row_version BIGINT DEFAULT 1 NOT NULL,
  updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT offense_pkey PRIMARY KEY (id, department_code),
  CONSTRAINT offense_origin_check CHECK (origin in ('LEGACY', 'TARGET', 'STEWARD'))
)
 PARTITION BY LIST (department_code);
CREATE TABLE justice.organization (
  id UUID NOT NULL,
  department_code TEXT NOT NULL,
  name TEXT,
  siret TEXT,
  location_id UUID,
  domain_code TEXT NOT NULL,
  origin TEXT NOT NULL,
  row_version BIGINT DEFAULT 1 NOT NULL,
  updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT organization_pkey PRIMARY KEY (id, department_code),
  CONSTRAINT organization_origin_check CHECK (origin in ('LEGACY', 'TARGET', 'STEWARD'))
)
 PARTITION BY LIST (department_code);
CREATE TABLE justice.participation (
  id UUID NOT NULL,
  department_code TEXT NOT NULL,
  case_file_id UUID,
  person_identity_id UUID,
  organization_id UUID,
  role_code TEXT,
  role_sequence SMALLINT,
  minor_at_facts BOOLEAN,
  complaint_filed BOOLEAN,
  complaint_filed_on DATE,
  retention_until DATE,
  retention_rule_code TEXT,
  domain_code TEXT NOT NULL,
  origin TEXT NOT NULL,
  row_version BIGINT DEFAULT 1 NOT NULL,
  updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT participation_pkey PRIMARY KEY (id, department_code),
  CONSTRAINT participation_origin_check CHECK (origin in ('LEGACY', 'TARGET', 'STEWARD'))
)
 PARTITION BY LIST (department_code);
CREATE TABLE justice.person (
  id UUID NOT NULL,
  department_code TEXT NOT NULL,
  master_identity_id UUID,
  restricted BOOLEAN,
  domain_code TEXT NOT NULL,
  origin TEXT NOT NULL,
  row_version BIGINT DEFAULT 1 NOT NULL,
  updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT person_pkey PRIMARY KEY (id, department_code),
  CONSTRAINT person_origin_check CHECK (origin in ('LEGACY', 'TARGET', 'STEWARD'))
)
 PARTITION BY LIST (department_code);
CREATE TABLE justice.person_identification (
  id UUID NOT NULL,
  department_code TEXT NOT NULL,
  person_identity_id UUID,
  identification_category_code TEXT,
  identification_value TEXT,
  domain_code TEXT NOT NULL,
  origin TEXT NOT NULL,
  row_version BIGINT DEFAULT 1 NOT NULL,
  updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT person_identification_pkey PRIMARY KEY (id, department_code),
  CONSTRAINT person_identification_origin_check CHECK (origin in ('LEGACY', 'TARGET', 'STEWARD'))
)
 PARTITION BY LIST (department_code);
CREATE TABLE justice.person_identity (
  id UUID NOT NULL,
  department_code TEXT NOT NULL,
  surname TEXT,
  surname_use TEXT,
  given_names TEXT,
  sex_code TEXT,
  birth_date DATE,
  birth_date_text TEXT,
  birth_date_precision_code TEXT,
  birth_commune_code TEXT,
  birth_place_text TEXT,
  nationality_code TEXT,
  occupation_text TEXT,
  domain_code TEXT NOT NULL,
  origin TEXT NOT NULL,
  row_version BIGINT DEFAULT 1 NOT NULL,
  updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT person_identity_pkey PRIMARY KEY (id, department_code),
  CONSTRAINT person_identity_origin_check CHECK (origin in ('LEGACY', 'TARGET', 'STEWARD'))
)
 PARTITION BY LIST (department_code);
CREATE TABLE justice.person_identity_association (
  id UUID NOT NULL,
  department_code TEXT NOT NULL,
  person_identity_id UUID,
  person_id UUID,
  valid_from TIMESTAMP WITH TIME ZONE,
  valid_to TIMESTAMP WITH TIME ZONE,
  rule_code TEXT,
  decided_by TEXT,
  domain_code TEXT NOT NULL,
  origin TEXT NOT NULL,
  row_version BIGINT DEFAULT 1 NOT NULL,
  updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT person_identity_association_pkey PRIMARY KEY (id, department_code),
  CONSTRAINT person_identity_association_origin_check CHECK (origin in ('LEGACY', 'TARGET', 'STEWARD'))
)
 PARTITION BY LIST (department_code);
CREATE TABLE justice.recorded_fact_count (
  id UUID NOT NULL,
  department_code TEXT NOT NULL,
  unit_id UUID,
  statistical_index_code SMALLINT,
  year SMALLINT,
  recorded_count INTEGER,
  domain_code TEXT NOT NULL,
  origin TEXT NOT NULL,
  row_version BIGINT DEFAULT 1 NOT NULL,
  updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT recorded_fact_count_pkey PRIMARY KEY (id, department_code),
  CONSTRAINT recorded_fact_count_origin_check CHECK (origin in ('LEGACY', 'TARGET', 'STEWARD'))
)
 PARTITION BY LIST (department_code);
CREATE TABLE justice.residence (
  id UUID NOT NULL,
  department_code TEXT NOT NULL,
  person_identity_id UUID,
  location_id UUID,
  residence_category_code TEXT,
  as_of DATE,
  domain_code TEXT NOT NULL,
  origin TEXT NOT NULL,
  row_version BIGINT DEFAULT 1 NOT NULL,
  updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT residence_pkey PRIMARY KEY (id, department_code),
  CONSTRAINT residence_origin_check CHECK (origin in ('LEGACY', 'TARGET', 'STEWARD'))
)
 PARTITION BY LIST (department_code);
CREATE TABLE justice.vehicle (
  id UUID NOT NULL,
  department_code TEXT NOT NULL,
  item_id UUID,
  person_identity_id UUID,
  plate_raw TEXT,
  plate_normalised TEXT,
  plate_system_code TEXT,
  plate_country_code TEXT,
  vin TEXT,
  make_code TEXT,
  model_text TEXT,
  colour_code TEXT,
  domain_code TEXT NOT NULL,
  origin TEXT NOT NULL,
  row_version BIGINT DEFAULT 1 NOT NULL,
  updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT vehicle_pkey PRIMARY KEY (id, department_code),
  CONSTRAINT vehicle_origin_check CHECK (origin in ('LEGACY', 'TARGET', 'STEWARD'))
)
 PARTITION BY LIST (department_code);
