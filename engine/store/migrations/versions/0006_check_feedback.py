"""What people said of the checks that Berth ran."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_INDEXED = ("at", "super_alarm_id")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "check_feedback",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("at", sa.Double, nullable=True),
        sa.Column("super_alarm_id", sa.Text, nullable=True),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_check_feedback"),
    )
    for name in _INDEXED:
        op.create_index(f"ix_check_feedback_{name}", "check_feedback", [name])


def downgrade() -> None:
    """Drop the table."""
    for name in _INDEXED:
        op.drop_index(f"ix_check_feedback_{name}", "check_feedback")
    op.drop_table("check_feedback")
