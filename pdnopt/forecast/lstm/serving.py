"""A trained network as onnxruntime runs it: on one core, without torch."""

from __future__ import annotations

from typing import Any

import numpy as np

from pdnopt.errors import InputError, Issue
from pdnopt.forecast.extras import need
from pdnopt.forecast.lstm.settings import LEVELS, Settings
from pdnopt.forecast.lstm.windows import LAGS, PAST, Windows

__all__ = ["MAX_BYTES", "Server"]

MAX_BYTES = 64 * 2**20
"""Of an ONNX file: sixteen members of the greatest width are smaller."""

CHUNK = 1_000
"""Windows that are computed at once: more do not run faster, and take memory."""

ERROR = 3
"""onnxruntime's level of messages: errors, no warnings."""


class Server:
    """One ONNX model, loaded.

    Parameters
    ----------
    model : bytes
        An ONNX file that :func:`pdnopt.forecast.lstm.export.to_onnx` wrote.
    n_known : int
        Columns of calendar and covariates.
    settings : Settings

    Raises
    ------
    InputError
        [MissingExtra] no onnxruntime; [File] no model, or one with other inputs than these.
    """

    def __init__(self, model: bytes, n_known: int, settings: Settings) -> None:
        runtime = need("onnxruntime")
        self.model = model
        todo = "Train again, or load the model from where it was saved."
        if len(model) > MAX_BYTES:
            raise InputError(Issue("File", "model.onnx", "", len(model), f"at most {MAX_BYTES} bytes", todo))
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = ERROR
        try:
            self._session: Any = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has a class of its own for each way to fail, no common one
            what = f"{type(error).__name__}: {str(error)[:200]}"
            raise InputError(Issue("File", "model.onnx", "", what, "a model in ONNX", todo)) from None
        found = {item.name: (item.type, item.shape[-1]) for item in self._session.get_inputs()}
        wanted = {"past": ("tensor(float)", PAST + n_known), "future": ("tensor(float)", n_known + LAGS)}
        if found != wanted:
            raise InputError(Issue("File", "model.onnx.inputs", "", str(found), str(wanted), todo))
        last = self._session.get_outputs()[0].shape[-1]
        if last not in (len(LEVELS), None) and not isinstance(last, str):
            raise InputError(Issue("File", "model.onnx.outputs", "", last, f"{len(LEVELS)} levels", todo))

    def answer(self, windows: Windows) -> np.ndarray:
        """Return (B, horizon, levels) in kW."""
        parts = []
        for start in range(0, len(windows.past), CHUNK):
            part = slice(start, start + CHUNK)
            feed = {"past": windows.past[part], "future": windows.future[part]}
            parts.append(self._session.run(["quantiles"], feed)[0])
        unit = np.concatenate(parts).astype(float)
        return np.asarray(unit * windows.scale_kw[:, None, None] + windows.centre_kw[:, None, None])
