-- Schema `mig` exists already: the version table of the migrations lives in it.
create schema code;
create schema justice;
comment on schema justice is 'canonical records';
comment on schema code is 'coded values, valid in time';
comment on schema mig is 'control plane of the migration';
