"""Who works here: users with their role, second factor and profile."""

from __future__ import annotations

from typing import Any

from tortoise import fields
from tortoise.models import Model

from models import columns
from models.access import Role


class User(Model):
    """Someone who may sign in. `password` is an argon2 hash."""

    id = fields.BigIntField(primary_key=True)
    username = fields.CharField(max_length=150, unique=True)
    email = fields.CharField(max_length=254)
    first_name: str = columns.text(150)
    last_name: str = columns.text(150)
    password: str = columns.text(256)
    role: Role = columns.choice(Role, Role.SALES_REP)
    phone: str = columns.text(20)
    avatar: str = columns.text(500)
    department: str = columns.text(100)
    is_active: bool = columns.flag(True)
    two_factor_enabled: bool = columns.flag(False)
    # Sealed by the hub (`hub/sealed.py`); there from the set-up on, in force once `two_factor_enabled`.
    two_factor_secret: str = columns.text(64)
    # The time step of the last code that was used: none is good twice.
    two_factor_step = fields.BigIntField(default=0, db_default=0)
    # Keyed hashes of the recovery codes that are left.
    recovery_codes: Any = columns.items()
    last_login: Any = columns.moment()
    last_login_ip = columns.InetField(null=True)
    date_joined: Any = columns.created()

    profile: fields.ReverseRelation[UserProfile]

    @property
    def full_name(self) -> str:
        """First and last name, or the username where there is neither."""
        return f"{self.first_name} {self.last_name}".strip() or self.username

    class Meta:
        table = "crm_users"
        constraints = (columns.one_of("crm_users", "role", Role),)


class UserProfile(Model):
    """What a user has set for themselves."""

    id: Any = columns.key()
    user: fields.OneToOneRelation[User] = fields.OneToOneField(
        "models.User", related_name="profile", on_delete=fields.CASCADE
    )
    bio: str = columns.prose()
    timezone = fields.CharField(max_length=50, default="UTC", db_default="UTC")
    language = fields.CharField(max_length=10, default="en", db_default="en")
    notification_preferences: Any = columns.mapping()
    dashboard_preferences: Any = columns.mapping()

    class Meta:
        table = "crm_user_profiles"
