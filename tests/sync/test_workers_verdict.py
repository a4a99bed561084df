"""What a worker finds wrong is the answer of the command that started it, in the words of a command without workers."""

import os
import re

import pytest
from projects import known_actor, make_project
from worlds import ORION

from banyan.config import load_project
from sync.assembly import prepare
from sync.lane import Step
from sync.movement import actor_of, first_copy
from sync.workspace import opened

__all__ = ["known_actor"]
pytestmark = pytest.mark.server

CARRIED_BEFORE = 20
SAID = re.compile(
    r"NO   the figures of \S+ are not those of its lists: \d+ loaded, \d+ in the list; nothing of this chunk"
)
LOSE = """
create function public.lose() returns trigger language plpgsql security definer as $$
declare carrier text;
begin
  select split_part(c.owner, ':', 2) into carrier from mig.chunk c join mig.source_table t using (table_name)
   where c.state = 'LEASED' and t.source_table_no = new.source_table_no;
  if carrier = (select pid from public.starter) then
    for turn in 1 .. 1200 loop
      exit when exists (select from mig.run where state = 'FAILED');
      perform pg_sleep(0.05);
    end loop;
  else
    delete from mig.crosswalk where id = new.id;
  end if;
  return null;
end $$;
create trigger zz_lose after update on mig.crosswalk for each row execute function public.lose();
"""


class Enough(Exception):
    """So many chunks are carried."""


@pytest.fixture
def begun(cluster, tmp_path):
    """A first copy that was cancelled half-way: its rows are known, and each chunk of them is compared with its lists.

    A row that is written again is lost behind our back, except by the process that starts the load: that one waits
    until somebody else has found it.
    """
    project = make_project(cluster, tmp_path / "project")
    committed = []

    def stop(step: Step) -> None:
        committed.extend([step] if step is Step.COMMITTED else [])
        if len(committed) == CARRIED_BEFORE:
            raise Enough

    with opened(load_project(project.folder)) as workspace:
        rig = prepare(workspace, ORION)
        with pytest.raises(Enough):
            first_copy(rig, actor_of(workspace), checkpoint=stop)
        rig.close()
    assert project.banyan("sync", "cancel", "38", "--reason", "half-way") == 0
    project.ask(project.store, "update mig.crosswalk set row_hash = '\\x00'")  # so that each row is written again
    project.ask(project.store, "create table public.starter (pid text)")
    project.ask(project.store, LOSE.replace(":", "\\:"))
    return project


def test_what_a_worker_finds_is_the_answer_of_the_load(begun, capfd):
    begun.ask(begun.store, "insert into public.starter values (:pid)", pid=str(os.getpid()))
    capfd.readouterr()

    code = begun.banyan("load", "38", "--workers", "2")

    said = capfd.readouterr().err
    held = begun.ask(begun.store, "select run_no, reason from mig.run where state = 'FAILED'")
    carriers = begun.ask(begun.store, "select distinct split_part(owner, '\\:', 2) from mig.chunk where run_no = 2"
                                      " and owner is not null")  # fmt: skip
    assert code == 3, said
    assert SAID.search(said)
    assert f"NO   {held[0][1]}\nnext banyan sync status        exit code 3" in said
    assert [run_no for run_no, _ in held] == [2]
    assert len(carriers) == 2
    assert "a worker of 38/ORION ended: the figures of " in said
    assert begun.ask(begun.store, "select count(*) from mig.watermark") == [(0,)]


def test_one_process_alone_says_the_same(begun, capfd):
    capfd.readouterr()

    code = begun.banyan("load", "38")

    said = capfd.readouterr().err
    ((reason,),) = begun.ask(begun.store, "select reason from mig.run where state = 'FAILED'")
    assert code == 3, said
    assert SAID.search(said)
    assert f"NO   {reason}\nnext banyan sync status        exit code 3" in said
