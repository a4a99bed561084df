"""What goes wrong around the way back: a link cut in the middle or before the answer, a restart, clocks that jump."""

import contextlib
import datetime as dt
import threading
from dataclasses import replace

import pytest
import sqlalchemy as sa
from dying_route import carry_until_nothing_is_left
from proxy import Link
from sqlalchemy.engine import make_url
from worlds import World, build_world

import banyan.clock
from banyan.errors import BanyanError
from connectors.postgresql import open_postgresql
from store.runs import RunKind
from sync.lane import Step
from wire.cluster import Cluster, ClusterPlace, Durability, cluster_home

pytestmark = pytest.mark.server


class DeafLink(Link):
    """A link that can lose what the server answers, while what is asked still arrives."""

    is_deaf = False

    def _carry(self, source, target):
        if source.getpeername()[1] != self._target:
            return super()._carry(source, target)
        return super()._carry(source, _Deaf(target, self))


class _Deaf:
    """A socket that sends nothing on while its link is deaf."""

    def __init__(self, target, link: DeafLink) -> None:
        self._own_target, self._link = target, link

    def sendall(self, sent: bytes) -> None:
        if not self._link.is_deaf:
            self._own_target.sendall(sent)

    def __getattr__(self, name: str):
        return getattr(self._own_target, name)

    def __hash__(self) -> int:
        return hash(self._own_target)

    def __eq__(self, other: object) -> bool:
        return self._own_target == other


@pytest.fixture
def link(cluster):
    made = DeafLink(cluster.port)
    yield made
    made.close()


@pytest.fixture
def far(loaded, link) -> World:
    """A world whose new side owns, and whose legacy side is written to over a link."""
    loaded.switch_by_hand()
    over_link = make_url(loaded.legacy_url("banyan_reverse")).set(port=link.port).render_as_string(hide_password=False)
    return replace(loaded, port=open_postgresql(loaded.legacy_url("banyan_reader"), "orion", reverse_url=over_link))


def people(world: World, count: int):
    return world.place.run(
        "select p.id, c.source_key from justice.person_identity p join mig.crosswalk c using (id)"
        " where c.source_table_no = %s and occupation_text is not null order by source_key limit %s",
        (world.numbers["t_personne"], count),
    )


def edit(world: World, chosen, word: str) -> dict[str, str]:
    """Let people edit some persons in the new application; gives what the old one should say in the end."""
    for person, _ in chosen:
        world.as_app("update justice.person_identity set occupation_text = %s where id = %s", (word, person))
    return {key: word for _, key in chosen}


def occupations(world: World, chosen) -> dict[str, str]:
    keys = [key for _, key in chosen]
    query = "select id_pers::text, trim(profession) from orion.t_personne where id_pers::text = any(%s)"
    return dict(world.on_legacy(query, (keys,)))


def stamps(world: World):
    return world.on_legacy("select count(*), count(distinct id_pers) from orion.t_personne", role="postgres")


def written_back(world: World) -> tuple[int, int]:
    """Chunks of the way back that are done, and the rows they say they wrote."""
    return world.place.run(
        "select count(*), coalesce(sum((c.counts -> 'rows' ->> 'loaded')::int), 0)::int from mig.chunk c"
        " join mig.run r using (run_no) where r.to_side = 'LEGACY' and c.state = 'DONE'"
    )[0]


def judge(world: World, chosen, wanted: dict[str, str]) -> None:
    """Every edit stands in the old system and is counted once, none is listed as lost, and every run has its end."""
    assert written_back(world)[1] == len(wanted)
    assert occupations(world, chosen) == wanted
    assert world.place.run("select count(*) from mig.degraded_write_back") == [(0,)]
    assert world.place.run("select distinct state from mig.run where to_side = 'LEGACY'") == [("DONE",)]


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(Step.READ, marks=pytest.mark.torture),
        pytest.param(Step.MAPPED, marks=pytest.mark.torture),
        Step.WRITTEN,
    ],
)
def test_a_link_cut_on_the_way_back_leaves_nothing_there_and_the_next_run_writes_it_once(far, link, step):
    chosen, rows = people(far, 3), stamps(far)
    stood = occupations(far, chosen)
    wanted = edit(far, chosen, "NOTAIRE")

    def cut(here: Step) -> None:
        if here is step:
            link.cut()

    with pytest.raises((BanyanError, sa.exc.DBAPIError)):
        carry_until_nothing_is_left(far, "reverse", checkpoint=cut)
    between, counted = occupations(far, chosen), written_back(far)
    link.heal()
    carry_until_nothing_is_left(far, "reverse")

    assert between == stood
    assert counted == (0, 0)
    judge(far, chosen, wanted)
    assert stamps(far) == rows


def test_a_commit_whose_answer_is_lost_is_found_done_and_is_not_done_again(far, link):
    chosen = people(far, 3)
    wanted = edit(far, chosen, "NOTAIRE")

    def lose_the_answer(here: Step) -> None:
        if here is Step.WRITTEN:
            link.is_deaf = True
            threading.Timer(1.0, link.cut).start()

    with pytest.raises((BanyanError, sa.exc.DBAPIError)):
        carry_until_nothing_is_left(far, "reverse", checkpoint=lose_the_answer)
    between = occupations(far, chosen)
    versions = "select xmin::text from orion.t_personne where id_pers::text = any(%s) order by id_pers"
    written = far.on_legacy(versions, ([key for _, key in chosen],), role="postgres")
    link.is_deaf = False
    link.heal()
    carry_until_nothing_is_left(far, "reverse")

    assert between == wanted
    judge(far, chosen, wanted)
    assert far.on_legacy(versions, ([key for _, key in chosen],), role="postgres") == written


def test_rows_committed_just_before_a_worker_went_away_are_counted_once_and_later_edits_go_with_the_same_run(loaded):
    loaded.switch_by_hand()
    chosen = people(loaded, 4)
    wanted = edit(loaded, chosen[:3], "NOTAIRE")

    def go_away(here: Step) -> None:
        if here is Step.COMMITTED:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        carry_until_nothing_is_left(loaded, "reverse", owner="one", checkpoint=go_away)
    between, counted = occupations(loaded, chosen[:3]), written_back(loaded)
    wanted |= edit(loaded, chosen[3:], "GREFFIER")
    result = loaded.reverse_engine(owner="one").advance(loaded.reverse(), RunKind.REVERSE)

    assert (between, counted) == (dict.fromkeys(between, "NOTAIRE"), (0, 0))
    assert result.total.rows.loaded == 4
    assert written_back(loaded) == (2, 4)
    assert loaded.place.run("select loaded from mig.conservation where to_side = 'LEGACY'") == [(4,)]
    judge(loaded, chosen, wanted)


@pytest.mark.parametrize("kind", ["row", "part"])
def test_what_people_removed_goes_in_the_end_though_a_worker_went_away_right_before_the_legacy_commit(loaded, kind):
    """Tombstone and forgotten link stood in the store already: the next attempt found nothing to carry."""
    loaded.switch_by_hand()
    table, key_column, column, joined = {
        "row": ("t_tel", "id_tel", "top_supp", "c.id = r.id"),
        "part": (
            "t_personne",
            "id_pers",
            "tel",
            "c.id = (select l.id from mig.record_link l where l.canonical_id = r.id)",
        ),
    }[kind]
    ((record, key),) = loaded.place.run(
        f"select r.id, c.source_key from justice.contact_means r join mig.crosswalk c on {joined}"
        " where c.source_table_no = %s and c.deleted_at is null order by 2 limit 1",
        (loaded.numbers[table],),
    )
    ask = f"select coalesce(trim({column}::text), '') from orion.{table} where {key_column} = %s"
    stood = loaded.on_legacy(ask, (key,))
    loaded.as_app("delete from justice.contact_means where id = %s", (record,))

    def go_away(here: Step) -> None:
        if here is Step.WRITTEN:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        carry_until_nothing_is_left(loaded, "reverse", owner="one", checkpoint=go_away)
    between = loaded.on_legacy(ask, (key,))
    result = loaded.reverse_engine(owner="one").advance(loaded.reverse(), RunKind.REVERSE)

    assert between == stood
    assert loaded.on_legacy(ask, (key,)) == [("O" if kind == "row" else "",)] != stood
    assert result.total.rows.read == 1
    assert loaded.place.run("select distinct state from mig.run where to_side = 'LEGACY'") == [("DONE",)]


class Jumping(dt.datetime):
    """A clock of this machine that is set now and then: days ahead, days back."""

    days = 0

    @classmethod
    def now(cls, tz=None):
        return dt.datetime.now(tz) + dt.timedelta(days=cls.days)


def test_clocks_that_jump_change_no_fate_and_lose_nothing_in_either_direction(world, monkeypatch):
    monkeypatch.setattr(banyan.clock, "datetime", Jumping)  # the clock of the machine, not a part of the product

    def jump(here: Step) -> None:
        Jumping.days = {0: 40, 40: -40, -40: 0}[Jumping.days] if here is Step.LEASED else Jumping.days
        if here is Step.MAPPED:  # the clock of the store is set back: leases seem to last for another day
            world.place.run("update mig.run set lease_until = lease_until + interval '1 day' where state = 'OPEN'")

    lane = world.forward()
    result = world.forward_engine(checkpoint=jump).load(lane, lane.plan_load, rules_digest=world.book.digest)
    chosen = people(world, 3)
    world.switch_by_hand()
    wanted = edit(world, chosen, "NOTAIRE")
    carry_until_nothing_is_left(world, "reverse", checkpoint=jump)

    assert result.total.is_balanced
    assert world.place.run("select count(*), count(distinct (source_table_no, source_key)) from mig.crosswalk") == [
        (result.total.rows.loaded, result.total.rows.loaded)
    ]
    parcels = [parcel for parcel in world.landing.list_parcels() if "/reverse-" not in parcel.name]
    assert len({parcel.scope for parcel in parcels}) >= 2  # data keys of several months
    assert sum(world.landing.read_parcel(parcel.name).height for parcel in parcels) == result.total.rows.read
    judge(world, chosen, wanted)


@pytest.mark.torture
@pytest.mark.parametrize("step", [Step.READ, Step.WRITTEN])
def test_a_legacy_server_restarted_in_the_middle_of_a_chunk_is_gone_on_with(make_store, tmp_path, step):
    server = Cluster(ClusterPlace(cluster_home(tmp_path, "legacy"), Durability.THROWAWAY)).start()
    try:

        def make_database() -> str:
            server.create_database("orion")
            return server.url("orion").render_as_string(hide_password=False)

        world = build_world(make_database, make_store, tmp_path)
        lane, passed = world.forward(), []

        def restart(here: Step) -> None:
            passed.append(here)
            if here is step and passed.count(here) == 2:
                server.stop(immediately=True)
                server.start()

        with contextlib.suppress(BanyanError, sa.exc.DBAPIError):  # what counts is the end
            world.forward_engine(owner="one", checkpoint=restart).load(
                lane, lane.plan_load, rules_digest=world.book.digest
            )
        result = world.forward_engine(owner="one").load(lane, lane.plan_load, rules_digest=world.book.digest)
        chosen = people(world, 3)
        world.switch_by_hand()
        wanted = edit(world, chosen, "NOTAIRE")
        passed.clear()
        passed.append(step)

        with contextlib.suppress(BanyanError, sa.exc.DBAPIError):  # with no session open, the next one is simply opened
            carry_until_nothing_is_left(world, "reverse", owner="one", checkpoint=restart)
        carry_until_nothing_is_left(world, "reverse", owner="one")

        assert passed.count(step) >= 2
        assert result.total.is_balanced
        judge(world, chosen, wanted)
    finally:
        server.destroy()
