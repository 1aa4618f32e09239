"""A check for schemathesis: data as documented is refused only for what no schema can say."""

from __future__ import annotations

import re
from typing import Any

import schemathesis
from schemathesis import GenerationMode
from schemathesis.checks import CheckContext
from schemathesis.core.transport import Response

#: About other records there are and values that only go together; about characters deep inside, or of a class that
#: patterns have no name for; about 7.0, which JSON Schema calls an integer; and about what goes with a field's type.
UNSAYABLE = re.compile(
    r"There is no |already exists|Unable to sign in|Give |Differs from|namespace that is not configured"
    r"|Null characters|printable|whole number|each once|conditions can be given|time zone|two passwords"
    r"|must be the e-mail|is not mapped|Fields are: |rows name records by id|needs a key|A key is the id"
    r"|keeps its name|stays with its kind of record|POST to change_type| field has no | field needs options"
    r"|be there once|Must not be below|cannot be filtered by a|no words in a|that every role sees|has no default"
    r"|By its content|The file is empty|The file needs a name"
)
#: What is in a language of its own, has rules that are no pattern, or does not go with the state things are in; and
#: what the columns of a file are for, which only the file tells.
BEYOND_SCHEMAS = (
    *("filter", "cursor", "password", "new_password", "error", "file", "mapping"),
    *("custom_fields", "from", "regex_pattern", "default_value", "min_length", "max_length"),
    *("value_text", "value_number", "value_boolean", "value_date", "value_datetime", "value_json"),
)


@schemathesis.check
def honest(ctx: CheckContext, response: Response, case: Any) -> None:
    """Data as documented is taken, or refused with a reason that is not about its form."""
    meta = case.meta
    if response.status_code != 400 or meta is None or meta.generation.mode is not GenerationMode.POSITIVE:
        return
    body = response.json()
    if body.keys() == {"code", "message"}:
        return  # of the server API, which says what is wrong in its own way
    if body.keys() == {"valid", "error"}:
        return  # the answer to whether a field takes a value
    # What a list of records is ordered by depends on their type.
    beyond = (*BEYOND_SCHEMAS, "ordering") if "{type}" in case.path else BEYOND_SCHEMAS
    for name, texts in body.items():
        for sentence in [texts] if isinstance(texts, str) else texts:
            sayable = name.partition(".")[0] not in beyond and not UNSAYABLE.search(sentence)
            assert not sayable, f"Data as documented was refused: {sentence}"
