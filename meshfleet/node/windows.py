"""The setting `windows`: tokens that a model's context holds, for models that no list has."""

from __future__ import annotations

from meshfleet.errors import ConfigError

NAME_LIMIT = 80
LARGEST = 100_000_000
"""Tokens. No model holds a tenth of it; a number above it was meant to be something else."""


def windows_of(text: str, variable: str) -> dict[str, str]:
    """`qwen3:32b=32768,my-model=128000` by model, its numbers as text yet. ConfigError names the part that is wrong."""
    found: dict[str, str] = {}
    for part in (part.strip() for part in text.split(",")):
        model, equals, tokens = part.rpartition("=")
        if part and not (equals and model.strip() and tokens.strip()):
            raise ConfigError(f"{variable}: {part[:80]!r} is not MODEL=TOKENS, such as qwen3:32b=32768.")
        if part:
            found[model.strip()] = tokens.strip()
    return found


def check_window(place: str, model: str, tokens: int) -> None:
    """ConfigError at `place` where it is no model's name, or no number of tokens that a context can have."""
    if not (0 < len(model) <= NAME_LIMIT and model.isprintable()):
        raise ConfigError(f"{place}: {model[:80]!r} is no model's name: 1 to {NAME_LIMIT} printable characters.")
    if not 0 < tokens <= LARGEST:
        raise ConfigError(
            f"{place}: {tokens} for {model!r} is not a number of tokens. Give what the model's context holds, such as "
            "200000."
        )
