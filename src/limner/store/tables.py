"""The tables of the record. A change here comes with a migration."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Moments are seconds since 1970 in UTC.

people = Table(
    "people",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("last_tag", Float, nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("id", String(32), nullable=False, unique=True),
    Column("person", String(64), ForeignKey("people.id"), nullable=False),
    Column("status", String(16), nullable=False),
    Column("params", JSON, nullable=False),
    Column("idempotency_key", String(255)),
    Column("fingerprint", String(64)),
    Column("tag", Float, nullable=False),
    Column("cost", Float, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("started_at", Float),
    Column("finished_at", Float),
    Column("failure_code", String(32)),
    Column("failure_message", Text),
    UniqueConstraint("person", "idempotency_key"),
    # With the cost inside, a place in a long queue is counted and summed without visiting the rows.
    Index(None, "status", "tag", "number", "cost"),
    Index(None, "person", "number"),
    Index(None, "person", "status"),
    sqlite_autoincrement=True,
)

keys = Table(
    "keys",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("name", String(100), nullable=False),
    Column("digest", String(64), nullable=False, unique=True),
    Column("scopes", JSON, nullable=False),
    Column("quota", Float),
    Column("rate", Integer),
    Column("queued", Integer),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float),
    Column("last_used_at", Float),
    Column("revoked_at", Float),
)

# What was asked for on a day (counted from 1970, in UTC), in megapixel-steps.
usage = Table(
    "usage",
    metadata,
    Column("payer", String(64), primary_key=True),
    Column("day", Integer, primary_key=True),
    Column("spent", Float, nullable=False),
)

images = Table(
    "images",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("job_id", String(32), ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("index", Integer, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("format", String(8), nullable=False),
    Column("encode_s", Float, nullable=False),
    Column("steps_s", Float, nullable=False),
    Column("decode_s", Float, nullable=False),
    Column("save_s", Float, nullable=False),
    Column("created_at", Float, nullable=False),
    UniqueConstraint("job_id", "index"),
)

# Outlives jobs and people: no foreign keys. Hashes only.
abuse = Table(
    "abuse",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False),
    Column("person", String(64), nullable=False),
    Column("event", String(16), nullable=False),
    Column("prompt", String(64), nullable=False),
    Column("picture", String(64)),
    Index(None, "at"),
    Index(None, "picture"),
)
