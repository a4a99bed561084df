"""What the row-by-row lenses share: the causes of a rejection, and how blanks are read."""

CAUSES = {
    "impossible": "not a day of the calendar",
    "partial": "a partial date has no place here",
    "malformed": "not a date of the expected form",
    "hour": "not an hour of the day",
    "hour alone": "an hour without its day",
    "skipped": "an hour that the change of clock skipped",
    "twice": "an hour that the change of clock told twice; the earlier instant was taken",
    "whole": "not a whole number",
    "amount": "not an amount with at most four decimals",
    "digits": "not a number made of digits alone",
    "great": "too great for the canonical number",
    "flag": "neither yes nor no nor blank",
    "code": "not a whole number that can be a code",
    "days": "not a number of days",
    "part of a day": "a number of days with a part of a day",
    "out of clocks": "the day is not between the years 1000 and 2099, of which the changes of clock are known",
    "out of days": "the day is not between the years 1000 and 9999",
    "repaired": "a text that was read under the wrong code page; the repaired text was taken",
    "cut": "a name as long as its field: the field may have cut it",
    "pattern": "not of the form that the pattern asks for",
    "python": "a text that the Python lens does not read",
    "postal": "not a postal code of five digits",
    "lost zero": "a postal code of four digits; the lost zero was put back",
    "uuid": "not a UUID",
    "nobody grade": "no row of grade has this key, or several have",
    "nobody post": "no row of post has this key, or several have",
    "looked up nul": "the text looked up holds the character NUL, which no canonical text can hold",
    "separator": "holds the separator of the code it is part of",
}


class Rejected(Exception):
    def __init__(self, cause, source=0):
        super().__init__(cause)
        self.cause, self.source = CAUSES[cause], source


class Refused(Exception):
    def __init__(self, kind):
        super().__init__(kind)
        self.kind = kind


def blank_to_null(text):
    return text if text else None


def trimmed(text):
    return None if text is None else blank_to_null(text.strip(" "))


def bounded(text, size):
    if text is not None and len(text) > size:
        raise Refused("TOO_LONG")
    return text


NUL_READERS = {
    "date.yyyymmdd", "date.partial_yyyymmdd", "date.partial", "date.iso", "date.zero_iso", "date.mask", "date.masks",
    "date.pivot", "date.julian", "instant.local", "instant.iso_local", "text.control_free",
}  # fmt: skip
"""Lenses that say themselves what NUL means; in the others it rejects the field."""
