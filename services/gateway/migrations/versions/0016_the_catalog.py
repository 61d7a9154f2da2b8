"""What columns look like, who uses what, and what people write beside a dataset's file"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "column_profiles",
        sa.Column("dataset", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("nulls", sa.BigInteger(), nullable=False),
        sa.Column("flagged", sa.BigInteger(), nullable=False),
        sa.Column("distinct_at_least", sa.BigInteger(), nullable=True),
        sa.Column("least", sa.Text(), nullable=True),
        sa.Column("greatest", sa.Text(), nullable=True),
        sa.Column("counted", sa.BigInteger(), nullable=False),
        sa.Column("mean", sa.Float(53), nullable=True),
        sa.Column("m2", sa.Float(53), nullable=True),
        sa.Column("profiled_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("dataset", "generation", "name", name=op.f("pk_column_profiles")),
    )
    op.create_table(
        "usage_daily",
        sa.Column("dataset", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("principal_name", sa.Text(), nullable=False),
        sa.Column("queries", sa.BigInteger(), nullable=False),
        sa.Column("exports", sa.BigInteger(), nullable=False),
        sa.Column("last_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("dataset", "day", "principal", name=op.f("pk_usage_daily")),
    )
    op.create_table(
        "favourites",
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("dataset", sa.Text(), nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("principal", "dataset", name=op.f("pk_favourites")),
    )
    op.create_table(
        "catalog_notes",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("dataset", sa.Text(), nullable=False),
        sa.Column("column", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("author_name", sa.Text(), nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_catalog_notes")),
    )
    op.create_index(op.f("ix_catalog_notes_dataset"), "catalog_notes", ["dataset", "column", "id"])
    op.create_table(
        "catalog_threads",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("dataset", sa.Text(), nullable=False),
        sa.Column("column", sa.Text(), nullable=False),
        sa.Column("opened_at", _MOMENT, nullable=False),
        sa.Column("resolved_at", _MOMENT, nullable=True),
        sa.Column("resolved_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_catalog_threads")),
    )
    op.create_index(op.f("ix_catalog_threads_dataset"), "catalog_threads", ["dataset"])
    op.create_table(
        "catalog_remarks",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("thread", sa.String(32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("author_name", sa.Text(), nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.Column("edited_at", _MOMENT, nullable=True),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_catalog_remarks")),
    )
    op.create_index(op.f("ix_catalog_remarks_thread"), "catalog_remarks", ["thread"])


def downgrade() -> None:
    for table in (
        "catalog_remarks",
        "catalog_threads",
        "catalog_notes",
        "favourites",
        "usage_daily",
        "column_profiles",
    ):
        op.drop_table(table)
