"""The page's files: read once from the package, served from memory, under fixed names."""

from __future__ import annotations

from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

from starlette.responses import Response

from meshfleet.serve.answers import Refusal, quoted
from meshfleet.serve.near import near

if TYPE_CHECKING:
    from starlette.requests import Request

INDEX = "index.html"
MEDIA = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class PageFile(NamedTuple):
    """One file of the page."""

    body: bytes
    media: str
    etag: str


class Page:
    """Serves the page. A file that is not in the package does not exist: no path of a request ever reaches a disk."""

    def __init__(self) -> None:
        self._files = dict(_read())

    async def index(self, request: Request) -> Response:
        """`GET /`"""
        return self._answer(INDEX, request)

    async def file(self, request: Request) -> Response:
        """`GET /page/{file}`"""
        return self._answer(request.path_params["file"], request)

    def _answer(self, name: str, request: Request) -> Response:
        found = self._files.get(name)
        if found is None:
            raise Refusal(404, f"The page has no file {quoted(name)}.", near=near(name, self._files))
        # Revalidated each time, so that a page never runs with modules of two versions.
        headers = {"ETag": found.etag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == found.etag:
            return Response(status_code=304, headers=headers)
        return Response(found.body, headers=headers, media_type=found.media)


def _read() -> list[tuple[str, PageFile]]:
    found = []
    for entry in files("meshfleet.serve").joinpath("page").iterdir():
        media = MEDIA.get("." + entry.name.rpartition(".")[2])
        if media is not None:
            body = entry.read_bytes()
            found.append((entry.name, PageFile(body, media, f'"{sha256(body).hexdigest()[:16]}"')))
    return found
