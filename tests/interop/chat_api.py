"""A stand-in for a model's API, on loopback: Chat Completions, as far as opencode needs them.

The first answer of a turn that offers tools calls `bash`, the next one says something. Figures of both: 7,000 in, of
which 2,000 cached, 120 out, of which 20 reasoning; then 7,500 in, 7,000 cached, 60 out.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CALLING = {
    "prompt_tokens": 7_000,
    "completion_tokens": 120,
    "total_tokens": 7_120,
    "prompt_tokens_details": {"cached_tokens": 2_000},
    "completion_tokens_details": {"reasoning_tokens": 20},
}
SAYING = {
    "prompt_tokens": 7_500,
    "completion_tokens": 60,
    "total_tokens": 7_560,
    "prompt_tokens_details": {"cached_tokens": 7_000},
}
ASIDE = {"prompt_tokens": 300, "completion_tokens": 5, "total_tokens": 305}
"""Of an answer that is no part of the turn, such as a title."""


class ChatApi:
    """The server, in threads of its own."""

    def __init__(self, command: str) -> None:
        """`command` is what the first answer has run."""
        self.command = command
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._of_this())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Its base URL, as an OpenAI client wants it."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def answer(self, request: dict[str, object]) -> tuple[dict[str, object], str, dict[str, object]]:
        """What is said, why the answer ends, and what it used."""
        messages = request["messages"]
        assert isinstance(messages, list)
        if not request.get("tools"):
            return {"role": "assistant", "content": "canary title"}, "stop", dict(ASIDE)
        if messages[-1]["role"] == "tool":
            return {"role": "assistant", "content": "canary answer"}, "stop", dict(SAYING)
        arguments = json.dumps({"command": self.command, "description": "canary description"})
        call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "bash", "arguments": arguments}}
        return {"role": "assistant", "tool_calls": [call]}, "tool_calls", dict(CALLING)

    def _of_this(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Answering(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
                said, why, usage = api.answer(request)
                head = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": request["model"]}
                chunks: list[dict[str, object]] = [
                    {"choices": [{"index": 0, "delta": said, "finish_reason": None}]},
                    {"choices": [{"index": 0, "delta": {}, "finish_reason": why}]},
                    {"choices": [], "usage": usage},
                ]
                body = b"".join(b"data: " + json.dumps({**head, **chunk}).encode() + b"\n\n" for chunk in chunks)
                body += b"data: [DONE]\n\n"
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        return Answering
