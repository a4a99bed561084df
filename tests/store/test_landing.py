import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import boto3
import polars as pl
import pytest
from moto.server import ThreadedMotoServer

from banyan.config import LandingConfig
from banyan.errors import (
    ConfigurationError,
    ConservationBroken,
    SourceUnreadable,
    StoreUnavailable,
    UsageError,
)
from store.landing import open_landing
from store.parcels import decode_parcel, encode_parcel

ROWS = pl.DataFrame({"num_proc": ["00123/2019  ", "00124/2019  ", None], "observ": ["", "é", "x"]})
OTHER = ROWS.with_columns(observ=pl.lit("y"))
NAME = "38/ORION/run-7/t_proc-0001"


@pytest.fixture(scope="module")
def s3():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def client_of(endpoint):
    return boto3.client(
        "s3", endpoint_url=endpoint, region_name="eu-west-3", aws_access_key_id="k", aws_secret_access_key="s"
    )


@pytest.fixture
def bucket(s3, request, tmp_path):
    name = f"b{abs(hash(request.node.name)):x}"
    client_of(s3).create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-3"})
    for key in ("access", "secret"):
        (tmp_path / key).write_text("testing\n")
    return LandingConfig(
        kind="s3", bucket=name, prefix="banyan/38", endpoint_url=s3, region="eu-west-3",
        access_key=f"file:{tmp_path}/access", secret_key=f"file:{tmp_path}/secret", allowed_endpoints=(s3,),
    )  # fmt: skip


@pytest.fixture(params=["local", "s3"])
def zone(request, tmp_path):
    config = LandingConfig() if request.param == "local" else request.getfixturevalue("bucket")
    return open_landing(config, folder=tmp_path)


def test_a_parcel_comes_back_as_it_was_written(zone):
    parcel = zone.write_parcel(NAME, ROWS, metadata={"table": "t_proc", "low": "0"})

    assert zone.read_parcel(NAME).equals(ROWS)
    assert zone.read_parcel(NAME).schema == ROWS.schema
    assert (parcel.name, parcel.rows, parcel.bytes) == (NAME, 3, len(encode_parcel(ROWS)))
    assert zone.list_parcels("38/ORION/")[0].metadata == {"table": "t_proc", "low": "0"}


def test_the_same_rows_again_change_nothing(zone):
    first = zone.write_parcel(NAME, ROWS, metadata={"attempt": "1"})

    again = zone.write_parcel(NAME, ROWS, metadata={"attempt": "2"})

    assert again == first
    assert again.metadata == {"attempt": "1"}
    assert len(zone.list_parcels()) == 1


def test_other_rows_under_the_same_name_are_refused_and_the_first_are_kept(zone):
    zone.write_parcel(NAME, ROWS, metadata={})

    with pytest.raises(ConservationBroken, match="stands already with other rows; it was kept"):
        zone.write_parcel(NAME, OTHER, metadata={})

    assert zone.read_parcel(NAME).equals(ROWS)


def test_of_eight_writers_with_different_rows_one_commits(zone):
    frames = [ROWS.with_columns(observ=pl.lit(str(number))) for number in range(8)]

    def write(frame):
        try:
            return zone.write_parcel(NAME, frame, metadata={}).sha256
        except ConservationBroken:
            return None

    with ThreadPoolExecutor(8) as pool:
        won = [digest for digest in pool.map(write, frames) if digest]

    assert len(won) == 1
    assert zone.list_parcels()[0].sha256 == won[0]


def test_a_parcel_without_its_manifest_does_not_exist_and_the_name_stays_free(zone):
    zone.objects.create(f"parcels/{NAME}/{'0' * 64}.parquet", b"half of a writer that died")

    assert zone.list_parcels() == ()
    with pytest.raises(SourceUnreadable, match="there is no committed parcel"):
        zone.read_parcel(NAME)
    zone.write_parcel(NAME, ROWS, metadata={})
    assert zone.read_parcel(NAME).equals(ROWS)


def test_listing_is_by_prefix_and_sorted(zone):
    for name in ("38/b", "38/a", "39/a"):
        zone.write_parcel(name, ROWS, metadata={})

    assert [parcel.name for parcel in zone.list_parcels("38/")] == ["38/a", "38/b"]
    assert [parcel.name for parcel in zone.list_parcels()] == ["38/a", "38/b", "39/a"]


@pytest.mark.parametrize("name", ["../x", "a//b", "/a", "a/", "", ".draft", "a b", "a/../b"])
def test_a_name_that_leaves_the_landing_zone_is_refused(zone, name):
    with pytest.raises(UsageError, match="nothing was written"):
        zone.write_parcel(name, ROWS, metadata={})


@pytest.mark.parametrize("folder", ["parcels", "manifests"])
def test_each_flipped_bit_of_a_local_parcel_is_found(tmp_path, folder):
    zone = open_landing(LandingConfig(path="zone"), folder=tmp_path)
    zone.write_parcel(NAME, ROWS, metadata={"table": "t_proc"})
    (stored,) = [path for path in (tmp_path / "zone" / folder).rglob("*") if path.is_file()]
    whole = stored.read_bytes()

    for place in range(0, len(whole), max(1, len(whole) // 60)):
        damaged = bytearray(whole)
        damaged[place] ^= 0x04
        stored.write_bytes(damaged)
        with pytest.raises(SourceUnreadable, match="is damaged"):
            zone.read_parcel(NAME)
    stored.write_bytes(whole)
    assert zone.read_parcel(NAME).equals(ROWS)


def test_a_flipped_bit_in_the_bucket_is_found(bucket, tmp_path):
    zone = open_landing(bucket, folder=tmp_path)
    parcel = zone.write_parcel(NAME, ROWS, metadata={})
    client, key = client_of(bucket.endpoint_url), f"banyan/38/parcels/{NAME}/{parcel.sha256}.parquet"
    body = bytearray(client.get_object(Bucket=bucket.bucket, Key=key)["Body"].read())
    body[len(body) // 2] ^= 1

    client.put_object(Bucket=bucket.bucket, Key=key, Body=bytes(body))

    with pytest.raises(SourceUnreadable, match="its digest is not the one of its manifest"):
        zone.read_parcel(NAME)


def test_equal_rows_give_equal_bytes_however_the_frame_was_made():
    pieces = pl.concat([ROWS[:1], ROWS[1:2], ROWS[2:]], rechunk=False)
    sliced = pl.concat([OTHER, ROWS, OTHER]).slice(3, 3)

    assert encode_parcel(pieces) == encode_parcel(ROWS) == encode_parcel(sliced)
    assert encode_parcel(OTHER) != encode_parcel(ROWS)
    assert decode_parcel(encode_parcel(ROWS[:0])).schema == ROWS.schema


def test_binary_columns_and_an_empty_batch_survive(zone):
    frame = pl.DataFrame({"id": [b"\x00" * 16, None], "at": [0, 1]}, schema={"id": pl.Binary, "at": pl.Int64})

    zone.write_parcel("full", frame, metadata={})
    zone.write_parcel("empty", frame[:0], metadata={})

    assert zone.read_parcel("full").equals(frame)
    assert zone.read_parcel("empty").schema == frame.schema


@pytest.mark.parametrize(
    ("endpoint", "reason"),
    [
        ("http://127.0.0.1:9", "not on the allow-list"),
        ("https://s3.example.org", "not on the allow-list"),
        ("http://s3.allowed.example", "not encrypted"),
        ("https://key@s3.allowed.example:8443", "no URL"),
        ("", "no URL"),
    ],
)
def test_an_endpoint_off_the_allow_list_is_refused_before_a_byte_is_sent(tmp_path, endpoint, reason):
    config = LandingConfig(
        kind="s3", bucket="b", endpoint_url=endpoint, region="eu-west-3", access_key="env:NO", secret_key="env:NO",
        allowed_endpoints=("http://s3.allowed.example", "https://s3.allowed.example:8443"),
    )  # fmt: skip

    with pytest.raises(ConfigurationError, match=f"{reason}.*nothing was sent"):
        open_landing(config, folder=tmp_path)


def test_a_secret_written_into_the_configuration_is_refused(bucket, tmp_path):
    with pytest.raises(ConfigurationError, match="secret_key of the landing zone is not a reference"):
        open_landing(bucket.model_copy(update={"secret_key": "hunter2"}), folder=tmp_path)


def test_a_proxy_of_the_environment_is_not_used(bucket, tmp_path, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)

    open_landing(bucket, folder=tmp_path).write_parcel(NAME, ROWS, metadata={})

    monkeypatch.delenv("HTTP_PROXY")
    assert count_objects(bucket) == 3  # the proof of conditional writes, the bytes, the manifest


def count_objects(bucket):
    return client_of(bucket.endpoint_url).list_objects_v2(Bucket=bucket.bucket)["KeyCount"]


def test_a_bucket_that_is_missing_is_a_matter_of_configuration(bucket, tmp_path):
    zone = open_landing(bucket.model_copy(update={"bucket": "nowhere"}), folder=tmp_path)

    with pytest.raises(ConfigurationError, match="bucket nowhere refuses"):
        zone.write_parcel(NAME, ROWS, metadata={})


def test_an_endpoint_that_does_not_answer_is_transient(bucket, tmp_path):
    silent = {"endpoint_url": "http://127.0.0.1:9", "allowed_endpoints": ("http://127.0.0.1:9",)}
    zone = open_landing(bucket.model_copy(update=silent), folder=tmp_path)

    with pytest.raises(StoreUnavailable, match="does not answer") as caught:
        zone.read_parcel(NAME)

    assert caught.value.transient


def test_a_full_disk_is_named_and_leaves_no_half_parcel(tmp_path):
    program = textwrap.dedent(
        """
        import random, resource, sys
        from pathlib import Path
        import polars as pl
        from banyan.config import LandingConfig
        from banyan.errors import CapacityExhausted
        from store.landing import open_landing

        frame = pl.DataFrame({"x": [random.Random(1).randbytes(40_000).hex()]})
        zone = open_landing(LandingConfig(), folder=Path(sys.argv[1]))
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
        try:
            zone.write_parcel("38/t_proc", frame, metadata={})
        except CapacityExhausted as error:
            print(error.message)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        print([path.name for path in Path(sys.argv[1]).rglob("*") if path.is_file()])
        zone.write_parcel("38/t_proc", frame, metadata={})
        print(zone.read_parcel("38/t_proc").equals(frame))
        """
    )

    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False)

    assert done.stderr == ""
    message, files, readable = done.stdout.splitlines()
    assert message.startswith("the landing zone has no room for 4")
    assert message.endswith("nothing was left there")
    assert (files, readable) == ("[]", "True")


def test_files_of_a_local_landing_zone_are_for_their_owner_only(tmp_path):
    open_landing(LandingConfig(path="zone"), folder=tmp_path).write_parcel(NAME, ROWS, metadata={})

    modes = {path.stat().st_mode & 0o077 for path in (tmp_path / "zone").rglob("*")}

    assert modes == {0}
