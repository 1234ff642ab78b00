"""AUTOMATIC1111's protocol, under `/sdapi/v1`, for the clients that speak it already."""

from limner.api.sdapi.routes import LARGER_BODIES, PATH, router
from limner.api.sdapi.words import worded

__all__ = ["LARGER_BODIES", "PATH", "router", "worded"]
