"""What is asked of the flow engine in one batch, and what it answers. kW, kvar, kA, pu, percent."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from pdnopt.errors import InputError, Issue

__all__ = ["FlowCases", "FlowResult"]


@dataclass(frozen=True)
class FlowCases:
    """A batch of n cases on one network. A field that is None means: the value in the network, in every case.

    Rows of every array are cases; the second axis is the rows of the net's table in order (not the index).

    Attributes
    ----------
    switch_closed : bool, shape (n, n_switch)
        Bypass switches of UPSs follow ``ups_mode`` whatever stands here.
    ext_grid_on : bool, shape (n, n_ext_grid)
        Companions of UPSs follow ``ups_mode`` whatever stands here; those of batteries are taken as given.
    ups_mode : object, shape (n, n_ups)
        "online", "battery", "eco", "bypass" or "off". None: ``net.ups.mode``, "off" where not in service.
    load_p_kw, load_q_kvar : float, shape (n, n_load)
        Power at 1 pu voltage, scaling included, 0 for a load that is off. Companion rows are ignored.
    asymmetric_p_kw, asymmetric_q_kvar : float, shape (n, n_asymmetric_load, 3)
        Power per phase a, b, c (or ab, bc, ca in delta).
    storage_p_kw : float, shape (n, n_storage)
        Charging is positive. Reactive power stays as in the network.
    dead_bus : bool, shape (n, n_bus)
        Buses inside a failed zone: without voltage, and every branch, switch and source at them is out.
    line_out, trafo_out : bool, shapes (n, n_line), (n, n_trafo)
        Outages on top of ``in_service``.
    """

    switch_closed: np.ndarray | None = None
    ext_grid_on: np.ndarray | None = None
    ups_mode: np.ndarray | None = None
    load_p_kw: np.ndarray | None = None
    load_q_kvar: np.ndarray | None = None
    asymmetric_p_kw: np.ndarray | None = None
    asymmetric_q_kvar: np.ndarray | None = None
    storage_p_kw: np.ndarray | None = None
    dead_bus: np.ndarray | None = None
    line_out: np.ndarray | None = None
    trafo_out: np.ndarray | None = None

    def n_cases(self, widths: dict[str, tuple[int, ...]]) -> int:
        """Check every shape against the network and return n (1 if nothing is given).

        Parameters
        ----------
        widths : dict of str to tuple of int
            Shape of one case of each field.

        Raises
        ------
        InputError
            With every field whose shape does not fit.
        """
        given = {
            f.name: np.shape(getattr(self, f.name)) for f in fields(self) if getattr(self, f.name) is not None
        }
        if not given:
            return 1
        n = next(iter(given.values()))[0] if next(iter(given.values())) else -1
        issues = [
            Issue(
                "Shape",
                f"FlowCases.{name}",
                "",
                shape,
                f"{(n, *widths[name])}",
                "Give one row a case, in the order of the net's table.",
            )
            for name, shape in given.items()
            if shape != (n, *widths[name])
        ]
        if issues:
            raise InputError(issues)
        return int(n)


@dataclass(frozen=True)
class FlowResult:
    """Answers for n cases, rows as in :class:`FlowCases`. All NaN in a case that did not converge.

    Attributes
    ----------
    vm_pu : float, shape (n, n_bus)
        NaN where the bus has no voltage.
    line_i_ka, line_loading_percent : float, shape (n, n_line)
        Current at the worst end, 0 where dead; over ``max_i_ka * df * parallel``.
    trafo_loading_percent : float, shape (n, n_trafo)
        pandapower's definition: the worse of the two ends' current over its own rated current.
    trafo3w_loading_percent : float, shape (n, n_trafo3w)
        The worst of the three ends.
    switch_i_ka, switch_p_kw, switch_q_kvar : float, shape (n, n_switch)
        Flow through every switch; P and Q count positive from ``switch.bus`` into ``switch.element``.
    ext_grid_p_kw, ext_grid_q_kvar : float, shape (n, n_ext_grid)
        Delivered power, companions of UPSs included; 0 for a source that is off.
    ups_p_out_kw, ups_q_out_kvar, ups_p_in_kw : float, shape (n, n_ups)
        Output; input from the mains (0 on battery or where the input has no voltage; on bypass: the output).
    ups_loading_percent : float, shape (n, n_ups)
        Worst of P/p_rated and S/s_rated.
    ups_phase_factor : float, shape (n, n_ups)
        Three times the largest phase over the sum of the phases of what it feeds (1 = balanced); times S/s_rated it
        is the loading of the worst phase.
    losses_kw : float, shape (n,)
        Losses of all branches plus conversion losses of UPSs that are online.
    converged : bool, shape (n,)
    """

    vm_pu: np.ndarray
    line_i_ka: np.ndarray
    line_loading_percent: np.ndarray
    trafo_loading_percent: np.ndarray
    trafo3w_loading_percent: np.ndarray
    switch_i_ka: np.ndarray
    switch_p_kw: np.ndarray
    switch_q_kvar: np.ndarray
    ext_grid_p_kw: np.ndarray
    ext_grid_q_kvar: np.ndarray
    ups_p_out_kw: np.ndarray
    ups_q_out_kvar: np.ndarray
    ups_p_in_kw: np.ndarray
    ups_loading_percent: np.ndarray
    ups_phase_factor: np.ndarray
    losses_kw: np.ndarray
    converged: np.ndarray
