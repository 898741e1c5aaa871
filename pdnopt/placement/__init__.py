"""Which new racks fit where, every single failure carried, and how much power is stranded."""

from pdnopt.placement.outcome import Placement
from pdnopt.placement.placing import place
from pdnopt.placement.refusals import Refusal

__all__ = ["Placement", "Refusal", "place"]
