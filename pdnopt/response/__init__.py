"""What the plant's own devices do in the first milliseconds, and what trips if nobody acts."""

from pdnopt.response.aftermath import Response, draw_kw, respond, respond_network, settle
from pdnopt.response.cascades import Event, cascade
from pdnopt.response.casebook import flow_case, flow_of
from pdnopt.response.clocks import Loadings, Overload, loadings, overloads
from pdnopt.response.faults import Struck, strike
from pdnopt.response.supply import Supply, lasting_supply

__all__ = [
    "Event",
    "Loadings",
    "Overload",
    "Response",
    "Struck",
    "Supply",
    "cascade",
    "draw_kw",
    "flow_case",
    "flow_of",
    "lasting_supply",
    "loadings",
    "overloads",
    "respond",
    "respond_network",
    "settle",
    "strike",
]
