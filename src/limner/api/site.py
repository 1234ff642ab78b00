"""The website and the API reference, from files that lie in the package."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import FileResponse, PlainTextResponse
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from limner.api.parts import Entrance

PACKAGE = Path(__file__).parents[1]
STATIC = PACKAGE / "static"
REFERENCE = Path(__file__).parent / "reference"

_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# Swagger UI writes style attributes.
_REFERENCE_POLICY = _PAGE_POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
_NOT_BUILT = "The website is not built yet: run `make serve`. The API works, see /openapi.json.\n"

router = APIRouter(include_in_schema=False)


class Assets(StaticFiles):
    """Files whose names change with their content."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


def install(app: FastAPI) -> None:
    """Serve the site behind every route of the API."""
    app.mount("/assets", Assets(directory=STATIC / "assets", check_dir=False))
    app.include_router(router)


@router.get("/")
@router.head("/")
async def page(request: Request, door: Entrance) -> Response:
    index = STATIC / "index.html"
    if not index.is_file():
        return PlainTextResponse(_NOT_BUILT, 404)
    response = _fresh(index, _PAGE_POLICY)
    door.welcome(request, response)
    return response


@router.get("/docs")
@router.head("/docs")
def reference() -> Response:
    return _fresh(REFERENCE / "index.html", _REFERENCE_POLICY)


@router.get("/docs/{name}")
def reference_file(name: str, request: Request) -> Response:
    return _one_of(REFERENCE if name == "start.js" else STATIC / "docs", name, request)


@router.get("/{name}")
def site_file(name: str, request: Request) -> Response:
    """Those beside the page, such as its icon."""
    return _one_of(STATIC, name, request)


def _one_of(folder: Path, name: str, request: Request) -> Response:
    """A file that really lies in `folder`, whatever tricks `name` may hold."""
    known = {path.name: path for path in folder.iterdir() if path.is_file()} if folder.is_dir() else {}
    if name not in known:
        raise HTTPException(404)
    return FileResponse(known[name], headers={"Cache-Control": "no-cache"})


def _fresh(path: Path, policy: str) -> Response:
    return FileResponse(path, headers={"Cache-Control": "no-cache", "Content-Security-Policy": policy})
