"""Sign-ins in place of single refresh tokens, second factors, password resets, mails to send, what was done with accounts.

Whoever is signed in signs in anew. The columns added to users reach no event, so old images need no upcast.
"""
# ruff: noqa: E501
# fmt: off

from uuid import uuid4

from orjson import loads
from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.fields.data import JSON_DUMPS
from tortoise.fields.db_defaults import Now, SqlDefault
from tortoise.migrations import operations as ops
from tortoise.migrations.constraints import CheckConstraint
from tortoise.migrations.operations import RunSQL

from models import mails, password_resets, throttles
from models.account_actions import AccountActionKind
from models.capture import statements
from models.columns import InetField
from models.mails import MailStatus
from models.rights import SIGN_IN_FUNCTION, SIGN_IN_TRIGGER


class Migration(migrations.Migration):
    dependencies = [("models", "0005_lists")]  # noqa: RUF012

    operations = [  # noqa: RUF012
        ops.CreateModel(
            name='AccountAction',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('user_id', fields.BigIntField(null=True, db_index=True)),
                ('user_name', fields.CharField(default='', db_default='', max_length=254)),
                ('action', fields.CharEnumField(description='', enum_type=AccountActionKind, max_length=30)),
                ('details', fields.JSONField(default=dict, db_default=SqlDefault("'{}'"), encoder=JSON_DUMPS, decoder=loads)),
                ('ip_address', InetField(null=True, generated=False, unique=False)),
                ('user_agent', fields.TextField(default='', db_default='', unique=False)),
                ('timestamp', fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=True)),
            ],
            options={'table': 'crm_account_actions', 'app': 'models', 'pk_attr': 'id'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='Mail',
            fields=[
                ('id', fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True, db_default=SqlDefault('gen_random_uuid()'))),
                ('recipient', fields.CharField(max_length=254)),
                ('subject', fields.CharField(max_length=255)),
                ('body', fields.TextField(default='', db_default='', unique=False)),
                ('status', fields.CharEnumField(default=MailStatus.PENDING, description='', db_default='pending', enum_type=MailStatus, max_length=20)),
                ('tries', fields.IntField(default=0, db_default=0)),
                ('error', fields.CharField(default='', db_default='', max_length=500)),
                ('created_at', fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=True)),
                ('due_at', fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=True)),
                ('expires_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ('sent_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'mails', 'app': 'models', 'pk_attr': 'id'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='PasswordReset',
            fields=[
                ('id', fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True, db_default=SqlDefault('gen_random_uuid()'))),
                ('user', fields.ForeignKeyField('models.User', source_field='user_id', db_index=True, db_constraint=True, to_field='id', related_name='password_resets', on_delete=OnDelete.CASCADE)),
                ('token_hash', fields.CharField(max_length=64)),
                ('created_at', fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=True)),
                ('expires_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'password_resets', 'app': 'models', 'pk_attr': 'id'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='SignIn',
            fields=[
                ('id', fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True, db_default=SqlDefault('gen_random_uuid()'))),
                ('user', fields.ForeignKeyField('models.User', source_field='user_id', db_index=True, db_constraint=True, to_field='id', related_name='sign_ins', on_delete=OnDelete.CASCADE)),
                ('ip_address', InetField(null=True, generated=False, unique=False)),
                ('user_agent', fields.TextField(default='', db_default='', unique=False)),
                ('created_at', fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=True)),
                ('refresh_id', fields.UUIDField(null=True)),
                ('previous_id', fields.UUIDField(null=True)),
                ('issued_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('tries', fields.IntField(default=0, db_default=0)),
                ('expires_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ('ended_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('ended_because', fields.CharField(default='', db_default='', max_length=20)),
            ],
            options={'table': 'sign_ins', 'app': 'models', 'pk_attr': 'id'},
            bases=['Model'],
        ),
        ops.AddConstraint(model_name='AccountAction', constraint=CheckConstraint(check="action IN ('login', 'login_failed', 'logout', 'registered', 'token_reused', 'password_changed', 'password_reset_requested', 'password_reset', 'two_factor_enabled', 'two_factor_disabled', 'two_factor_failed', 'recovery_code_used')", name='crm_account_actions_action_choice')),
        ops.AddConstraint(model_name='Mail', constraint=CheckConstraint(check="status IN ('pending', 'sending', 'sent', 'failed')", name='mails_status_choice')),
        ops.AddField(
            model_name='User',
            name='two_factor_step',
            field=fields.BigIntField(default=0, db_default=0),
        ),
        ops.AddField(
            model_name='User',
            name='recovery_codes',
            field=fields.JSONField(default=list, db_default=SqlDefault("'[]'"), encoder=JSON_DUMPS, decoder=loads),
        ),
        ops.DeleteModel(name='RefreshToken'),
        RunSQL([throttles.TABLE, mails.INDEX, password_resets.BY_ADDRESS, SIGN_IN_FUNCTION, SIGN_IN_TRIGGER]),
        RunSQL([*statements("crm_users"), *statements("crm_account_actions")]),
    ]
