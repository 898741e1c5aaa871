"""The network: an LSTM reads the past of a circuit, another walks over the horizon and gives all quantiles of each step.

    state         = LSTM(past)                                          encoder, one step after another
    d_1 ... d_H   = LSTM(future; state)                                 decoder, fed with what is known, not with forecasts
    base_h        = sum_l softmax(W d_h)_l lag_{h,l}                    a learned mixture of past values at that hour
    middle_h      = base_h + a d_h
    q_{h,k}       = middle_h + sum of softplus(b_j d_h) from the middle out to k

The median plus growing distances on both sides: quantiles cannot cross. Loss: pinball, the mean over quantiles (Koenker
and Bassett 1978, "Regression quantiles"; the direct decoder after Wen et al. 2017, "A multi-horizon quantile recurrent
forecaster"). This module needs torch (the extra ``lstm``); nothing that serves a model imports it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pdnopt.forecast.lstm.settings import LEVELS, Settings
from pdnopt.forecast.lstm.windows import LAGS, PAST

__all__ = ["Ensemble", "Network", "pinball"]

MIDDLE = LEVELS.index(0.5)


class Network(nn.Module):  # type: ignore[misc]  # torch is not read by mypy
    """Quantiles of one circuit over the horizon.

    Parameters
    ----------
    n_known : int
        Columns of calendar and covariates.
    settings : Settings
    """

    def __init__(self, n_known: int, settings: Settings) -> None:
        super().__init__()
        width = settings.hidden
        self.encoder = nn.LSTM(PAST + n_known, width, batch_first=True)
        self.decoder = nn.LSTM(n_known + LAGS, width, batch_first=True)
        self.drop = nn.Dropout(settings.dropout)
        self.mixer = nn.Linear(width, LAGS - 1)
        self.shape = nn.Linear(width, len(LEVELS))

    def forward(self, past: Tensor, future: Tensor) -> Tensor:
        """Return (B, horizon, levels) in scales from the centre, of (B, context, .) and (B, horizon, .)."""
        _, state = self.encoder(past)
        walked, _ = self.decoder(future, state)
        walked = self.drop(walked)
        lags = future[:, :, -LAGS:-1]
        base = (torch.softmax(self.mixer(walked), dim=2) * lags).sum(dim=2, keepdim=True)
        shape = self.shape(walked)
        middle = base + shape[:, :, MIDDLE : MIDDLE + 1]
        up = torch.cumsum(nn.functional.softplus(shape[:, :, MIDDLE + 1 :]), dim=2)
        down = torch.cumsum(nn.functional.softplus(shape[:, :, :MIDDLE]), dim=2)
        return torch.cat([middle - torch.flip(down, dims=[2]), middle, middle + up], dim=2)


class Ensemble(nn.Module):  # type: ignore[misc]
    """The mean of some networks' quantiles, level by level; a mean of what does not cross does not cross."""

    def __init__(self, members: list[Network]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, past: Tensor, future: Tensor) -> Tensor:
        """Return (B, horizon, levels), like each member."""
        total = self.members[0](past, future)
        for member in self.members[1:]:
            total = total + member(past, future)
        return total / len(self.members)


def pinball(answer: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return twice the mean pinball loss over levels and over steps that have a value.

    Parameters
    ----------
    answer : Tensor
        (B, horizon, levels).
    target : Tensor
        (B, horizon), NaN for gaps.
    weight : Tensor
        (B,).
    """
    levels = torch.tensor(LEVELS, dtype=answer.dtype)
    seen = torch.isfinite(target)
    error = torch.nan_to_num(target).unsqueeze(2) - answer
    loss = 2 * torch.maximum(levels * error, (levels - 1) * error).mean(dim=2)
    counted = seen * weight.unsqueeze(1)
    return (loss * counted).sum() / counted.sum().clamp_min(1e-9)
