"""From torch to ONNX: one file with all members of an ensemble, which onnxruntime serves without torch."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence

import torch

from pdnopt.forecast.extras import need
from pdnopt.forecast.lstm.network import Ensemble, Network
from pdnopt.forecast.lstm.settings import Settings
from pdnopt.forecast.lstm.windows import LAGS, PAST

__all__ = ["to_onnx"]

OPSET = 17


def to_onnx(members: Sequence[Network], n_known: int, settings: Settings) -> bytes:
    """Return an ensemble as the bytes of an ONNX file.

    Inputs ``past`` (B, context, PAST + n_known) and ``future`` (B, horizon, n_known + LAGS), output ``quantiles``
    (B, horizon, levels), all float32; B is free, and so is the horizon.
    """
    need("onnx")
    ensemble = Ensemble(list(members)).eval()
    past = torch.zeros(2, settings.context, PAST + n_known)
    future = torch.zeros(2, settings.horizon, n_known + LAGS)
    file = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        # The exporter by tracing is deprecated, but the newer one unrolls an LSTM or fixes its batch; what it warns of
        # besides (a batch other than 1) is what the tests compare: torch and onnxruntime at several batches.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            ensemble,
            (past, future),
            file,
            input_names=["past", "future"],
            output_names=["quantiles"],
            dynamic_axes={
                "past": {0: "windows"},
                "future": {0: "windows", 1: "horizon"},
                "quantiles": {0: "windows", 1: "horizon"},
            },
            opset_version=OPSET,
            dynamo=False,
        )
    return file.getvalue()
