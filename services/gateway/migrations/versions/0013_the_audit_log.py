"""The audit log, of which nothing is changed or deleted"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_TEXTS = ("actor", "actor_id", "credential", "action", "datasets", "address", "user_agent", "request_id")
_SAID = "the audit log is only written to the end of"


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("writer", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("prev_hash", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("phase", sa.String(16), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in _TEXTS),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("writer", "seq", name=op.f("pk_audit")),
    )
    op.create_index(op.f("ix_audit_at_us"), "audit", ["at_us"])
    op.create_index(op.f("ix_audit_id"), "audit", ["id"])
    if op.get_bind().dialect.name == "sqlite":
        for act in ("update", "delete"):
            op.execute(f"create trigger audit_no_{act} before {act} on audit begin select raise(abort, '{_SAID}'); end")
        return
    op.execute(
        "create function audit_refused() returns trigger language plpgsql as "
        f"$$ begin raise exception '{_SAID}'; end $$"
    )
    op.execute(
        "create trigger audit_no_change before update or delete on audit for each row execute function audit_refused()"
    )
    op.execute(
        "create trigger audit_no_truncate before truncate on audit for each statement execute function audit_refused()"
    )


def downgrade() -> None:
    op.drop_table("audit")
    if op.get_bind().dialect.name != "sqlite":
        op.execute("drop function audit_refused()")
