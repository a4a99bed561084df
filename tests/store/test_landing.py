import hashlib
import io
import json
import random
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import boto3
import polars as pl
import pytest
from moto.server import ThreadedMotoServer

from banyan.clock import today
from banyan.config import LandingConfig, ProviderConfig
from banyan.errors import (
    ConfigurationError,
    ConservationBroken,
    SourceUnreadable,
    StoreUnavailable,
    UsageError,
)
from store.bucket import Bucket
from store.keys import DEFAULT_KEY_FILE, KeyRing, create_key
from store.landing import S3Door, open_landing
from store.parcels import canonical
from store.provider import check_address

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
    assert (parcel.name, parcel.rows, parcel.scope) == (NAME, 3, f"38/{today():%Y-%m}")
    assert parcel.bytes == len(zone.objects.read(f"parcels/{NAME}/{parcel.sha256}.parquet"))
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


@pytest.mark.parametrize("folder", ["parcels", "manifests", "keys"])
def test_each_flipped_bit_of_a_local_parcel_is_found(tmp_path, folder):
    open_landing(LandingConfig(path="zone"), folder=tmp_path).write_parcel(NAME, ROWS, metadata={"table": "t_proc"})
    (stored,) = [path for path in (tmp_path / "zone" / folder).rglob("*") if path.is_file()]
    whole = stored.read_bytes()

    for place in range(0, len(whole), max(1, len(whole) // 60)):
        damaged = bytearray(whole)
        damaged[place] ^= 0x04
        stored.write_bytes(damaged)
        zone = open_landing(LandingConfig(path="zone"), folder=tmp_path)
        with pytest.raises(SourceUnreadable, match="damaged"):
            zone.read_parcel(NAME)
    stored.write_bytes(whole)
    assert open_landing(LandingConfig(path="zone"), folder=tmp_path).read_parcel(NAME).equals(ROWS)


def test_a_flipped_bit_in_the_bucket_is_found(bucket, tmp_path):
    zone = open_landing(bucket, folder=tmp_path)
    parcel = zone.write_parcel(NAME, ROWS, metadata={})
    client, key = client_of(bucket.endpoint_url), f"banyan/38/parcels/{NAME}/{parcel.sha256}.parquet"
    body = bytearray(client.get_object(Bucket=bucket.bucket, Key=key)["Body"].read())
    body[len(body) // 2] ^= 1

    client.put_object(Bucket=bucket.bucket, Key=key, Body=bytes(body))

    with pytest.raises(SourceUnreadable, match="its digest is not the one of its manifest"):
        zone.read_parcel(NAME)


def test_equal_rows_are_the_same_parcel_however_the_frame_was_made(zone):
    pieces = pl.concat([ROWS[:1], ROWS[1:2], ROWS[2:]], rechunk=False)
    sliced = pl.concat([OTHER, ROWS, OTHER]).slice(3, 3)

    first = zone.write_parcel(NAME, ROWS, metadata={})

    assert zone.write_parcel(NAME, pieces, metadata={}) == first
    assert zone.write_parcel(NAME, sliced, metadata={}) == first
    assert zone.write_parcel("38/another", ROWS, metadata={}).sha256 != first.sha256


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
    assert count_objects(bucket) == 4  # the proof of conditional writes, the data key, the bytes, the manifest


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
        import os, random, resource, sys
        from pathlib import Path
        import polars as pl
        from banyan.config import LandingConfig, ProviderConfig
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
        print([path.name for path in Path(sys.argv[1]).rglob("*") if path.is_file() and "landing/parcels" in str(path)])
        zone.write_parcel("38/t_proc", frame, metadata={})
        print(zone.read_parcel("38/t_proc").equals(frame), flush=True)
        os._exit(0)  # how the threads of a library end on a busy machine is not what is looked at
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


def everything_in(zone):
    return [
        zone.objects.read(path) for folder in ("keys", "manifests", "parcels") for path in zone.objects.list(folder)
    ]


def test_no_clear_value_stands_in_any_byte_of_the_landing_zone(zone):
    frame = pl.DataFrame({"nom_patronymique": ["DUPOND-MARTINEAU"] * 500, "num_dossier": ["00123/2019"] * 500})

    zone.write_parcel(NAME, frame, metadata={"table": "t_personne"})

    stored = everything_in(zone)
    assert len(stored) == 3
    for clear in (b"DUPOND-MARTINEAU", b"00123/2019", b"nom_patronymique", b"num_dossier"):
        assert not any(clear in body for body in stored)
    assert zone.read_parcel(NAME).equals(frame)


def test_who_holds_the_bucket_but_not_the_key_reads_nothing(zone, tmp_path_factory):
    zone.write_parcel(NAME, ROWS, metadata={})

    thief = tmp_path_factory.mktemp("thief")
    (body,) = [zone.objects.read(path) for path in zone.objects.list("parcels")]
    (thief / "stolen.parquet").write_bytes(body)
    other = thief / DEFAULT_KEY_FILE
    create_key(other)
    stolen = type(zone)(zone.objects, lambda _: KeyRing(bytes.fromhex(other.read_text().strip())))

    with pytest.raises(ConfigurationError, match="was wrapped by another key-encryption key"):
        stolen.read_parcel(NAME)
    with pytest.raises(pl.exceptions.ComputeError):
        pl.read_parquet(thief / "stolen.parquet")


def test_a_parcel_of_another_name_with_a_manifest_made_to_fit_is_refused(tmp_path):
    zone = open_landing(LandingConfig(path="zone"), folder=tmp_path)
    mine, other = (zone.write_parcel(f"38/{name}", frame, metadata={}) for name, frame in (("a", ROWS), ("b", OTHER)))
    manifest = tmp_path / "zone/manifests/38/a.json"
    content = json.loads(manifest.read_text())
    seal = content.pop("~seal")
    content |= {"sha256": other.sha256, "salt": other.salt, "bytes": other.bytes}
    del content["~digest"]
    content["~digest"] = hashlib.sha256(canonical(content)).hexdigest()

    manifest.write_bytes(canonical({**content, "~seal": seal}))
    body = tmp_path / f"zone/parcels/38/a/{other.sha256}.parquet"
    body.write_bytes((tmp_path / f"zone/parcels/38/b/{other.sha256}.parquet").read_bytes())

    assert mine.sha256 != other.sha256
    with pytest.raises(SourceUnreadable, match="was not sealed with its data key"):
        zone.read_parcel("38/a")


def test_a_project_that_lost_its_key_does_not_start(tmp_path):
    open_landing(LandingConfig(), folder=tmp_path).write_parcel(NAME, ROWS, metadata={})
    (tmp_path / DEFAULT_KEY_FILE).unlink()
    zone = open_landing(LandingConfig(), folder=tmp_path)

    for use in (
        lambda: zone.read_parcel(NAME),
        lambda: zone.write_parcel("38/x", ROWS, metadata={}),
        lambda: zone.keys,
    ):
        with pytest.raises(ConfigurationError, match=r"the key-encryption key landing\.key is not there; nothing was"):
            use()
    assert not (tmp_path / DEFAULT_KEY_FILE).exists()


def test_a_key_that_the_project_names_is_never_made_by_itself(tmp_path):
    zone = open_landing(LandingConfig(key="file:kek"), folder=tmp_path)

    with pytest.raises(ConfigurationError, match="kek is not there"):
        zone.write_parcel(NAME, ROWS, metadata={})

    create_key(tmp_path / "kek")
    assert zone.write_parcel(NAME, ROWS, metadata={}).rows == 3
    assert (tmp_path / "kek").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("key", ["env:KEK_OF_TESTS", "secret itself", "file:short"])
def test_a_key_comes_by_reference_and_is_a_key(tmp_path, monkeypatch, key):
    monkeypatch.setenv("KEK_OF_TESTS", "not a key")
    (tmp_path / "short").write_text("abc")
    zone = open_landing(LandingConfig(key=key), folder=tmp_path)

    with pytest.raises(ConfigurationError, match="nothing was read or written"):
        zone.write_parcel(NAME, ROWS, metadata={})

    monkeypatch.setenv("KEK_OF_TESTS", "ab" * 32)
    assert open_landing(LandingConfig(key="env:KEK_OF_TESTS"), folder=tmp_path).write_parcel(NAME, ROWS, metadata={})


def test_two_processes_that_need_a_data_key_at_once_use_the_same(zone):
    twin = type(zone)(zone.objects, lambda _: zone.keys)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda pair: pair[0].write_parcel(f"38/{pair[1]}", ROWS, metadata={}), [(zone, 1), (twin, 2)]))

    assert len(list(zone.objects.list("keys/"))) == 1
    assert [zone.read_parcel(name).equals(ROWS) for name in ("38/1", "38/2")] == [True, True]


def test_only_the_columns_asked_for_are_read_back(zone):
    zone.write_parcel(NAME, ROWS, metadata={})

    assert zone.read_parcel(NAME, ["observ"]).equals(ROWS.select("observ"))


def test_a_large_parcel_goes_up_in_parts_and_comes_back_whole(bucket):
    door = S3Door(bucket)
    objects = Bucket(door, bucket.prefix, part_bytes=5 << 20)
    body = random.Random(3).randbytes((5 << 20) + 7)

    assert objects.create("parcels/large", body)
    assert not objects.create("parcels/large", body)

    head = door.ask("head_object", {"Key": f"{bucket.prefix}/parcels/large"})
    assert head["ETag"].strip('"').endswith("-2")
    assert objects.read("parcels/large") == body


def test_a_region_off_the_allow_list_is_refused_before_a_byte_is_sent(bucket, tmp_path):
    config = bucket.model_copy(update={"provider": ProviderConfig(regions=("fr-par",))})

    with pytest.raises(ConfigurationError, match=r"region eu-west-3 .* is refused.*nothing was sent"):
        open_landing(config, folder=tmp_path)

    named = bucket.model_copy(
        update={
            "allowed_endpoints": (),
            "provider": ProviderConfig(endpoints=(bucket.endpoint_url,), regions=("eu-west-3",)),
        }
    )
    assert open_landing(named, folder=tmp_path).write_parcel(NAME, ROWS, metadata={}).rows == 3


def test_a_redirect_of_the_server_does_not_lead_off_the_allow_list(bucket, tmp_path):
    elsewhere = bucket.model_copy(
        update={"endpoint_url": "http://localhost:9", "allowed_endpoints": ("http://localhost:9",)}
    )

    with pytest.raises(ConfigurationError, match=r"sends us to 127\.0\.0\.1, which it is not; nothing was sent there"):
        check_address(elsewhere, f"{bucket.endpoint_url}/{bucket.bucket}/x")

    assert check_address(bucket, f"{bucket.endpoint_url}/{bucket.bucket}/x") is None


def test_encryption_that_was_asked_for_and_is_not_announced_is_refused(bucket, tmp_path):
    class Silent(S3Door):
        def ask(self, operation, parameters, answers=None):
            answer = super().ask(operation, parameters, answers)
            return {name: value for name, value in answer.items() if name != "ServerSideEncryption"}

    announced = Bucket(S3Door(bucket), "a", server_encryption="AES256")
    ignored = Bucket(Silent(bucket), "b", server_encryption="AES256")

    assert announced.create("x", b"1")
    with pytest.raises(ConfigurationError, match="was asked for encryption AES256 and announces none"):
        ignored.create("x", b"1")


def test_a_plain_parcel_of_an_earlier_release_is_read_on_the_own_disk_and_never_from_a_bucket(zone):
    sink = io.BytesIO()
    ROWS.write_parquet(sink)
    body = sink.getvalue()
    digest = hashlib.sha256(body).hexdigest()
    content = {"bytes": len(body), "metadata": {}, "name": "38/old", "rows": 3, "sha256": digest, "version": 1}
    manifest = canonical({**content, "~digest": hashlib.sha256(canonical(content)).hexdigest()})

    zone.objects.create(f"parcels/38/old/{digest}.parquet", body)
    zone.objects.create("manifests/38/old.json", manifest)

    if zone.objects.is_remote:
        with pytest.raises(SourceUnreadable, match="not encrypted, in a bucket that others hold"):
            zone.read_parcel("38/old")
    else:
        assert zone.read_parcel("38/old").equals(ROWS)


def test_a_sealed_value_opens_only_where_it_belongs(tmp_path):
    keys, other = KeyRing(b"k" * 32), KeyRing(b"o" * 32)
    sealed = keys.seal("38", b"31/02/1950", place="38/4/12345/ddn")

    assert keys.open(sealed, place="38/4/12345/ddn") == b"31/02/1950"
    assert KeyRing(b"k" * 32).open(sealed, place="38/4/12345/ddn") == b"31/02/1950"
    assert b"1950" not in sealed
    for ring, place in ((keys, "38/4/12346/ddn"), (other, "38/4/12345/ddn")):
        with pytest.raises(SourceUnreadable, match="does not open"):
            ring.open(sealed, place=place)
    for number in range(len(sealed)):
        flipped = bytearray(sealed)
        flipped[number] ^= 1
        with pytest.raises(SourceUnreadable, match="does not open"):
            keys.open(bytes(flipped), place="38/4/12345/ddn")
