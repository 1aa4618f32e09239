"""Full-text search: every word given begins a word of the record, without case and accents.

A list that is given no order has the best first: what a record is called counts, whole words more than beginnings, and
then the newest. What most records match cannot be ranked in time, so the newest `RANKED` of what matches are; whoever
wants all of it gives an order. A few rows all over the table tell whether many match: then the newest are looked
through, else the index is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models import database
from models.access import Viewer
from models.folding import words
from models.resources.conditions import Conditions
from models.resources.lookups import Place
from models.resources.mistakes import Mistake
from models.resources.resource import SEARCHED, Reference, Resource
from models.search import WORD, index_of

#: The parameter.
SEARCH = "search"

MOST_WORDS, LONGEST_SEARCH = 10, 500

#: Matches that are ranked.
RANKED = 1000

#: Rows that are looked at to tell whether many match, and how many rows can be looked through while one is fetched that
#: the index found.
SAMPLE, WALKED = 2000, 10


@dataclass(frozen=True)
class Search:
    """What is searched for, in the records of one kind."""

    resource: Resource
    words: Sequence[str]

    @staticmethod
    def read(resource: Resource, text: str) -> Search | None:
        """The search for a text, None if it is blank. Raises Mistake."""
        if not text.strip():
            return None
        if "\x00" in text:
            raise Mistake("Null characters are not allowed.")
        found = words(text)
        if not found or len(text) > LONGEST_SEARCH or len(found) > MOST_WORDS:
            raise Mistake(f"Give 1 to {MOST_WORDS} words, of {LONGEST_SEARCH} characters together.")
        return Search(resource, [word[:WORD] for word in found])

    def narrow(self, conditions: Conditions, viewer: Viewer) -> None:
        """Keep the records that match, by the index."""
        for one in self._by_index(viewer, conditions.place):
            conditions.keep(f'"{self.resource.table}".id IN ({one})')

    async def ranked(self, conditions: Conditions, viewer: Viewer) -> str:
        """SELECT `id`, `score` and their `list_total` of the newest that match and meet the conditions. One query."""
        index = index_of(self.resource.entity)
        many = await self._many(conditions.copy(), viewer)
        joined = self._joined(conditions)
        if many:
            match = " AND ".join(self._by_row(viewer, conditions.place))
            # The fence keeps the order of the inner SELECT, and the index on words out of it.
            source = f"(SELECT * FROM {index} ORDER BY id DESC OFFSET 0) AS document{joined}"
            newest = f"SELECT document.* FROM {source} WHERE {match} AND {conditions.sql} LIMIT {RANKED}"
        else:
            if self._references:
                match = " AND ".join(f"document.id IN ({one})" for one in self._by_index(viewer, conditions.place))
            else:
                match = " AND ".join(self._by_row(viewer, conditions.place))
            # The addition keeps the index on ids out of it.
            newest = (
                f"SELECT document.* FROM {index} AS document{joined} WHERE {match} AND {conditions.sql}"
                f" ORDER BY document.id + 0 DESC LIMIT {RANKED}"
            )
        scores = [self._score(word, conditions.place) for word in self.words]
        return f"SELECT id, {' + '.join(scores)} AS score, count(*) OVER () AS list_total FROM ({newest}) AS document"

    async def _many(self, conditions: Conditions, viewer: Viewer) -> bool:
        """Whether enough match that looking through the newest is less than fetching all of them."""
        index = index_of(self.resource.entity)
        match = " AND ".join(self._by_row(viewer, conditions.place))
        share = (
            f"SELECT least(100, 100 * {SAMPLE} / greatest(reltuples, 1)) FROM pg_class WHERE oid = '{index}'::regclass"
        )
        # The limit tells the planner that the share is small.
        some = f"SELECT * FROM {index} TABLESAMPLE SYSTEM (({share})) LIMIT {2 * SAMPLE}"
        sql = (
            f"SELECT (SELECT reltuples FROM pg_class WHERE oid = '{index}'::regclass) AS size, count(*) AS looked,"
            f" count(*) FILTER (WHERE {match}) AS matched,"
            f" count(*) FILTER (WHERE {match} AND {conditions.sql}) AS met"
            f" FROM ({some}) AS document{self._joined(conditions)}"
        )
        (row,) = await database.query(sql, conditions.values)
        if not row["met"]:
            return False
        walked = RANKED * row["looked"] / row["met"]
        fetched = row["size"] * row["matched"] / row["looked"]
        return bool(walked < WALKED * fetched)

    def _joined(self, conditions: Conditions) -> str:
        """The join from documents to their records, if anything asks for those."""
        table = self.resource.table
        needed = conditions.narrowing or self._references
        return f' JOIN "{table}" ON "{table}".id = document.id' if needed else ""

    @property
    def _references(self) -> list[Reference]:
        return [field for field in self.resource.used(SEARCHED).values() if isinstance(field, Reference)]

    def _by_row(self, viewer: Viewer, place: Place) -> list[str]:
        """For each word the condition that a row `document` and its record match."""
        texts = []
        for word in self.words:
            ways = [f"document.document @@ {_begins(word, place)}"]
            for reference in self._references:
                column = f'"{self.resource.table}"."{reference.column}"'
                ways.append(f"EXISTS ({_named(reference, word, viewer, place)} AND called.id = {column})")
            texts.append(f"({' OR '.join(ways)})")
        return texts

    def _by_index(self, viewer: Viewer, place: Place) -> list[str]:
        """For each word the SELECT of the ids that match."""
        texts = []
        for word in self.words:
            ways = [f"SELECT id FROM {index_of(self.resource.entity)} WHERE document @@ {_begins(word, place)}"]
            for reference in self._references:
                there = _named(reference, word, viewer, place)
                ways.append(f'SELECT id FROM "{self.resource.table}" WHERE "{reference.column}" IN ({there})')
            texts.append(" UNION ".join(ways))
        return texts

    def _score(self, word: str, place: Place) -> str:
        exact, begins = place(f"'{word}':A"), place(f"'{word}':*A")
        return f"(document @@ {exact}::text::tsquery)::int + (document @@ {begins}::text::tsquery)::int"


def _begins(word: str, place: Place) -> str:
    query = f"'{word}':*"
    return f"{place(query)}::text::tsquery"


def _named(reference: Reference, word: str, viewer: Viewer, place: Place) -> str:
    """The SELECT of the ids of records referred to that are called so and seen by the viewer."""
    to, query = reference.to, f"'{word}':*A"
    return (
        f'SELECT called.id FROM {index_of(to.entity)} AS called JOIN "{to.table}" AS there ON there.id = called.id'
        f" WHERE called.document @@ {place(query)}::text::tsquery AND {to.visible_sql(viewer, 'there')}"
    )
