"""A stand-in for the models' APIs, on loopback: answers a first turn with one shell command, the next with text.

It speaks as much of Anthropic's Messages, OpenAI's Responses and Gemini's streamGenerateContent as Claude Code, Codex
and Gemini CLI need for a turn with a tool. The Nth answer that may call tools has these figures:

    Anthropic   N * 100 fresh, N * 1,000 written to and N * 2,000 read from the cache, 50 + N out
    OpenAI      N * 10,000 in, of which N * 4,000 cached, N * 100 out
    Gemini      N * 5,000 in, of which N * 1,000 cached, N * 40 out, N * 10 thoughts

Whatever else is posted (`/hooks/…`, `/otlp/…`) is kept, and answered with `{}`.
"""

from __future__ import annotations

import gzip
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = Any  # - what other programs send is any JSON

COMMAND = "echo canary-output"


def anthropic_headers() -> dict[str, str]:
    """What is left of a subscription. Windows end after now: Claude Code tells none that is over."""
    now = int(time.time())
    return {
        "anthropic-ratelimit-unified-status": "allowed",
        "anthropic-ratelimit-unified-representative-claim": "five_hour",
        "anthropic-ratelimit-unified-reset": str(now + 7_200),
        "anthropic-ratelimit-unified-5h-utilization": "0.42",
        "anthropic-ratelimit-unified-5h-reset": str(now + 7_200),
        "anthropic-ratelimit-unified-5h-status": "allowed",
        "anthropic-ratelimit-unified-7d-utilization": "0.07",
        "anthropic-ratelimit-unified-7d-reset": str(now + 400_000),
        "anthropic-ratelimit-unified-7d-status": "allowed",
    }


def codex_headers() -> dict[str, str]:
    """What is left of a plan."""
    return {
        "x-codex-primary-used-percent": "37.5",
        "x-codex-primary-window-minutes": "300",
        "x-codex-primary-reset-at": str(int(time.time()) + 7_200),
    }


class ModelApi:
    """The server, in threads of its own. `kept` has what was posted that no model answers: path and body."""

    def __init__(self, command: str = COMMAND, *, delegating: bool = False) -> None:
        """`command` is what the first answer has run; `delegating` has Claude Code's do so by a sub-agent."""
        self.command = command
        self.delegating = delegating
        self.kept: list[tuple[str, Json]] = []
        self.answers = 0
        self.asked: list[str] = []
        self.came = threading.Event()
        """Set with the first thing that is kept."""
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._of_this())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()

    def next_answer(self) -> int:
        """The number of the answer that is given now."""
        with self._lock:
            self.answers += 1
            return self.answers

    def _of_this(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Answer(_Answer):
            """One request to this server."""

            def do_POST(self) -> None:
                body = _plain(self)
                path = self.path.partition("?")[0]
                api.asked.append(path)
                if path.endswith("/messages"):
                    self.stream(_anthropic(api, body), anthropic_headers())
                elif path.endswith("/responses"):
                    self.stream(_openai(api, body), codex_headers())
                elif path.endswith(":streamGenerateContent"):
                    self.stream(_gemini(api, body))
                elif path.endswith(":generateContent"):
                    self.whole(_gemini(api, body)[-1][1])
                elif path.endswith(("/count_tokens", ":countTokens")):
                    self.whole({"input_tokens": 1, "totalTokens": 1})
                elif path.startswith(("/hooks/", "/otlp/")):
                    api.kept.append((path, body))
                    api.came.set()
                    self.whole({})
                else:
                    self.whole({"error": "not here"}, 404)

            def do_GET(self) -> None:
                api.asked.append(self.path)
                self.whole({"error": "not here"}, 404)

            do_HEAD = do_GET

        return Answer


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: tests read what is kept."""

    def whole(self, body: Json, status: int = 200) -> None:
        """JSON in one piece."""
        self._send(json.dumps(body).encode(), "application/json", status, {})

    def stream(self, events: list[tuple[str | None, Json]], headers: dict[str, str] | None = None) -> None:
        """Server-sent events, all at once."""
        parts = []
        for name, data in events:
            head = f"event: {name}\n" if name else ""
            parts.append(f"{head}data: {json.dumps(data)}\n\n")
        self._send("".join(parts).encode(), "text/event-stream", 200, headers or {})

    def _send(self, body: bytes, kind: str, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _plain(request: BaseHTTPRequestHandler) -> Json:
    if "chunked" in request.headers.get("Transfer-Encoding", ""):
        body = b""
        while size := int(request.rfile.readline().split(b";")[0], 16):
            body += request.rfile.read(size)
            request.rfile.readline()
        request.rfile.readline()
    else:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
    if request.headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    try:
        return json.loads(body)
    except ValueError:
        return body.hex()


def _anthropic(api: ModelApi, asked: Json) -> list[tuple[str | None, Json]]:
    tools = {tool.get("name") for tool in asked.get("tools") or []}
    told = "tool_result" in json.dumps(asked.get("messages", []))
    if "Bash" not in tools:  # a title, a check of the quota: not of the session
        return _message("msg_aside", asked, {"type": "text", "text": ""}, "aside", "end_turn", 0, 0, 0, 0)
    n = api.next_answer()
    figures = (n * 100, n * 1000, n * 2000, 50 + n)
    if told:
        return _message(f"msg_{n}", asked, {"type": "text", "text": ""}, "canary answer", "end_turn", *figures)
    name, inputs = "Bash", {"command": api.command, "description": "canary description"}
    if api.delegating and (agent := next(iter(tools & {"Agent", "Task"}), None)):
        name = agent
        inputs = {"description": "canary description", "prompt": "canary errand", "subagent_type": "general-purpose"}
    block = {"type": "tool_use", "id": f"toolu_{n}", "name": name, "input": {}}
    wanted = json.dumps(inputs)
    return _message(f"msg_{n}", asked, block, wanted, "tool_use", *figures)


def _message(
    name: str, asked: Json, block: Json, text: str, stop: str, fresh: int, written: int, read: int, out: int
) -> list[tuple[str | None, Json]]:
    usage = {
        "input_tokens": fresh,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": 1,
    }
    message = {"id": name, "type": "message", "role": "assistant", "model": asked.get("model"), "content": []}
    message |= {"stop_reason": None, "stop_sequence": None, "usage": usage}
    kind = {"type": "text_delta", "text": text}
    if block["type"] == "tool_use":
        kind = {"type": "input_json_delta", "partial_json": text}
    end = {"stop_reason": stop, "stop_sequence": None}
    events: list[Json] = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": kind},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": end, "usage": usage | {"output_tokens": out}},
        {"type": "message_stop"},
    ]
    return [(event["type"], event) for event in events]


def _openai(api: ModelApi, asked: Json) -> list[tuple[str | None, Json]]:
    n = api.next_answer()
    told = any(item.get("type", "").endswith("_output") for item in asked.get("input", []))
    item: Json
    if told:
        content = [{"type": "output_text", "text": "canary answer", "annotations": []}]
        item = {"type": "message", "role": "assistant", "id": f"m_{n}", "status": "completed", "content": content}
    else:
        names = [tool.get("name") for tool in asked.get("tools") or []]
        name, wanted = "shell", json.dumps({"command": ["sh", "-c", api.command]})
        if "exec_command" in names:
            name, wanted = "exec_command", json.dumps({"cmd": api.command})
        item = {"type": "function_call", "id": f"f_{n}", "call_id": f"call_{n}", "name": name}
        item |= {"arguments": wanted, "status": "completed"}
    usage = {
        "input_tokens": n * 10_000,
        "input_tokens_details": {"cached_tokens": n * 4_000},
        "output_tokens": n * 100,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": n * 10_100,
    }
    response = {"id": f"resp_{n}", "object": "response", "status": "completed", "output": [item], "usage": usage}
    events: list[Json] = [
        {"type": "response.created", "response": {"id": f"resp_{n}", "status": "in_progress"}},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": response},
    ]
    return [(event["type"], event) for event in events]


def _gemini(api: ModelApi, asked: Json) -> list[tuple[str | None, Json]]:
    offered = [each for tool in asked.get("tools") or [] for each in tool.get("functionDeclarations") or []]
    if not any(each.get("name") == "run_shell_command" for each in offered):
        return [(None, _candidate('{"reasoning": "aside", "model_choice": "flash"}', {}))]
    n = api.next_answer()
    usage = {
        "promptTokenCount": n * 5_000,
        "cachedContentTokenCount": n * 1_000,
        "candidatesTokenCount": n * 40,
        "thoughtsTokenCount": n * 10,
        "totalTokenCount": n * 5_050,
    }
    if "functionResponse" in json.dumps(asked.get("contents", [])):
        return [(None, _candidate("canary answer", usage))]
    call = {"functionCall": {"name": "run_shell_command", "args": {"command": api.command}}}
    return [(None, _candidate(call, usage))]


def _candidate(part: Json, usage: Json) -> Json:
    parts = [{"text": part} if isinstance(part, str) else part]
    content: Json = {"role": "model", "parts": parts}
    return {
        "candidates": [{"content": content, "finishReason": "STOP", "index": 0}],
        "usageMetadata": usage,
        "modelVersion": "gemini-2.5-pro",
    }
