"""One-line diagrams: a network and what happens to it, drawn as SVG text from the tables alone."""

from pdnopt.diagram.drawing import Diagram, draw
from pdnopt.diagram.situation import Moment, Situation, read_situation

__all__ = ["Diagram", "Moment", "Situation", "draw", "read_situation"]
