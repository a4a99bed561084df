"""The landing zone on a real Ceph object gateway, which refuses what a test server lets pass."""

import boto3
import polars as pl
import pytest
from radosgw import Gateway, open_gateway

from banyan.config import LandingConfig, ProviderConfig
from banyan.errors import ConfigurationError
from store.bucket import Bucket
from store.landing import S3Door, open_landing
from store.provider import Answer, probe

pytestmark = pytest.mark.torture
ROWS = pl.DataFrame({"num_proc": ["00123/2019  ", "00124/2019  ", None], "observ": ["", "é", "x"]})


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with open_gateway(tmp_path_factory.mktemp("ceph")) as found:
        yield found


def config_of(gateway: Gateway, bucket: str, folder, **profile) -> LandingConfig:
    client = boto3.client(
        "s3", endpoint_url=gateway.endpoint, region_name="default",
        aws_access_key_id=gateway.access_key, aws_secret_access_key=gateway.secret_key,
    )  # fmt: skip
    client.create_bucket(Bucket=bucket)
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
