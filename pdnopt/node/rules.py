"""What sets an inverter or a battery while no controller's set-point is in force: by its own measurements only.

``zero``
    Give and take nothing. The default.
``hold``
    Stay where the controller has put it.
``droop``
    Of an inverter: `pdnopt.balancing.levels.local`, around the last state in which a controller's set-point was in force, so
    that nothing jumps when the controller falls silent; around the even state where there was none since the start. Its
    fields are those of `RuleSettings`; the network bounds ``p_gain_kw`` and ``q_gain_kvar`` (`balancing.levels.gains`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from pdnopt.errors import Issue
from pdnopt.protocols.fields import Field, check_fields, number, text

__all__ = ["Droop", "Hold", "Rule", "Zero", "check_rule", "make_rule"]


class Rule(Protocol):
    """A local rule."""

    def follow(self, measured: Mapping[str, Any], setpoint: Any) -> None:
        """Note a state in which the controller's set-point was in force."""

    def __call__(self, measured: Mapping[str, Any], now: Any) -> Any:
        """Return the next set-point.

        Parameters
        ----------
        measured : mapping
            The device's own good values, by quantity.
        now : Any
            The set-point that it goes by now; None where it cannot be told.
        """


class Zero:
    """Give and take nothing."""

    def __init__(self, table: str) -> None:
        self.nothing: Any = (
            0.0 if table == "storage" else {"p_kw": [0.0, 0.0, 0.0], "q_kvar": [0.0, 0.0, 0.0]}
        )

    def follow(self, measured: Mapping[str, Any], setpoint: Any) -> None:
        pass

    def __call__(self, measured: Mapping[str, Any], now: Any) -> Any:
        return self.nothing


class Hold(Zero):
    """Stay where the controller has put it; nothing where that cannot be told."""

    def __call__(self, measured: Mapping[str, Any], now: Any) -> Any:
        return self.nothing if now is None else now


class Droop:
    """The rule of a micro-inverter against unbalance.

    Parameters
    ----------
    s_max_kva : float
        Each phase.
    data : mapping
        Other fields of `RuleSettings`.

    It measures ``vm_pu`` (three phases, to neutral), and where the inverter has meters on its circuit ``circuit_p_kw`` and
    ``circuit_q_kvar``: what the circuit takes from the network. Without voltages nothing is changed.
    """

    def __init__(self, s_max_kva: float, data: Mapping[str, Any]) -> None:
        from pdnopt.balancing.levels.local import RuleSettings

        given: dict[str, Any] = {
            name: tuple(value) if name == "v_pu" else value for name, value in data.items()
        }
        self.settings = RuleSettings(s_max_kva, **given)

    def follow(self, measured: Mapping[str, Any], setpoint: Any) -> None:
        from dataclasses import replace

        volts = measured.get("vm_pu")
        if volts is None:
            return
        circuit = _circuit(measured)
        given = _complex(setpoint)
        drawn = [a + b for a, b in zip(circuit, given, strict=True)]
        if any(math.isnan(item.real) for item in drawn):
            drawn = list(self.settings.circuit_kva)
        self.settings = replace(
            self.settings, s_kva=tuple(given), v_pu=tuple(volts), circuit_kva=tuple(drawn)
        )

    def __call__(self, measured: Mapping[str, Any], now: Any) -> Any:
        import numpy as np

        from pdnopt.balancing.levels.local import Measured, local_setpoint

        volts = measured.get("vm_pu", [math.nan] * 3)
        given = [0j] * 3 if now is None else _complex(now)
        seen = Measured(np.array(volts, dtype=float), np.array(_circuit(measured)), np.array(given))
        wanted = local_setpoint(self.settings, seen)
        return {"p_kw": wanted.real.tolist(), "q_kvar": wanted.imag.tolist()}


def check_rule(
    table: str, data: dict[str, Any], path: str, id_: str, where: Callable[[str], str]
) -> list[Issue]:
    """Return what is wrong with a rule's settings."""
    kinds = ("zero", "hold", "droop") if table == "asymmetric_sgen" else ("zero", "hold")
    fields = {"kind": text(one_of=kinds), **(_DROOP if data.get("kind") == "droop" else {})}
    return check_fields(data, fields, path, id_, where)


def make_rule(table: str, data: Mapping[str, Any], s_max_kva: float) -> Rule:
    """Return the rule of checked settings; none given: zero."""
    given = dict(data)
    kind = given.pop("kind", "zero")
    if kind == "droop":
        return Droop(s_max_kva, given)
    return Hold(table) if kind == "hold" else Zero(table)


def _complex(setpoint: Mapping[str, Any]) -> list[complex]:
    return [complex(p, q) for p, q in zip(setpoint["p_kw"], setpoint["q_kvar"], strict=True)]


def _circuit(measured: Mapping[str, Any]) -> list[complex]:
    unknown = [math.nan] * 3
    p_kw, q_kvar = measured.get("circuit_p_kw", unknown), measured.get("circuit_q_kvar", unknown)
    return [complex(p, q) for p, q in zip(p_kw, q_kvar, strict=True)]


_VOLTS = number(0.5, 1.5)
_DROOP = {
    "p_gain_kw": number(0.0, 1e6),
    "q_gain_kvar": number(0.0, 1e6),
    "loss": number(0.0, 0.5, False),
    "b_low_kw": number(-1e5, 0.0, False),
    "b_high_kw": number(0.0, 1e5, False),
    "share": number(0.0, 1.0, False),
    "dead_band_pu": number(0.0, 0.1, False),
    "smoothing": number(1e-3, 1.0, False),
    "v_pu": Field(
        "three voltages from 0.5 to 1.5 pu",
        lambda value: isinstance(value, list) and len(value) == 3 and all(map(_VOLTS.test, value)),
        required=False,
    ),
}
