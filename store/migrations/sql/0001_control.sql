-- Tables of the control plane and of the code values, as declared in store/tables.py and store/row_tables.py.
CREATE TABLE code.code_set (
  code_set TEXT NOT NULL,
  authority TEXT NOT NULL,
  edition TEXT NOT NULL,
  description TEXT,
  CONSTRAINT code_set_pkey PRIMARY KEY (code_set)
);
CREATE TABLE mig.chain (
  chain TEXT NOT NULL,
  length BIGINT NOT NULL,
  head_hash BYTEA NOT NULL,
  CONSTRAINT chain_pkey PRIMARY KEY (chain)
);
CREATE TABLE mig.crosswalk (
  id UUID NOT NULL,
  department_code TEXT NOT NULL,
  source_table_no SMALLINT NOT NULL,
  source_key TEXT NOT NULL,
  key_epoch SMALLINT DEFAULT 0 NOT NULL,
  row_hash BYTEA NOT NULL,
  residue BYTEA,
  rule_id TEXT NOT NULL,
  run_no BIGINT NOT NULL,
  deleted_at TIMESTAMP WITH TIME ZONE,
  CONSTRAINT crosswalk_pkey PRIMARY KEY (id, department_code)
)
 PARTITION BY LIST (department_code);
CREATE TABLE mig.department (
  department_code TEXT NOT NULL,
  name TEXT NOT NULL,
  time_zone TEXT NOT NULL,
  wave SMALLINT NOT NULL,
  CONSTRAINT department_pkey PRIMARY KEY (department_code),
  CONSTRAINT department_code_check CHECK (department_code ~ '^[0-9A-Z]{2,6}$')
);
CREATE TABLE mig.journal (
  sequence BIGINT NOT NULL,
  at TIMESTAMP WITH TIME ZONE NOT NULL,
  actor TEXT NOT NULL,
  role TEXT NOT NULL,
  authenticated_by TEXT NOT NULL,
  kind TEXT NOT NULL,
  closure TEXT,
  from_phase TEXT,
  to_phase TEXT,
  epoch BIGINT,
  facts JSON NOT NULL,
  previous_hash BYTEA NOT NULL,
  entry_hash BYTEA NOT NULL,
  CONSTRAINT journal_pkey PRIMARY KEY (sequence)
);
CREATE TABLE mig.outbox (
  id BIGINT GENERATED ALWAYS AS IDENTITY,
  xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
  relation TEXT NOT NULL,
  op TEXT NOT NULL,
  department_code TEXT NOT NULL,
  domain_code TEXT NOT NULL,
  key UUID NOT NULL,
  CONSTRAINT outbox_pkey PRIMARY KEY (id)
);
CREATE INDEX outbox_xid_idx ON mig.outbox (xid);
CREATE TABLE mig.processing_log (
  department_code TEXT NOT NULL,
  sequence BIGINT NOT NULL,
  at TIMESTAMP WITH TIME ZONE NOT NULL,
  actor TEXT NOT NULL,
  role TEXT NOT NULL,
  authenticated_by TEXT NOT NULL,
  operation TEXT NOT NULL,
  reason TEXT NOT NULL,
  recipient TEXT,
  record_refs TEXT[] NOT NULL,
  run_no BIGINT,
  previous_hash BYTEA NOT NULL,
  entry_hash BYTEA NOT NULL,
  CONSTRAINT processing_log_pkey PRIMARY KEY (department_code, sequence),
  CONSTRAINT processing_log_operation_check CHECK (operation in ('collection', 'alteration', 'consultation', 'disclosure', 'transfer', 'combination', 'erasure')),
  CONSTRAINT processing_log_reason_check CHECK (btrim(reason) <> '')
);
CREATE TABLE mig.record_link (
  id UUID NOT NULL,
  department_code TEXT NOT NULL,
  part TEXT NOT NULL,
  canonical_table TEXT NOT NULL,
  canonical_id UUID NOT NULL,
  CONSTRAINT record_link_pkey PRIMARY KEY (id, department_code, part)
)
 PARTITION BY LIST (department_code);
CREATE INDEX record_link_canonical_id_idx ON mig.record_link (canonical_id);
CREATE TABLE mig.waiver (
  waiver_no BIGINT GENERATED ALWAYS AS IDENTITY,
  closure TEXT NOT NULL,
  cause TEXT NOT NULL,
  up_to BIGINT NOT NULL,
  until TIMESTAMP WITH TIME ZONE NOT NULL,
  actor TEXT NOT NULL,
  role TEXT NOT NULL,
  authenticated_by TEXT NOT NULL,
  reason TEXT NOT NULL,
  decided_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
  CONSTRAINT waiver_pkey PRIMARY KEY (waiver_no),
  CONSTRAINT waiver_up_to_check CHECK (up_to >= 0)
);
CREATE TABLE code.code_value (
  code_set TEXT NOT NULL,
  code TEXT NOT NULL,
  valid_from DATE DEFAULT '1900-01-01' NOT NULL,
  valid_to DATE DEFAULT '9999-12-31' NOT NULL,
  label_fr TEXT NOT NULL,
  label_en TEXT,
  parent_code TEXT,
  successor_code TEXT,
  CONSTRAINT code_value_pkey PRIMARY KEY (code_set, code, valid_from),
  CONSTRAINT code_value_period_check CHECK (valid_from < valid_to),
  CONSTRAINT code_value_code_set_fkey FOREIGN KEY(code_set) REFERENCES code.code_set (code_set)
);
CREATE TABLE mig.evidence (
  evidence_id TEXT NOT NULL,
  department_code TEXT NOT NULL,
  closure TEXT NOT NULL,
  profile TEXT NOT NULL,
  verdict TEXT NOT NULL,
  reasons JSON NOT NULL,
  legacy_position TEXT,
  canonical_position TEXT,
  rules_digest TEXT,
  previous_id TEXT,
  made_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  expires_at TIMESTAMP WITH TIME ZONE,
  CONSTRAINT evidence_pkey PRIMARY KEY (evidence_id),
  CONSTRAINT evidence_verdict_check CHECK (verdict in ('GO', 'NO-GO', 'AWAITING')),
  CONSTRAINT evidence_department_code_fkey FOREIGN KEY(department_code) REFERENCES mig.department (department_code)
);
CREATE TABLE mig.source_system (
  department_code TEXT NOT NULL,
  system_code TEXT NOT NULL,
  flavour TEXT NOT NULL,
  character_encoding TEXT NOT NULL,
  CONSTRAINT source_system_pkey PRIMARY KEY (department_code, system_code),
  CONSTRAINT source_system_department_code_fkey FOREIGN KEY(department_code) REFERENCES mig.department (department_code)
);
CREATE TABLE mig.run (
  run_no BIGINT GENERATED ALWAYS AS IDENTITY,
  department_code TEXT NOT NULL,
  system_code TEXT NOT NULL,
  to_side TEXT NOT NULL,
  kind TEXT NOT NULL,
  from_position TEXT,
  until_position TEXT,
  state TEXT NOT NULL,
  owner TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  lease_until TIMESTAMP WITH TIME ZONE NOT NULL,
  rules_digest TEXT,
  opened_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  closed_at TIMESTAMP WITH TIME ZONE,
  reason TEXT,
  CONSTRAINT run_pkey PRIMARY KEY (run_no),
  CONSTRAINT run_department_code_fkey FOREIGN KEY(department_code, system_code) REFERENCES mig.source_system (department_code, system_code),
  CONSTRAINT run_to_side_check CHECK (to_side in ('LEGACY', 'CANONICAL')),
  CONSTRAINT run_kind_check CHECK (kind in ('LOAD', 'CHANGES', 'REVERSE', 'VERIFY')),
  CONSTRAINT run_state_check CHECK (state in ('OPEN', 'DONE', 'FAILED', 'CANCELLED'))
);
CREATE UNIQUE INDEX one_open_run ON mig.run (department_code, system_code, to_side) WHERE state = 'OPEN';
CREATE TABLE mig.sign_off (
  sign_off_no BIGINT GENERATED ALWAYS AS IDENTITY,
  evidence_id TEXT NOT NULL,
  actor TEXT NOT NULL,
  role TEXT NOT NULL,
  authenticated_by TEXT NOT NULL,
  decision TEXT NOT NULL,
  reservations TEXT,
  signature BYTEA,
  signed_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
  CONSTRAINT sign_off_pkey PRIMARY KEY (sign_off_no),
  CONSTRAINT sign_off_evidence_id_actor_key UNIQUE (evidence_id, actor),
  CONSTRAINT sign_off_decision_check CHECK (decision in ('ACCEPTED', 'REFUSED')),
  CONSTRAINT sign_off_evidence_id_fkey FOREIGN KEY(evidence_id) REFERENCES mig.evidence (evidence_id)
);
CREATE TABLE mig.slice (
  department_code TEXT NOT NULL,
  domain_code TEXT NOT NULL,
  closure TEXT NOT NULL,
  owner TEXT NOT NULL,
  phase TEXT NOT NULL,
  epoch BIGINT NOT NULL,
  armed_boot TIMESTAMP WITH TIME ZONE,
  nonce UUID NOT NULL,
  drain_position TEXT,
  deadline TIMESTAMP WITH TIME ZONE,
  evidence_id TEXT,
  updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT slice_pkey PRIMARY KEY (department_code, domain_code),
  CONSTRAINT slice_owner_check CHECK (case owner when 'CANONICAL' then phase in ('LIVE', 'R_DRAINING', 'R_VERIFYING', 'COMPLETING', 'RETIRED', 'HALT') when 'LEGACY' then phase in ('REGISTERED', 'ASSESSED', 'MAPPED', 'LOADING', 'SYNCING', 'READY', 'FENCING', 'DRAINING', 'VERIFYING', 'SEALING', 'R_OPENING', 'ABORTING', 'HALT') else false end),
  CONSTRAINT slice_epoch_check CHECK (epoch >= 1),
  CONSTRAINT slice_department_code_fkey FOREIGN KEY(department_code) REFERENCES mig.department (department_code),
  CONSTRAINT slice_evidence_id_fkey FOREIGN KEY(evidence_id) REFERENCES mig.evidence (evidence_id)
);
CREATE TABLE mig.source_table (
  source_table_no SMALLINT GENERATED ALWAYS AS IDENTITY,
  department_code TEXT NOT NULL,
  system_code TEXT NOT NULL,
  table_name TEXT NOT NULL,
  CONSTRAINT source_table_pkey PRIMARY KEY (source_table_no),
  CONSTRAINT source_table_department_code_system_code_table_name_key UNIQUE (department_code, system_code, table_name),
  CONSTRAINT source_table_department_code_fkey FOREIGN KEY(department_code, system_code) REFERENCES mig.source_system (department_code, system_code)
);
CREATE TABLE mig.adopted_key (
  department_code TEXT NOT NULL,
  source_table_no SMALLINT NOT NULL,
  source_key TEXT NOT NULL,
  key_epoch SMALLINT DEFAULT 0 NOT NULL,
  id UUID NOT NULL,
  CONSTRAINT adopted_key_pkey PRIMARY KEY (department_code, source_table_no, source_key, key_epoch),
  CONSTRAINT adopted_key_department_code_id_source_table_no_key UNIQUE (department_code, id, source_table_no),
  CONSTRAINT adopted_key_source_table_no_fkey FOREIGN KEY(source_table_no) REFERENCES mig.source_table (source_table_no)
);
CREATE TABLE mig.chunk (
  run_no BIGINT NOT NULL,
  chunk_no INTEGER NOT NULL,
  table_name TEXT NOT NULL,
  low_key TEXT,
  high_key TEXT,
  keys TEXT[],
  state TEXT NOT NULL,
  owner TEXT,
  attempt INTEGER DEFAULT 0 NOT NULL,
  lease_until TIMESTAMP WITH TIME ZONE,
  counts JSONB,
  parcel TEXT,
  finished_at TIMESTAMP WITH TIME ZONE,
  CONSTRAINT chunk_pkey PRIMARY KEY (run_no, chunk_no),
  CONSTRAINT chunk_state_check CHECK (state in ('PLANNED', 'LEASED', 'DONE')),
  CONSTRAINT chunk_run_no_fkey FOREIGN KEY(run_no) REFERENCES mig.run (run_no)
);
CREATE TABLE mig.degraded_write_back (
  degraded_no BIGINT GENERATED ALWAYS AS IDENTITY,
  department_code TEXT NOT NULL,
  source_table_no SMALLINT NOT NULL,
  source_key TEXT,
  main_id UUID NOT NULL,
  canonical_table TEXT NOT NULL,
  column_name TEXT,
  kind TEXT NOT NULL,
  cause TEXT NOT NULL,
  run_no BIGINT,
  state TEXT NOT NULL,
  noticed_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT degraded_write_back_pkey PRIMARY KEY (degraded_no),
  CONSTRAINT degraded_write_back_source_table_no_fkey FOREIGN KEY(source_table_no) REFERENCES mig.source_table (source_table_no),
  CONSTRAINT degraded_write_back_state_check CHECK (state in ('OPEN', 'ACCEPTED', 'SETTLED'))
);
CREATE UNIQUE INDEX one_open_degraded ON mig.degraded_write_back (department_code, main_id, canonical_table, column_name) NULLS NOT DISTINCT WHERE state = 'OPEN';
CREATE TABLE mig.figure (
  run_no BIGINT NOT NULL,
  table_name TEXT NOT NULL,
  name TEXT NOT NULL,
  figure BIGINT NOT NULL,
  CONSTRAINT figure_pkey PRIMARY KEY (run_no, table_name, name),
  CONSTRAINT figure_run_no_fkey FOREIGN KEY(run_no) REFERENCES mig.run (run_no)
);
CREATE TABLE mig.filtered_row (
  department_code TEXT NOT NULL,
  source_table_no SMALLINT NOT NULL,
  source_key TEXT NOT NULL,
  rule TEXT NOT NULL,
  run_no BIGINT NOT NULL,
  noticed_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT filtered_row_pkey PRIMARY KEY (department_code, source_table_no, source_key),
  CONSTRAINT filtered_row_source_table_no_fkey FOREIGN KEY(source_table_no) REFERENCES mig.source_table (source_table_no)
);
CREATE TABLE mig.quarantine (
  quarantine_no BIGINT GENERATED ALWAYS AS IDENTITY,
  department_code TEXT NOT NULL,
  source_table_no SMALLINT NOT NULL,
  source_key TEXT NOT NULL,
  column_name TEXT,
  cause TEXT NOT NULL,
  raw BYTEA,
  rule_id TEXT NOT NULL,
  run_no BIGINT NOT NULL,
  state TEXT NOT NULL,
  noticed_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  decided_by TEXT,
  decided_at TIMESTAMP WITH TIME ZONE,
  decision JSON,
  CONSTRAINT quarantine_pkey PRIMARY KEY (quarantine_no),
  CONSTRAINT quarantine_source_table_no_fkey FOREIGN KEY(source_table_no) REFERENCES mig.source_table (source_table_no),
  CONSTRAINT quarantine_state_check CHECK (state in ('OPEN', 'REPAIRED', 'REPLAYED', 'SETTLED'))
);
CREATE UNIQUE INDEX one_open_quarantine ON mig.quarantine (department_code, source_table_no, source_key, column_name) NULLS NOT DISTINCT WHERE state = 'OPEN';
CREATE TABLE mig.watermark (
  department_code TEXT NOT NULL,
  system_code TEXT NOT NULL,
  to_side TEXT NOT NULL,
  position TEXT NOT NULL,
  run_no BIGINT NOT NULL,
  updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT watermark_pkey PRIMARY KEY (department_code, system_code, to_side),
  CONSTRAINT watermark_to_side_check CHECK (to_side in ('LEGACY', 'CANONICAL')),
  CONSTRAINT watermark_run_no_fkey FOREIGN KEY(run_no) REFERENCES mig.run (run_no)
);
