"""Comments of a `.proto` as docstrings: Google style, wrapped, accepted by ruff as they are."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

WIDTH = 120
_VERBATIM = re.compile(r" {5}\s*\S")
_LIST_ITEM = re.compile(r"([-*+]|\d+[.)])\s")


def docstring(comment: str, fallback: str, *, indent: int = 0, attributes: Iterable[tuple[str, str]] = ()) -> list[str]:
    """A docstring's lines.

    Args:
        comment: The author's words.
        fallback: Summary for when there are none, or none that fit on the first line.
        indent: Spaces in front of every line.
        attributes: Names and descriptions for the section Attributes.
    """
    margin = " " * indent
    paragraphs = _paragraphs(comment)
    summary, paragraphs = _summarize(paragraphs, fallback, WIDTH - indent - 7)
    body: list[str] = []
    for paragraph in paragraphs:
        body.append("")
        for item in paragraph:
            body += _wrap(item, margin, "  " if _LIST_ITEM.match(item) else "")
    entries = [f"{name}: {_plain(text)}" for name, text in attributes]
    described = [line for entry in entries for line in _wrap(entry, f"{margin}    ", "    ")]
    if described:
        body += ["", f"{margin}Attributes:", *described]
    quotes = 'r"""' if any("\\" in line for line in (summary, *body)) else '"""'
    if not body:
        return [f'{margin}{quotes}{summary}"""']
    return [f"{margin}{quotes}{summary}", *body, f'{margin}"""']


def sentence(text: str) -> str:
    """A comment as running text on one line, with a full stop at its end."""
    text = " ".join(text.split())
    return text if not text or text[-1] in ".!?" else text.rstrip(" :;,") + "."


def _plain(text: str) -> str:
    """Text that cannot end a docstring early."""
    return text.replace('"""', "'''")


def _paragraphs(comment: str) -> list[list[str]]:
    """Paragraphs, each a list of items: running text, an item of a list, or an indented line that is kept as it is."""
    paragraphs: list[list[str]] = []
    for block in re.split(r"\n\s*\n", _plain(comment)):
        items: list[str] = []
        for line in block.splitlines():
            text = " ".join(line.split())
            if _VERBATIM.match(line):
                items.append(line[1:].rstrip())
            elif items and text and not _LIST_ITEM.match(text) and not _VERBATIM.match(f" {items[-1]}"):
                items[-1] += f" {text}"
            elif text:
                items.append(text)
        if items:
            paragraphs.append(items)
    return paragraphs


def _summarize(paragraphs: list[list[str]], fallback: str, width: int) -> tuple[str, list[list[str]]]:
    """The first line, and the paragraphs below it."""
    if not paragraphs or _LIST_ITEM.match(paragraphs[0][0]) or paragraphs[0][0].startswith(" "):
        return fallback, paragraphs
    (first, *items), rest = paragraphs[0], paragraphs[1:]
    if first.startswith('"'):
        first = first.replace('"', "'")
    if len(sentence(first)) <= width:
        return sentence(first), [items, *rest] if items else rest
    cut = re.match(r".*?[.!?](?=\s)", first)
    if cut and len(cut[0]) <= width:
        return cut[0], [[first[cut.end() :].strip(), *items], *rest]
    return fallback, paragraphs


def _wrap(text: str, margin: str, hanging: str) -> list[str]:
    if text.startswith(" ") and len(margin + text) <= WIDTH:
        return [margin + text]
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=margin,
        subsequent_indent=margin + hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )
