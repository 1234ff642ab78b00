"""Every setting, read from flags and `LIMNER_…` variables. The only reader of the environment."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from platformdirs import user_cache_path, user_data_path
from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


def _separated(value: object) -> object:
    """A variable such as `LIMNER_MODEL` names several with commas."""
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


def _maker(value: object) -> object:
    """A variable such as `LIMNER_PUBLIC=1` names no maker, as the bare flag does not."""
    word = str(value).lower()
    return {"1": "ngrok", "true": "ngrok", "yes": "ngrok", "on": "ngrok"}.get(
        word, "" if word in ("0", "false", "no", "off") else value
    )


def _path(value: str) -> str:
    path = value.rstrip("/")
    if re.fullmatch(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*", path) is None:
        raise ValueError("is no path; begin it with a slash, such as /limner")
    return path


Several = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_separated)]


# The defaults of a server that the world can reach.
IN_PUBLIC = {"anonymous": True, "moderation": "strict"}


class Settings(BaseSettings):
    """Each field is a flag of the command line and an environment variable of the same name."""

    model_config = SettingsConfigDict(env_prefix="LIMNER_", frozen=True, extra="ignore")

    host: str = Field("127.0.0.1", description="Address to listen on")
    port: int = Field(7860, ge=0, le=65535, description="Port to listen on")
    data_dir: Path = Field(
        default_factory=lambda: user_data_path("limner", appauthor=False),
        description="Folder of the record and the pictures",
    )
    cache_dir: Path = Field(
        default_factory=lambda: user_cache_path("limner", appauthor=False),
        description="Folder of what can be made again: converted models, measurements",
    )
    model: Several = Field(("starter",), description="Model: starter, folder or hub id; repeatable")
    prompt_model: str = Field("writer", description="Prompt writer: writer, a GPT-2 folder or hub id")
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="Where the models run")
    backend: Literal["auto", "openvino", "torch"] = Field(
        "auto", description="CPU backend; auto: OpenVINO if there is one"
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="Precision; auto: fastest with the same look"
    )
    threads: int = Field(0, ge=0, description="Processor threads of the engine; 0: all")
    exact: bool = Field(False, description="Same picture to the bit, whoever is beside it")
    compile: bool = Field(False, description="Compile the network: slower start, faster steps")
    memory_gb: float | None = Field(None, gt=0, description="GPU memory to use at most, in GiB")
    max_queued: int = Field(50, ge=1, description="Jobs one person may have waiting")
    anonymous: bool = Field(False, description="Let strangers in as visitors with small quotas")
    visitor_quota: float = Field(100, gt=0, description="Megapixel-steps a visitor may ask for in a day")
    visitor_rate: int = Field(20, ge=1, description="Requests for work from a visitor in a minute")
    visitor_queued: int = Field(4, ge=1, description="Jobs one visitor may have waiting")
    allow_host: Several = Field((), description="Host name to answer to as well; repeat for several")
    allow_origin: Several = Field((), description="Page elsewhere that may call in; repeat for several")
    sign_cert: Path | None = Field(None, description="Certificate chain that signs pictures (PEM)")
    sign_key: Path | None = Field(None, description="Private key of that certificate (PEM)")
    moderation: Literal["off", "on", "strict"] = Field(
        "off", description="Check prompts and pictures: off, on or strict"
    )
    blocklist: Path | None = Field(None, description="Words not to paint, instead of the shipped list")
    moderation_url: str | None = Field(None, description="Hook that is asked about prompts and pictures")
    safety_checker: Path | None = Field(None, description="Folder of diffusers' safety checker")
    abuse_log_days: int = Field(30, ge=0, le=3650, description="Days the abuse log is kept; 0: no log")
    public: Annotated[Literal["", "ngrok", "cloudflared"], BeforeValidator(_maker)] = Field(
        "",
        description="Open to the world: ngrok (also bare) or cloudflared",
        json_schema_extra={"bare": "ngrok"},
    )
    public_domain: str | None = Field(None, description="Domain of yours that ngrok should use")
    root_path: Annotated[str, AfterValidator(_path)] = Field(
        "", description="Path under which a proxy shows this server"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="How much is logged")

    @model_validator(mode="before")
    @classmethod
    def _careful_in_public(cls, given: dict[str, Any]) -> dict[str, Any]:
        """What was said outright stays as it was said."""
        if _maker(given.get("public") or "") == "":
            return given
        return {name: value for name, value in IN_PUBLIC.items() if name in cls.model_fields} | given


def ngrok_authtoken() -> str | None:
    """No setting of ours: a flag would show it to everybody on the machine."""
    return os.environ.get("NGROK_AUTHTOKEN", "").strip() or None
