"""What running services should hold."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "service_sizes",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("at", sa.Double, nullable=True),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_service_sizes"),
    )
    op.create_index("ix_service_sizes_at", "service_sizes", ["at"])


def downgrade() -> None:
    """Drop the table."""
    op.drop_index("ix_service_sizes_at", "service_sizes")
    op.drop_table("service_sizes")
