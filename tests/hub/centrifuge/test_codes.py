"""What goes over the wire when something goes wrong."""

from __future__ import annotations

from actors import closes
from actors.closes import Close
from hub.centrifuge import codes
from hub.centrifuge.codes import Error, Unsubscribe

#: Standing in modules of their own: what actors say, and what the protocol says beyond.
CLOSES = [value for module in (closes, codes) for value in vars(module).values() if isinstance(value, Close)]
ERRORS = [value for value in vars(codes).values() if isinstance(value, Error)]
UNSUBSCRIBES = [value for value in vars(codes).values() if isinstance(value, Unsubscribe)]


def test_every_code_of_the_protocol_has_one_value() -> None:
    assert [error.code for error in ERRORS] == list(range(100, 114))
    assert sorted(close.code for close in CLOSES) == [
        3000,
        3001,
        3004,
        3005,
        3006,
        *range(3008, 3015),
        *range(3500, 3510),
    ]
    assert [unsubscribe.code for unsubscribe in UNSUBSCRIBES] == [2000, 2500, 2501, 2502]


def test_only_these_errors_are_temporary() -> None:
    assert {error.code for error in ERRORS if error.temporary} == {100, 111, 113}


def test_reasons_fit_a_close_frame_and_are_no_json() -> None:
    assert all(len(close.reason) < 124 and close.reason[0].isalpha() for close in CLOSES)


def test_who_can_be_told_no_error_is_told_a_close() -> None:
    told = {error.code: codes.instead(error).code for error in ERRORS}
    assert told == {code: 3004 for code in told} | {101: 3501, 103: 3507, 109: 3005, 110: 3005, 111: 3013}
