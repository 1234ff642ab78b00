"""From the engine's pixels to what the record keeps."""

from __future__ import annotations

import time

from limner.engine.messages import Finished
from limner.params import GenerationParams
from limner.service import picture
from limner.service.provenance import Provenance
from limner.store.job import Durations, NewImage


def develop(params: GenerationParams, index: int, finished: Finished, provenance: Provenance) -> NewImage:
    """Image `index` of a job as the bytes of its files, signed. Blocks: call in a thread."""
    began = time.perf_counter()
    height, width = finished.pixels.shape[:2]
    seed = params.seed_of(index)
    text = picture.parameters_text(params, seed, width, height)
    data = provenance.signed(
        picture.encode(finished.pixels, params.output_format, text), params.output_format
    )
    small = picture.thumbnail(finished.pixels)
    taken = finished.timings
    durations = Durations(taken.encode_s, taken.steps_s, taken.decode_s, time.perf_counter() - began)
    return NewImage(index, seed, width, height, params.output_format, durations, data, small)
