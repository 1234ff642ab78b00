"""What every record must do, whichever database it lies in: jobs wait, run and end exactly once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from limner.errors import Busy, Conflict, NotFound
from limner.params import GenerationParams, OutputFormat, Sampler, Schedule
from limner.store.job import Durations, Failure, Job, NewImage, Status
from limner.store.queue import Ticket
from limner.store.store import Store


@pytest.fixture(params=["sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    opened = {"sqlite": Store}[request.param](tmp_path)
    yield opened
    opened.close()


def asked(num_images: int = 1, steps: int = 10) -> GenerationParams:
    return GenerationParams(
        prompt="a house",
        negative_prompt="",
        model="double",
        width=128,
        height=128,
        num_inference_steps=steps,
        guidance_scale=1,
        sampler=Sampler.DDIM,
        schedule=Schedule.PLAIN,
        seed=1,
        num_images=num_images,
        output_format=OutputFormat.PNG,
        random=False,
    )


def picture(index: int = 0) -> NewImage:
    return NewImage(
        index, 1 + index, 128, 128, OutputFormat.PNG, Durations(1, 2, 3, 4), b"picture", b"thumbnail"
    )


def submit(store: Store, person: str = "ann", num_images: int = 1, **limits: object) -> Job:
    return store.queue.submit(person, asked(num_images), max_queued=10_000)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "pictures").rglob("*") if path.is_file())


def test_a_job_comes_back_as_it_was_submitted(store: Store) -> None:
    job = submit(store)
    assert store.job("ann", job.id) == job
    assert (job.status, job.params, job.attempt, job.images) == (Status.QUEUED, asked(), 0, ())
    assert len(job.id) == 32


def test_another_persons_job_is_not_found(store: Store) -> None:
    job = submit(store, "ann")
    for ask in (store.job, store.cancel, store.delete):
        with pytest.raises(NotFound):
            ask("ben", job.id)
    assert store.page("ben", 10) == []
    assert store.job("ann", job.id).status is Status.QUEUED


def test_late_people_come_soon_after_one_who_queued_much(store: Store) -> None:
    for _ in range(50):
        submit(store, "bulk")
    running = store.queue.claim(4)
    late = [submit(store, f"late {n}") for n in range(3)]
    order = [job.person for job in store.queue.claim(6)]
    assert [job.person for job in running] == ["bulk"] * 4
    assert set(order[:3]) == {job.person for job in late}


def test_people_who_queue_alike_take_turns(store: Store) -> None:
    for person in ("ann", "ben"):
        for _ in range(4):
            submit(store, person)
    order = [store.queue.claim(1)[0].person for _ in range(8)]
    for start in range(0, 8, 2):
        assert set(order[start : start + 2]) == {"ann", "ben"}


def test_heavy_jobs_count_for_more_than_light_ones(store: Store) -> None:
    for _ in range(10):
        store.queue.submit("heavy", asked(steps=100), max_queued=100)
        store.queue.submit("light", asked(steps=10), max_queued=100)
    first = [store.queue.claim(1)[0].person for _ in range(10)]
    assert first.count("light") >= 8


def test_being_away_saves_nothing_up(store: Store) -> None:
    for _ in range(20):
        submit(store, "ben")
    for _ in range(10):
        store.cancel("ben", store.queue.claim(1)[0].id)
    for _ in range(8):
        submit(store, "ann")
    order = [store.queue.claim(1)[0].person for _ in range(10)]
    assert 4 <= order.count("ben") <= 6


def test_claimed_pictures_fill_the_room_and_no_job_is_claimed_twice(store: Store) -> None:
    made = [submit(store, num_images=n) for n in (2, 3, 1)]
    first = store.queue.claim(4)
    assert [job.id for job in first] == [made[0].id, made[1].id]
    assert [job.status for job in first] == [Status.RUNNING] * 2
    assert [job.id for job in store.queue.claim(4)] == [made[2].id]
    assert store.queue.claim(4) == []


def test_claims_can_be_limited_to_whose_turn_is_before_a_tag(store: Store) -> None:
    one, two = submit(store), submit(store)
    assert [job.id for job in store.queue.claim(5, below=two.tag)] == [one.id]


def test_many_threads_claim_every_job_once(store: Store) -> None:
    made = {submit(store).id for _ in range(30)}
    with ThreadPoolExecutor(6) as threads:
        claimed = [job.id for jobs in threads.map(lambda _: store.queue.claim(1), range(40)) for job in jobs]
    assert sorted(claimed) == sorted(made)


def test_positions_count_from_the_next_one_on(store: Store) -> None:
    jobs = [submit(store) for _ in range(3)]
    places = store.queue.places([job.id for job in jobs])
    assert [places[job.id].position for job in jobs] == [1, 2, 3]
    assert places[jobs[2].id].cost == pytest.approx(3 * asked().cost)
    store.queue.claim(1)
    assert jobs[0].id not in store.queue.places([job.id for job in jobs])


def test_a_job_succeeds_with_its_last_picture(store: Store, tmp_path: Path) -> None:
    submit(store, num_images=2)
    job = store.queue.claim(2)[0]
    half = store.queue.add_image(job, picture(1))
    assert half is not None
    assert (half.status, half.missing()) == (Status.RUNNING, [0])
    whole = store.queue.add_image(job, picture(0))
    assert whole is not None
    assert (whole.status, [image.index for image in whole.images]) == (Status.SUCCEEDED, [0, 1])
    taken = whole.images[0].durations
    assert (taken.encode_s, taken.steps_s, taken.decode_s) == (1, 2, 3)
    assert taken.save_s > 4  # writing the files comes on top of encoding them
    assert whole.finished_at is not None
    assert store.read(whole.images[0].paths.picture) == b"picture"
    assert store.read(whole.images[0].paths.thumbnail) == b"thumbnail"
    assert store.job_of_image(whole.images[1].id) == whole
    assert len(files(tmp_path)) == 4


def test_a_result_of_an_earlier_attempt_is_not_kept(store: Store, tmp_path: Path) -> None:
    submit(store)
    early = store.queue.claim(1)[0]
    assert store.queue.put_back() == 1
    late = store.queue.claim(1)[0]
    assert late.attempt == early.attempt + 1
    assert store.queue.add_image(early, picture()) is None
    assert store.queue.fail(early, Failure("engine_failed", "gone")) is None
    assert files(tmp_path) == []
    assert store.queue.add_image(late, picture()) is not None


@pytest.mark.parametrize("end", ["cancel", "delete"])
def test_a_result_of_a_job_that_was_called_off_is_not_kept(store: Store, tmp_path: Path, end: str) -> None:
    submit(store)
    job = store.queue.claim(1)[0]
    getattr(store, end)("ann", job.id)
    assert store.queue.add_image(job, picture()) is None
    assert files(tmp_path) == []


def test_the_same_picture_is_not_committed_twice(store: Store, tmp_path: Path) -> None:
    submit(store, num_images=2)
    job = store.queue.claim(1)[0]
    store.queue.add_image(job, picture(0))
    with pytest.raises(Exception, match="UNIQUE"):
        store.queue.add_image(job, picture(0))
    assert len(files(tmp_path)) == 2


def test_a_failed_job_keeps_its_reason_and_what_was_finished(store: Store) -> None:
    submit(store, num_images=2)
    job = store.queue.claim(1)[0]
    store.queue.add_image(job, picture(0))
    store.queue.fail(job, Failure("engine_failed", "out of paint"))
    found = store.job("ann", job.id)
    assert (found.status, found.failure) == (Status.FAILED, Failure("engine_failed", "out of paint"))
    assert len(found.images) == 1


def test_what_is_over_is_not_cancelled(store: Store) -> None:
    submit(store)
    job = store.queue.claim(1)[0]
    done = store.queue.add_image(job, picture())
    assert store.cancel("ann", job.id) == done


def test_a_cancelled_job_is_never_claimed(store: Store) -> None:
    job = submit(store)
    assert store.cancel("ann", job.id).status is Status.CANCELLED
    assert store.queue.claim(1) == []


def test_one_person_may_have_only_so_many_waiting(store: Store) -> None:
    for _ in range(2):
        store.queue.submit("ann", asked(), max_queued=2)
    with pytest.raises(Busy, match="2"):
        store.queue.submit("ann", asked(), max_queued=2)
    store.queue.submit("ben", asked(), max_queued=2)
    store.queue.claim(1)
    store.queue.submit("ann", asked(), max_queued=2)


def test_one_ticket_makes_one_job_from_fifty_threads(store: Store) -> None:
    ticket = Ticket("key", "digest")
    barrier = threading.Barrier(10)

    def send(number: int) -> str:
        if number < 10:
            barrier.wait(10)
        return store.queue.submit("ann", asked(), max_queued=5, ticket=ticket).id

    with ThreadPoolExecutor(10) as threads:
        ids = set(threads.map(send, range(50)))
    assert len(ids) == 1
    assert len(store.page("ann", 10)) == 1


def test_a_ticket_is_its_persons_own_and_fits_one_request(store: Store) -> None:
    first = store.queue.submit("ann", asked(), max_queued=5, ticket=Ticket("key", "one"))
    other = store.queue.submit("ben", asked(), max_queued=5, ticket=Ticket("key", "two"))
    assert first.id != other.id
    with pytest.raises(Conflict):
        store.queue.submit("ann", asked(), max_queued=5, ticket=Ticket("key", "two"))
    assert store.queue.replayed("ann", Ticket("key", "one")) == first
    assert store.queue.replayed("ann", Ticket("new", "one")) is None


def test_pages_go_from_the_newest_back(store: Store) -> None:
    made = [submit(store).id for _ in range(5)]
    first = store.page("ann", 3)
    rest = store.page("ann", 3, before=first[-1].number)
    assert [job.id for job in first + rest] == made[::-1]
