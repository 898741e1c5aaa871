"""Colours, dashes and widths: sources told apart by colour and, in greyscale, by dash."""

from __future__ import annotations

from collections.abc import Sequence

from pdnopt.diagram.situation import Feed

__all__ = ["css", "feed_class", "wire_px"]

COLOURS = ("#0067a8", "#c65f00", "#00795a", "#8a4f9e", "#5b6b00", "#0a8fb0", "#a3195b", "#6b4a1f")
"""After Okabe and Ito (2008), darkened until each has a contrast of at least 4 : 1 on white."""

DASHES = ("", "13 3", "7 3", "13 3 3 3", "3 2", "16 3 3 3 3 3", "10 5", "5 2 2 2")
BATTERY = ("#7a3db8", "2.5 2.5")
DEAD = "#9aa4ae"
OVER = "#b3261e"
MOVED = "#f2b100"


def feed_class(feeds: Sequence[Feed], feed: int) -> str:
    """Return the class of what a feed gives voltage to; "dead" without one."""
    if feed < 0:
        return "dead"
    return "battery" if feeds[feed].kind == "battery" else f"f{feed % len(COLOURS)}"


def wire_px(percent: float) -> float:
    """Return the width of a wire by its loading."""
    return round(1.3 + 2.7 * min(max(percent, 0.0), 120.0) / 120.0, 1)


def css() -> str:
    """Return the style of a drawing."""
    rules = [
        ".oneline{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;"
        "font-size:11px;color:#16202a}",
        ".oneline text{fill:#16202a;stroke:none}",
        ".oneline .note{font-size:10px;fill:#5b6875}",
        ".oneline .over .note,.oneline .note.over{fill:" + OVER + ";font-weight:700}",
        ".oneline .w{fill:none;stroke:currentColor;stroke-linejoin:round}",
        ".oneline .bar{stroke:none;fill:currentColor}",
        ".oneline .body{fill:#fff;stroke:currentColor;stroke-width:1.6}",
        ".oneline .ring{fill:none;stroke:currentColor;stroke-width:1.6}",
        ".oneline .full,.oneline .dot{fill:currentColor;stroke:currentColor;stroke-width:1.6}",
        ".oneline .thin{fill:none;stroke:currentColor;stroke-width:1.2}",
        ".oneline .thick{fill:none;stroke:currentColor;stroke-width:2}",
        ".oneline .letter{text-anchor:middle;font-size:13px;font-weight:700;fill:currentColor}",
        ".oneline .block{fill:#fff;stroke:currentColor;stroke-width:1.4}",
        ".oneline .stack{fill:#fff;stroke:currentColor;stroke-width:1}",
        ".oneline .mid{text-anchor:middle}",
        ".oneline .served{fill:currentColor;opacity:.85}.oneline .missing{fill:#f3d6d3}",
        ".oneline .halo{fill:" + MOVED + ";fill-opacity:.38;stroke:" + MOVED + ";stroke-width:1.4}",
        ".oneline .hot{fill:none;stroke:" + OVER + ";stroke-width:2}",
        ".oneline .cross{fill:none;stroke:" + OVER + ";stroke-width:2.6;stroke-linecap:round}",
        ".oneline .frame{fill:none;stroke:#5b6875;stroke-width:1;stroke-dasharray:2 2}",
        ".oneline .dead{color:" + DEAD + "}.oneline .dead text{fill:#76818c}",
        ".oneline .w.dead{stroke-dasharray:1.5 3}",
    ]
    for k, (colour, dash) in enumerate(zip(COLOURS, DASHES, strict=True)):
        rules.append(f".oneline .f{k}{{color:{colour}}}")
        if dash:
            rules.append(f".oneline .w.f{k}{{stroke-dasharray:{dash}}}")
    rules.append(
        f".oneline .battery{{color:{BATTERY[0]}}}.oneline .w.battery{{stroke-dasharray:{BATTERY[1]}}}"
    )
    return "\n".join(rules)
