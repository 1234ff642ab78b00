"""Moderation and signing as an operator sets them."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import httpx

from tests.running import RunningServer, at_once, limner, refused_in_one_line


def test_serve_moderates_as_its_flags_say(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("mauve\n")
    server = RunningServer(
        tmp_path / "data", "--moderation", "strict", "--blocklist", str(tmp_path / "words.txt")
    )
    try:
        server.start(wait_ready=False)
        answers = [
            httpx.post(f"{server.url}/api/generations", json={"prompt": f"a {colour} house"})
            for colour in ("mauve", "red")
        ]
        assert [answer.status_code for answer in answers] == [422, 202]
        assert answers[0].json()["code"] == "refused"
    finally:
        server.signal(signal.SIGTERM)


def test_serve_refuses_settings_that_cannot_work_in_one_line(tmp_path: Path) -> None:
    cases = {
        ("--moderation", "on", "--safety-checker", str(tmp_path)): "config.json",
        ("--sign-cert", str(tmp_path / "chain.pem")): "--sign-key",
    }

    def serve(flags: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        return limner("serve", "--port", "0", "--data-dir", str(tmp_path / flags[0]), *flags)

    for told, ended in zip(cases.values(), at_once(serve, [*cases]), strict=True):
        refused_in_one_line(ended, told)
