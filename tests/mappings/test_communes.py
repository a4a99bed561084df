"""The table of communes as a code map, on a small table and on the official one."""

import os
from pathlib import Path

import polars as pl
import pytest

from mappings.communes import commune_map
from mappings.lenses.places import commune_key

COLUMNS = ("TYPECOM", "COM", "NCC", "LIBELLE")
TABLE = pl.DataFrame(
    [
        ("COM", "38185", "GRENOBLE", "Grenoble"),
        ("COM", "01001", "ABERGEMENT CLEMENCIAT", "L'Abergement-Clémenciat"),
        ("COM", "97411", "SAINT DENIS", "Saint-Denis"),
        ("COM", "14001", "HAMEAU", "Hameau"),
        ("COM", "14002", "HAMEAU", "Hameau"),
        ("COMD", "49001", "DELEGUEE", "Déléguée"),
    ],
    schema=COLUMNS,
    orient="row",
)
MOVES = pl.DataFrame(
    [
        ("2019-01-01", "COM", "49100", "ANCIENNE", "Ancienne", "COM", "49200"),
        ("2024-01-01", "COM", "04045", "CERESTE", "Céreste", "COM", "04045"),
    ],
    schema=("DATE_EFF", "TYPECOM_AV", "COM_AV", "NCC_AV", "LIBELLE_AV", "TYPECOM_AP", "COM_AP"),
    orient="row",
)
NAMES = [
    ("St-Denis", "SAINT DENIS"),
    ("STE  FOY-lès-Lyon", "SAINTE FOY LES LYON"),
    ("GRENOBLE CEDEX 9", "GRENOBLE"),
    ("Lyon 3ème arrondissement", "LYON"),
    ("L'Abergement-Clémenciat", "L ABERGEMENT CLEMENCIAT"),
    ("Bœrsch", "BOERSCH"),
]


@pytest.mark.parametrize(("written", "key"), NAMES)
def test_a_name_is_found_however_it_is_written(written, key):
    assert pl.DataFrame({"n": [written]}).select(commune_key(pl.col("n"))).item() == key


def test_a_commune_is_found_by_department_and_name_with_its_article_or_without():
    entries = commune_map(TABLE).entries

    assert entries["38|GRENOBLE"] == "38185"
    assert entries["01|ABERGEMENT CLEMENCIAT"] == entries["01|L ABERGEMENT CLEMENCIAT"] == "01001"
    assert entries["974|SAINT DENIS"] == "97411"
    assert "49|DELEGUEE" not in entries


def test_a_name_that_two_communes_bear_is_left_to_a_person():
    assert not [key for key in commune_map(TABLE).entries if "HAMEAU" in key]


def test_a_code_that_changed_is_read_on_its_day():
    entries = commune_map(TABLE, MOVES).entries

    assert (entries["49|ANCIENNE"], entries["49|ANCIENNE@20190101"]) == ("49100", "49200")
    assert entries["04|CERESTE"] == "04045" and "04|CERESTE@20240101" not in entries


def test_a_code_is_written_as_the_official_name():
    backward = commune_map(TABLE, MOVES).backward()

    assert (backward["01001"], backward["38185"]) == ("01|ABERGEMENT CLEMENCIAT", "38|GRENOBLE")


@pytest.mark.real
def test_the_official_table_finds_nearly_every_commune_by_its_name():
    folder = os.environ.get("BANYAN_REAL_DATA")
    assert folder is not None, "BANYAN_REAL_DATA names the folder of real files"
    france = Path(folder) / "france"
    communes = pl.read_csv(france / "communes.csv", infer_schema=False)
    movements = pl.read_csv(france / "mouvements-communes.csv", infer_schema=False)

    found = commune_map(communes, movements)

    known = set(found.entries.values())
    codes = communes.filter(pl.col("TYPECOM") == "COM")["COM"]
    assert len(codes) > 34000
    assert sum(code in known for code in codes) > 0.999 * len(codes)
    assert any("@" in key for key in found.entries)
