"""From a post-fault state and a target to ordered, timed actions whose every intermediate state is feasible."""

from pdnopt.sequence.clock import Step
from pdnopt.sequence.order import Sequence, order_moves

__all__ = ["Sequence", "Step", "order_moves"]
