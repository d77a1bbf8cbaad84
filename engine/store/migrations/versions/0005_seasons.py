"""What series were in the seasons before."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "seasons",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=True),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_seasons"),
    )
    op.create_index("ix_seasons_expires_at", "seasons", ["expires_at"])


def downgrade() -> None:
    """Drop the table."""
    op.drop_index("ix_seasons_expires_at", "seasons")
    op.drop_table("seasons")
