"""The collections of the first version."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Written out, not taken from the code: a migration must not change when the code does.
TABLES = (
    ("pipelines", ("owner",), ()),
    ("plans", (), ("as_of",)),
    ("runs", ("pipeline", "state"), ("created_at",)),
    ("task_runs", ("run_id", "pipeline", "state"), ()),
    ("attempts", ("run_id", "state", "cluster"), ("intended_at",)),
    ("deployments", ("endpoint",), ()),
    ("signals", ("series", "layer"), ("at",)),
    ("alarms", ("series",), ("at",)),
    ("super_alarms", ("state",), ("updated_at",)),
    ("actions", ("kind", "state", "pipeline"), ("wanted_at",)),
    ("events", ("kind",), ("at",)),
    ("run_records", ("kind",), ("ended_at",)),
    ("cluster_health", (), ()),
    ("capacity_reports", (), ("as_of",)),
    ("terms", (), ()),
    ("cursors", (), ()),
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
