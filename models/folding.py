"""What is one and the same to whoever searches: text without case and accents, by one rule here and in Postgres.

Compatibility decomposition (Unicode NFKD), without the combining marks U+0300 to U+036F, in lower case, and with the
strokes and joined letters of European names as people without them on the keyboard type them: `Ø` is `o`, `Łódź` is
`lodz`, `Straße` is `strasse`. Case is that of the Latin, Greek, Cyrillic and Armenian letters; other scripts stay as
they are written. It rests on no collation, so that every Postgres folds alike and indexes outlive upgrades of ICU.
"""

from __future__ import annotations

import re
import unicodedata

#: Letters that no decomposition takes apart.
_STROKES = {"ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "ł": "l", "ŧ": "t", "ς": "σ"}  # noqa: RUF001
_JOINED = {"ß": "ss", "æ": "ae", "œ": "oe", "þ": "th"}
_MARKS = range(0x0300, 0x0370)
_CASED = (*range(0x41, 0x5B), *range(0xC0, 0x250), *range(0x370, 0x590), 0x1E9E)


def _letters() -> dict[str, str]:
    """Each letter to the one it is the same as."""
    same = {}
    for letter in map(chr, _CASED):
        lower = "ß" if letter == "ẞ" else letter.lower()
        if len(lower) == 1 and unicodedata.normalize("NFKD", letter) == letter:
            same[letter] = _STROKES.get(lower, lower)
    return {letter: other for letter, other in same.items() if letter != other} | _STROKES


_LETTERS = _letters()
_ONE = {letter: other for letter, other in _LETTERS.items() if other not in _JOINED}
_SEVERAL = {letter: _JOINED[other] for letter, other in _LETTERS.items() if other in _JOINED} | _JOINED
_TABLE = str.maketrans({**_ONE, **_SEVERAL, **dict.fromkeys(map(chr, _MARKS), None)})

#: What stands between words: all that is neither letter nor digit in ASCII and Latin-1, and Unicode's punctuation.
SEPARATORS = r"\u0001-/:-@\[-`{-\u00bf\u2000-\u206f\u3000-\u303f"


def fold(text: str) -> str:
    """The text without case and accents."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFKD", text).translate(_TABLE)


def words(text: str) -> list[str]:
    """The folded words of a text, each once, in the order they stand."""
    return list(dict.fromkeys(word for word in re.split(f"[{SEPARATORS}]+", fold(text)) if word))


def _replaced(sql: str) -> str:
    for letter, several in _SEVERAL.items():
        sql = f"replace({sql}, '{letter}', '{several}')"
    return sql


_MARKED = r"regexp_replace(normalize(given, NFKD), '[\u0300-\u036f]+', '', 'g')"
_TRANSLATED = f"translate({_MARKED}, '{''.join(_ONE)}', '{''.join(_ONE.values())}')"

#: The same rule in Postgres. Most text is ASCII, for which it is `lower`; the first function is inlined.
FUNCTIONS = (
    f"""CREATE OR REPLACE FUNCTION hub_fold_letters(given text) RETURNS text
        LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN {_replaced(_TRANSLATED)}""",
    """CREATE OR REPLACE FUNCTION hub_fold(given text) RETURNS text
       LANGUAGE sql IMMUTABLE PARALLEL SAFE
       RETURN CASE WHEN octet_length(given) = char_length(given) THEN lower(given COLLATE "C")
                   ELSE hub_fold_letters(given) END""",
)
