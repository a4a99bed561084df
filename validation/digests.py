"""Two digests of a record, by which what a row means and what the store holds are told to be equal without a look.

Both sides are brought to the same types and then digested by the same lines: for each column two hashes of 64 bits
under seeds of their own, added up. The seeds come from the department's secret and from a number drawn for the pass:
nobody can know them who writes to either side, so nobody can choose a value that hashes as another one does, and
values that differ by accident collide in both sums once in 2^128. The digest of one column says nothing of another's:
their seeds are independent. A digest is never a finding: it tells that a record is equal, and what it does not tell is
compared value by value. Digests and keys of a pass lie in its private folder; the keys are sealed.
"""

import hmac
import io
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

import numpy as np
import numpy.typing as npt
import polars as pl
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

Entries = npt.NDArray[np.uint64]
"""One record a row: both halves of its identifier, both of its digests."""
LOW, HIGH, FIRST, SECOND = range(4)
_NONCE_BYTES = 12
_SEED_BYTES = 8
_NUMBERS = 1 << 64


@dataclass(frozen=True, slots=True)
class Secret:
    """What the digests of one pass are made with; the key never leaves the memory of the process."""

    key: bytes = field(repr=False)
    drawn: bytes = field(repr=False)

    def derive(self, purpose: str) -> bytes:
        """Give 32 bytes for one purpose, independent of those for any other."""
        return hmac.new(self.key, b"reconciliation|" + self.drawn + purpose.encode(), sha256).digest()

    def seeds(self, table: str, column: str) -> tuple[int, int, int, int]:
        """Give the seeds of a column, and what stands for a missing value in each of its digests."""
        drawn = self.derive(f"seeds|{table}|{column}")
        first, second, absent, absent_too = (
            int.from_bytes(drawn[at : at + _SEED_BYTES], "little") for at in range(0, 4 * _SEED_BYTES, _SEED_BYTES)
        )
        return first, second, absent, absent_too

    def seal(self, name: str, keys: pl.Series) -> bytes:
        """Encrypt the keys of the records of one file, under a key that no other file has."""
        written = io.BytesIO()
        keys.alias("source_key").to_frame().write_ipc(written)
        nonce = secrets.token_bytes(_NONCE_BYTES)  # a block that a killed pass had begun is written anew
        return nonce + AESGCM(self.derive(f"keys|{name}")).encrypt(nonce, written.getvalue(), None)

    def unseal(self, name: str, sealed: bytes) -> pl.Series:
        """Read the keys of the records of one file, in the order of the file."""
        nonce, body = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        return pl.read_ipc(io.BytesIO(AESGCM(self.derive(f"keys|{name}")).decrypt(nonce, body, None))).to_series()


def digest_records(table: str, records: pl.DataFrame, columns: Mapping[str, pl.DataType], secret: Secret) -> Entries:
    """Reduce records to their identifiers and digests over the columns, a column that they do not have being empty.

    `id` holds 16 bytes in each record. A missing value is told apart from every value, an empty text too.
    """
    seeds = {column: secret.seeds(table, column) for column in columns}
    held = [name for name in columns if name in records.columns and records[name].null_count() < records.height]
    schema = records.schema
    typed = {name: pl.col(name) if schema[name] == columns[name] else pl.col(name).cast(columns[name]) for name in held}

    def told(name: str, digest: int) -> pl.Expr:
        hashed = typed[name].hash(seeds[name][digest])
        if not records[name].has_nulls():
            return hashed
        return pl.when(pl.col(name).is_null()).then(pl.lit(seeds[name][2 + digest], pl.UInt64)).otherwise(hashed)

    sums = np.empty((2, records.height), np.uint64)
    for digest in (0, 1):
        sums[digest] = sum(seeds[name][2 + digest] for name in columns if name not in held) % _NUMBERS
    if held:
        added = records.select(
            pl.sum_horizontal(told(name, digest) for name in held).alias(str(digest)) for digest in (0, 1)
        )
        sums += added.to_numpy().T
    entries = np.empty((records.height, 4), dtype=np.uint64)
    entries[:, [LOW, HIGH]] = halves_of(records["id"])
    entries[:, FIRST], entries[:, SECOND] = sums
    return entries


def identified(ids: pl.Series) -> Entries:
    """Give entries of identifiers alone, their digests empty."""
    entries = np.zeros((len(ids), 4), dtype=np.uint64)
    entries[:, [LOW, HIGH]] = halves_of(ids)
    return entries


def numbered(numbers: npt.NDArray[np.int64]) -> Entries:
    """Give entries of numbers, each of which stands for an identifier."""
    entries = np.zeros((len(numbers), 4), dtype=np.uint64)
    entries[:, LOW] = entries[:, HIGH] = numbers.view(np.uint64)
    return entries


def halves_of(ids: pl.Series) -> npt.NDArray[np.uint64]:
    """Give identifiers of 16 bytes, none of which may be missing, as two numbers each: no Python object is made."""
    if ids.has_nulls():
        raise ValueError("a record without an identifier was given; nothing was kept of its chunk")
    written = ids.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    if not len(written):
        return np.empty((0, 2), dtype=np.uint64)
    start = int(np.frombuffer(written.buffers()[1], np.int64, 1 + written.offset)[-1])
    return np.frombuffer(written.buffers()[2], "<u8", 2 * len(written), start).reshape(-1, 2)


def ids_of(entries: Entries) -> pl.Series:
    """Give the identifiers of entries as bytes."""
    halves = np.ascontiguousarray(entries[:, [LOW, HIGH]]).astype("<u8")
    return pl.Series("id", [row.tobytes() for row in halves], dtype=pl.Binary)
