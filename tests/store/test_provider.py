"""What `banyan provider probe` finds out of a bucket, and what it leaves there."""

import json

import boto3
import pytest
from moto.server import ThreadedMotoServer

from banyan.config import PROJECT_FILE, LandingConfig, ProviderConfig
from banyan.errors import ConfigurationError
from cli.main import run
from store.landing import S3Door
from store.provider import Answer, check_provider, probe

REGION = "eu-west-3"


@pytest.fixture(scope="module")
def s3():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def make_bucket(endpoint, name, *, has_lock=False):
    client = boto3.client(
        "s3", endpoint_url=endpoint, region_name=REGION, aws_access_key_id="k", aws_secret_access_key="s"
    )
    client.create_bucket(
        Bucket=name,
        CreateBucketConfiguration={"LocationConstraint": REGION},
        ObjectLockEnabledForBucket=has_lock,
    )
    return client


def config_of(endpoint, name, folder, **profile):
    for key in ("access", "secret"):
        (folder / key).write_text("testing\n")
    return LandingConfig(
        kind="s3", bucket=name, prefix="banyan", endpoint_url=endpoint, region=REGION,
        access_key=f"file:{folder}/access", secret_key=f"file:{folder}/secret",
        provider=ProviderConfig(name="moto", endpoints=(endpoint,), regions=(REGION,), **profile),
    )  # fmt: skip


def test_a_probe_tells_what_the_server_does_and_leaves_nothing_behind(s3, tmp_path):
    client = make_bucket(s3, "plain")
    config = config_of(s3, "plain", tmp_path)

    found = {one.name: one for one in probe(S3Door(config), S3Door(config, secret="wrong"), config)}

    answers = {name: one.answer for name, one in found.items()}
    assert answers["conditional PUT"] is answers["one winner of eight writers"] is answers["multipart"] is Answer.YES
    assert answers["read back"] is answers["encryption announced"] is Answer.YES
    assert answers["versioning"] is answers["object lock"] is Answer.NO
    # this server compares no digest and authenticates nobody: the probe says so, and our own digests decide
    assert answers["wrong secret is refused"] is answers["wrong SHA-256 checksum is refused"] is Answer.NO
    assert all(one.is_enough for one in found.values())
    assert client.list_objects_v2(Bucket="plain")["KeyCount"] == 0


def test_lock_and_versioning_are_tried_where_they_are_announced_and_nothing_is_left(s3, tmp_path):
    client = make_bucket(s3, "locked", has_lock=True)
    config = config_of(s3, "locked", tmp_path)

    found = {one.name: one for one in probe(S3Door(config), S3Door(config, secret="wrong"), config)}

    assert found["versioning"].answer is found["object lock"].answer is Answer.YES
    assert found["versioning"].told == "Enabled: what is overwritten can be read"
    assert found["object lock"].told == "Enabled: a held object is not deleted"
    left = client.list_object_versions(Bucket="locked")
    assert (left.get("Versions", []), left.get("DeleteMarkers", [])) == ([], [])


def test_lock_and_versioning_that_are_only_announced_are_not_believed(s3, tmp_path):
    client = make_bucket(s3, "boasting")
    config = config_of(s3, "boasting", tmp_path)

    class Boasting(S3Door):
        """Announces both, and does as a bucket does that has neither."""

        def ask(self, operation, parameters, answers=None):
            if operation == "get_bucket_versioning":
                return {"Status": "Enabled"}
            if operation == "get_object_lock_configuration":
                return {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled"}}
            kept = {name: value for name, value in parameters.items() if not name.startswith("ObjectLock")}
            answer = super().ask(operation, kept, answers)
            return {"VersionId": "null", **answer} if operation == "put_object" else answer

    found = {one.name: one for one in probe(Boasting(config), S3Door(config, secret="wrong"), config)}

    assert found["versioning"].told == "Enabled, but what is overwritten is gone"
    assert found["object lock"].told == "Enabled, but a held object was deleted"
    assert found["versioning"].answer is found["object lock"].answer is Answer.NO
    assert client.list_objects_v2(Bucket="boasting")["KeyCount"] == 0


@pytest.mark.parametrize("endpoint", ["https://s3.region-a.example", "http://127.0.0.1:9"])
def test_no_region_is_allowed_where_none_is_listed_but_this_machine(endpoint):
    config = LandingConfig(
        kind="s3", bucket="b", endpoint_url=endpoint, region="region-a", provider=ProviderConfig(endpoints=(endpoint,))
    )

    if endpoint.startswith("https"):
        with pytest.raises(ConfigurationError, match=r"region region-a of the landing zone is refused.*nothing was se"):
            check_provider(config)
    else:
        check_provider(config)


def test_a_server_that_overwrites_is_not_enough(s3, tmp_path):
    make_bucket(s3, "careless")
    config = config_of(s3, "careless", tmp_path)

    class Careless(S3Door):
        def ask(self, operation, parameters, answers=None):
            kept = {name: value for name, value in parameters.items() if name != "IfNoneMatch"}
            return super().ask(operation, kept, answers)

    found = {one.name: one for one in probe(Careless(config), S3Door(config, secret="wrong"), config)}

    assert found["conditional PUT"].answer is Answer.NO
    assert found["one winner of eight writers"].told == "8 of 8 concurrent writers were accepted"
    assert not found["conditional PUT"].is_enough


def write_project(folder, landing):
    (folder / PROJECT_FILE).write_text(json.dumps({"project": "test", "landing": landing}))


def test_the_command_writes_what_it_found(s3, tmp_path, capsys, monkeypatch):
    make_bucket(s3, "commanded")
    monkeypatch.setenv("KEY_OF_TESTS", "k")
    landing = {
        "kind": "s3", "bucket": "commanded", "endpoint_url": s3, "region": REGION, "access_key": "env:KEY_OF_TESTS",
        "secret_key": "env:KEY_OF_TESTS", "provider": {"name": "moto", "endpoints": [s3], "regions": [REGION]},
    }  # fmt: skip
    write_project(tmp_path, landing)

    assert run(["-C", str(tmp_path), "provider", "probe"]) == 0
    told = capsys.readouterr().out
    written = json.loads((tmp_path / ".banyan" / "provider.json").read_text())

    assert "the second writer is refused" in told
    assert (written["provider"], written["bucket"], written["is_enough"]) == ("moto", "commanded", True)
    assert len(written["results"]) == 10


def test_nothing_is_sent_to_a_region_off_the_list_or_from_a_local_landing_zone(s3, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("KEY_OF_TESTS", "k")
    landing = {
        "kind": "s3", "bucket": "b", "endpoint_url": s3, "region": "us-east-1", "access_key": "env:KEY_OF_TESTS",
        "secret_key": "env:KEY_OF_TESTS", "provider": {"endpoints": [s3], "regions": [REGION]},
    }  # fmt: skip
    write_project(tmp_path, landing)

    assert run(["-C", str(tmp_path), "provider", "probe"]) == 2
    assert "region us-east-1 of the landing zone is refused" in capsys.readouterr().err

    write_project(tmp_path, {"kind": "local"})
    assert run(["-C", str(tmp_path), "provider", "probe"]) == 2
    assert "there is no provider to probe; nothing was sent" in capsys.readouterr().err
    assert not (tmp_path / ".banyan").exists()
