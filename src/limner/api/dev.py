"""`python -m limner.api.dev` serves the real application over doubles of engine and prompt writer."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from limner.api.serve import serve
from limner.engine.double import EngineDouble
from limner.errors import Unusable
from limner.prompting.double import PromptWriterDouble
from limner.settings import Settings


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--step-s", type=float, default=0.1, help="seconds a denoising step takes")
    parser.add_argument("--slots", type=int, default=2)
    options = parser.parse_args()
    logging.basicConfig(level="INFO", format="%(levelname)s %(name)s: %(message)s")
    settings = Settings(**{"port": options.port, "data_dir": options.data_dir})
    try:
        engine = EngineDouble(step_s=options.step_s, slots=options.slots)
        return serve(settings, engine, PromptWriterDouble(), lambda url: print(url, flush=True))
    except Unusable as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
