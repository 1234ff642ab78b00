"""Limner: a self-hosted text-to-image service."""

from importlib.metadata import version

__version__ = version("limner")
