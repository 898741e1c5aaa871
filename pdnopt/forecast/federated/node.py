"""A node: has measurements of its own circuits, trains on them, and lets weights out, nothing else.

Needs torch (the extra ``lstm``).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pdnopt.forecast.backtest import Windows, run_backtest
from pdnopt.forecast.extras import need
from pdnopt.forecast.federated.messages import Answer, Task, Weights, check_shapes
from pdnopt.forecast.federated.privacy import blur, clip_update
from pdnopt.forecast.history import read_history
from pdnopt.forecast.lstm.forecaster import LSTMForecaster, frame_from
from pdnopt.forecast.lstm.known import CALENDAR, Known
from pdnopt.forecast.lstm.settings import Settings, read_settings
from pdnopt.forecast.standing import Standing

if TYPE_CHECKING:
    import pandas as pd

    from pdnopt.forecast.lstm.fitting import Sampler
    from pdnopt.forecast.lstm.network import Network

__all__ = ["Node", "initial_weights"]


class Node:
    """One participant.

    Parameters
    ----------
    name : str
    history : DataFrame
        Wide, kW; its own circuits.
    held_out : int
        Windows at the end of the history that are not trained on; the model that was agreed on is judged by them.
    seed : int
        Of the windows that are drawn; nodes have different ones.
    keep : Path, optional
        Folder that the agreed model is saved to, ready to forecast these circuits.
    allow_negative : bool
        Whether power may be negative.
    """

    def __init__(
        self,
        name: str,
        history: pd.DataFrame,
        *,
        held_out: int = 14,
        seed: int = 0,
        keep: Path | None = None,
        allow_negative: bool = False,
    ) -> None:
        self.name, self.held_out, self.seed = name, held_out, seed
        self.keep, self.allow_negative = keep, allow_negative
        self._history = read_history(history, allow_negative=allow_negative, path=f"nodes.{name}")
        self._sampler: tuple[Settings, Sampler] | None = None

    def answer(self, task: Task) -> Answer:
        """Return what a task asks for.

        Raises
        ------
        InputError
            Settings or weights that do not fit [Range], [MessageRefused]; a history too short [TooShort], [HorizonError].
        """
        need("torch")
        return self._train(task) if task.kind == "train" else self._finish(task)

    def _train(self, task: Task) -> Answer:
        from pdnopt.forecast.lstm.fitting import fit_network, read_weights

        settings = read_settings(task.settings, "task.settings")
        sampler = self._windows(settings)
        # Nodes, and rounds of one node, draw different windows; the same seed draws the same again
        seed = int(np.random.SeedSequence([self.seed, task.round]).generate_state(1)[0]) % 2**31
        network = _network(task, settings, seed)
        loss = fit_network(network, sampler, settings, seed, steps=task.steps, pace=lambda step: task.pace)
        update = {name: value - task.weights[name] for name, value in read_weights(network).items()}
        if task.longest is not None:
            update = clip_update(update, task.longest)
            if task.noise:
                # Noise that can be drawn again from a known seed hides nothing
                update = blur(update, task.noise * task.longest, np.random.default_rng())
        return Answer(task.round, update, sampler.count, loss, [])

    def _finish(self, task: Task) -> Answer:
        """Keep the agreed model, judge it by the held-out windows, and tell its loss for each circuit."""
        from pdnopt.forecast.lstm.export import to_onnx

        settings = read_settings(task.settings, "task.settings")
        network = _network(task, settings, settings.seed)
        model = to_onnx([network], CALENDAR, settings)

        def served(history: pd.DataFrame) -> LSTMForecaster:
            return LSTMForecaster(settings, allow_negative=self.allow_negative).serve(model, history)

        history, cut = self._history.frame(), self._cut(settings)
        if self.keep is not None:
            served(history).save(self.keep)
        agreed = Standing(served(history.iloc[:cut]), history.index[cut - 1])
        protocol = self._protocol(settings)
        found = run_backtest(lambda: agreed, history, protocol, allow_negative=self.allow_negative)
        sql = found.by_circuit()["sql"].reindex(list(self._history.circuits)).to_numpy(float)
        return Answer(
            task.round, {}, self._windows(settings).count, None, [float(v) for v in sql[np.isfinite(sql)]]
        )

    def _protocol(self, settings: Settings) -> Windows:
        return Windows(horizon=settings.horizon, windows=self.held_out)

    def _cut(self, settings: Settings) -> int:
        """Return the first row that is held out."""
        return int(self._protocol(settings).origins(len(self._history))[0])

    def _windows(self, settings: Settings) -> Sampler:
        """Return the windows to train on: none that reaches into those that are held out."""
        from pdnopt.forecast.lstm.fitting import Sampler

        if self._sampler is None or self._sampler[0] != settings:
            cut = self._cut(settings)
            seen = read_history(self._history.frame().iloc[:cut], allow_negative=self.allow_negative)
            known, values = Known.read(None, seen.index, settings)
            sampler = Sampler.over([frame_from(seen, known, values)], settings)
            sampler.check(settings)
            self._sampler = settings, sampler
        return self._sampler[1]


def _network(task: Task, settings: Settings, seed: int) -> Network:
    """Return a network with a task's weights. Raises InputError [MessageRefused] where they do not fit its settings."""
    from pdnopt.forecast.lstm.fitting import new_network, read_weights, write_weights

    network = new_network(CALENDAR, settings, seed)
    check_shapes("task", task.weights, read_weights(network))
    write_weights(network, task.weights)
    return network


def initial_weights(settings: Settings) -> Weights:
    """Return the weights that a federation begins with: random, of the settings' seed."""
    need("torch")
    from pdnopt.forecast.lstm.fitting import new_network, read_weights

    return read_weights(new_network(CALENDAR, settings, settings.seed))
