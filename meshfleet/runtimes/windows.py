"""Windows of models that a server of this machine runs, for whoever uses such a model by its name.

What Ollama has allocated is the truth, however large the model's own window is: it cuts off what is longer, in silence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshfleet.runtimes.merging import Merged

MODELS_LIMIT = 256
"""Models of one source that are kept. A machine has some ten loaded at most."""

_PREFIXES = ("ollama/", "ollama_chat/")
"""How libraries that know many providers begin the names of a local model."""


class Windows:
    """Tokens that a loaded model's context holds, by its name."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, str]] = {}

    def are(self, windows: Mapping[str, int], source: str) -> None:
        """All that `source` knows of now; what it knew before no longer holds."""
        self._known = {model: known for model, known in self._known.items() if known[1] != source}
        for model, window in list(windows.items())[:MODELS_LIMIT]:
            self._known[_plain(model)] = (window, source)

    def of(self, model: str | None) -> tuple[int, str] | None:
        """The window of `model`, and where it is from (`reported:ollama`); None where nobody knows."""
        return None if model is None else self._known.get(_plain(model))

    def fill(self, told: Merged) -> Merged:
        """A session with its model's window, where its own runtime has at most inferred one."""
        record = told.record
        source = record.context_limit_source
        found = self.of(record.model)
        if found is None or (record.context_limit is not None and source is not None and not source.startswith("inf")):
            return told
        limit, source = found
        return msgspec.structs.replace(
            told,
            record=msgspec.structs.replace(record, context_limit=limit, context_limit_source=source),
            sources={**told.sources, "context_limit": source},
        )


def _plain(model: str) -> str:
    """`ollama/llama3` and `llama3:latest` are `llama3`."""
    for prefix in _PREFIXES:
        model = model.removeprefix(prefix)
    return model.removesuffix(":latest")
