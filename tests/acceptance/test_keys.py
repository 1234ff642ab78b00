"""`limner keys` and a server that others can reach, as processes."""

from __future__ import annotations

import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import httpx

from limner.store.keys import NewKey, Scope
from limner.store.store import Store
from tests.running import RunningServer, at_once, limner, refused_in_one_line


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
        ended = limner("keys", "revoke", "bot", "--data-dir", str(data))
        assert ended.returncode == 0, ended.stderr
        time.sleep(1.5)  # a server may believe a key for a second after it was revoked
        assert httpx.get(f"{server.url}/api/generations", headers=headers).status_code == 401
        store = Store(data, serve=False)
        other = store.keys.create(NewKey("other", frozenset({Scope.READ})))
        store.close()
        listed = limner("keys", "list", "--data-dir", str(data)).stdout
        states = {
            name: next(line for line in listed.splitlines() if name in line) for name in ("bot", "other")
        }
        assert "revoked" in states["bot"]
        assert "valid" in states["other"]
        assert secret not in listed
        assert other not in listed
        assert secret not in server.log.read_text()


def test_what_cannot_work_is_refused_in_one_line(tmp_path: Path) -> None:
    def run(command: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        return limner(*command, "--data-dir", str(tmp_path / "-".join(command[:2])))

    cases = {
        ("serve", "--host", "0.0.0.0", "--port", "0"): ("limner keys create", "--anonymous"),
        ("serve", "--allow-origin", "art.example.org", "--port", "0"): ("--allow-origin",),
        ("keys", "create", "--name", "x", "--expires", "soon"): ("30d",),
    }
    nobody = ("keys", "revoke", "nobody")
    *refused, unknown = at_once(run, [*cases, nobody])
    for says, ended in zip(cases.values(), refused, strict=True):
        refused_in_one_line(ended, *says)
        assert ended.stdout == ""
    assert unknown.returncode == 1
    assert "limner keys list" in unknown.stderr
