"""What full-text search looks in: for each searchable table another one with a tsvector for each row.

Beside the table and not in it, because captured rows go into events whole. The words are made by `models/folding.py`
rather than by a parser of Postgres: an e-mail address is its parts, and no configuration or collation has a say. What
a record is called has weight A, the rest B. Numbers that people dial are found by any three or more of their digits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from models.folding import FUNCTIONS, SEPARATORS

#: Characters of a text that are looked at, and of a word in one that has more bytes than Postgres takes for a word.
TEXT, WORD, BYTES = 50_000, 255, 2000

#: KB of words that wait to be put into the index together.
PENDING = 1024


@dataclass(frozen=True, kw_only=True)
class Searched:
    """One searchable table."""

    table: str
    entity: str
    #: Columns of what a record is called, of other words, and those of them with numbers to dial.
    called: tuple[str, ...]
    words: tuple[str, ...]
    numbers: tuple[str, ...] = ()
    #: The number of this kind of record, if its searchable custom fields count as words.
    custom: int | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        return self.called + self.words + (() if self.custom is None else ("custom_fields",))

    @property
    def words_index(self) -> str:
        """The statement that makes the index on the words; each search reads what waits for it, so that is little."""
        on = f"{self.index}_words ON {self.index}"
        return f"CREATE INDEX {on} USING gin (document) WITH (gin_pending_list_limit = {PENDING})"

    @property
    def index(self) -> str:
        """The table with the documents."""
        return index_of(self.entity)

    def document(self, row: str) -> str:
        """The expression of a row's document."""
        words = _joined(row, self.words)
        if self.custom is not None:
            words += f" || ' ' || hub_custom_words({self.custom}, {row}.custom_fields)"
        parts = [_joined(row, self.called), words]
        parts.append("VARIADIC ARRAY[" + ", ".join(f"{row}.{column}" for column in self.numbers) + "]::text[]")
        return f"hub_document({', '.join(parts)})"


#: What is searched from the beginning, by kind of record; custom fields joined later.
SEARCHED = {
    one.entity: one
    for one in (
        Searched(
            table="crm_leads",
            entity="lead",
            called=("first_name", "last_name"),
            words=("email", "company_name", "phone"),
            numbers=("phone",),
        ),
        Searched(
            table="crm_contacts",
            entity="contact",
            called=("first_name", "last_name"),
            words=("email", "company_name", "phone", "mobile"),
            numbers=("phone", "mobile"),
        ),
        Searched(table="crm_opportunities", entity="opportunity", called=("name",), words=("company_name",)),
        Searched(table="crm_tasks", entity="task", called=("title",), words=("description",)),
    )
}


def index_of(entity: str) -> str:
    """The table with the documents of an entity's records."""
    return f"{entity}_search"


def _joined(row: str, columns: Iterable[str]) -> str:
    return " || ' ' || ".join(f"{row}.{column}" for column in columns)


DOCUMENT_FUNCTION = f"""
CREATE OR REPLACE FUNCTION hub_document(called text, other text, VARIADIC numbers text[]) RETURNS tsvector
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    part text;
    digits text;
    lexemes text := '';
BEGIN
    FOR weight IN 0..1 LOOP
        part := left(CASE weight WHEN 0 THEN called ELSE other END, {TEXT});
        part := regexp_replace(hub_fold(part), '[{SEPARATORS}]+', ' ', 'g');
        IF octet_length(part) > {BYTES} THEN
            part := regexp_replace(part, '([^ ]{{{WORD}}})[^ ]*', '\\1', 'g');
        END IF;
        lexemes := lexemes || regexp_replace(part, '([^ ]+)', CASE weight WHEN 0 THEN ' ''\\1'':1A'
                                                                          ELSE ' ''\\1'':1B' END, 'g');
    END LOOP;
    FOREACH part IN ARRAY numbers LOOP
        -- Every end of the digits, of which a beginning is any run of them.
        digits := regexp_replace(part, '[^0-9]+', '', 'g');
        FOR start IN 1..length(digits) - 2 LOOP
            lexemes := lexemes || ' ''' || substr(digits, start) || ''':1B';
        END LOOP;
    END LOOP;
    RETURN lexemes::tsvector;
END $$
"""

TABLE = """
CREATE TABLE {index} (id bigint PRIMARY KEY, document tsvector NOT NULL);
INSERT INTO {index} SELECT id, {of_row} FROM {table} AS row;
{words};
"""

# An update is looked at row by row, because only that way Postgres fires for chosen columns alone.
TRIGGER_FUNCTION = """
CREATE OR REPLACE FUNCTION hub_search_{entity}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO {index} SELECT id, {of_row} FROM new_rows AS row
        ON CONFLICT (id) DO UPDATE SET document = excluded.document;
    ELSIF TG_OP = 'DELETE' THEN
        DELETE FROM {index} WHERE id = ANY (ARRAY(SELECT id FROM old_rows));
    ELSIF ({old}) IS DISTINCT FROM ({new}) THEN
        DELETE FROM {index} WHERE id = OLD.id AND NOT EXISTS (SELECT FROM {table} WHERE id = OLD.id);
        INSERT INTO {index} SELECT id, {of_row} FROM {table} AS row WHERE id = NEW.id
        ON CONFLICT (id) DO UPDATE SET document = excluded.document;
    END IF;
    RETURN NULL;
END $$
"""

TRIGGERS = """
CREATE OR REPLACE TRIGGER hub_search_insert AFTER INSERT ON {table} REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION hub_search_{entity}();
CREATE OR REPLACE TRIGGER hub_search_update AFTER UPDATE OF {columns} ON {table}
    FOR EACH ROW EXECUTE FUNCTION hub_search_{entity}();
CREATE OR REPLACE TRIGGER hub_search_delete AFTER DELETE ON {table} REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION hub_search_{entity}();
"""


def functions() -> Iterable[str]:
    """What a migration runs before the first `statements`."""
    return (*FUNCTIONS, DOCUMENT_FUNCTION)


def statements(searched: Searched) -> Iterable[str]:
    """What a migration runs that makes a table searchable."""
    columns = ("id", *searched.columns)
    names = {
        "table": searched.table,
        "entity": searched.entity,
        "index": searched.index,
        "words": searched.words_index,
        "of_row": searched.document("row"),
        "columns": ", ".join(columns),
        "old": ", ".join(f"OLD.{column}" for column in columns),
        "new": ", ".join(f"NEW.{column}" for column in columns),
    }
    return [part.format(**names) for part in (TABLE, TRIGGER_FUNCTION, TRIGGERS)]
