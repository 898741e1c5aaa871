"""From a post-fault state and a target to ordered, timed actions whose every intermediate state is feasible."""

from pdnopt.sequence.clock import Step
from pdnopt.sequence.order import Sequence, order_after, order_moves
from pdnopt.sequence.search import gentle_visits

__all__ = ["Sequence", "Step", "gentle_visits", "order_after", "order_moves"]
