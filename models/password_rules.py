"""What a new password must be: long, not a well-known one, not much like its owner."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import SequenceMatcher

SHORTEST = 12
#: Hashing a password as long as a body may be would keep everybody else waiting.
LONGEST = 1024
#: A password in which fewer different characters occur is a pattern.
FEWEST_DIFFERENT = 5
#: From this likeness on, of 1, a password is its owner's name in disguise.
ALIKE = 0.7

#: What people make passwords of that they think are long: with digits and signs around, in capitals, said twice, these
#: are tried first.
COMMON = frozenset(
    """
    password passwort motdepasse contrasena wachtwoord parola passphrase mypassword newpassword thepassword changeme
    changeit letmein letmeinnow welcome welcomeback willkommen bienvenue hello helloworld iloveyou iloveyouforever
    trustno administrator admin adminadmin root superuser superman batman spiderman starwars pokemon dragon monkey
    princess sunshine football baseball basketball liverpool chelsea arsenal barcelona juventus michael jennifer
    jessica charlie master mastermaster secret topsecret mysecret login default guest test testtest testing tester
    user username computer internet freedom whatever nothing qwerty qwertyuiop qwertyuiopasdfghjkl
    qwertyuiopasdfghjklzxcvbnm qwertz qwertzuiop azerty azertyuiop asdfghjkl asdfgh asdf zxcvbnm zxcvbn qazwsx
    qazwsxedc qazwsxedcrfv abcdef abcdefgh abcdefghij abcdefghijkl abcdefghijklmnop abcdefghijklmnopqrstuvwxyz
    aaaaaa summer winter spring autumn summertime wintertime january february march april may june july august
    september october november december monday tuesday wednesday thursday friday saturday sunday
    correcthorsebatterystaple switchboard switchboarddemo company companyname business sales salesforce marketing
    manager customer
    """.split()
)

_LOOKALIKES = str.maketrans("@4380157$!|", "aaebolstsii")


def mistakes(password: str, about: Iterable[str]) -> list[str]:
    """What is wrong with a new password of somebody about whom these are known: username, e-mail, names."""
    found = []
    if len(password) < SHORTEST:
        found.append(f"This password is too short. It must contain at least {SHORTEST} characters.")
    if len(password) > LONGEST:
        return [f"At most {LONGEST} characters are kept."]
    if password.isdigit():
        found.append("This password is entirely numeric.")
    if len(set(password.lower())) < FEWEST_DIFFERENT or _common(password):
        found.append("This password is too common.")
    if any(_alike(password.lower(), part) for text in about for part in _parts(text.lower())):
        found.append("The password is too similar to your name, username or e-mail.")
    return found


def _common(password: str) -> bool:
    """Whether nothing is left of it but a well-known one, whatever stands around it and however often it is said."""
    core = re.sub(r"^[\W\d_]+|[\W\d_]+$", "", password.lower())
    for text in (core, core.translate(_LOOKALIKES)):
        letters = re.sub(r"[\W\d_]+", "", text)
        once = re.fullmatch(r"(.+?)\1*", letters)
        if letters in COMMON or (once is not None and once[1] in COMMON):
            return True
    return False


def _parts(text: str) -> list[str]:
    return [part for part in {text, *re.split(r"\W+", text)} if len(part) > 2]


def _alike(password: str, part: str) -> bool:
    # As long as it is, a password can hold more than the name in it.
    if len(password) > 10 * len(part):
        return False
    return SequenceMatcher(a=password, b=part).quick_ratio() >= ALIKE and (
        SequenceMatcher(a=password, b=part).ratio() >= ALIKE
    )
