"""What went through a tunnel this month."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from limner.service.tunnel_use import Plan, TunnelUse
from limner.store.monthly import Month, MonthlyFile

PLAN = Plan(requests=100, sent_bytes=1_000_000)


def test_each_mark_is_told_once_and_by_whichever_is_nearer_to_its_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    use = TunnelUse(MonthlyFile(tmp_path / "use.json"), PLAN)
    told = []
    with caplog.at_level(logging.WARNING):
        for requests in range(1, 101):
            before = len(caplog.records)
            use.count(1, 11_000 if requests <= 60 else 0)  # the bytes are half gone first
            if len(caplog.records) > before:
                told.append(requests)
    assert told == [46, 80, 95]
    assert caplog.messages[-1] == (
        "through the tunnel this month: 95 of 100 requests and 1 of 1 MB that ngrok's free plan allows"
    )


@pytest.mark.anyio
async def test_counts_outlive_a_restart_and_repeat_no_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = MonthlyFile(tmp_path / "use.json")
    use = TunnelUse(file, PLAN, lambda: "2030-01")
    use.count(85, 10)
    await use.keep()
    caplog.clear()
    again = TunnelUse(file, PLAN, lambda: "2030-01")
    again.count(1, 1)
    assert "86 of 100 requests" in again.told()
    assert caplog.messages == []


def test_a_new_month_begins_at_nothing_and_warns_anew(caplog: pytest.LogCaptureFixture) -> None:
    name = "2030-01"
    use = TunnelUse(None, PLAN, lambda: name)
    use.count(90, 0)
    name = "2030-02"
    use.count(60, 0)
    assert "60 of 100 requests" in use.told()
    assert len(caplog.messages) == 2


@pytest.mark.parametrize(
    "kept", ["", "[]", '{"name": "2030-01"', '{"name": "2030-01", "requests": "9"}', '{"other": 1}']
)
def test_what_cannot_be_read_counts_from_nothing(tmp_path: Path, kept: str) -> None:
    file = tmp_path / "use.json"
    file.write_text(kept)
    assert MonthlyFile(file).read("2030-01") == Month("2030-01")


def test_without_a_plan_it_counts_and_warns_of_nothing(caplog: pytest.LogCaptureFixture) -> None:
    use = TunnelUse()
    use.count(1_000_000, 2_000_000)
    assert use.told() == "through the tunnel this month: 1,000,000 requests, 2 MB"
    assert caplog.messages == []
