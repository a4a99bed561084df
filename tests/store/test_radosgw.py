"""The landing zone on a real Ceph object gateway, which refuses what a test server lets pass."""

import json

import boto3
import polars as pl
import pytest
from radosgw import Gateway, find_missing, open_gateway

from banyan.config import PROJECT_FILE, LandingConfig, ProviderConfig
from banyan.errors import ConfigurationError
from cli.main import run
from store.bucket import Bucket
from store.landing import S3Door, open_landing
from store.provider import Answer, probe

pytestmark = pytest.mark.torture
ROWS = pl.DataFrame({"num_proc": ["00123/2019  ", "00124/2019  ", None], "observ": ["", "é", "x"]})


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    missing = find_missing()
    if missing:
        pytest.skip(f"NOT RUN against Ceph: {', '.join(missing)} not installed (Debian: radosgw ceph-mon ceph-osd)")
    with open_gateway(tmp_path_factory.mktemp("ceph")) as found:
        yield found


def client_of(gateway: Gateway):
    return boto3.client(
        "s3", endpoint_url=gateway.endpoint, region_name="default",
        aws_access_key_id=gateway.access_key, aws_secret_access_key=gateway.secret_key,
    )  # fmt: skip


def config_of(gateway: Gateway, bucket: str, folder, *, has_lock: bool = False, **profile) -> LandingConfig:
    client_of(gateway).create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=has_lock)
    (folder / "access").write_text(gateway.access_key)
    (folder / "secret").write_text(gateway.secret_key)
    return LandingConfig(
        kind="s3", bucket=bucket, prefix="banyan/38", endpoint_url=gateway.endpoint, region="default",
        access_key=f"file:{folder}/access", secret_key=f"file:{folder}/secret",
        provider=ProviderConfig(name="ceph", endpoints=(gateway.endpoint,), regions=("default",), **profile),
    )  # fmt: skip


@pytest.mark.parametrize("checksums", ["when_required", "when_supported"])
def test_a_first_parcel_lands_and_comes_back(gateway, tmp_path, checksums):
    zone = open_landing(config_of(gateway, checksums.replace("_", "-"), tmp_path, checksums=checksums), folder=tmp_path)

    first = zone.write_parcel("38/ORION/a", ROWS, metadata={})

    assert zone.write_parcel("38/ORION/a", ROWS, metadata={}) == first
    assert zone.read_parcel("38/ORION/a").equals(ROWS)
    assert [parcel.name for parcel in zone.list_parcels("38/")] == ["38/ORION/a"]


def test_the_probe_finds_a_gateway_that_compares_and_authenticates(gateway, tmp_path):
    config = config_of(gateway, "probed", tmp_path)

    found = {one.name: one for one in probe(S3Door(config), S3Door(config, secret="wrong"), config)}

    answers = {name: one.answer for name, one in found.items()}
    assert all(one.is_enough for one in found.values())
    assert answers["conditional PUT"] is answers["one winner of eight writers"] is Answer.YES
    assert answers["multipart"] is answers["wrong Content-MD5 is refused"] is Answer.YES
    assert answers["wrong secret is refused"] is Answer.YES
    assert answers["wrong SHA-256 checksum is refused"] is Answer.NO  # kept without a word: our digests decide


def test_encryption_that_the_gateway_does_not_give_is_refused(gateway, tmp_path):
    config = config_of(gateway, "unsealed", tmp_path, encryption="AES256")

    with pytest.raises(ConfigurationError, match=r"refuses \(InvalidRequest\); nothing was committed"):
        open_landing(config, folder=tmp_path).write_parcel("38/a", ROWS, metadata={})


def test_a_large_object_goes_up_in_parts(gateway, tmp_path):
    config = config_of(gateway, "large", tmp_path)
    body = bytes(range(256)) * (11 << 12)
    objects = Bucket(S3Door(config), config.prefix, part_bytes=5 << 20)

    assert objects.create("parcels/large", body)
    assert objects.read("parcels/large") == body


PROJECT = """\
project: test
landing:
  kind: s3
  bucket: {config.bucket}
  prefix: {config.prefix}
  endpoint_url: {config.endpoint_url}
  region: default
  access_key: {config.access_key}
  secret_key: {config.secret_key}
  provider: {{name: ceph, endpoints: ["{config.endpoint_url}"], regions: [default]{more}}}
departments: {{}}
"""


def probed(config: LandingConfig, folder, capsys, more: str = ""):
    """Run the command; gives its exit code, its answers by name, and the file it wrote."""
    (folder / PROJECT_FILE).write_text(PROJECT.format(config=config, more=more))
    capsys.readouterr()
    code = run(["-C", str(folder), "provider", "probe", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert json.loads((folder / ".banyan" / "provider.json").read_text()) == told
    return code, {one["name"]: one["answer"] for one in told["results"]}, told


def left_in(gateway: Gateway, bucket: str) -> list[str]:
    found = client_of(gateway).list_object_versions(Bucket=bucket)
    return [one["Key"] for one in (*found.get("Versions", ()), *found.get("DeleteMarkers", ()))]


def test_the_command_says_what_a_plain_bucket_of_the_gateway_does(gateway, tmp_path, capsys):
    code, answers, told = probed(config_of(gateway, "by-command", tmp_path), tmp_path, capsys)

    assert (code, told["is_enough"]) == (0, True)
    assert (told["provider"], told["endpoint"], told["bucket"]) == ("ceph", gateway.endpoint, "by-command")
    assert answers == {
        "conditional PUT": "yes",
        "one winner of eight writers": "yes",
        "read back": "yes",
        "wrong Content-MD5 is refused": "yes",
        "wrong SHA-256 checksum is refused": "no",
        "multipart": "yes",
        "wrong secret is refused": "yes",
        "versioning": "no",
        "object lock": "no",
        "encryption announced": "refused",
    }
    assert gateway.secret_key not in json.dumps(told)
    assert left_in(gateway, "by-command") == []


def test_a_bucket_of_the_gateway_with_versions_overwrites_in_silence_and_the_command_says_no(gateway, tmp_path, capsys):
    """Ceph 16 forgets If-None-Match where a bucket keeps versions; a lock demands versions."""
    code, answers, told = probed(config_of(gateway, "locked", tmp_path, has_lock=True), tmp_path, capsys)

    assert (code, told["is_enough"]) == (3, False)
    assert (answers["conditional PUT"], answers["one winner of eight writers"]) == ("no", "no")
    assert (answers["versioning"], answers["object lock"]) == ("yes", "yes")
    assert {answers[name] for name in ("read back", "multipart", "wrong secret is refused")} == {"yes"}
    assert left_in(gateway, "locked") == []


def test_the_command_says_no_where_encryption_is_asked_for_and_not_given(gateway, tmp_path, capsys):
    config = config_of(gateway, "without-encryption", tmp_path)

    code, answers, told = probed(config, tmp_path, capsys, more=", encryption: AES256")

    assert (code, told["is_enough"]) == (3, False)
    assert [name for name, answer in answers.items() if answer == "refused"] == ["encryption announced"]
    assert left_in(gateway, "without-encryption") == []
