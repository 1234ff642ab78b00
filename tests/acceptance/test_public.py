"""`limner serve --public` as a process, over stand-ins at the border of ngrok's SDK and of cloudflared."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from limner.api.tunnel import Cloudflared, Ngrok, qr_code
from limner.cli.options import settings_from
from limner.errors import Unusable
from limner.store.keys import NewKey, Scope
from limner.store.store import Store
from tests.running import RunningServer, at_once, limner, refused_in_one_line

pytestmark = pytest.mark.anyio

STAND_INS = Path(__file__).parents[1] / "stand_ins"
SHELLS = os.pathsep.join(("/usr/bin", "/bin"))
WITH_CLOUDFLARED = os.pathsep.join((str(STAND_INS), SHELLS))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the stand-ins tell. A process finds their `ngrok` first, and no cloudflared."""
    found = tmp_path / "stand-ins"
    found.mkdir()
    paths = (str(STAND_INS), os.environ.get("PYTHONPATH", ""))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    monkeypatch.setenv("STAND_IN_FOLDER", str(found))
    monkeypatch.setenv("PATH", SHELLS)
    monkeypatch.delenv("NGROK_AUTHTOKEN", raising=False)
    return found


def until(said: Callable[[], object], seconds: float = 120) -> None:
    ends = time.monotonic() + seconds
    while not said():
        assert time.monotonic() < ends
        time.sleep(0.05)


def test_one_flag_shows_the_server_to_the_world_and_a_lost_line_leaves_it_at_home(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NGROK_AUTHTOKEN", "right")
    data = tmp_path / "data"
    server = RunningServer(data, "--public", "--public-domain", "art.example.org")
    server.start(wait_ready=False)
    with contextlib.ExitStack() as ended:
        ended.callback(server.__exit__)
        until(lambda: "https://art.example.org" in server.log.read_text())
        until(lambda: "that ngrok's free plan allows" in server.log.read_text())
        assert qr_code("https://art.example.org") in server.log.read_text()
        assert (folder / "forwards-to").read_text() == server.url
        through = {"Host": "art.example.org", "X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"}
        session = httpx.get(f"{server.url}/api/session", headers=through)
        assert session.json()["kind"] == "visitor"
        made = httpx.post(f"{server.url}/api/generations", json={"prompt": "a boat"}, headers=through)
        assert made.headers["location"].startswith("https://art.example.org/api/generations/")
        other = through | {"Host": "evil.example"}
        assert httpx.get(f"{server.url}/api/session", headers=other).status_code == 403
        store = Store(data, serve=False)
        admin = store.keys.create(NewKey("who scrapes", frozenset({Scope.ADMIN})))
        store.close()
        metrics = httpx.get(f"{server.url}/metrics", headers={"Authorization": f"Bearer {admin}"}).text
        assert "limner_tunnel_requests 2.0" in metrics
        (folder / "lost").touch()
        until(lambda: "the tunnel is gone: remote gone away" in server.log.read_text())
        assert httpx.get(f"{server.url}/healthz", timeout=60).status_code == 200
        assert not (folder / "closed").exists()
        server.signal(signal.SIGTERM)
        assert (folder / "closed").exists()
    assert json.loads((data / "tunnel.json").read_text())["requests"] == 2


def test_cloudflared_ends_with_the_server_however_that_ends(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", WITH_CLOUDFLARED)
    server = RunningServer(tmp_path / "data", "--public", "cloudflared")
    for end in (signal.SIGTERM, signal.SIGKILL):
        server.start(wait_ready=False)
        until((folder / "pid").exists)
        until(lambda: "https://some-four-plain-words.trycloudflare.com" in server.log.read_text())
        assert (folder / "arguments").read_text().strip().endswith(f"--url {server.url}")
        server.signal(end)
        until((folder / "closed").exists, 10)
        for left in ("pid", "closed"):
            (folder / left).unlink()
        server.log.write_text("")


def test_cloudflared_that_fails_later_leaves_the_server_at_home(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", WITH_CLOUDFLARED)
    server = RunningServer(tmp_path / "data", "--public", "cloudflared")
    server.start(wait_ready=False)
    try:
        until((folder / "pid").exists)
        (folder / "lost").touch()
        until(lambda: "cloudflared has ended" in server.log.read_text())
        assert "the edge has gone" in server.log.read_text()
        assert httpx.get(f"{server.url}/healthz", timeout=60).status_code == 200
    finally:
        server.signal(signal.SIGTERM)


def test_without_what_a_tunnel_needs_one_line_says_what_to_do(tmp_path: Path, folder: Path) -> None:
    cases: list[tuple[list[str], dict[str, str], str]] = [
        ([], {"NGROK_AUTHTOKEN": ""}, "NGROK_AUTHTOKEN"),
        ([], {"NGROK_AUTHTOKEN": "wrong"}, "ERR_NGROK_105"),
        (["cloudflared"], {"PATH": WITH_CLOUDFLARED, "STAND_IN_OFFLINE": "1"}, "no such host"),
    ]

    def serve(case: tuple[list[str], dict[str, str], str]) -> subprocess.CompletedProcess[str]:
        given, environment, says = case
        return limner(
            "serve", "--public", *given, "--port", "0", "--data-dir", str(tmp_path / says), **environment
        )

    for (given, _, says), ended in zip(cases, at_once(serve, cases), strict=True):
        refused_in_one_line(ended, says)
        assert given or "--public cloudflared" not in ended.stderr


async def test_whatever_else_it_lacks_is_told_with_the_remedy(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Unusable, match=r"developers\.cloudflare\.com"):
        Cloudflared()
    with pytest.raises(Unusable, match="carrier-pigeon"):
        settings_from(public="carrier-pigeon")
    with monkeypatch.context() as patch:
        patch.setenv("PATH", WITH_CLOUDFLARED)
        with pytest.raises(Unusable, match="--public cloudflared"):
            Ngrok(None, None)
    monkeypatch.delitem(sys.modules, "ngrok", raising=False)
    monkeypatch.syspath_prepend(STAND_INS)
    with pytest.raises(Unusable, match="check the network"):
        await Ngrok("offline", None).open("http://127.0.0.1:7860", lambda _: None)
    monkeypatch.setitem(sys.modules, "ngrok", None)
    with pytest.raises(Unusable, match="pip install ngrok segno"):
        Ngrok("right", None)


def test_the_stand_in_has_nothing_that_the_sdk_has_not(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module("ngrok")
    namespace: dict[str, object] = {"__name__": "stand_in"}
    exec(compile((STAND_INS / "ngrok.py").read_text(), "ngrok.py", "exec"), namespace)
    for name in ("SessionBuilder", "Session", "HttpListenerBuilder", "Listener"):
        for call in vars(namespace[name]):
            assert call.startswith("_") or hasattr(getattr(real, name), call), (name, call)
