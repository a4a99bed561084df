"""What a process of ours is told once, before it loads a library that computes."""

import ctypes
import os
from typing import Final

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
"""The parameters of glibc's mallopt(3), by the numbers of malloc.h."""
_KEPT_BYTES: Final = 256 << 20
_LARGEST_KEPT: Final = 32 << 20
"""The most that glibc takes for the size from which memory is mapped by itself."""


def settle_process() -> None:
    """Keep freed memory for the next chunk, and start no threads for matrices that nobody multiplies.

    Work goes chunk by chunk through buffers of megabytes. Given back to the kernel after each, they come back as empty
    pages that it must clear: a seventh of what reconciliation cost. The threads of numpy's BLAS wait for work by
    spinning: a tenth of a CPU second at the start of every command. Does nothing to malloc where it is not glibc's.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # noqa: TID251 - told to a library, not read
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT)
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_TOP_PAD, _LARGEST_KEPT)
