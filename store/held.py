"""Routes that stand still: a run whose figures are not those of its lists holds its route until a person has looked.

The held run is FAILED and keeps its reason. Nothing is opened on its route before it is cancelled, with a reason.
"""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from banyan.departments import Side, SourceRef
from banyan.errors import ConservationBroken, UsageError
from store.ledger_statements import on_route, route
from store.runs import Run, RunState
from store.tables import RUN

_HELD = RUN.c.state == RunState.FAILED.value
_FIND_HELD = sa.select(RUN.c.run_no, RUN.c.kind, RUN.c.reason).where(*route(RUN), _HELD).order_by(RUN.c.run_no).limit(1)


def hold_run(connection: Connection, run: Run, reason: str) -> None:
    """End an open run as FAILED, with its reason; its route stands still. Its watermark stays where it is."""
    connection.execute(
        sa.update(RUN)
        .where(RUN.c.run_no == run.run_no, RUN.c.state == RunState.OPEN.value)
        .values(state=RunState.FAILED.value, reason=reason, closed_at=sa.func.clock_timestamp())
    )


def refuse_broken(connection: Connection, run: Run) -> None:
    """Refuse a run that is held, in the words of whoever found that its figures do not add up."""
    reason = connection.scalar(sa.select(RUN.c.reason).where(RUN.c.run_no == run.run_no, _HELD))
    if reason is not None:
        raise ConservationBroken(reason, hint="banyan sync status", run_no=run.run_no)


def refuse_held(connection: Connection, source: SourceRef, to_side: Side) -> None:
    """Refuse a route that stands still."""
    row = connection.execute(_FIND_HELD, on_route(source, to_side)).first()
    if row is not None:
        raise ConservationBroken(
            f"{source} to {to_side.value} stands still since run {row.run_no} ({row.kind}): {row.reason}; nothing was "
            "read",
            hint=f'find out why, then banyan sync cancel {source.department_code} --reason "TEXT"',
            run_no=row.run_no,
        )


def release_held(connection: Connection, run_no: int, *, reason: str) -> None:
    """Let the route of a held run go on: the run is cancelled, and why it was held is kept beside the new reason."""
    done = connection.execute(
        sa.update(RUN)
        .where(RUN.c.run_no == run_no, _HELD)
        .values(state=RunState.CANCELLED.value, reason=sa.func.concat(reason, " (held: ", RUN.c.reason, ")"))
        .returning(RUN.c.run_no)
    )
    if done.first() is None:
        raise UsageError(f"run {run_no} holds no route; nothing was changed", hint="banyan sync status")
