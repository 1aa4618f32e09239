"""Custom fields: what they are, how they are grouped, the version of them all; files; wider names in field history."""
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

from models.capture import statements, touch
from models.custom_fields import FUNCTIONS, TRIGGERS, VERSION_TABLE, FieldType
from models.resources.custom.searching import SEARCHED
from models.search import statements as statements_of_search

CAPTURED = ("crm_custom_fields", "crm_custom_field_groups", "crm_custom_field_group_memberships", "crm_files")
TOUCHED = ("crm_custom_fields", "crm_custom_field_groups")


class Migration(migrations.Migration):
    dependencies = [("models", "0007_jobs")]  # noqa: RUF012
    operations = [  # noqa: RUF012
        ops.CreateModel(
            name='CustomField',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('name', fields.CharField(max_length=100)),
                ('label', fields.CharField(max_length=200)),
                ('field_type', fields.CharEnumField(description='', enum_type=FieldType, max_length=20)),
                ('help_text', fields.TextField(default='', db_default='', unique=False)),
                ('placeholder', fields.CharField(default='', db_default='', max_length=200)),
                ('content_type', fields.IntField()),
                ('is_required', fields.BooleanField(default=False, db_default=False)),
                ('min_length', fields.IntField(null=True)),
                ('max_length', fields.IntField(null=True)),
                ('min_value', fields.DecimalField(null=True, max_digits=20, decimal_places=2)),
                ('max_value', fields.DecimalField(null=True, max_digits=20, decimal_places=2)),
                ('regex_pattern', fields.CharField(default='', db_default='', max_length=500)),
                ('regex_error_message', fields.CharField(default='', db_default='', max_length=200)),
                ('options', fields.JSONField(default=list, db_default=SqlDefault("'[]'"), encoder=JSON_DUMPS, decoder=loads)),
                ('default_value', fields.TextField(default='', db_default='', unique=False)),
                ('order', fields.IntField(default=0, db_default=0)),
                ('is_visible', fields.BooleanField(default=True, db_default=True)),
                ('is_searchable', fields.BooleanField(default=False, db_default=False)),
                ('is_filterable', fields.BooleanField(default=False, db_default=False)),
                ('is_public', fields.BooleanField(default=True, db_default=True)),
                ('visible_to_roles', fields.JSONField(default=list, db_default=SqlDefault("'[]'"), encoder=JSON_DUMPS, decoder=loads)),
                ('editable_by_roles', fields.JSONField(default=list, db_default=SqlDefault("'[]'"), encoder=JSON_DUMPS, decoder=loads)),
                ('is_active', fields.BooleanField(default=True, db_default=True)),
                ('created_by', fields.ForeignKeyField('models.User', source_field='created_by_id', null=True, db_index=True, db_constraint=True, to_field='id', related_name='custom_fields', on_delete=OnDelete.SET_NULL)),
                ('created_at', fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=True)),
                ('updated_at', fields.DatetimeField(db_default=Now(), auto_now=True, auto_now_add=False)),
            ],
            options={'table': 'crm_custom_fields', 'app': 'models', 'unique_together': (('content_type', 'name'),), 'pk_attr': 'id'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='CustomFieldGroup',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('name', fields.CharField(max_length=100)),
                ('description', fields.TextField(default='', db_default='', unique=False)),
                ('content_type', fields.IntField()),
                ('order', fields.IntField(default=0, db_default=0)),
                ('is_collapsible', fields.BooleanField(default=True, db_default=True)),
                ('is_collapsed_by_default', fields.BooleanField(default=False, db_default=False)),
                ('created_at', fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=True)),
                ('updated_at', fields.DatetimeField(db_default=Now(), auto_now=True, auto_now_add=False)),
            ],
            options={'table': 'crm_custom_field_groups', 'app': 'models', 'pk_attr': 'id'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='CustomFieldGroupMembership',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('group', fields.ForeignKeyField('models.CustomFieldGroup', source_field='group_id', db_constraint=True, to_field='id', related_name='memberships', on_delete=OnDelete.CASCADE)),
                ('custom_field', fields.ForeignKeyField('models.CustomField', source_field='custom_field_id', db_index=True, db_constraint=True, to_field='id', related_name='memberships', on_delete=OnDelete.CASCADE)),
                ('order', fields.IntField(default=0, db_default=0)),
            ],
            options={'table': 'crm_custom_field_group_memberships', 'app': 'models', 'unique_together': (('group', 'custom_field'),), 'pk_attr': 'id'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='File',
            fields=[
                ('id', fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True, db_default=SqlDefault('gen_random_uuid()'))),
                ('name', fields.CharField(max_length=255)),
                ('size', fields.BigIntField()),
                ('media_type', fields.CharField(max_length=100)),
                ('sha256', fields.CharField(db_index=True, max_length=64)),
                ('uploaded_by', fields.ForeignKeyField('models.User', source_field='uploaded_by_id', null=True, db_index=True, db_constraint=True, to_field='id', related_name='files', on_delete=OnDelete.SET_NULL)),
                ('object_type', fields.CharField(default='', db_default='', max_length=50)),
                ('object_id', fields.BigIntField(null=True)),
                ('field', fields.CharField(default='', db_default='', max_length=100)),
                ('unused_since', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('created_at', fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=True)),
            ],
            options={'table': 'crm_files', 'app': 'models', 'pk_attr': 'id'},
            bases=['Model'],
        ),
        ops.AlterField(
            model_name='FieldHistory',
            name='field_label',
            field=fields.CharField(default='', db_default='', max_length=200),
        ),
        ops.AlterField(
            model_name='FieldHistory',
            name='field_name',
            field=fields.CharField(max_length=200),
        ),
        ops.AddConstraint(model_name='CustomField', constraint=CheckConstraint(check="field_type IN ('text', 'textarea', 'number', 'decimal', 'boolean', 'date', 'datetime', 'email', 'url', 'phone', 'select', 'multiselect', 'radio', 'checkbox', 'file')", name='crm_custom_fields_field_type_choice')),
        RunSQL(VERSION_TABLE),
        RunSQL([*FUNCTIONS, *TRIGGERS]),
        RunSQL([statement for table in CAPTURED for statement in statements(table)]),
        RunSQL([touch(table) for table in TOUCHED]),
        # The tables with the documents are there, and no custom field is searchable yet.
        RunSQL([statement for searched in SEARCHED.values() for statement in [*statements_of_search(searched)][1:]]),
    ]
