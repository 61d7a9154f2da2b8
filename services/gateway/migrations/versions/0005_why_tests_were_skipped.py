"""Why the tests of a version were not run"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TABLES = ("datasets", "dataset_versions")


def upgrade() -> None:
    for table in _TABLES:
        op.add_column(table, sa.Column("tests_skipped", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    for table in _TABLES:
        op.drop_column(table, "tests_skipped")
