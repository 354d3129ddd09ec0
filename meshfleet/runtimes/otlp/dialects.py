"""Which dialect a record is in: by its own name, by the scope that made it, by the program's name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshfleet.runtimes.otlp.claude_code import ClaudeCode
from meshfleet.runtimes.otlp.codex import Codex
from meshfleet.runtimes.otlp.gemini_cli import GeminiCli
from meshfleet.runtimes.otlp.genai import GenAi
from meshfleet.runtimes.otlp.wanted import IDENTITY, RESOURCE, Wanted

if TYPE_CHECKING:
    from meshfleet.runtimes.otlp.plain import Record
    from meshfleet.runtimes.otlp.told import Dialect

CLAUDE_CODE, CODEX, GEMINI_CLI, GEN_AI = ClaudeCode(), Codex(), GeminiCli(), GenAi()

DIALECTS: tuple[Dialect, ...] = (CLAUDE_CODE, CODEX, GEMINI_CLI, GEN_AI)

WANTED = Wanted(
    resource=RESOURCE,
    record=IDENTITY.union(*(each.attributes for each in DIALECTS)),
    metrics=frozenset().union(*(each.metrics for each in DIALECTS)),
)

_BY_NAME: dict[str, Dialect] = {"claude_code.": CLAUDE_CODE, "codex.": CODEX, "gemini_cli.": GEMINI_CLI}
_BY_SCOPE: dict[str, Dialect] = {"com.anthropic.claude_code": CLAUDE_CODE, "codex_": CODEX, "gemini-cli": GEMINI_CLI}
_BY_SERVICE: dict[str, Dialect] = {"claude-code": CLAUDE_CODE, "codex_": CODEX, "gemini-cli": GEMINI_CLI}


def dialect_of(record: Record) -> Dialect:
    """Whose words these are. A runtime that has words of its own is taken by no others: what it says by the GenAI
    conventions besides is the same once more."""
    service = str(record.origin.resource.get("service.name", ""))
    for table, said in ((_BY_NAME, record.name), (_BY_SCOPE, record.origin.scope), (_BY_SERVICE, service)):
        for beginning, dialect in table.items():
            if said.startswith(beginning):
                return dialect
    return GEN_AI
