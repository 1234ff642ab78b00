"""What operators watch: counters and times of this server, as Prometheus has them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args, get_type_hints

import prometheus_client as prometheus
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from limner import __version__
from limner.engine.messages import Health, Stats
from limner.prompting.messages import WriterHealth
from limner.service.events import Ended, ImageStored, Payload
from limner.store.job import Image, Job, Standing, Status

CONTENT_TYPE = prometheus.CONTENT_TYPE_PLAIN_0_0_4
STATES: tuple[str, ...] = get_args(get_type_hints(Health)["state"])
PHASES = ("encode", "steps", "decode", "file")

_FAST_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_SLOW_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800)

# Each counter would come with a second line that tells when it began, which nobody draws.
prometheus.disable_created_metrics()  # type: ignore[no-untyped-call]


class _EngineStats(Collector):
    """What the engine itself counts."""

    def __init__(self) -> None:
        self.now = Stats()

    def collect(self) -> Iterator[Metric]:
        now = self.now
        yield CounterMetricFamily("limner_engine_restarts", "Engine processes that ended", now.restarts)
        yield CounterMetricFamily("limner_engine_steps", "Passes through a network", now.steps)
        yield CounterMetricFamily("limner_engine_rows", "Rows that those moved", now.rows)
        yield CounterMetricFamily("limner_engine_room", "Rows that their batches had room for", now.room)
        spent = CounterMetricFamily(
            "limner_engine_seconds", "What the engine's time went to", None, ["phase"]
        )
        for phase, phase_s in (("encode", now.encode_s), ("steps", now.steps_s), ("decode", now.decode_s)):
            spent.add_metric([phase], phase_s)
        yield spent
        curve = GaugeMetricFamily(
            "limner_engine_curve_seconds", "Seconds of a step by batch size, at load", None, ["model", "rows"]
        )
        most = GaugeMetricFamily("limner_engine_most_rows", "Largest batch in use", None, ["model"])
        for of_model in now.curves:
            most.add_metric([of_model.model], of_model.most_rows)
            for rows, seconds in of_model.measured.items():
                curve.add_metric([of_model.model, str(rows)], seconds)
        yield curve
        yield most


class Metrics:
    """One registry for one server. Every method is called on the event loop.

    Labels have few values: neither ids nor prompts nor people, who are many, become one.
    """

    def __init__(self) -> None:
        registry = self.registry = prometheus.CollectorRegistry()
        prometheus.ProcessCollector(registry=registry)
        prometheus.Info("limner", "What runs here", registry=registry).info({"version": __version__})
        self._jobs = Gauge(
            "limner_jobs", "Jobs in the record that are not over", ["state"], registry=registry
        )
        self._oldest = Gauge(
            "limner_queue_oldest_seconds", "How long the oldest queued job has waited", registry=registry
        )
        self._ended = Counter("limner_jobs_ended", "Jobs that are over", ["outcome"], registry=registry)
        self._waited = Histogram(
            "limner_job_wait_seconds",
            "From a job's acceptance until it was taken up, counted at its end",
            buckets=_SLOW_S,
            registry=registry,
        )
        self._took = Histogram(
            "limner_job_seconds",
            "From a job's acceptance to its success",
            buckets=_SLOW_S,
            registry=registry,
        )
        self._images = Counter("limner_images", "Pictures made and stored", registry=registry)
        self._phases = Histogram(
            "limner_image_phase_seconds",
            "Where a picture's time went: encode (the prompt), steps, decode, file (encoding and writing it)",
            ["phase"],
            buckets=_FAST_S,
            registry=registry,
        )
        self._engine = Gauge("limner_engine_state", "1: the engine's state", ["state"], registry=registry)
        self._slots = Gauge("limner_engine_slots", "Pictures the engine takes at once", registry=registry)
        self._writer = Gauge(
            "limner_prompt_writer_state", "1: the prompt writer's state", ["state"], registry=registry
        )
        self._prompts = Counter(
            "limner_prompts", "Prompts, by how their writing ended", ["outcome"], registry=registry
        )
        self._tokens = Counter(
            "limner_prompt_tokens", "Pieces of text, about a token each", registry=registry
        )
        self._requests = Counter(
            "limner_http_requests", "Requests answered", ["method", "route", "status"], registry=registry
        )
        self._answer = Histogram(
            "limner_http_answer_seconds",
            "From a request to the head of its answer",
            ["route"],
            buckets=_FAST_S,
            registry=registry,
        )
        self._stats = _EngineStats()
        registry.register(self._stats)
        for outcome in Status:
            if outcome.over:
                self._ended.labels(outcome.value)
        for outcome_of_prompt in ("finished", "stopped", "failed", "refused"):
            self._prompts.labels(outcome_of_prompt)

    def told(self, payload: Payload) -> None:
        """Whatever the hub is told."""
        match payload:
            case ImageStored(image):
                self._stored(image)
            case Ended(view):
                self._over(view.job)

    def wrote(self, outcome: str, tokens: int) -> None:
        """A prompt was `finished`, `stopped` by its reader, `refused` by moderation, or `failed`."""
        self._prompts.labels(outcome).inc()
        self._tokens.inc(tokens)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """`route` is a template such as `/api/images/{id}`."""
        self._requests.labels(method, route, str(status)).inc()
        self._answer.labels(route).observe(seconds)

    def text(self, standing: Standing, engine: Health, stats: Stats, writer: WriterHealth) -> bytes:
        """Everything, as it stands now, in Prometheus' text format."""
        self._stats.now = stats
        self._jobs.labels(Status.QUEUED.value).set(standing.queued)
        self._jobs.labels(Status.RUNNING.value).set(standing.running)
        self._oldest.set(standing.oldest_s)
        self._slots.set(engine.slots)
        for state in STATES:
            self._engine.labels(state).set(engine.state == state)
            self._writer.labels(state).set(writer.state == state)
        return prometheus.generate_latest(self.registry)

    def _stored(self, image: Image) -> None:
        taken = image.durations
        self._images.inc()
        seconds = (taken.encode_s, taken.steps_s, taken.decode_s, taken.save_s)
        for phase, phase_s in zip(PHASES, seconds, strict=True):
            self._phases.labels(phase).observe(phase_s)

    def _over(self, job: Job) -> None:
        self._ended.labels(job.status.value).inc()
        if job.started_at is not None:
            self._waited.observe((job.started_at - job.created_at).total_seconds())
        if job.status is Status.SUCCEEDED and job.finished_at is not None:
            self._took.observe((job.finished_at - job.created_at).total_seconds())
