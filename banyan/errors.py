"""What can go wrong, and what the operator may do about it.

BanyanError                  1  a bug, unless a family below says otherwise
├── ConfigurationError       2  the project, the machine or the command line is not usable as it stands
│   ├── UsageError           2  the command was called with something that cannot be
│   └── RulesetError         2  a rule file is wrong, at file:line:column
├── SourceUnavailable        4  a legacy system does not answer (transient)
├── SourceUnreadable         3  a legacy system answers something that cannot be read
├── SourceDrifted            3  a legacy system is not what the rules describe any more
│   ├── SourceRestored       3  a legacy system is not the one that was read: from a backup, promoted, another one
│   └── RowRefused           3  a legacy system refuses a row that is written back, and would take others
├── StoreUnavailable         4  the canonical store does not answer (transient)
├── StoreFenced              3  a writer that does not own the slice was refused
├── LeaseLost                4  another worker took the chunk or the run over (transient)
├── CapacityExhausted        4  disk, port or memory is missing (transient once a person has made room)
├── ConservationBroken       3  rows do not add up; the slice is stopped
├── GateClosed               3  the gate says no
├── SwitchRefused            3  a switch or rollback may not start
└── SwitchUncertain          5  we do not know what happened; a machine must not try again

A message says what happened, to what, and what was left untouched; `hint` is the next command. Facts are attributes:
identifiers, counts and names of columns, never a value of a person's record.
"""

from typing import ClassVar


class BanyanError(Exception):
    """A failure with its facts, its exit code and the command to run next."""

    exit_code: ClassVar[int] = 1
    transient: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str = "", **facts: object) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.facts = facts

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.message, self.hint, self.facts))


def _rebuild(kind: type[BanyanError], message: str, hint: str, facts: dict[str, object]) -> BanyanError:
    return kind(message, hint=hint, **facts)


class ConfigurationError(BanyanError):
    """The project or the machine is not usable as it stands."""

    exit_code = 2


class UsageError(ConfigurationError):
    """The command was called with something that cannot be."""


class RulesetError(ConfigurationError):
    """A rule file is wrong at a place that is named: facts `file`, `line`, `column`."""


class SourceUnavailable(BanyanError):
    """A legacy system does not answer."""

    exit_code = 4
    transient = True


class SourceUnreadable(BanyanError):
    """A legacy system answers something that cannot be read exactly."""

    exit_code = 3


class SourceDrifted(BanyanError):
    """A legacy system is not what the rules describe any more."""

    exit_code = 3


class SourceRestored(SourceDrifted):
    """A legacy system has another history than the one that was read: two persons say which copy stands."""


class RowRefused(SourceDrifted):
    """A legacy system refuses a row by a value, a constraint or a trigger of its own.

    Facts `code`, and `constraint` or `column` where the system names one.
    """


class StoreUnavailable(BanyanError):
    """The canonical store does not answer."""

    exit_code = 4
    transient = True


class StoreFenced(BanyanError):
    """A writer that does not own the slice was refused."""

    exit_code = 3


class LeaseLost(BanyanError):
    """Another worker took the chunk or the run over; this one wrote nothing."""

    exit_code = 4
    transient = True


class CapacityExhausted(BanyanError):
    """Disk, port or memory is missing."""

    exit_code = 4
    transient = True


class ConservationBroken(BanyanError):
    """Rows do not add up; the run is stopped before its watermark moves."""

    exit_code = 3


class GateClosed(BanyanError):
    """The gate says no, with its reasons in the fact `reasons`."""

    exit_code = 3


class SwitchRefused(BanyanError):
    """A switch or rollback may not start; nothing was touched."""

    exit_code = 3


class SwitchUncertain(BanyanError):
    """We do not know whether an effect took place; a person must look, a machine must not try again."""

    exit_code = 5
