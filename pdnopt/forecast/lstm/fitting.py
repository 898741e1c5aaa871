"""Training: windows drawn at random from all circuits and all moments, AdamW on the pinball loss.

Needs torch (the extra ``lstm``). One thread, seeds fixed: the same data and settings give the same weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pdnopt.errors import InputError, Issue
from pdnopt.forecast.lstm.network import Network, pinball
from pdnopt.forecast.lstm.settings import Settings
from pdnopt.forecast.lstm.windows import Frame, open_windows, read_targets

__all__ = [
    "Sampler",
    "fit_members",
    "fit_network",
    "new_network",
    "one_thread",
    "read_weights",
    "write_weights",
]

WARM_UP = 0.1
CLIP_GRADIENT = 1.0
AVERAGED = 0.25
"""The weights of the last quarter of the training steps are averaged: less noise than the last ones."""

FEWEST_TARGETS = 0.5
"""A window to learn from has a value in at least this part of its horizon."""


@dataclass(frozen=True)
class Sampler:
    """All windows of some frames: which circuit, from which origin."""

    frames: Sequence[Frame]
    circuit: Sequence[np.ndarray]
    origin: Sequence[np.ndarray]

    @classmethod
    def over(cls, frames: Sequence[Frame], settings: Settings) -> Sampler:
        """Return the windows with a day of past before them and enough values in their horizon."""
        circuits, origins = [], []
        for frame in frames:
            seen = np.isfinite(frame.value_kw).astype(float)
            total = np.concatenate([np.zeros((1, seen.shape[1])), np.cumsum(seen, axis=0)])
            start = np.arange(frame.pad + frame.day, frame.end - settings.horizon + 1)
            ahead = total[start + settings.horizon] - total[start]
            behind = total[start] - total[np.maximum(start - settings.context, 0)]
            fits = (ahead >= FEWEST_TARGETS * settings.horizon) & (behind >= 1)
            row, circuit = np.nonzero(fits)
            circuits.append(circuit)
            origins.append(start[row])
        return cls(frames, circuits, origins)

    @property
    def count(self) -> int:
        """Return how many windows there are."""
        return sum(len(circuit) for circuit in self.circuit)

    def check(self, settings: Settings) -> None:
        """Raise InputError where there is nothing to learn from."""
        if not self.count:
            longest = max((frame.end - frame.pad for frame in self.frames), default=0)
            allowed = (
                f"a day and {settings.horizon} steps of one circuit, with values in at least half of them"
            )
            todo = "Collect more first; until then the naive forecasters serve."
            raise InputError(Issue("TooShort", "history", "", f"{longest} steps", allowed, todo))

    def batches(self, settings: Settings, steps: int, seed: int) -> Iterable[tuple[torch.Tensor, ...]]:
        """Yield past, future, targets and weights of random windows, each frame in proportion to its windows."""
        rng = np.random.default_rng(seed)
        sizes = np.array([len(circuit) for circuit in self.circuit], dtype=float)
        for _ in range(steps):
            share = rng.multinomial(settings.batch, sizes / sizes.sum())
            parts = []
            for k, number in enumerate(share):
                if not number:
                    continue
                pick = rng.integers(0, len(self.circuit[k]), number)
                circuit, origin = self.circuit[k][pick], self.origin[k][pick]
                windows = open_windows(self.frames[k], circuit, origin, settings)
                target, weight = read_targets(self.frames[k], circuit, origin, settings, windows)
                parts.append((windows.past, windows.future, target, weight))
            yield tuple(torch.from_numpy(np.concatenate(part)) for part in zip(*parts, strict=True))


def one_thread() -> None:
    """Let torch compute in this thread only: the same sums in the same order, and no fight for busy cores."""
    if torch.get_num_threads() != 1:
        torch.set_num_threads(1)


def new_network(n_known: int, settings: Settings, seed: int) -> Network:
    """Return a network with random weights of a seed; torch's own generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Network(n_known, settings)


def fit_network(
    network: Network,
    sampler: Sampler,
    settings: Settings,
    seed: int,
    steps: int | None = None,
    pace: Callable[[int], float] | None = None,
) -> float:
    """Train a network in place, from the weights that it has.

    Parameters
    ----------
    network : Network
    sampler : Sampler
    settings : Settings
    seed : int
        Of the windows and of the dropout.
    steps : int, optional
        Training steps; default: those of the settings.
    pace : callable, optional
        Part of the learning rate at each step; default: a warm-up, then a cosine to nothing.

    Returns
    -------
    float
        Mean loss over the last tenth of the steps (scaled quantile loss of training windows, without unit).
    """
    one_thread()
    network.train()
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    steps = settings.steps if steps is None else steps
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, pace or _pace(steps))
    losses: list[float] = []
    averaged: dict[str, torch.Tensor] = {}
    first = steps - max(1, int(AVERAGED * steps))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for step, batch in enumerate(sampler.batches(settings, steps, seed)):
            past, future, target, weight = batch
            loss = pinball(network(past, future), target, weight)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP_GRADIENT)
            optimiser.step()
            schedule.step()
            losses.append(float(loss.detach()))
            if step >= first:
                part = 1.0 / (step - first + 1)
                for name, value in network.state_dict().items():
                    old = averaged.get(name)
                    averaged[name] = value.clone() if old is None else old.lerp_(value, part)
    network.load_state_dict(averaged)
    network.eval()
    return float(np.mean(losses[-max(1, len(losses) // 10) :]))


def fit_members(frames: Sequence[Frame], settings: Settings) -> list[Network]:
    """Return the networks of an ensemble, each trained from a seed of its own.

    Raises
    ------
    InputError
        [TooShort] No circuit has a day of past and half a horizon of values after it.
    """
    sampler = Sampler.over(frames, settings)
    sampler.check(settings)
    members = []
    for seed in range(settings.seed, settings.seed + settings.members):
        network = new_network(frames[0].known.shape[1], settings, seed)
        fit_network(network, sampler, settings, seed)
        members.append(network)
    return members


def read_weights(network: Network) -> dict[str, np.ndarray]:
    """Return the weights as float32 arrays by name."""
    return {name: value.detach().numpy().copy() for name, value in network.state_dict().items()}


def write_weights(network: Network, weights: dict[str, np.ndarray]) -> None:
    """Put weights into a network of the same shape."""
    tensors = {name: torch.from_numpy(np.array(value, np.float32)) for name, value in weights.items()}
    network.load_state_dict(tensors)
    network.eval()


def _pace(steps: int) -> Callable[[int], float]:
    warm = max(1, int(WARM_UP * steps))

    def pace(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))

    return pace
