"""Texts that get lost or changed on their way: every control character, marks, line ends, words that mean nothing."""

_SIGNS = [chr(number) for number in (*range(1, 0xA1), 0xAD, 0x130, 0x131, 0x149, 0x17F, 0xDF, 0x1E9E, 0x300, 0x301,
                                     0x1E00, 0x200B, 0x200D, 0x200E, 0x200F, 0x2028, 0x2029, 0x202E, 0x2060, 0x2066,
                                     0x3000, 0xD7FF, 0xE000, 0xFB01, 0xFDD0, 0xFDEF, 0xFEFF, 0xFFF9, 0xFFFD, 0xFFFE,
                                     0xFFFF, 0x10000, 0x1F600, 0x1FFFF, 0x10FFFF)]  # fmt: skip
_WORDS = ("", " ", "  ", "a ", " a", "NULL", "null", "\\N", "\\", "\\.", "\\\\", "\\x41", "\\x", "0x41", "''", '""',
          '"', "a,b", ",", "\r\n", "a\nb", "a\r", "{}", "nan", "inf", "-0", "00042", "+1", "1e5", "true", "e\u0301",
          "é", "ß", "\ufeff\ufeff", "\ufdd0x41", "\ufdd0xzz", "=HYPERLINK(1)", "%s", "%(a)s", ":a", "?", "$1", "{0}",
          "\x1e\x1e", "\x1f\x1f", "'; --", "/*", "`", "[", "]")  # fmt: skip
LENGTHS = (255, 256, 16_383, 16_384, 65_535, 65_536, 1 << 20)
TEXTS = tuple(dict.fromkeys([*_WORDS, *_SIGNS, *(f"{sign}a" for sign in _SIGNS), *(f"a{sign}" for sign in _SIGNS)]))
LONG_TEXTS = tuple(sign * (length // len(sign.encode())) for length in LENGTHS for sign in ("a", "é", "\ufeff"))
WITH_NUL = ("\0", "a\0", "\0a", "a\0b")
