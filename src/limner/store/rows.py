"""Rows of the record as values, and back."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, insert, select, update

from limner.errors import NotFound
from limner.params import GenerationParams, OutputFormat
from limner.store.job import Durations, Failure, Image, Job, NewImage, Paths, Status
from limner.store.tables import images, people

# Statements that every job needs are built once: building one costs several times what running it does.
_IMAGES_OF = (
    select(images).where(images.c.job_id.in_(bindparam("job_ids", expanding=True))).order_by(images.c.index)
)
_ADVANCE = update(people).where(people.c.id == bindparam("person"))


def new_id() -> str:
    """128 random bits: nobody finds it by trying."""
    return secrets.token_hex(16)


def now() -> float:
    return time.time()


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def job_values(person: str, params: GenerationParams, tag: float) -> dict[str, Any]:
    """A new, queued row of `jobs`."""
    return {
        "id": new_id(),
        "person": person,
        "status": Status.QUEUED,
        "params": params.model_dump(mode="json"),
        "tag": tag,
        "cost": params.cost * params.num_images,
        "attempt": 0,
        "created_at": now(),
    }


def image_values(job_id: str, image_id: str, new: NewImage) -> dict[str, Any]:
    return {
        "id": image_id,
        "job_id": job_id,
        "index": new.index,
        "seed": new.seed,
        "width": new.width,
        "height": new.height,
        "format": new.format,
        "encode_s": new.durations.encode_s,
        "steps_s": new.durations.steps_s,
        "decode_s": new.durations.decode_s,
        "save_s": new.durations.save_s,
        "created_at": now(),
    }


def loaded(connection: Connection, rows: Sequence[Row[Any]]) -> list[Job]:
    """The jobs of these rows of `jobs`, each with its images."""
    begun = [row.id for row in rows if row.attempt or row.status != Status.QUEUED]
    of_job: dict[str, list[Image]] = {}
    for image in images_of(connection, *begun) if begun else ():
        of_job.setdefault(image.job_id, []).append(image)
    return [_job(row, tuple(of_job.get(row.id, ()))) for row in rows]


def images_of(connection: Connection, *job_ids: str) -> tuple[Image, ...]:
    """The images of these jobs; those of one in order."""
    return tuple(map(_image, connection.execute(_IMAGES_OF, {"job_ids": job_ids})))


def one(connection: Connection, query: Select[Any], **given: Any) -> Job:
    """The one job that `query` finds. Raises `NotFound`."""
    row = connection.execute(query, given).one_or_none()
    if row is None:
        raise NotFound
    return loaded(connection, [row])[0]


def image_paths(connection: Connection) -> Iterator[Paths]:
    """Of every image there is."""
    for row in connection.execute(select(images.c.id, images.c.format)):
        yield Paths.of(row.id, OutputFormat(row.format))


def enrol(connection: Connection, person: str, last_tag: float, *, is_new: bool) -> None:
    """Write down the last tag of a person, who may have come for the first time."""
    if is_new:
        connection.execute(insert(people), {"id": person, "last_tag": last_tag})
    else:
        connection.execute(_ADVANCE, {"person": person, "last_tag": last_tag})


def new_job(number: int, params: GenerationParams, values: dict[str, Any]) -> Job:
    """The job of the `job_values` that were inserted as row `number`."""
    taken = {name: values[name] for name in ("id", "person", "status", "tag", "attempt")}
    return Job(number=number, params=params, created_at=moment(values["created_at"]), **taken)


def _job(row: Row[Any], found: tuple[Image, ...]) -> Job:
    return Job(
        id=row.id,
        number=row.number,
        person=row.person,
        status=Status(row.status),
        params=GenerationParams.model_validate(row.params),
        tag=row.tag,
        attempt=row.attempt,
        created_at=moment(row.created_at),
        started_at=None if row.started_at is None else moment(row.started_at),
        finished_at=None if row.finished_at is None else moment(row.finished_at),
        failure=Failure(row.failure_code, row.failure_message) if row.failure_code else None,
        images=found,
    )


def _image(row: Row[Any]) -> Image:
    return Image(
        id=row.id,
        job_id=row.job_id,
        index=row._mapping["index"],
        seed=row.seed,
        width=row.width,
        height=row.height,
        format=OutputFormat(row.format),
        durations=Durations(row.encode_s, row.steps_s, row.decode_s, row.save_s),
        created_at=moment(row.created_at),
    )
