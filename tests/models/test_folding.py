"""Text is folded alike in Python and in Postgres, and the words of a document are those that are searched for."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.folding import fold, words
from tests.examples import examples
from tests.models.conftest import Store

SHARED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]

LETTERS = st.characters(exclude_categories=("Cs", "Cn", "Co"), exclude_characters="\x00")
TEXTS = st.lists(
    st.text(LETTERS, max_size=12) | st.text("aZéÉßẞøŁİΣς @.-+'\\\"\u0301\u00a05", max_size=12), max_size=30
)


def test_what_is_the_same() -> None:
    for one, other in [
        ("José", "JOSE"),
        ("Müller", "mu\u0308ller"),
        ("Straße", "STRASSE"),
        ("Søren Ærø", "soren aero"),
        ("Łódź", "lodz"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ("İzmir", "izmir"),
        ("ﬁn", "FIN"),
        ("Чай", "чаи"),
    ]:
        assert fold(one) == fold(other), one
    assert fold("a_b%\\") == "a_b%\\"
    assert words("Jo.Ann+O'Neil@acme-corp.com, +1 (555)") == [
        "jo", "ann", "o", "neil", "acme", "corp", "com", "1", "555",
    ]  # fmt: skip
    assert words(" — &") == []


@settings(max_examples=examples(150), deadline=None, suppress_health_check=SHARED)
@given(texts=TEXTS)
async def test_postgres_folds_alike(store: Store, texts: list[str]) -> None:
    sql = """SELECT hub_fold(one) AS folded, tsvector_to_array(hub_document(one, '', VARIADIC ARRAY[]::text[])) AS words
             FROM unnest($1::text[]) WITH ORDINALITY AS texts (one, place) ORDER BY place"""
    rows = await store.pool.fetch(sql, texts)
    assert [row["folded"] for row in rows] == [fold(text) for text in texts]
    assert [set(row["words"]) for row in rows] == [set(words(text)) for text in texts]


async def test_long_words_and_long_texts_are_cut(store: Store) -> None:
    text = "x" * 5000 + " " + "é" * 300 + " short " + "y " * 60_000
    (row,) = await store.pool.fetch(
        "SELECT tsvector_to_array(hub_document($1, '', VARIADIC ARRAY[]::text[])) AS words", text
    )
    assert set(row["words"]) == {"x" * 255, "e" * 255, "short", "y"}


async def test_numbers_are_found_by_any_run_of_digits(store: Store) -> None:
    sql = "SELECT hub_document('', '+1 (555) 010-12', '+1 (555) 010-12', '7') @@ ($1 || ':*')::tsquery"
    for digits in ("1555", "555", "5501", "012", "15550101 2".replace(" ", "")):
        assert await store.pool.fetchval(sql, digits) is True, digits
    for digits in ("556", "7"):
        assert await store.pool.fetchval(sql, digits) is False, digits
