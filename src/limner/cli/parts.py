"""The engine and the prompt writer that the settings ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from limner.engine.local import LocalEngine
    from limner.prompting.local import LocalPromptWriter
    from limner.settings import Settings


def engine_from(settings: Settings) -> LocalEngine:
    from limner.engine.local import LocalEngine
    from limner.models.catalog import open_models
    from limner.models.safety_folder import open_safety

    return LocalEngine(
        open_models(settings.model, settings.cache_dir),
        device=settings.device,
        backend=settings.backend,
        dtype=settings.dtype,
        threads=settings.threads,
        exact=settings.exact,
        compiled=settings.compile,
        memory_gb=settings.memory_gb,
        safety=open_safety(settings.safety_checker) if settings.safety_checker else None,
        cache_dir=settings.cache_dir,
        log_level=settings.log_level,
    )


def writer_from(settings: Settings) -> LocalPromptWriter:
    from limner.prompting import catalog
    from limner.prompting.local import LocalPromptWriter

    folder = catalog.find(settings.prompt_model)
    return LocalPromptWriter(folder, catalog.short_name(settings.prompt_model), log_level=settings.log_level)
