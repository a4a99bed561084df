"""What evidence was made with: in the hashed files, the same each time, without a key or a bare digest."""

import csv
import json
from dataclasses import replace
from decimal import Decimal
from importlib.metadata import version

import pytest
from judged import judged, subject_of, watermark_of
from sample_evidence import good_facts
from stores import make_store, store_template

from banyan.records import KeyRange
from validation.evidence import ProblemKind, verify_bundle, write_bundle
from validation.evidence_files import render_list
from validation.provenance import (
    BucketFact,
    ChunkPlan,
    bucket_facts,
    name_algorithms,
    plan_of,
    read_versions,
)
from validation.reconcile import reconcile
from validation.tripwire import check_tripwire

__all__ = ["judged", "make_store", "store_template"]
KEY = b"k" * 32
DIGESTS = {("item", 7): (3, -5, 12), ("case_file", 0): (1, 2, 2), ("item", 8): (0, 0, 0)}


def facts_with_provenance(key=KEY):
    return replace(
        good_facts(),
        versions=read_versions(),
        algorithms=name_algorithms("hash_record_extended/18"),
        chunks=(
            plan_of("t_fait", [KeyRange(None, "12"), KeyRange("12", None)], is_keyed=True, rows_per_chunk=9, key=key),
            plan_of("t_bare", [KeyRange(None, None)], is_keyed=False, rows_per_chunk=9, key=key),
        ),
        buckets=bucket_facts(DIGESTS, key),
    )


def test_versions_algorithms_the_plan_and_the_buckets_stand_in_the_hashed_files_and_come_back(tmp_path):
    facts = facts_with_provenance()
    bundle = write_bundle(facts, tmp_path / "one", previous_id=None)

    manifest = json.loads((bundle.folder / "manifest.json").read_text())["facts"]
    lines = list(csv.reader((bundle.folder / "buckets.csv").read_text().splitlines()))
    listed = (bundle.folder / "FILES.sha256").read_text()

    versions = {each["name"]: each["version"] for each in manifest["versions"]}
    assert versions["banyan-migration"] == version("banyan-migration")
    assert versions["great-expectations"] == version("great-expectations")
    assert "not installed" not in versions.values()
    assert {each["name"] for each in manifest["algorithms"]} >= {"bucket digest", "pseudonym", "signature"}
    assert [(each["table"], each["cut_by"], each["chunks"]) for each in manifest["chunks"]] == [
        ("t_fait", "key", 2), ("t_bare", "pages", 0)
    ]  # fmt: skip
    assert [line[:3] for line in lines] == [["table", "bucket", "records"], ["case_file", "0", "1"], ["item", "7", "3"]]
    assert "  buckets.csv\n" in listed
    assert "buckets" not in manifest
    assert verify_bundle(bundle.folder, evidence_id=bundle.evidence_id).facts.buckets == facts.buckets


def test_the_same_inputs_give_the_same_identifier_and_another_plan_or_bucket_another(tmp_path):
    facts = facts_with_provenance()
    others = [
        facts,
        facts_with_provenance(),
        replace(facts, chunks=facts.chunks[:1]),
        replace(facts, buckets=facts.buckets[:1]),
        replace(facts, versions=facts.versions[:1]),
        good_facts(),
    ]

    ids = [write_bundle(each, tmp_path / str(at), previous_id=None).evidence_id for at, each in enumerate(others)]

    assert ids[0] == ids[1]
    assert len(set(ids)) == len(ids) - 1


def test_without_them_the_manifest_is_that_of_earlier_evidence(tmp_path):
    bundle = write_bundle(good_facts(), tmp_path / "one", previous_id=None)

    manifest = json.loads((bundle.folder / "manifest.json").read_text())["facts"]

    assert not {"versions", "algorithms", "chunks", "buckets"} & set(manifest)
    assert not (bundle.folder / "buckets.csv").exists()
    assert verify_bundle(bundle.folder, evidence_id=bundle.evidence_id).is_sound


def test_a_bucket_changed_in_its_sheet_is_found(tmp_path):
    bundle = write_bundle(facts_with_provenance(), tmp_path / "one", previous_id=None)
    path = bundle.folder / "buckets.csv"
    path.write_text(path.read_text().replace("item,7,3", "item,7,4"))

    problems = {(each.kind, each.file) for each in verify_bundle(bundle.folder).problems}

    assert (ProblemKind.CHANGED, "buckets.csv") in problems


def test_a_sheet_of_buckets_that_says_nothing_sensible_is_unreadable_even_when_it_is_listed(tmp_path):
    bundle = write_bundle(facts_with_provenance(), tmp_path / "one", previous_id=None)
    (bundle.folder / "buckets.csv").write_text("table,bucket,records,digest\nitem,seven,3,ab\n")
    hashed = {path.name: path.read_bytes() for path in bundle.folder.iterdir()}
    kept = {name: content for name, content in hashed.items() if name not in ("FILES.sha256", "run.json")}
    (bundle.folder / "FILES.sha256").write_bytes(render_list(kept))

    assert ProblemKind.UNREADABLE in {each.kind for each in verify_bundle(bundle.folder).problems}


def test_no_key_of_a_row_and_no_digest_of_the_store_is_told(tmp_path):
    ranges = [KeyRange(None, "DURAND"), KeyRange("DURAND", None)]
    plan = plan_of("t_fait", ranges, is_keyed=True, rows_per_chunk=9, key=KEY)
    other = plan_of("t_fait", ranges, is_keyed=True, rows_per_chunk=9, key=b"q" * 32)

    assert isinstance(plan, ChunkPlan)
    assert plan.bounds_digest != other.bounds_digest
    assert "DURAND" not in repr(plan)
    mine, theirs = bucket_facts(DIGESTS, KEY), bucket_facts(DIGESTS, b"q" * 32)
    assert {each.digest for each in mine}.isdisjoint(each.digest for each in theirs)
    assert all(isinstance(each, BucketFact) and len(each.digest) == 32 for each in mine)


@pytest.mark.server
def test_a_pass_tells_how_it_cut_each_table_and_tells_it_again_in_the_same_way(judged):
    subject = replace(subject_of(judged), rows_per_chunk=100)

    first = reconcile(subject, watermark=watermark_of(judged))
    second = reconcile(subject, watermark=watermark_of(judged))
    some = reconcile(subject, watermark=None, keys_by_table={"t_tel": ["1"]})

    assert first.chunks == second.chunks
    assert some.chunks == ()
    assert [each.table for each in first.chunks] == list(subject.tables)
    for each in first.chunks:
        rows = judged.on_legacy(f"select count(*) from orion.{each.table}")[0][0]
        assert (each.cut_by, each.rows_per_chunk) == ("key", 100)
        assert each.chunks == max(1, rows // 100 + 1), each.table


@pytest.mark.server
def test_the_buckets_of_an_untouched_store_are_told_in_the_same_way_twice(judged):
    subject = subject_of(judged, role="banyan_judge")

    told = []
    for _ in range(2):
        fold = check_tripwire(subject, rules_digest="r" * 64).fold
        digests = {place: (each.records, each.xor_digest, int(each.sum_digest)) for place, each in fold.digests.items()}
        assert all(isinstance(each.sum_digest, Decimal) for each in fold.digests.values())
        told.append(bucket_facts(digests, subject.digest_key))

    assert told[0] == told[1]
    assert sum(each.records for each in told[0]) == sum(
        judged.place.run(f"select count(*) from justice.{table}")[0][0] for table in subject.canonical_tables
    )
