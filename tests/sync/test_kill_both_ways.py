"""Changes in either direction, killed or frozen at each named step of a chunk: carried once, whatever died."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from dying_route import carry_until_nothing_is_left, describe
from judged import subject_of

from banyan.errors import LeaseLost
from banyan.findings import LevelState
from sync.lane import STEPS, Step
from validation.conservation import check_conservation
from validation.reconcile import reconcile

pytestmark = [pytest.mark.server, pytest.mark.torture]
CHILD = Path(__file__).parent / "dying_route.py"
END_LEASES = "update mig.{} set lease_until = now() - interval '1 second' where state in ('OPEN', 'LEASED')"


class Workers:
    """Processes that have loaded their modules and wait to be told in which world to die, and where."""

    def __init__(self, count: int) -> None:
        path = os.pathsep.join([str(CHILD.parent.parent), *sys.path])
        self._waiting = [
            subprocess.Popen(
                [sys.executable, str(CHILD)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path},
            )
            for _ in range(count)
        ]  # fmt: skip

    def send(self, world, folder: Path, direction: str, step: Step, *, by: str = "KILL") -> subprocess.Popen[str]:
        worker = self._waiting.pop()
        worker.stdin.write(
            json.dumps(describe(world, folder) | {"direction": direction, "step": step, "by": by}) + "\n"
        )
        worker.stdin.flush()
        return worker

    def kill(self, world, folder: Path, direction: str, step: Step) -> None:
        worker = self.send(world, folder, direction, step)
        _, said = worker.communicate(timeout=120)
        assert worker.returncode == -signal.SIGKILL, said[-2000:]

    def close(self) -> None:
        for worker in self._waiting:
            worker.kill()
            worker.communicate()


@pytest.fixture
def workers(request):
    made = Workers(request.param)
    yield made
    made.close()


def people(world, count: int):
    """Canonical id and legacy key of persons whose occupation is known."""
    return world.place.run(
        "select p.id, c.source_key from justice.person_identity p join mig.crosswalk c using (id)"
        " where c.source_table_no = %s and occupation_text is not null order by source_key limit %s",
        (world.numbers["t_personne"], count),
    )


def occupations(world, keys):
    rows = world.on_legacy(
        "select id_pers::text, trim(profession) from orion.t_personne where id_pers::text = any(%s)", (keys,)
    )
    return dict(rows)


def untouched(world, keys):
    """All that stands in the legacy tables, but for the rows named."""
    persons = world.on_legacy(
        "select * from orion.t_personne where not id_pers::text = any(%s) order by id_pers", (keys,), role="postgres"
    )
    tables = ("t_proc", "t_fait", "t_implic", "t_tel", "t_adresse", "t_vehic", "t_objet")
    return persons, [world.on_legacy(f"select * from orion.{name} order by 1", role="postgres") for name in tables]


def judge(world):
    """L1 and L4 of the whole closure."""
    subject = subject_of(world, role="banyan_judge")
    return [check_conservation(subject), reconcile(subject, watermark=world.forward().watermark()).level]


@pytest.mark.parametrize("workers", [len(STEPS)], indirect=True)
def test_a_way_back_killed_at_every_step_writes_each_edit_once_and_nothing_else(loaded, workers, tmp_path):
    loaded.switch_by_hand()
    chosen = people(loaded, len(STEPS))
    keys = [key for _, key in chosen]
    before = untouched(loaded, keys)
    edits = {}
    for step, (person, key) in zip(STEPS, chosen, strict=True):
        edits[key] = f"METIER {step.value.upper()}"
        loaded.as_app("update justice.person_identity set occupation_text = %s where id = %s", (edits[key], person))
        stood = occupations(loaded, keys)

        workers.kill(loaded, tmp_path, "reverse", step)

        assert (occupations(loaded, keys) != stood) is (step is Step.COMMITTED)
    carry_until_nothing_is_left(loaded, "reverse")

    assert occupations(loaded, keys) == edits
    assert untouched(loaded, keys) == before
    assert loaded.place.run("select count(*) from mig.degraded_write_back") == [(0,)]
    assert loaded.place.run("select distinct state from mig.run where to_side = 'LEGACY'") == [("DONE",)]


@pytest.mark.parametrize("workers", [len(STEPS)], indirect=True)
def test_changes_killed_at_every_step_arrive_once_and_add_up(loaded, workers, tmp_path):
    keys = [key for _, key in people(loaded, len(STEPS))]
    edits = {}
    for step, key in zip(STEPS, keys, strict=True):
        edits[key] = f"METIER {step.value.upper()}"
        loaded.on_legacy("update orion.t_personne set profession = %s where id_pers::text = %s", (edits[key], key))

        workers.kill(loaded, tmp_path, "forward", step)
    carry_until_nothing_is_left(loaded, "forward")

    stands = loaded.place.run(
        "select c.source_key, p.occupation_text from justice.person_identity p join mig.crosswalk c using (id)"
        " where c.source_table_no = %s and c.source_key = any(%s)",
        (loaded.numbers["t_personne"], keys),
    )
    levels = judge(loaded)
    assert dict(stands) == edits
    assert len(stands) == len(edits)
    assert [(level.state, level.findings) for level in levels] == [(LevelState.PASS, ())] * 2
    assert loaded.place.run("select count(*) from mig.outbox") == [(0,)]


def test_a_way_back_frozen_with_its_rows_mapped_and_thawed_too_late_writes_nothing(loaded, tmp_path):
    loaded.switch_by_hand()
    ((person, key),) = people(loaded, 1)
    edit = "update justice.person_identity set occupation_text = %s where id = %s"
    loaded.as_app(edit, ("AVANT", person))
    between = []

    def overtake(step: Step) -> None:
        if step is Step.MAPPED and not between:
            between.append(None)
            for table in ("run", "chunk"):
                loaded.place.run(END_LEASES.format(table))
            loaded.as_app(edit, ("APRES", person))
            carry_until_nothing_is_left(loaded, "reverse", owner="second")
            between[0] = occupations(loaded, [key])

    with pytest.raises(LeaseLost, match="another worker"):
        carry_until_nothing_is_left(loaded, "reverse", owner="first", checkpoint=overtake)

    assert between == [{key: "APRES"}]
    assert occupations(loaded, [key]) == {key: "APRES"}
    assert loaded.place.run("select count(*) from mig.degraded_write_back") == [(0,)]
