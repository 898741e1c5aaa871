"""Who is served while every device stands where it stands: in full, capped or not at all."""

from pdnopt.service.forest import SWITCH, Forest, grow_forest
from pdnopt.service.serving import Question, Service, serve

__all__ = ["SWITCH", "Forest", "Question", "Service", "grow_forest", "serve"]
