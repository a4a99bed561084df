"""What hangs on cases besides people: dispositions, detentions, vehicles, objects, documents, seals, the logbook."""

import numpy as np
import polars as pl

from estate.cases import LAST_DAY, Cases, deletion_flags, later_days, legacy_keys
from estate.drawing import Integers, Seed, hours, integers_text, pick, plates, stamps, yyyymmdd
from estate.places import find_place
from estate.vocabulary import codes_of, communes

_CLEARING = ["ACQ", "REL", "NLI"]
_EVENTS: list[str | None] = [
    "Appel d'un requérant : tapage, calme au passage de la patrouille",
    "Différend de voisinage. Parties entendues, aucune suite",
    "Accident matériel sans blessé ; constat amiable",
    "Alarme déclenchée, lieux vérifiés : RAS",
    "Patrouille de surveillance générale",
    "Renseignement transmis à l'unité compétente",
]
_THINGS: list[str | None] = [
    "TELEPHONE PORTABLE NOIR", "BAGUE OR JAUNE", "SOMME EN NUMERAIRE", "COUTEAU PLIANT", "SACHET HERBE VERTE",
    "ORDINATEUR PORTABLE", "VELO TOUT TERRAIN", "PERCEUSE", "CARTE D'IDENTITE", "SAC A DOS",
]  # fmt: skip
_MODELS: list[str | None] = ["CLIO", "208", "C3", "GOLF", "FIESTA", "YARIS", "PANDA", "CORSA", "SANDERO", "A3", None]
_VIN_LETTERS = np.array(list("ABCDEFGHJKLMNPRSTUVWXYZ0123456789"))  # I, O and Q never occur


def draw_dispositions(
    seed: Seed,
    cases: Cases,
    suspects: Integers,
    involvements: pl.DataFrame,
    facts: tuple[pl.DataFrame, Integers],
    size: int,
) -> tuple[pl.DataFrame, Integers]:
    """Draw what the courts answered; gives it with the involvements that a clearing answer takes off the file."""
    stream = seed.stream("t_suite")
    chosen = np.sort(stream.choice(suspects, min(size, len(suspects)), replace=False))
    courts = [name for _, name in find_place(seed.department_code).courts]
    case = involvements["_case"].to_numpy()[chosen]
    fact = np.searchsorted(facts[1], case)
    code = pick(stream, ["CSS", "CON", "REQ", *_CLEARING], [38, 42, 8, 3, 6, 3], len(chosen))
    opened = cases.opened[case]
    decided = later_days(stream, opened + 3, 700)
    frame = pl.DataFrame(
        {
            "id_suite": legacy_keys(stream, len(chosen)),
            "id_implic": involvements["id_implic"].gather(chosen),
            "id_fait": facts[0]["id_fait"].gather(fact),
            "code_suite": code,
            "dt_suite": yyyymmdd(np.minimum(decided, LAST_DAY)),
            "autorite": pick(stream, [*courts, None], [*[50, 22, 20][: len(courts)], 8], len(chosen)),
            "top_supp": pl.Series(np.full(len(chosen), "N")),
            "dt_maj": stamps(later_days(stream, decided, 60), stream),
        }
    )
    return frame, chosen[code.is_in(_CLEARING).to_numpy()]


def draw_detentions(
    seed: Seed, cases: Cases, suspects: Integers, involvements: pl.DataFrame, size: int
) -> pl.DataFrame:
    """Draw police custody of suspects."""
    stream = seed.stream("t_gav")
    chosen = np.sort(stream.choice(suspects, min(size, len(suspects)), replace=False))
    began = later_days(stream, cases.opened[involvements["_case"].to_numpy()[chosen]], 20)
    extended = stream.random(len(chosen)) < 0.2
    start = hours(stream, len(chosen), blank_share=0)
    return pl.DataFrame(
        {
            "id_gav": legacy_keys(stream, len(chosen)),
            "id_implic": involvements["id_implic"].gather(chosen),
            "dt_deb": yyyymmdd(began),
            "h_deb": start,
            "dt_fin": yyyymmdd(began + 1 + extended),
            "h_fin": hours(stream, len(chosen), blank_share=0),
            "prolong": pl.Series(np.where(extended, "O", "N")),
            "h_droits": start,
            "motif": pick(stream, ["Nécessités de l'enquête", "Éviter la concertation", None], [6, 3, 1], len(chosen)),
            "top_supp": pl.Series(np.full(len(chosen), "N")),
            "dt_maj": stamps(later_days(stream, began + 2, 30), stream),
            "_began": pl.Series(began),
        }
    )


def draw_vehicles(seed: Seed, cases: Cases, size: int) -> pl.DataFrame:
    """Draw the vehicles of cases."""
    stream = seed.stream("t_vehic")
    case = np.sort(stream.integers(0, len(cases.keys), size))
    opened = cases.opened[case]
    vin = pl.select(
        pl.concat_str([pl.Series(_VIN_LETTERS[stream.integers(0, len(_VIN_LETTERS), size)]) for _ in range(17)])
    ).to_series()
    return pl.DataFrame(
        {
            "id_vehic": legacy_keys(stream, size),
            "id_proc": cases.keys.gather(case),
            "immat": plates(stream, opened, seed.department_code),
            "pays": pl.Series(np.full(size, "FRA")),
            "vin": vin.set(pl.Series(stream.random(size) < 0.4), None),
            "marque": pick(stream, codes_of("marque"), [20, 18, 13, 8, 7, 5, 4, 4, 4, 4, 6, 4, 2, 1], size),
            "modele": pick(stream, _MODELS, [1] * len(_MODELS), size),
            "couleur": pick(stream, [*codes_of("couleur"), None], [20, 20, 25, 8, 12, 4, 2, 9], size),
            "statut_v": pick(stream, codes_of("statut_v"), [50, 10, 15, 25], size),
            "top_supp": deletion_flags(cases.deleted[case] | (stream.random(size) < 0.015)),
            "dt_maj": stamps(later_days(stream, opened, 250), stream),
        }
    )


def draw_objects(seed: Seed, cases: Cases, size: int) -> tuple[pl.DataFrame, Integers]:
    """Draw the objects of cases; gives them with the case row of each."""
    stream = seed.stream("t_objet")
    case = np.sort(stream.integers(0, len(cases.keys), size))
    opened = cases.opened[case]
    euros = np.floor(np.exp(stream.normal(5.2, 1.6, size))).astype(np.int64).clip(1, 99_999)
    frame = pl.DataFrame(
        {
            "id_objet": legacy_keys(stream, size),
            "id_proc": cases.keys.gather(case),
            "cat_obj": pick(stream, codes_of("cat_obj"), [20, 12, 10, 6, 9, 10, 9, 6, 6, 12], size),
            "statut_o": pick(stream, codes_of("statut_o"), [50, 22, 8, 14, 6], size),
            "descr": pick(stream, _THINGS, [1] * len(_THINGS), size),
            "num_serie": integers_text(stream.integers(10**8, 10**12, size)).set(
                pl.Series(stream.random(size) < 0.6), None
            ),
            "qte": pick(stream, ["1", "2", "3", "10"], [88, 7, 3, 2], size),
            "valeur": _amounts(stream, euros).set(pl.Series(stream.random(size) < 0.2), None),
            "top_supp": deletion_flags(cases.deleted[case] | (stream.random(size) < 0.015)),
            "dt_maj": stamps(later_days(stream, opened, 250), stream),
        }
    )
    return frame, case


def _amounts(stream: np.random.Generator, euros: Integers) -> pl.Series:
    cents = integers_text(np.where(stream.random(len(euros)) < 0.6, 0, stream.integers(0, 100, len(euros)))).str.zfill(
        2
    )
    large = integers_text(euros // 1000) + " " + integers_text(euros % 1000).str.zfill(3)
    return large.zip_with(pl.Series(euros >= 1000), integers_text(euros)) + "," + cents


def draw_documents(seed: Seed, cases: Cases, size: int) -> pl.DataFrame:
    """Draw the numbered documents of cases: what the base says of their files, not the files."""
    stream = seed.stream("t_piece")
    case = np.sort(stream.integers(0, len(cases.keys), size))
    written = later_days(stream, cases.opened[case], 120)
    keys = legacy_keys(stream, size)
    digest = pl.select(
        pl.concat_str([integers_text(stream.integers(0, 10**10, size)).str.zfill(10) for _ in range(4)])
    ).to_series()
    return pl.DataFrame(
        {
            "id_piece": keys,
            "id_proc": cases.keys.gather(case),
            "type_piece": pick(stream, codes_of("piece"), [34, 18, 8, 16, 5, 12, 5, 2], size),
            "titre": pick(
                stream, ["Audition", "Constatations", "Synthèse", "Réquisition à opérateur"], [5, 3, 1, 1], size
            ),
            "dt_piece": yyyymmdd(written),
            "id_agent": cases.agent_of(case, stream),
            "fichier": "PV" + keys.str.zfill(8) + ".PDF",
            "taille": integers_text(stream.integers(8_000, 900_000, size)),
            "empreinte": digest,
            "top_supp": deletion_flags(cases.deleted[case] | (stream.random(size) < 0.005)),
            "dt_maj": stamps(later_days(stream, written, 30), stream),
        }
    ).with_columns(no_piece=pl.int_range(1, pl.len() + 1).over("id_proc").cast(pl.String))


def _storage(department: str) -> list[str | None]:
    """Give where seals are kept: the unit, the registries of the courts, a laboratory."""
    courts = [name for _, name in find_place(department).courts]
    return ["LOCAL SCELLES", "COFFRE UNITE", f"GREFFE {courts[0]}", f"GREFFE {courts[:2][-1]}", "LABORATOIRE"]


def draw_seals(
    seed: Seed, cases: Cases, objects: tuple[pl.DataFrame, Integers], size: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Draw sealed exhibits, one object each, and the chain of custody of each."""
    stream = seed.stream("t_scelle")
    places = _storage(seed.department_code)
    item = np.sort(stream.choice(objects[0].height, min(size, objects[0].height), replace=False))
    case = objects[1][item]
    sealed = later_days(stream, cases.opened[case], 15)
    seals = pl.DataFrame(
        {
            "id_scelle": legacy_keys(stream, len(item)),
            "id_proc": cases.keys.gather(case),
            "id_objet": objects[0]["id_objet"].gather(item),
            "descr": objects[0]["descr"].gather(item),
            "dt_scelle": yyyymmdd(sealed),
            "lieu": pick(stream, places, [5, 2, 2, 1, 1], len(item)),
            "destin": pick(stream, [None, "RES", "DES", "CON"], [5, 3, 3, 1], len(item)),
            "top_supp": deletion_flags(cases.deleted[case]),
            "dt_maj": stamps(later_days(stream, sealed, 60), stream),
        }
    ).with_columns(no_scelle=pl.int_range(1, pl.len() + 1).over("id_proc").cast(pl.String))
    moves = 1 + stream.poisson(1.3, len(item))
    moves[stream.integers(0, len(item))] += 1  # at least one chain has two links
    seal = np.repeat(np.arange(len(item)), moves)
    number = np.arange(len(seal)) - np.repeat(np.cumsum(moves) - moves, moves) + 1
    moved = np.minimum(sealed[seal] + number * 20, LAST_DAY)
    transfers = pl.DataFrame(
        {
            "id_mvt": legacy_keys(stream, len(seal)),
            "id_scelle": seals["id_scelle"].gather(seal),
            "no_mvt": integers_text(number),
            "dt_mvt": yyyymmdd(moved),
            "h_mvt": hours(stream, len(seal), blank_share=0.1),
            "lieu_de": pick(stream, places, [5, 2, 2, 1, 1], len(seal)),
            "lieu_vers": pick(stream, places, [3, 3, 2, 2, 1], len(seal)),
            "id_agent": cases.agent_of(case[seal], stream),
            "top_supp": deletion_flags(cases.deleted[case[seal]]),
            "dt_maj": stamps(moved, stream),
            "_last_of_chain": pl.Series((number == moves[seal]) & (number > 1)),
        }
    )
    return seals, transfers


def draw_logbook(seed: Seed, cases: Cases, size: int) -> pl.DataFrame:
    """Draw the logbook of the units; few entries lead to a case."""
    stream = seed.stream("t_mainc")
    near = np.sort(stream.integers(0, len(cases.keys), size))
    known = communes(seed.department_code)["code"]
    place = known.gather(stream.integers(0, len(known), size))
    return pl.DataFrame(
        {
            "id_mainc": legacy_keys(stream, size),
            "id_unite": cases.units["id_unite"].gather(cases.unit[near]),
            "id_agent": cases.agent_of(near, stream),
            "id_proc": cases.keys.gather(near).set(pl.Series(stream.random(size) > 0.06), None),
            "type_evt": pick(stream, codes_of("evenement"), [20, 16, 12, 10, 28, 9, 5], size),
            "dt_evt": yyyymmdd(cases.opened[near]),
            "h_evt": hours(stream, size, blank_share=0.02),
            "code_commune": place,
            "texte": pick(stream, _EVENTS, [1] * len(_EVENTS), size),
            "top_supp": pl.Series(np.full(size, "N")),
            "dt_maj": stamps(cases.opened[near], stream),
        }
    )
