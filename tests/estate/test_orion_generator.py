"""The generator alone: the same seed gives the same estate, and the ledger tells the whole truth about it."""

import polars as pl
import pytest
from defect_signs import keys_with_sign

from banyan.errors import UsageError
from estate.catalogue import Defect
from estate.orion import Estate, generate
from estate.schema import key_column, legacy_tables

PAIRS = (
    Defect.DUPLICATE_IN_CASE, Defect.DUPLICATE_ACROSS_UNITS, Defect.USE_NAME_AS_BIRTH_NAME, Defect.SURNAME_TYPO,
)  # fmt: skip


@pytest.fixture(scope="module")
def estate() -> Estate:
    return generate("XS", seed=1)


@pytest.fixture(scope="module")
def larger() -> Estate:
    return generate("S", seed=7)


def test_the_same_seed_gives_the_same_bytes(estate: Estate) -> None:
    again = generate("XS", seed=1)

    assert again.digest() == estate.digest()
    assert again.defects.equals(estate.defects)


def test_the_bytes_of_seed_1_do_not_change_from_one_release_to_the_next(estate: Estate) -> None:
    assert estate.digest() == "8497d8bd9c60cc072c38271941dad66e86414d430b1732741a84097e5d6079fa"


def test_another_seed_gives_another_estate(estate: Estate) -> None:
    other = generate("XS", seed=2)

    assert other.digest() != estate.digest()
    assert not other.tables["t_personne"].equals(estate.tables["t_personne"])


def test_the_volumes_keep_the_proportions_of_a_real_department(larger: Estate) -> None:
    cases = larger.tables["t_proc"].height
    per_case = {
        "t_fait": 1.15, "t_personne": 1.9, "t_piece": 4.5, "t_adresse": 1.6, "t_tel": 1.1, "t_objet": 0.6,
        "t_vehic": 0.18, "t_scelle": 0.12, "t_gav": 0.08, "t_mainc": 1.6,
    }  # fmt: skip

    assert cases == 1592
    for table, expected in per_case.items():
        assert larger.tables[table].height / cases == pytest.approx(expected, rel=0.01), table
    chains = larger.tables["t_mvt_scelle"].height / larger.tables["t_scelle"].height
    assert chains == pytest.approx(2.3, rel=0.15)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_value_is_wider_than_its_column_and_chars_are_padded_to_it(seed: int) -> None:
    for table, frame in generate("XS", seed).tables.items():
        columns = legacy_tables()[table]
        assert frame.columns == [column.name for column in columns]
        for column in columns:
            lengths = frame[column.name].drop_nulls().str.len_chars()
            if column.is_padded:
                assert (lengths == column.width).all(), (table, column.name)
            elif column.kind != "timestamp" and len(lengths):
                assert int(lengths.max() or 0) <= column.width, (table, column.name)
                assert int(lengths.min() or 0) > 0, "ORION has no empty string"


@pytest.mark.parametrize("seed", [1, 4, 9])
def test_every_defect_of_the_catalogue_occurs_in_the_smallest_estate(seed: int) -> None:
    found = set(generate("XS", seed).defects["kind"])

    assert found == {defect.kind for defect in Defect}


@pytest.mark.parametrize("defect", [defect for defect in Defect if defect not in PAIRS], ids=lambda d: d.kind)
@pytest.mark.parametrize("which", ["XS", "S"])
def test_the_ledger_names_exactly_the_rows_that_show_the_defect(
    defect: Defect, which: str, estate: Estate, larger: Estate
) -> None:
    subject = estate if which == "XS" else larger

    planted = subject.defects.filter(pl.col("kind") == defect.kind)
    shown = keys_with_sign(subject, defect)

    assert sorted(planted["key"]) == sorted(shown)
    assert planted["number"].unique().to_list() == [defect.value.number]
    assert planted["column"].unique().to_list() == [defect.value.column]


@pytest.mark.parametrize("which", ["XS", "S"])
def test_a_duplicate_is_the_same_person_as_the_record_it_names(which: str, estate: Estate, larger: Estate) -> None:
    subject = estate if which == "XS" else larger
    persons = subject.tables["t_personne"]
    cases = subject.tables["t_proc"].select("id_proc", "id_unite")
    first = subject.tables["t_implic"].unique("id_pers", keep="first", maintain_order=True)
    place = first.join(cases, on="id_proc").select("id_pers", "id_proc", "id_unite")
    pairs = (
        subject.defects.filter(pl.col("number").is_in([1, 2]))
        .join(persons, left_on="key", right_on="id_pers")
        .join(persons, left_on="related_key", right_on="id_pers", suffix="_of_original")
    )
    placed = pairs.join(place, left_on="key", right_on="id_pers").join(
        place, left_on="related_key", right_on="id_pers", suffix="_of_original"
    )

    for column in ("prenom", "lieu_naiss", "profession", "code_naiss"):
        assert pairs[column].equals(pairs[f"{column}_of_original"], null_equal=True), column
    assert (pairs["key"].cast(int) > pairs["related_key"].cast(int)).all()
    within, across = (placed.filter(pl.col("number") == number) for number in (1, 2))
    assert (within["id_proc"] == within["id_proc_of_original"]).all()
    assert (across["id_unite"] != across["id_unite_of_original"]).all()
    assert within.height > 0
    assert across.height > 0


def test_a_duplicate_under_the_use_name_bears_the_last_part_of_the_full_name(larger: Estate) -> None:
    pairs = _named_pairs(larger, Defect.USE_NAME_AS_BIRTH_NAME)

    assert pairs.height > 20
    assert all(full.endswith(f" EP. {use}") for use, full in pairs.select("nom", "original").iter_rows())


def test_a_typo_swaps_two_letters_and_nothing_else(larger: Estate) -> None:
    pairs = _named_pairs(larger, Defect.SURNAME_TYPO)

    assert pairs.height > 20
    for wrong, right in pairs.select("nom", "original").iter_rows():
        assert wrong != right
        assert sorted(wrong) == sorted(right)


def test_frequencies_follow_the_catalogue(larger: Estate) -> None:
    counted = dict(larger.defects.group_by("kind").len().iter_rows())

    for defect in (Defect.DUPLICATE_ACROSS_UNITS, Defect.PAST_RETENTION, Defect.PHONE_NINE_DIGITS, Defect.SEX_AS_DIGIT):
        rows = larger.tables[defect.value.table].height
        expected = rows * defect.value.per_ten_thousand / 10_000
        assert counted[defect.kind] == pytest.approx(expected, rel=0.03, abs=1), defect.kind


def test_keys_are_unique_and_references_hold_except_for_the_orphans_of_the_ledger(larger: Estate) -> None:
    parents = {
        "id_proc": "t_proc", "id_pers": "t_personne", "id_implic": "t_implic", "id_fait": "t_fait",
        "id_unite": "t_unite", "id_agent": "t_agent", "id_scelle": "t_scelle", "id_objet": "t_objet",
    }  # fmt: skip
    orphans = larger.defects.filter(pl.col("number") == 20).height
    dangling = 0
    for table, frame in larger.tables.items():
        if not table.startswith("t_"):
            continue
        assert frame[key_column(table)].is_unique().all(), table
        for column in set(frame.columns[1:]) & set(parents):
            known = larger.tables[parents[column]][column]
            dangling += frame[column].drop_nulls().is_in(known.implode()).not_().sum()

    assert dangling == orphans


def test_the_ledger_holds_keys_and_names_of_columns_only(estate: Estate) -> None:
    ledger = estate.defects

    assert ledger.columns == ["number", "kind", "table", "key", "column", "related_key"]
    assert ledger["key"].str.contains(r"^\d+$").all()
    assert ledger["related_key"].drop_nulls().str.contains(r"^\d+$").all()


def test_phone_numbers_stay_in_the_ranges_kept_for_fiction(larger: Estate) -> None:
    digits = larger.tables["t_tel"]["num_tel"].str.replace_all(r"\D", "")
    national = digits.str.replace(r"^(0033|33)", "0")

    french = national.str.contains(r"^0?(19900|26191|35301|46571|53649|63998)\d{4}")
    fiction = french | national.str.starts_with("447700900")

    assert fiction.all()


def test_siv_plates_never_hold_the_letters_the_register_never_gave(larger: Estate) -> None:
    siv = larger.tables["t_vehic"]["immat"].str.extract(r"^([A-Z]{2})-\d{3}-[A-Z]{2}$").drop_nulls()

    assert len(siv) > 50
    assert not siv.str.contains("[IOU]").any()


def test_a_department_without_an_orion_is_refused() -> None:
    with pytest.raises(UsageError, match="nothing was generated"):
        generate("XS", seed=1, department="99")


def test_an_unknown_size_is_refused() -> None:
    with pytest.raises(UsageError, match="not a size"):
        generate("XXL", seed=1)


def test_the_representation_of_an_estate_shows_no_row(estate: Estate) -> None:
    assert repr(estate) == "Estate(department_code='38')"


def _named_pairs(estate: Estate, defect: Defect) -> pl.DataFrame:
    persons = estate.tables["t_personne"]
    return (
        estate.defects.filter(pl.col("kind") == defect.kind)
        .join(persons.select("id_pers", "nom"), left_on="key", right_on="id_pers")
        .join(persons.select("id_pers", original="nom"), left_on="related_key", right_on="id_pers")
    )
