"""The abuse log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "abuse",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("person", sa.String(64), nullable=False),
        sa.Column("event", sa.String(16), nullable=False),
        sa.Column("prompt", sa.String(64), nullable=False),
        sa.Column("picture", sa.String(64), nullable=True),
        sa.PrimaryKeyConstraint("number", name="pk_abuse"),
    )
    op.create_index("ix_abuse_at", "abuse", ["at"])
    op.create_index("ix_abuse_picture", "abuse", ["picture"])
