"""Fetching finished pictures."""

from __future__ import annotations

import asyncio
import io
import time
from typing import Any

import numpy as np
import PIL.Image
import pytest

from limner.engine.double import cloud
from limner.service import picture
from limner.service.inspection import inspect
from limner.service.pictures import CONVERTED_AT_ONCE
from limner.service.provenance import authority_in
from tests.serving import Api

pytestmark = pytest.mark.anyio

USER_COMMENT = 0x9286
EXIF_IFD = 0x8769


def opened(data: bytes) -> PIL.Image.Image:
    return PIL.Image.open(io.BytesIO(data))


def comment(picture: PIL.Image.Image) -> str:
    raw = picture.getexif().get_ifd(EXIF_IFD)[USER_COMMENT]
    assert raw.startswith(b"UNICODE\0")
    return str(raw[8:].decode("utf-16-be"))


async def test_a_png_holds_the_very_pixels_and_its_parameters(api: Api) -> None:
    made = await api.painted("a red house", negative_prompt="rain", seed=7, sampler="euler_ancestral")
    picture = opened((await api.client.get(made["images"][0]["url"])).content)
    assert np.array_equal(np.asarray(picture), cloud(api.engine.asked[-1], 128, 128))
    assert picture.info["parameters"] == (
        "a red house\nNegative prompt: rain\nSteps: 8, Sampler: Euler a, Schedule type: Automatic, "
        "CFG scale: 4, Seed: 7, Size: 128x128, Model: double"
    )


@pytest.mark.parametrize("output_format", ["webp", "jpeg"])
async def test_other_formats_hold_the_parameters_as_exif_comment(api: Api, output_format: str) -> None:
    made = await api.painted("ein rotes Häuschen 🏠", output_format=output_format)
    answer = await api.client.get(made["images"][0]["url"])
    assert answer.headers["content-type"] == f"image/{output_format}"
    picture = opened(answer.content)
    assert picture.format == output_format.upper()
    assert comment(picture).startswith("ein rotes Häuschen 🏠\nSteps: 8")


@pytest.mark.parametrize("wanted", ["png", "webp", "jpeg"])
async def test_a_picture_converts_on_its_way_out(api: Api, wanted: str) -> None:
    made = await api.painted("a fish", output_format="png" if wanted != "png" else "webp")
    answer = await api.client.get(made["images"][0]["url"], params={"format": wanted})
    picture = opened(answer.content)
    assert (answer.headers["content-type"], picture.format) == (f"image/{wanted}", wanted.upper())
    text = picture.info["parameters"] if wanted == "png" else comment(picture)
    assert text.startswith("a fish\nSteps")


@pytest.mark.parametrize("stored", ["png", "webp", "jpeg"])
async def test_marks_stay_through_every_conversion(api: Api, stored: str) -> None:
    url = (await api.painted("a fish", output_format=stored))["images"][0]["url"]
    for wanted in ("png", "webp", "jpeg"):
        found = inspect(
            (await api.client.get(url, params={"format": wanted})).content, authority_in(api.folder)
        )
        assert found.parameters is not None
        assert found.parameters.startswith("a fish\nSteps")
        assert found.source_type == "trainedAlgorithmicMedia"
        assert found.manifest is not None
        assert (found.manifest.holds, found.manifest.known) == (True, True)


async def test_a_picture_saves_under_a_name_that_tells_what_it_shows(api: Api) -> None:
    made = await api.painted('A "red" house/../at night: größe 家!', seed=12)
    url = made["images"][0]["url"]
    inline = (await api.client.get(url)).headers["content-disposition"]
    assert inline.startswith('inline; filename="a-red-house-at-night-gre--12.png"; ')
    assert inline.endswith("filename*=UTF-8''a-red-house-at-night-gr%C3%B6%C3%9Fe-%E5%AE%B6-12.png")
    saved = (await api.client.get(url, params={"download": 1, "format": "jpeg"})).headers[
        "content-disposition"
    ]
    assert saved.startswith("attachment; ")
    assert saved.endswith("-12.jpg")


async def test_a_thumbnail_is_a_small_webp(api: Api) -> None:
    made = await api.painted(width=512, height=256)
    answer = await api.client.get(made["images"][0]["thumbnail_url"])
    assert answer.headers["content-type"] == "image/webp"
    assert opened(answer.content).size == (320, 160)


async def test_pictures_are_cached_for_good_and_revalidate(api: Api) -> None:
    url = (await api.painted())["images"][0]["url"]
    for address in (url, f"{url}/thumbnail", f"{url}?format=webp"):
        first = await api.client.get(address)
        assert "immutable" in first.headers["cache-control"]
        again = await api.client.get(address, headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    assert len({(await api.client.get(a)).headers["etag"] for a in (url, f"{url}?format=webp")}) == 2


async def test_head_tells_what_get_would_send(api: Api) -> None:
    url = (await api.painted())["images"][0]["url"]
    got, asked = await api.client.get(url), await api.client.head(url)
    assert (asked.status_code, asked.content) == (200, b"")
    assert asked.headers["content-length"] == str(len(got.content))


@pytest.mark.parametrize("path", ["nothing", "nothing/thumbnail", "..%2f..%2flimner.db", "0" * 32])
async def test_an_unknown_picture_is_not_found(api: Api, path: str) -> None:
    answer = await api.client.get(f"/api/images/{path}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_format_nobody_knows_is_refused_by_name(api: Api) -> None:
    url = (await api.painted())["images"][0]["url"]
    answer = await api.client.get(url, params={"format": "gif"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "format"
    assert "png" in answer.json()["errors"][0]["message"]


async def test_urls_carry_the_name_and_scheme_the_caller_used(api: Api) -> None:
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "localhost:8443"}
    answer = await api.client.post(
        "/api/generations", json={"prompt": "x"}, headers=headers | {"Prefer": "wait=20"}
    )
    assert answer.json()["images"][0]["url"].startswith("https://localhost:8443/api/images/")
    assert answer.headers["location"].startswith("https://localhost:8443/api/generations/")


async def test_converting_for_many_leaves_room_for_everything_else(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    converting = most = 0
    convert = picture.convert

    def slow(*asked: Any) -> bytes:
        nonlocal converting, most
        converting += 1
        most = max(most, converting)
        time.sleep(0.1)
        converting -= 1
        return convert(*asked)

    monkeypatch.setattr(picture, "convert", slow)
    url = (await api.painted())["images"][0]["url"]
    many = asyncio.gather(*(api.client.get(url, params={"format": "webp", "quality": q}) for q in range(50)))
    while not converting:
        await asyncio.sleep(0.01)
    assert (await api.client.get(url)).status_code == 200
    assert not many.done()
    assert {answer.status_code for answer in await many} == {200}
    assert most == CONVERTED_AT_ONCE
