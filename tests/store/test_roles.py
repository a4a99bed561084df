"""Each role can do what it must, and nothing else."""

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import errors

from store.install import LOGIN_ROLES, install

pytestmark = pytest.mark.server

SLICE = "update mig.slice set updated_at = now()"
JOURNAL = "insert into mig.journal (actor, role, authenticated_by, kind, facts) values ('a', 'r', 'b', 'NOTE', '{}')"
LOG = (
    "insert into mig.processing_log (department_code, actor, role, authenticated_by, operation, reason, record_refs)"
    " values ('38', 'a', 'r', 'b', 'consultation', 'search', '{}')"
)
EVIDENCE = (
    "insert into mig.evidence (evidence_id, department_code, closure, profile, verdict, reasons)"
    " values (gen_random_uuid()::text, '38', '38.cases+vehicles', 'switch', 'GO', '[]')"
)
SIGN_OFF = (
    "insert into mig.sign_off (evidence_id, actor, role, authenticated_by, decision, signature)"
    " values ('known', 'a', 'steward', 'card', 'ACCEPTED', 'a signature')"
)
RUN = (
    "insert into mig.run (department_code, system_code, to_side, kind, state, owner, attempt, lease_until)"
    " values ('38', 'ORION', 'CANONICAL', 'VERIFY', 'DONE', 'w', 1, now())"
)
QUARANTINE = (
    "insert into mig.quarantine (department_code, source_table_no, source_key, cause, rule_id, run_no, state)"
    " select '38', source_table_no, '1', 'c', 'r', 1, 'OPEN' from mig.source_table where table_name = 't_proc'"
)
CROSSWALK = (
    "insert into mig.crosswalk (id, department_code, source_table_no, source_key, row_hash, rule_id, run_no)"
    " values (gen_random_uuid(), '38', 1, '1', '', 'r', 1)"
)
ITEM = (
    "insert into justice.item (id, department_code, domain_code, origin)"
    " values (gen_random_uuid(), '38', 'cases', 'LEGACY')"
)
DEGRADED = (
    "insert into mig.degraded_write_back (department_code, source_table_no, main_id, canonical_table, kind, cause,"
    " state) values ('38', 1, gen_random_uuid(), 'item', 'k', 'c', 'OPEN')"
)
WAIVER = (
    "insert into mig.waiver (closure, level, rule, cause, records, records_digest, up_to, until, rules_digest, actor,"
    " role, authenticated_by, reason, signature)"
    " values ('38.cases+vehicles', 'L2', 'r', 'c', '{0}', 'd', 1, now(), 'd', 'a', 'steward', 'card', 'known', 's')"
)
DECISION = "update mig.quarantine set state = 'REPAIRED', decided_by = 'a', decided_at = now(), decision = '{}'"

MAY = {
    "banyan_forward": [ITEM, "select * from justice.vehicle", CROSSWALK, QUARANTINE, RUN, LOG,
                       "select * from mig.slice", "select mig.is_signed('known')"],
    "banyan_reverse": ["select * from justice.item", "select * from mig.outbox", "select * from mig.crosswalk",
                       CROSSWALK, DEGRADED, RUN, LOG,
                       "insert into mig.adopted_key (department_code, source_table_no, source_key, id)"
                       " values ('38', 1, '9', gen_random_uuid())"],
    "banyan_app": ["select * from justice.item", "select * from code.code_value",
                   "delete from justice.item where false", "update justice.item set description = '' where false"],
    "banyan_steward": [SIGN_OFF, WAIVER, DECISION, LOG, "select * from justice.item", "select * from mig.lineage"],
    "banyan_auditor": ["select * from mig.journal", "select * from mig.processing_log", "select * from mig.chain",
                       "select * from mig.conservation", "select * from mig.sign_off", "select * from mig.unfitted"],
    "banyan_judge": [EVIDENCE, "select * from justice.item", "select * from mig.crosswalk",
                     "select * from mig.quarantine", "select * from mig.degraded_write_back",
                     "select mig.prune_marks('38', '1:1:')"],
    "banyan_guard": [SLICE, JOURNAL, EVIDENCE, "select * from mig.slice for no key update",
                     "select * from mig.unfitted", "select max(id) from mig.outbox",
                     "select mig.prune_outbox('38', '{cases}', '1:1:')"],
}  # fmt: skip
MAY_NOT = {
    "banyan_forward": ["update mig.adopted_key set key_epoch = 9",
                       SLICE, JOURNAL, SIGN_OFF, DEGRADED, "select * from mig.outbox", "delete from mig.crosswalk",
                       "delete from mig.run", "delete from mig.quarantine", "insert into mig.outbox default values",
                       "call mig.add_partitions('38')", "alter table justice.item disable trigger user"],
    "banyan_reverse": [ITEM, "update justice.item set description = ''", "delete from justice.item", SLICE, JOURNAL,
                       SIGN_OFF, EVIDENCE, "delete from mig.outbox", "select * from mig.quarantine"],
    "banyan_app": [SLICE, "select * from mig.slice", "select * from mig.outbox", "delete from mig.outbox",
                   "select * from mig.crosswalk", "select * from justice.item_38", "truncate justice.item",
                   "alter table justice.item disable trigger zz_banyan_i", "create temporary table t (i int)",
                   "create table public.t (i int)", LOG,
                   "update code.code_value set label_fr = ''"],
    "banyan_steward": [ITEM, "update justice.item set description = ''", SLICE, JOURNAL, EVIDENCE, CROSSWALK,
                       "update mig.quarantine set raw = ''", "update mig.sign_off set actor = 'b'",
                       "delete from mig.sign_off", "select residue from mig.crosswalk", "select * from mig.outbox"],
    "banyan_auditor": ["select * from justice.item", "select * from mig.crosswalk", "select * from mig.quarantine",
                       JOURNAL, LOG, SIGN_OFF, SLICE, "delete from mig.journal"],
    "banyan_judge": [ITEM, "update justice.item set description = ''", "delete from justice.item", SLICE, JOURNAL,
                     SIGN_OFF, RUN, CROSSWALK, DEGRADED, "delete from mig.quarantine", "select * from mig.outbox"],
    "banyan_guard": ["select * from justice.item", ITEM, "delete from mig.slice", "delete from mig.journal",
                     "update mig.slice set closure = ''", "insert into mig.slice default values", SIGN_OFF, RUN,
                     "select relation, key from mig.outbox", "select * from mig.crosswalk",
                     "update mig.chain set length = 0", "select mig.next_link('journal')"],
}  # fmt: skip


@pytest.fixture(scope="module")
def place(make_store):
    place = make_store()
    place.run(EVIDENCE.replace("gen_random_uuid()::text", "'known'"))
    return place


@pytest.mark.parametrize("role", MAY)
def test_a_role_may_do_its_work(place, role):
    refused = {}
    for statement in MAY[role]:
        try:
            _try(place, role, statement)
        except psycopg.Error as error:
            refused[statement] = error.sqlstate

    assert refused == {}


@pytest.mark.parametrize("role", MAY_NOT)
def test_a_role_may_not_do_the_work_of_another(place, role):
    accepted = {}
    for statement in MAY_NOT[role]:
        try:
            _try(place, role, statement)
            accepted[statement] = "accepted"
        except errors.InsufficientPrivilege:
            continue
        except psycopg.Error as error:
            accepted[statement] = error.sqlstate

    assert accepted == {}


def _try(place, role, statement):
    with place.connect(role, autocommit=False) as connection:
        connection.execute(statement)
        connection.rollback()


@pytest.mark.parametrize("role", [role for role in LOGIN_ROLES if role != "banyan_migrator"])
def test_nobody_but_the_migrator_becomes_the_owner(place, role):
    with pytest.raises(errors.InsufficientPrivilege):
        _try(place, role, "set role banyan_owner")


def test_the_migrator_touches_nothing_before_it_becomes_the_owner(place):
    with pytest.raises(errors.InsufficientPrivilege):
        _try(place, "banyan_migrator", "select * from justice.item")
    with place.transaction("banyan_migrator") as connection:
        connection.execute(sa.text("set local role banyan_owner"))
        assert connection.scalar(sa.text("select count(*) from justice.item")) == 0


def test_no_role_is_superuser_or_may_pass_by_the_rules_and_the_owner_cannot_log_in(place):
    rows = place.run(
        "select rolname::text, rolcanlogin, rolsuper or rolcreaterole or rolcreatedb or rolbypassrls or rolreplication"
        " from pg_roles where rolname like 'banyan\\_%'"
    )

    assert {name: (login, strong) for name, login, strong in rows if name in (*LOGIN_ROLES, "banyan_owner")} == {
        **{role: (True, False) for role in LOGIN_ROLES},
        "banyan_owner": (False, False),
    }


def test_what_is_kept_is_kept_even_from_a_superuser(place):
    place.run(JOURNAL)
    for statement in (
        "update mig.journal set actor = 'b'",
        "delete from mig.processing_log",
        "truncate mig.sign_off",
        "delete from mig.evidence",
        "update mig.waiver set up_to = 9",
        "delete from mig.slice",
    ):
        with place.connect() as connection, pytest.raises(errors.InsufficientPrivilege):
            connection.execute("set session_replication_role = replica")
            connection.execute(statement)


def test_a_password_given_to_install_is_set_as_a_verifier_and_no_other_role_is_touched(place):
    # Roles belong to the whole cluster: what other tests set is there before, and stands after.
    def verifiers() -> dict[str, str | None]:
        return dict(place.run("select rolname::text, rolpassword from pg_authid where rolname like 'banyan%'"))

    before = verifiers()
    install(place.url(), {"banyan_auditor": "first secret"})
    after = verifiers()
    earlier = before["banyan_auditor"]
    place.run(f"alter role banyan_auditor password {'null' if earlier is None else repr(earlier)}")

    assert after["banyan_auditor"].startswith("SCRAM-SHA-256$")
    assert {name for name in after if after[name] != before[name]} == {"banyan_auditor"}
    assert verifiers() == before
