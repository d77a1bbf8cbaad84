"""Alerts and signals of other systems, what people say about alarms, and messages to them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Written out, not taken from the code: a migration must not change when the code does.
TABLES = (
    ("firings", ("sender", "state"), ("received_at",)),
    ("deliveries", ("sender",), ("received_at",)),
    ("senders", (), ()),
    ("silences", (), ("ends_at",)),
    ("foldings", ("silence_id",), ("at",)),
    ("feedback", (), ("at",)),
    ("messages", ("channel", "state"), ("due_at",)),
)


def upgrade() -> None:
    """Make every table with its indexes."""
    for name, texts, times in TABLES:
        op.create_table(
            name,
            sa.Column("key", sa.Text, nullable=False),
            sa.Column("version", sa.Integer, nullable=False),
            *(sa.Column(column, sa.Text) for column in texts),
            *(sa.Column(column, sa.Double) for column in times),
            sa.Column("body", sa.Text, nullable=False),
            sa.PrimaryKeyConstraint("key", name=f"pk_{name}"),
        )
        for column in (*texts, *times):
            op.create_index(f"ix_{name}_{column}", name, [column])


def downgrade() -> None:
    """Drop every table."""
    for name, _texts, _times in reversed(TABLES):
        op.drop_table(name)
