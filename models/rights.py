"""Telling hub nodes that somebody's rights have changed.

Postgres says so itself when a role or `is_active` changes, a user goes or a sign-in is ended, whoever did it. Such
commits are rare, so the lock a NOTIFY takes at commit stands in nobody's way.
"""

#: Postgres channel with ids of users whose rights have changed.
RIGHTS_CHANNEL = "hub_rights"

FUNCTION = f"""
CREATE FUNCTION hub_tell_rights() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('{RIGHTS_CHANNEL}', OLD.id::text);
    RETURN NULL;
END $$
"""

TRIGGERS = (
    """
CREATE TRIGGER rights_changed AFTER UPDATE OF id, role, is_active ON crm_users FOR EACH ROW
    WHEN ((OLD.id, OLD.role, OLD.is_active) IS DISTINCT FROM (NEW.id, NEW.role, NEW.is_active))
    EXECUTE FUNCTION hub_tell_rights()
""",
    "CREATE TRIGGER rights_gone AFTER DELETE ON crm_users FOR EACH ROW EXECUTE FUNCTION hub_tell_rights()",
)

SIGN_IN_FUNCTION = f"""
CREATE FUNCTION hub_tell_sign_in() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('{RIGHTS_CHANNEL}', OLD.user_id::text);
    RETURN NULL;
END $$
"""

SIGN_IN_TRIGGER = """
CREATE TRIGGER sign_in_ended AFTER UPDATE OF ended_at ON sign_ins FOR EACH ROW
    WHEN (OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL) EXECUTE FUNCTION hub_tell_sign_in()
"""
