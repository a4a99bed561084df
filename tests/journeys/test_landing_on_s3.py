"""A first copy that lands in a bucket: what was received stands there, and a parcel changed behind our back is named.

The bucket is one of an S3 server on loopback, on the allow-list of the project; its keys come from the environment.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
import sqlalchemy as sa
from moto.server import ThreadedMotoServer
from projects import TestProject, known_actor, make_project

from banyan.config import load_project
from banyan.departments import Actor, SourceRef
from banyan.findings import FindingKind, LevelResult, LevelState, Severity
from banyan.records import ChunkCounts
from cutover.judgement import subject_of
from store.postgres import transaction
from store.tables import CHUNK
from sync.assembly import Rig, prepare
from sync.movement import first_copy
from sync.workspace import opened
from validation.conservation import judge_balances, read_balances
from validation.extraction import check_extraction

pytestmark = [pytest.mark.server, pytest.mark.journey]
__all__ = ["known_actor"]

BUCKET, PREFIX, REGION = "landing-38", "banyan/isere", "eu-west-3"
KEYS = {"LANDING_ACCESS_KEY": "an-access-key", "LANDING_SECRET_KEY": "a-secret-key"}
LANDING = """\
landing:
  kind: s3
  bucket: {bucket}
  prefix: {prefix}
  endpoint_url: {endpoint}
  region: {region}
  access_key: env:LANDING_ACCESS_KEY
  secret_key: env:LANDING_SECRET_KEY
  allowed_endpoints: ["{endpoint}"]
"""


@dataclass(frozen=True)
class Bucket:
    """The bucket, seen by a client that is not ours."""

    client: Any

    def names(self) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        return [entry["Key"].removeprefix(f"{PREFIX}/") for page in pages for entry in page["Contents"]]

    def get(self, name: str) -> bytes:
        return self.client.get_object(Bucket=BUCKET, Key=f"{PREFIX}/{name}")["Body"].read()

    def put(self, name: str, body: bytes) -> None:
        self.client.put_object(Bucket=BUCKET, Key=f"{PREFIX}/{name}", Body=body)

    def body_of(self, parcel: str) -> str:
        return f"parcels/{parcel}/{json.loads(self.get(f'manifests/{parcel}.json'))['sha256']}.parquet"


@dataclass(frozen=True)
class Landed:
    """A first copy of ORION whose parcels are in the bucket."""

    project: TestProject
    rig: Rig
    bucket: Bucket
    totals: dict[str, ChunkCounts]

    def chunks(self) -> list[Any]:
        with transaction(self.rig.workspace.engine("banyan_judge")) as connection:
            return list(connection.execute(sa.select(CHUNK).order_by(CHUNK.c.chunk_no)))

    def parcel_of(self, table: str) -> str:
        return next(chunk.parcel for chunk in self.chunks() if chunk.table_name == table)

    def extraction(self) -> LevelResult:
        return check_extraction(subject_of(self.rig, "38.cases"), self.rig.workspace.landing)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def bucket(endpoint: str) -> Bucket:
    client = boto3.client(
        "s3", endpoint_url=endpoint, region_name=REGION, aws_access_key_id="other", aws_secret_access_key="hands"
    )
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    return Bucket(client)


@pytest.fixture(scope="module")
def landed(cluster, endpoint: str, bucket: Bucket, tmp_path_factory, known_actor) -> Iterator[Landed]:
    made = make_project(cluster, tmp_path_factory.mktemp("s3") / "project")
    landing = LANDING.format(bucket=BUCKET, prefix=PREFIX, endpoint=endpoint, region=REGION)
    made.write("landing: {kind: local, path: landing}\n", landing)
    with pytest.MonkeyPatch.context() as environment:
        for name, value in KEYS.items():
            environment.setenv(name, value)
        with opened(load_project(made.folder)) as workspace:
            rig = prepare(workspace, SourceRef("38", "ORION"))
            carried = first_copy(rig, Actor("tester", "engineer", "test"))
            yield Landed(made, rig, bucket, carried.totals)
            rig.port.close()


def test_the_parcel_of_every_chunk_is_in_the_bucket_with_its_digest_and_its_rows(landed):
    chunks, names = landed.chunks(), landed.bucket.names()
    rows = dict.fromkeys(landed.totals, 0)

    for chunk in chunks:
        manifest = json.loads(landed.bucket.get(f"manifests/{chunk.parcel}.json"))
        body = landed.bucket.get(landed.bucket.body_of(chunk.parcel))
        there = landed.rig.workspace.landing.read_parcel(chunk.parcel)
        rows[chunk.table_name] += there.height

        assert hashlib.sha256(body).hexdigest() == manifest["sha256"]
        assert (manifest["rows"], manifest["bytes"]) == (there.height, len(body))
        assert body[:4] == body[-4:] == b"PARE"  # Parquet with an encrypted footer

    assert {chunk.state for chunk in chunks} == {"DONE"}
    assert rows == {table: counts.rows.read for table, counts in landed.totals.items()}
    assert sum(rows.values()) == legacy_rows(landed.project, landed.totals)
    assert len([name for name in names if name.startswith("parcels/")]) == len(chunks)
    assert len([name for name in names if name.startswith("manifests/")]) == len(chunks)


def legacy_rows(project: TestProject, tables: Iterable[str]) -> int:
    """Count what the old system holds."""
    return sum(project.ask(project.legacy, f"select count(*) from orion.{table}")[0][0] for table in tables)


def test_who_holds_the_bucket_alone_reads_no_value_and_no_name_of_a_column(landed):
    bodies = [landed.bucket.get(name) for name in landed.bucket.names()]
    persons = landed.project.ask(landed.project.legacy, "select nom, prenom, profession from orion.t_personne")
    clear = {text.strip().encode() for row in persons for text in row if text and len(text.strip()) > 5}
    clear |= {b"id_pers", b"lieu_naiss", b"num_serie"}

    assert len(clear) > 50
    assert len(bodies) > 2 * len(landed.chunks())
    assert not [text for text in clear if any(text in body for body in bodies)]


def test_nothing_of_a_record_is_left_on_this_machine(landed):
    files = [path for path in landed.project.folder.rglob("*") if path.is_file()]

    assert not (landed.project.folder / "landing").exists()
    assert {path.suffix for path in files} <= {".yaml", ".key"}


def test_everything_received_reads_back_as_it_was_counted(landed):
    level = landed.extraction()

    own = [chunk for chunk in landed.chunks() if chunk.table_name in subject_of(landed.rig, "38.cases").tables]
    assert (level.state, level.findings) == (LevelState.PASS, ())
    assert (level.figures["parcels"], level.figures["decode_errors"]) == (len(own), 0)
    assert level.figures["rows"] == sum(landed.totals[table].rows.read for table in {c.table_name for c in own})


@pytest.mark.parametrize("what", ["bytes of no parcel", "the parcel of another table", "one flipped bit"])
def test_one_parcel_replaced_in_the_bucket_is_named_and_nothing_else_is(landed, what):
    parcel, bucket = landed.parcel_of("t_personne"), landed.bucket
    place = bucket.body_of(parcel)
    whole = bucket.get(place)
    flipped = bytearray(whole)
    flipped[len(flipped) // 2] ^= 1
    others = {
        "bytes of no parcel": b"not what was received",
        "the parcel of another table": bucket.get(bucket.body_of(landed.parcel_of("t_tel"))),
        "one flipped bit": bytes(flipped),
    }

    bucket.put(place, others[what])
    level = landed.extraction()
    balances = judge_balances(read_balances(subject_of(landed.rig, "38.cases")))
    bucket.put(place, whole)

    (finding,) = level.findings
    assert level.state is LevelState.FAIL
    assert (finding.kind, finding.severity, finding.table) == (FindingKind.UNREADABLE, Severity.BLOCK, "t_personne")
    assert f"parcel {parcel} is damaged" in finding.cause
    assert level.figures["decode_errors"] == 1
    assert balances.state is LevelState.PASS
    assert landed.extraction().state is LevelState.PASS


def test_the_keys_of_the_bucket_stand_nowhere_in_the_project(landed):
    texts = [path.read_bytes() for path in landed.project.folder.rglob("*") if path.is_file()]

    assert not [name for name, value in KEYS.items() if any(value.encode() in text for text in texts)]
    assert not any(value in repr(landed.rig.workspace.project) for value in KEYS.values())
