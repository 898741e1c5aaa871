"""The independent checker: says again, from the network tables alone, what a plan may and may not do.

``check`` returns the findings of one plan (empty = verified); ``Checker`` reads a network once and checks
many plans on it; ``CheckReport`` also carries what the checker computed on the way. Nothing here is shared
with the models: names, columns and units come from the plant's tables, flows from the AC power flow, the
rules from PLANT.md and docs/ARCHITECTURE.md (rules 1-15).
"""

from pdnopt.checker.checking import Checker, check
from pdnopt.checker.findings import CheckReport, StateSummary
from pdnopt.checker.harmonic_limits import check_harmonics, harmonic_voltages

__all__ = ["CheckReport", "Checker", "StateSummary", "check", "check_harmonics", "harmonic_voltages"]
