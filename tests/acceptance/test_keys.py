"""`limner keys` and a server that others can reach, as processes."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import httpx

from tests.running import RunningServer, limner, refused_in_one_line


def test_a_key_made_while_the_server_runs_works_until_it_is_revoked(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with ExitStack() as stack:
        server = RunningServer(data)
        server.start(wait_ready=False)  # nothing is painted here
        stack.push(server)
        made = limner("keys", "create", "--name", "bot", "--expires", "30d", "--data-dir", str(data))
        assert made.returncode == 0, made.stderr
        assert made.stderr == ""
        secret = made.stdout.removesuffix("\n")
        assert secret.startswith("limner_")
        assert len(secret.split()) == 1
        elsewhere = {"X-Forwarded-For": "203.0.113.7"}
        headers = elsewhere | {"Authorization": f"Bearer {secret}"}
        assert httpx.get(f"{server.url}/api/generations", headers=elsewhere).status_code == 401
        assert httpx.get(f"{server.url}/api/generations", headers=headers).status_code == 200
        listed = limner("keys", "list", "--data-dir", str(data)).stdout
        assert "bot" in listed
        assert "valid" in listed
        assert secret not in listed
        ended = limner("keys", "revoke", "bot", "--data-dir", str(data))
        assert ended.returncode == 0, ended.stderr
        assert httpx.get(f"{server.url}/api/generations", headers=headers).status_code == 401
        assert "revoked" in limner("keys", "list", "--data-dir", str(data)).stdout
        assert secret not in server.log.read_text()


def test_an_address_that_others_reach_needs_keys_or_visitors(tmp_path: Path) -> None:
    command = ("serve", "--host", "0.0.0.0", "--port", "0", "--data-dir", str(tmp_path / "data"))
    refused_in_one_line(limner(*command), "limner keys create", "--anonymous")


def test_a_reach_that_cannot_work_is_refused_in_one_line(tmp_path: Path) -> None:
    page = ("--allow-origin", "art.example.org")
    refused_in_one_line(limner("serve", "--port", "0", "--data-dir", str(tmp_path), *page), page[0])


def test_a_key_that_cannot_be_made_is_refused_in_one_line(tmp_path: Path) -> None:
    ended = limner("keys", "create", "--name", "x", "--expires", "soon", "--data-dir", str(tmp_path))
    refused_in_one_line(ended, "30d")
    assert ended.stdout == ""


def test_revoking_what_is_not_there_says_so(tmp_path: Path) -> None:
    ended = limner("keys", "revoke", "nobody", "--data-dir", str(tmp_path))
    assert ended.returncode == 1
    assert "limner keys list" in ended.stderr
