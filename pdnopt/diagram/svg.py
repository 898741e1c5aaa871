"""SVG text: elements, attributes, escaping."""

from __future__ import annotations

from html import escape

__all__ = ["element", "fixed", "group", "text_element"]


def fixed(value: float) -> str:
    """Return a coordinate with at most one decimal."""
    return f"{value:.1f}".removesuffix(".0").replace("-0", "0") if abs(value) < 0.05 else _trim(value)


def _trim(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _attributes(values: dict[str, object]) -> str:
    parts = []
    for name, value in values.items():
        if value is None or value == "":
            continue
        text = fixed(value) if isinstance(value, float) else escape(str(value), quote=True)
        parts.append(f' {name.rstrip("_").replace("_", "-")}="{text}"')
    return "".join(parts)


def element(tag: str, **attributes: object) -> str:
    """Return an element without content; ``class_`` is written ``class``, ``stroke_width`` ``stroke-width``."""
    return f"<{tag}{_attributes(attributes)}/>"


def group(content: str, tag: str = "g", title: str = "", **attributes: object) -> str:
    """Return an element with content, which is SVG already, and a title that is plain text."""
    head = f"<title>{escape(title, quote=False)}</title>" if title else ""
    return f"<{tag}{_attributes(attributes)}>{head}{content}</{tag}>"


def text_element(text: str, x: float, y: float, **attributes: object) -> str:
    """Return a line of plain text at its base line."""
    return f'<text x="{fixed(x)}" y="{fixed(y)}"{_attributes(attributes)}>{escape(text, quote=False)}</text>'
