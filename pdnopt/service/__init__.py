"""Who is served while every device stands where it stands: in full, capped or not at all."""

from pdnopt.service.forest import SWITCH, UPS, Forest, grow_forest
from pdnopt.service.serving import Question, Service, serve

__all__ = ["SWITCH", "UPS", "Forest", "Question", "Service", "grow_forest", "serve"]
