"""What to do about a component, and how soon: a table by kind and by what drives its risk.

The rows are maintenance practice (ANSI/NETA MTS, NFPA 70B, IEEE 1188 as commonly applied), written down as data; the urgency
follows from the probability of failing, not from the row.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Advice", "advise"]

ANY = "*"

ACTIONS: dict[tuple[str, str], str] = {
    (
        "transfer",
        "temperature",
    ): "thermography under load, then retorque the terminals and measure contact resistance",
    (
        "transfer",
        "voltage_fluctuation",
    ): "measure the voltage drop across the contacts, then a transfer test off load",
    ("transfer", "temperature+voltage_fluctuation"): (
        "move load off it, thermography under load, retorque, measure contact resistance and renew what is beyond limits"
    ),
    ("ups", "temperature"): "check fans and filters, then thermography of the power stage",
    (
        "ups",
        "voltage_fluctuation",
    ): "look at the inverter's output with an analyser, check the output filter capacitors",
    ("ups", "thd"): "check the filter capacitors; renew them if their capacitance is out of tolerance",
    ("ups", "vibration"): "renew the fans",
    ("ups", "acceleration"): "renew the fans",
    ("ups", "battery"): "capacity test of the battery string, order its replacement",
    ("storage", "temperature"): "check the cooling of the batteries and the float voltage",
    ("storage", "battery"): "capacity test of the battery string, order its replacement",
    ("trafo", "temperature"): "thermography, check cooling and load balance",
    ("trafo", "vibration"): "check core clamping and mountings",
    ("switch", "temperature"): "thermography under load, then retorque and clean the contacts",
    ("switch", "voltage_fluctuation"): "measure the voltage drop across the poles, inspect the terminals",
    ("line", "temperature"): "thermography of the terminations, check load balance",
    ("bus", "temperature"): "thermography of the joints, then retorque",
    ("load", "thd"): "check the power supplies of the rack",
    (ANY, "temperature"): "thermography under load, check cooling",
    (ANY, "voltage_fluctuation"): "inspect the terminals on both sides for a loose joint",
    (ANY, "thd"): "measure the harmonics by order, find the source",
    (ANY, "vibration"): "balance or renew the rotating part; check the mountings",
    (ANY, "acceleration"): "balance or renew the rotating part; check the mountings",
    (ANY, "humidity"): "check for condensation, heater and drainage",
    (ANY, "battery"): "capacity test of the battery string, order its replacement",
}

URGENCIES: tuple[tuple[float, str, float], ...] = (
    (0.30, "at once: within 4 h", 4.0),
    (0.05, "within 24 h", 24.0),
    (0.01, "within 7 days", 168.0),
)
"""From which probability of failing within 7 days on, in words and hours. 0.3: sooner than a crew on call comes; 0.05: a day
costs at most 1 % more risk; 0.01: some ten times what a component as new has."""
HEALTHS: tuple[tuple[float, int], ...] = ((0.2, 1), (0.5, 2))
"""At or below which health the urgency is at least which row of `URGENCIES`, whatever the probability: what is five times
as likely to fail as it was has something to be mended."""
ROUTINE = ("at the next planned maintenance", float("inf"))


@dataclass(frozen=True)
class Advice:
    """What to do and how soon.

    Parameters
    ----------
    action : str
    urgency : str
    within_h : float
        Hours; infinite where it can wait for planned maintenance.
    """

    action: str
    urgency: str
    within_h: float


def advise(kind: str, drivers: tuple[str, ...], weekly: float, health: float = 1.0) -> Advice:
    """Return what to do.

    Parameters
    ----------
    kind : str
        Table of the component.
    drivers : tuple of str
        Sensors that drive the risk, the strongest first; empty: nothing unusual.
    weekly : float
        Probability of failing within 7 days.
    health : float
        0..1.
    """
    rank = min(
        next((k for k, (p, _, _) in enumerate(URGENCIES) if weekly >= p), len(URGENCIES)),
        next((k for limit, k in HEALTHS if health <= limit), len(URGENCIES)),
    )
    urgency, within_h = URGENCIES[rank][1:] if rank < len(URGENCIES) else ROUTINE
    if not drivers:
        return Advice("none", *ROUTINE)
    both = "+".join(sorted(drivers[:2]))
    for key in ((kind, both), (kind, drivers[0]), (ANY, drivers[0])):
        if key in ACTIONS:
            return Advice(ACTIONS[key], urgency, within_h)
    return Advice("inspect", urgency, within_h)
