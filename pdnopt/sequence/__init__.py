"""From a post-fault state and a target to ordered, timed actions whose every intermediate state is feasible."""

from pdnopt.sequence.order import Sequence, Step, order_moves

__all__ = ["Sequence", "Step", "order_moves"]
