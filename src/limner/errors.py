"""The one exception tree. A class's docstring is its default message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one named value, and how to put it right."""

    field: str
    message: str
    value: object = None
    limit: object = None


class LimnerError(Exception):
    """Something went wrong inside Limner."""

    code: ClassVar[str] = "internal"

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").splitlines()[0])


class InvalidInput(LimnerError):
    """The request has values that cannot be used."""

    code = "invalid_input"

    def __init__(self, *fields: FieldError) -> None:
        super().__init__("; ".join(f"{f.field}: {f.message}" for f in fields))
        self.fields = fields


class KeyNeeded(LimnerError):
    """This needs a key."""

    code = "key_needed"


class NotAllowed(LimnerError):
    """This is not for you."""

    code = "not_allowed"


class NotFound(LimnerError):
    """There is nothing here under this id."""

    code = "not_found"


class ModelNotFound(NotFound):
    """No model of this name is loaded."""

    code = "model_not_found"


class Conflict(LimnerError):
    """This contradicts what was asked before."""

    code = "conflict"


class Refused(LimnerError):
    """This server does not paint that."""

    code = "refused"


class TooLarge(LimnerError):
    """The request body is over the limit of this route."""

    code = "too_large"


class Busy(LimnerError):
    """Too much is waiting already; try again later."""

    code = "busy"

    def __init__(self, message: str = "", *, retry_after_s: float = 5.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TooManyRequests(Busy):
    """More requests came than may in a minute."""

    code = "too_many_requests"


class QuotaSpent(Busy):
    """What may be asked for in a day is spent."""

    code = "quota_spent"


class NotReady(LimnerError):
    """This part of Limner is still starting; try again in a moment."""

    code = "not_ready"

    def __init__(self, message: str = "", *, retry_after_s: float = 2.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class StorageUnavailable(LimnerError):
    """The record or the picture files cannot be written."""

    code = "storage_unavailable"


class Cancelled(LimnerError):
    """This generation was cancelled before it was done."""

    code = "cancelled"


class EngineFailed(LimnerError):
    """The engine could not make this picture."""

    code = "engine_failed"


class PromptWriterFailed(LimnerError):
    """The prompt writer could not write this prompt."""

    code = "prompt_writer_failed"


class Unusable(LimnerError):
    """What the command line or a setting names cannot be used. Exit code 2."""

    code = "unusable"


class ModelUnusable(Unusable):
    """This model cannot be loaded."""

    code = "model_unusable"
