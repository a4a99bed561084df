"""What looks for each kind of defect of the synthetic estate, by legacy system, and why nothing looks for some.

A detector is an L2 rule, a cause of quarantine, a named filter, a text that only the residue holds (a figure of L6), or
the record itself, which says what it is not sure of.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from estate.places import Flavour

_LINKED = "identities are linked by people and never merged"
_AS_MEANT = "is read as it was meant; the raw text stands beside it"
_HISTORY = "a code is carried as recorded: it was valid then"
_STAMP = "the stamp is not carried, and capture never trusts it"
_FIRST_OF_JANUARY = "a first of January may be true"


@dataclass(frozen=True, slots=True)
class Looked:
    """What looks for each kind of defect of a legacy system, and why nothing looks for the others."""

    detectors: Mapping[str, tuple[str, ...]]
    not_looked_for: Mapping[str, str]


_ORION = Looked(
    {
        "acquitted_still_suspect": ("rule participation.acquitted_is_no_suspect",),
        "amount_blank": ("residue t_objet.valeur",),
        "amount_written_otherwise": ("residue t_objet.valeur",),
        "birth_date_impossible": ("quarantine t_personne.ddn", "rule person_identity.birth_date_present"),
        "birth_date_partial": ("record person_identity.birth_date_precision_code",),
        "birth_date_unknown": ("rule person_identity.birth_date_present",),
        "custody_gap": ("rule custody_transfer.no_gap",),
        "deleted_but_referenced": ("rule participation.person_identity_id_exists",),
        "detention_ends_before_start": ("rule detention.ended_after_start",),
        "fact_after_report": ("rule incident.occurred_before_opening",),
        "future_birth_date": ("rule person_identity.born_in_the_past",),
        "future_transmission": ("rule case_file.transmitted_in_the_past",),
        "hour_of_clock_change": ("rule incident.hour_exists", "rule incident.hour_told_once"),
        "involvement_without_case": ("rule participation.case_file_id_exists",),
        "involvement_without_person": ("rule participation.person_identity_id_exists",),
        "minor_without_birth_date": ("rule participation.minor_has_birth_date",),
        "name_in_lower_case": ("rule person_identity.surname_in_capitals",),
        "name_with_stray_blanks": ("rule person_identity.surname_without_stray_blanks", "residue t_personne.nom"),
        "person_phone_two_in_one": ("rule contact_means.value_normalised_present",),
        "phone_doubtful": ("rule contact_means.value_normalised_present",),
        "phone_two_in_one": ("rule contact_means.value_normalised_present",),
        "german_plate": ("record vehicle.plate_system_code",),
        "plate_foreign": ("record vehicle.plate_system_code",),
        "plate_letter_for_digit": ("rule vehicle.siv_plate_form", "rule vehicle.plate_can_be_read"),
        "restricted_by_address": ("rule residence.restricted_address_is_not_shared",),
        "sex_as_digit": ("residue t_personne.sexe",),
        "street_with_line_feed": ("rule location.street_in_one_line",),
        "test_case": ("filter t_proc.test_case",),
        "test_person": ("filter t_personne.test_person", "filter t_personne.test_person_dupont"),
        "unknown_code_cadre": ("quarantine t_proc.cadre",),
        "unknown_code_cat_obj": ("quarantine t_objet.cat_obj",),
        "unknown_code_marque": ("quarantine t_vehic.marque",),
        "unknown_code_nation": ("quarantine t_personne.nation",),
        "unknown_code_suite": ("quarantine t_suite.code_suite",),
    },
    {
        "attachment_empty": "the size of a file is no column of the model",
        "birth_date_defaulted": _FIRST_OF_JANUARY,
        "change_without_stamp": _STAMP,
        "duplicate_across_units": _LINKED,
        "duplicate_in_case": _LINKED,
        "hostile_note": "is carried to the letter; what a screen or a sheet shows of it is disarmed",
        "hostile_text": "is carried to the letter; what a screen or a sheet shows of it is disarmed",
        "null_for_blank": "nothing and a blank say the same",
        "past_retention": "terms are judged by offence and role before the copy, never by age alone",
        "person_plate_without_hyphens": _AS_MEANT,
        "phone_nine_digits": _AS_MEANT,
        "plate_without_hyphens": _AS_MEANT,
        "repealed_commune": _HISTORY,
        "repealed_offence": _HISTORY,
        "surname_typo": _LINKED,
        "use_name_as_birth_name": _LINKED,
        "german_phone": _AS_MEANT,
        "umlaut_transcribed": "is carried as recorded: MUELLER may be how the name is spelt",
    },
)
_MAREL = Looked(
    {
        "birth_date_partial": ("record person_identity.birth_date_precision_code",),
        "birth_date_zero": ("rule person_identity.birth_date_present",),
        "empty_choice": ("quarantine vehicules.etat",),
        "future_transmission": ("rule case_file.transmitted_in_the_past",),
        "involvement_without_case": ("rule participation.case_file_id_exists",),
        "involvement_without_person": ("rule participation.person_identity_id_exists",),
        "name_double_encoded": ("residue personnes.prenoms",),
        "names_swapped": ("rule person_identity.surname_in_capitals",),
        "note_double_encoded": ("residue dossiers.note",),
        "test_person": ("filter personnes.test_person", "filter personnes.test_person_dupont"),
        "unknown_category": ("quarantine objets.categorie",),
    },
    {
        "birth_date_defaulted": _FIRST_OF_JANUARY,
        "change_without_stamp": _STAMP,
        "city_abbreviated": "is carried as recorded: the code of the commune says which town it is",
        "key_reused": "the first copy sees one person under a key; given again later, the key begins a new epoch",
        "phone_nine_digits": _AS_MEANT,
        "plate_without_hyphens": _AS_MEANT,
    },
)
_BUREAU = Looked(
    {
        "impossible_date": ("quarantine AFFAIRES.MEC1_DDN",),
        "names_swapped": ("rule person_identity.surname_in_capitals",),
        "seal_number_twice": ("rule evidence.seal_number_once",),
        "seal_without_case": ("rule evidence.case_file_id_exists",),
        "text_in_number": ("quarantine AFFAIRES.NATINF",),
        "unknown_nature": ("quarantine AFFAIRES.NATURE",),
    },
    {
        "day_and_month_inverted": "both are days that exist; only the paper knows which (the sample of L5)",
        "key_collision": "is no fault of a row: each file is a system of its own, with keys of its own",
        "plate_without_hyphens": _AS_MEANT,
        "suspect_in_memo": "a memo is carried whole, and nobody takes a name out of free text",
    },
)
LOOKED: dict[Flavour, Looked] = {Flavour.ORION: _ORION, Flavour.MAREL: _MAREL, Flavour.BUREAU: _BUREAU}
"""By kind of legacy system; in one of them a kind has detectors or a reason, never both."""
