"""The page's table of what is known of each runtime is what playing the recordings shows."""

from __future__ import annotations

from tests.runtimes.table import BEGIN, END, PAGE, found, rows


def test_the_page_has_the_table_that_the_recordings_make() -> None:
    _, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    table, _, _ = rest.partition(END)
    assert table.split("\n")[2:-2] == rows(), "run `python -m tests.runtimes.table`"


def test_what_is_known_of_each_runtime_is_no_less_than_was_promised() -> None:
    table = found()
    for runtime in ("claude-code", "codex", "gemini-cli", "opencode"):
        for field in ("status", "model", "active_tool", "context_tokens", "tokens_in", "tokens_out"):
            assert "exact" in table[runtime, field], (runtime, field)
        assert table[runtime, "cost_usd"]
