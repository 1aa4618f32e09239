"""Passwords: argon2, off the loop."""

from __future__ import annotations

import asyncio

from models import passwords


async def test_a_hash_belongs_to_its_password_only() -> None:
    first, second = await asyncio.gather(passwords.hash("correct"), passwords.hash("correct"))
    assert first != second
    assert first.startswith("$argon2id$")
    assert await passwords.verify(first, "correct")
    assert not await passwords.verify(first, "wrong")
    assert not await passwords.verify(None, "correct")
    assert not await passwords.verify("", "correct")
    assert not await passwords.verify("not a hash", "correct")


async def test_an_unknown_user_is_told_nothing_by_the_hash_it_is_checked_against() -> None:
    assert not await passwords.verify(None, "the hash that is checked when there is no such user")


async def test_the_loop_goes_on_while_a_password_is_hashed() -> None:
    hashing = asyncio.ensure_future(passwords.hash("long"))
    turns = 0
    while not hashing.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 10
