"""The sample to the paper: drawn again it is the same, in proportion, blind; its bound is the exact one."""

import csv
import io
import re
from collections import Counter
from dataclasses import replace

import pytest
from sample_evidence import good_facts

from banyan.findings import LevelResult, LevelState
from validation.behaviour import combine
from validation.gate import examine
from validation.profiles import PROFILES
from validation.sampling import (
    HEADER,
    Candidate,
    draw_sample,
    read_answers,
    sample_level,
    sentence,
    size_needed,
    upper_bound_per_million,
    write_list,
)

CANDIDATES = [
    Candidate("t_proc", str(number), f"{number:05d}/2020", f"U{number % 4}", str(2018 + number % 3))
    for number in range(1, 1201)
]


def drawn(size=60, seed=7):
    return draw_sample(CANDIDATES, size, seed=seed, closure="38.cases", rules_digest="r")


def answered(sample, answers):
    lines = write_list(sample).splitlines()
    filled = [f"{line.rsplit(',', 2)[0]},{answer}," for line, answer in zip(lines[1:], answers, strict=True)]
    return "\n".join([lines[0], *filled]) + "\n"


@pytest.mark.parametrize(
    ("population", "most_per_million", "defects", "size"),
    [(10**9, 10_000, 0, 299), (10**9, 10_000, 1, 473), (10**9, 1_000, 0, 2_995), (48_000, 1_000, 0, 2_903),
     (2_000, 10_000, 0, 277)],
)  # fmt: skip
def test_the_sizes_are_the_exact_ones(population, most_per_million, defects, size):
    assert size_needed(population, most_per_million=most_per_million, defects=defects) == pytest.approx(size, abs=1)


def test_the_bound_is_the_rule_of_three_and_better_on_a_small_base():
    assert upper_bound_per_million(10**9, 299, 0) == pytest.approx(9_969, abs=2)
    assert upper_bound_per_million(10**9, 300, 0) <= 3 * 10**6 // 300
    assert upper_bound_per_million(400, 300, 0) < upper_bound_per_million(10**9, 300, 0)
    assert upper_bound_per_million(10**9, 100, 3) == pytest.approx(75_710, rel=0.002)  # Clopper and Pearson
    assert upper_bound_per_million(10**9, 0, 0) == 10**6
    assert upper_bound_per_million(500, 500, 0) <= 2_000, "all were read: at most the one that is not whole"


def test_the_same_seed_draws_the_same_list_and_another_seed_another():
    assert drawn() == drawn()
    assert drawn().digest == drawn().digest
    assert drawn(seed=8).digest != drawn().digest


def test_strata_are_drawn_in_proportion_and_nobody_twice():
    sample = drawn(size=120)
    strata = Counter((each.unit, each.year) for each in sample.drawn)

    assert len({(each.table, each.key) for each in sample.drawn}) == 120
    assert set(strata.values()) == {10}
    assert len(strata) == 12


def test_the_order_of_reading_follows_neither_key_nor_stratum():
    keys = [int(each.key) for each in drawn().drawn]

    assert keys != sorted(keys)


def test_the_list_is_blind_and_no_cell_is_a_formula():
    candidate = Candidate("t_proc", "1", "=HYPERLINK(1)", "U", "2020")
    sheet = write_list(draw_sample([candidate], 1, seed=1, closure="c", rules_digest="r"))

    assert sheet.splitlines()[0] == ",".join(HEADER)
    assert ",'=HYPERLINK(1)," in sheet


def test_a_key_that_is_a_formula_comes_back_as_the_key_that_was_drawn():
    keys = ("=1+1", "'=1+1", "@x", "", "a;=b", "-5", "\u202ex")
    candidates = [Candidate("t_tel", key, "x", "U", "2020") for key in keys]
    sample = draw_sample(candidates, 7, seed=1, closure="c", rules_digest="r")
    sheet = write_list(sample)
    lines = list(csv.DictReader(io.StringIO(sheet)))
    wrong = next(str(number) for number, each in enumerate(sample.drawn, 1) if each.key == "=1+1")
    answers = [line | {"answer": "different" if line["number"] == wrong else "same"} for line in lines]
    given = io.StringIO()
    writer = csv.DictWriter(given, HEADER, lineterminator="\n")
    writer.writeheader()
    writer.writerows(answers)

    result = read_answers(sample, given.getvalue())

    assert not any(line["key"].startswith(("=", "@")) for line in lines)
    assert [each.key for each in result.different] == ["=1+1"]
    assert result.same == 6


def test_an_answered_list_gives_its_sentence_in_both_languages():
    sample = drawn()
    result = read_answers(sample, answered(sample, ["same"] * 60))

    assert result.read == 60
    assert sentence(result).en == (
        "60 records drawn by lot from 1,200 and compared to the paper, 0 different: one may say at 95% that fewer"
        " than 4.67% of the records differ."
    )
    assert "1\u202f200" in sentence(result).fr
    assert sample_level(result, rules_digest="r").state is LevelState.PASS


def test_one_record_that_differs_is_named_and_fails():
    sample = drawn()
    level = sample_level(read_answers(sample, answered(sample, ["different", *["same"] * 59])), rules_digest="r")

    assert level.state is LevelState.FAIL
    assert [(each.table, each.key) for each in level.findings] == [(sample.drawn[0].table, sample.drawn[0].key)]


def test_a_list_not_read_to_its_end_or_read_under_other_rules_proves_nothing():
    sample = drawn()
    half = read_answers(sample, answered(sample, ["same"] * 30 + [""] * 30))
    whole = read_answers(sample, answered(sample, ["same"] * 60))

    assert sample_level(half, rules_digest="r").state is LevelState.NOT_RUN
    assert sample_level(whole, rules_digest="other").state is LevelState.STALE
    assert sample_level(None, rules_digest="r") is None


def test_a_record_without_a_file_is_not_one_that_was_read():
    sample = drawn()
    result = read_answers(sample, answered(sample, ["no file"] * 10 + ["same"] * 50))

    assert (result.read, result.no_file) == (50, 10)


@pytest.mark.parametrize("damage", ["drop", "twice", "foreign", "word"])
def test_a_list_that_is_not_the_one_that_went_out_is_refused(damage):
    sample = drawn()
    lines = answered(sample, ["same"] * 60).splitlines()
    if damage == "drop":
        lines.pop()
    elif damage == "twice":
        lines[2] = lines[1]
    elif damage == "foreign":
        lines[1] = lines[1].replace(f",{sample.drawn[0].key},", ",999999,", 1)
    else:
        lines[1] = lines[1].replace(",same,", ",yes,")

    with pytest.raises(ValueError, match=r"line|answer"):
        read_answers(sample, "\n".join(lines) + "\n")


def test_a_sample_is_as_large_as_its_base_at_most():
    few = replace(drawn(), drawn=())
    assert len(draw_sample(CANDIDATES[:5], 60, seed=1, closure="c", rules_digest="r").drawn) == 5
    assert few.population == 1200


def asked_in_full(sample, answers):
    """Give what the full profile finds wrong with facts whose only doubt is a sample answered like this."""
    level = combine([sample_level(read_answers(sample, answered(sample, answers)), rules_digest="r")])
    settled = {each.figure: 0 for each in PROFILES["full"].thresholds if each.level == "L5"}
    figures = {**settled, **level.figures, "parts": "open_work+replay+sample+statistics+totals"}
    facts = good_facts(profile=PROFILES["full"])
    others = tuple(each for each in facts.levels if each.level != "L5")
    facts = replace(facts, levels=(*others, LevelResult("L5", level.state, "", figures)))
    return [reason.sentence.en for reason in examine(PROFILES["full"], facts)]


def test_the_full_profile_wants_fewer_than_one_in_a_hundred_wrong_and_says_what_the_sample_bounds():
    enough = size_needed(len(CANDIDATES), most_per_million=10_000)
    one, few, whole = drawn(size=1), drawn(size=60), drawn(size=enough)

    (alone,) = asked_in_full(one, ["same"])
    assert re.fullmatch(r"L5: 9[45]\d,\d{3} records in a million may differ from the paper, at most 10,000\.", alone)
    assert asked_in_full(few, ["same"] * 60) == [
        "L5: 46,667 records in a million may differ from the paper, at most 10,000."
    ]
    assert asked_in_full(whole, ["same"] * enough) == []


def test_a_sample_whose_files_are_mostly_not_there_is_not_enough_however_it_is_counted():
    everything = drawn(size=len(CANDIDATES))

    most = asked_in_full(everything, ["same"] + ["no file"] * (len(CANDIDATES) - 1))
    many = asked_in_full(everything, ["same"] * 1139 + ["no file"] * 61)
    some = asked_in_full(everything, ["same"] * 1140 + ["no file"] * 60)

    assert [re.sub(r"9[45]\d,\d{3}", "nearly all", sentence) for sentence in most] == [
        "L5: nearly all records in a million may differ from the paper, at most 10,000.",
        "L5: 100 records in a hundred of the sample without a file, at most 5.",
    ]
    assert many == ["L5: 6 records in a hundred of the sample without a file, at most 5."]
    assert some == []
