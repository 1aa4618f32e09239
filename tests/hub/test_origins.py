"""Which pages may connect."""

import pytest

from hub import origins
from hub.origins import Origins


@pytest.mark.parametrize(
    ("patterns", "origin", "allowed"),
    [
        ([], None, True),
        ([], "", True),
        ([], "https://app.example.com", False),
        (["*"], "https://anything", True),
        (["*"], "null", True),
        (["https://app.example.com"], "https://app.example.com", True),
        (["https://app.example.com"], "https://APP.example.com", True),
        (["https://App.example.com"], "https://app.example.com", True),
        (["https://app.example.com"], "https://app.example.com.evil.org", False),
        (["https://app.example.com"], "http://app.example.com", False),
        (["https://app.example.com"], "https://app-example.com", False),
        (["https://app.example.com"], "https://app.example.com\n", False),
        (["https://*.example.com"], "https://a.b.example.com", True),
        (["https://*.example.com"], "https://example.com", False),
        (["http://localhost:300?"], "http://localhost:3001", True),
        (["http://localhost:3000", "https://x.org"], "https://x.org", True),
        (["https://x.org"], "null", False),
    ],
)
def test_origins(patterns: list[str], origin: str | None, allowed: bool) -> None:
    assert Origins(patterns).allows(origin) is allowed


@pytest.mark.parametrize("pattern", ["app.example.com", "https://a.b/", "https://{a,b}.c", "", " *", "https://a b"])
def test_what_is_no_pattern(pattern: str) -> None:
    with pytest.raises(ValueError, match="an origin such as"):
        origins.check(pattern)
