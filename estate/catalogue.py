"""What is wrong with an old police base: each kind of defect, where it sits and how often.

Numbers 1 to 44 are those of the catalogue of messy records that all flavours share; from 45 on they are habits of
ORION alone. Frequencies are per 10 000 rows of the table; every kind occurs at least once in an estate of any size.
"""

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class DefectSpecification:
    """Where a kind of defect is planted and how often."""

    number: int
    table: str
    column: str
    per_ten_thousand: int
    meaning: str


class DefectKind(Enum):
    """A kind of defect of one flavour; the name in lower case is what the ledger says."""

    @property
    def kind(self) -> str:
        """Give the name the ledger uses."""
        return self.name.lower()

    @property
    def specification(self) -> DefectSpecification:
        """Give where it is planted and how often."""
        value: DefectSpecification = self.value
        return value


class Defect(DefectKind):
    """A kind of defect of the ORION estate."""

    DUPLICATE_IN_CASE = DefectSpecification(1, "t_personne", "id_pers", 250, "same person twice in one case")
    DUPLICATE_ACROSS_UNITS = DefectSpecification(2, "t_personne", "id_pers", 1800, "same person known to two units")
    USE_NAME_AS_BIRTH_NAME = DefectSpecification(3, "t_personne", "nom", 350, "duplicate keyed under the use name only")
    SURNAME_TYPO = DefectSpecification(5, "t_personne", "nom", 300, "duplicate with two letters of the name swapped")
    BIRTH_DATE_UNKNOWN = DefectSpecification(12, "t_personne", "ddn", 120, "0 or 99999999")
    BIRTH_DATE_PARTIAL = DefectSpecification(12, "t_personne", "ddn", 80, "YYYY0000 or YYYYMM00")
    BIRTH_DATE_DEFAULTED = DefectSpecification(13, "t_personne", "ddn", 150, "first of January by default")
    BIRTH_DATE_IMPOSSIBLE = DefectSpecification(14, "t_personne", "ddn", 50, "31 February, month 13")
    FACT_AFTER_REPORT = DefectSpecification(17, "t_fait", "dt_fait", 25, "facts dated after the case was opened")
    DETENTION_ENDS_BEFORE_START = DefectSpecification(17, "t_gav", "dt_fin", 25, "detention ends before it starts")
    FUTURE_TRANSMISSION = DefectSpecification(18, "t_proc", "dt_trans", 8, "sent to the prosecutor in the future")
    FUTURE_BIRTH_DATE = DefectSpecification(18, "t_personne", "ddn", 8, "born in the future")
    HOUR_OF_CLOCK_CHANGE = DefectSpecification(
        19, "t_fait", "h_fait", 15, "local hour that occurs twice or never on a night of clock change"
    )
    INVOLVEMENT_WITHOUT_PERSON = DefectSpecification(20, "t_implic", "id_pers", 40, "the person does not exist")
    INVOLVEMENT_WITHOUT_CASE = DefectSpecification(20, "t_implic", "id_proc", 30, "the case does not exist")
    CUSTODY_GAP = DefectSpecification(22, "t_mvt_scelle", "no_mvt", 40, "a number is missing in a chain of custody")
    UNKNOWN_CODE_CADRE = DefectSpecification(27, "t_proc", "cadre", 45, "legal framework not in the code table")
    UNKNOWN_CODE_NATION = DefectSpecification(27, "t_personne", "nation", 45, "nationality not in the code table")
    UNKNOWN_CODE_SUITE = DefectSpecification(27, "t_suite", "code_suite", 45, "disposition not in the code table")
    UNKNOWN_CODE_MARQUE = DefectSpecification(27, "t_vehic", "marque", 45, "make not in the code table")
    UNKNOWN_CODE_CAT_OBJ = DefectSpecification(27, "t_objet", "cat_obj", 45, "category not in the code table")
    REPEALED_OFFENCE = DefectSpecification(28, "t_fait", "natinf", 500, "offence number repealed since")
    REPEALED_COMMUNE = DefectSpecification(28, "t_adresse", "code_commune", 500, "commune merged into another since")
    PLATE_WITHOUT_HYPHENS = DefectSpecification(30, "t_vehic", "immat", 300, "blanks or nothing between the groups")
    PLATE_LETTER_FOR_DIGIT = DefectSpecification(30, "t_vehic", "immat", 150, "letter O for 0, letter I for 1")
    PLATE_FOREIGN = DefectSpecification(30, "t_vehic", "immat", 150, "foreign plate")
    PERSON_PLATE_WITHOUT_HYPHENS = DefectSpecification(30, "t_personne", "immat", 100, "blanks between the groups")
    PHONE_NINE_DIGITS = DefectSpecification(31, "t_tel", "num_tel", 300, "leading zero lost")
    PHONE_DOUBTFUL = DefectSpecification(31, "t_tel", "num_tel", 200, "a question mark after the number")
    PHONE_TWO_IN_ONE = DefectSpecification(31, "t_tel", "num_tel", 200, "two numbers in one field")
    PERSON_PHONE_TWO_IN_ONE = DefectSpecification(31, "t_personne", "tel", 100, "two numbers in one field")
    NAME_WITH_STRAY_BLANKS = DefectSpecification(34, "t_personne", "nom", 100, "leading, trailing or double blanks")
    STREET_WITH_LINE_FEED = DefectSpecification(34, "t_adresse", "nom_voie", 200, "line feed or tab inside the field")
    DELETED_BUT_REFERENCED = DefectSpecification(37, "t_personne", "top_supp", 35, "deleted, yet in a live case")
    CHANGE_WITHOUT_STAMP = DefectSpecification(38, "t_proc", "dt_maj", 150, "closed by a batch that did not stamp")
    PAST_RETENTION = DefectSpecification(39, "t_proc", "dt_ouv", 4200, "opened more than 22 years ago")
    ACQUITTED_STILL_SUSPECT = DefectSpecification(40, "t_suite", "code_suite", 60, "acquitted, still a suspect")
    TEST_PERSON = DefectSpecification(41, "t_personne", "nom", 15, "test record by its name")
    TEST_CASE = DefectSpecification(41, "t_proc", "num_proc", 15, "test record by its number 99999")
    ATTACHMENT_EMPTY = DefectSpecification(42, "t_piece", "taille", 20, "attachment of zero bytes")
    MINOR_WITHOUT_BIRTH_DATE = DefectSpecification(43, "t_implic", "mineur", 10, "minor, date of birth not recorded")
    RESTRICTED_BY_ADDRESS = DefectSpecification(
        44, "t_adresse", "id_pers", 3, "address shared by a confidential case and an ordinary one"
    )
    SEX_AS_DIGIT = DefectSpecification(45, "t_personne", "sexe", 300, "1 or 2 in place of M or F")
    AMOUNT_WRITTEN_OTHERWISE = DefectSpecification(46, "t_objet", "valeur", 200, "no separator, or blanks around")
    AMOUNT_BLANK = DefectSpecification(46, "t_objet", "valeur", 100, "blanks in place of nothing")
    NULL_FOR_BLANK = DefectSpecification(47, "t_fait", "tentative", 150, "nothing where everyone else wrote a blank")
    NAME_IN_LOWER_CASE = DefectSpecification(48, "t_personne", "nom", 150, "keyed before the upper-case trigger")
    HOSTILE_TEXT = DefectSpecification(50, "t_objet", "descr", 300, "formula, script and marks that act on a screen")
    HOSTILE_NOTE = DefectSpecification(50, "t_proc", "observ", 100, "script, formula and marks that act on a screen")
