"""Taking over at once what a dead process of this machine still holds, instead of waiting for its leases to end."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from store.runs import Run, RunState
from store.tables import CHUNK, RUN


def release_run(connection: Connection, run: Run) -> None:
    """End the leases of a run and of the chunks its owner holds; whoever opens the run next takes it over."""
    ended = sa.func.clock_timestamp() - sa.text("interval '1 second'")
    connection.execute(
        sa.update(RUN)
        .where(RUN.c.run_no == run.run_no, RUN.c.attempt == run.attempt, RUN.c.state == RunState.OPEN.value)
        .values(lease_until=ended)
    )
    connection.execute(
        sa.update(CHUNK)
        .where(CHUNK.c.run_no == run.run_no, CHUNK.c.owner == run.owner, CHUNK.c.state == "LEASED")
        .values(lease_until=ended)
    )
