"""HTML and SVG, written so that nothing of a scenario can ever be read as markup."""

from __future__ import annotations

from html import escape

VOID = ("meta", "br", "col", "rect", "line", "path", "circle")
"""Elements without content: HTML's, and those of SVG that are drawn."""


class Html(str):
    """Text that is markup already. Everything else is escaped when it is put into an element."""

    __slots__ = ()


def text(what: object) -> Html:
    """Anything, as markup that shows it."""
    return what if isinstance(what, Html) else Html(escape(str(what), quote=True))


def joined(*parts: object) -> Html:
    """Parts one after the other."""
    return Html("".join(text(part) for part in parts))


def element(name: str, /, *inside: object, **attributes: object) -> Html:
    """An element. `class_` stands for class, `_` for a hyphen; an attribute of None or False is left out, one of True
    has no value."""
    shown: list[str] = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        word = key.rstrip("_").replace("_", "-") if key != "viewBox" else key
        shown.append(f" {word}" if value is True else f' {word}="{text(value)}"')
    head = f"<{name}{''.join(shown)}"
    if name in VOID:
        return Html(head + ("/>" if name in VOID[3:] else ">"))
    return Html(f"{head}>{joined(*inside)}</{name}>")


def percent(share: float) -> str:
    """`12.5%`: a place or a width, as a share of the whole."""
    return f"{100 * share:.2f}".rstrip("0").rstrip(".") + "%"
