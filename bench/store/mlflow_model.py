"""A trained network as an MLflow model: grey levels in, probabilities out, as `predict` gives them at any size.

MLflow runs this file where the model is loaded, so that dfinet-bench has to be installed there. MLflow's own form of
a PyTorch network (`pt2`) keeps BatchNorm as it was when it was logged, and one size of images; and it could neither
make a start mask nor go through feedback rounds.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from bench.data.images.frames import Frame
from bench.prediction.predict import predict
from bench.records import from_plain
from bench.store.files import read_json
from bench.types import Experiment, Training
from bench.weights.load import load_model


class MlflowNetwork(PythonModel):  # type: ignore[misc]
    """A checkpoint with the experiment that used it."""

    def load_context(self, context: Any) -> None:
        """Read experiment and checkpoint; the network is put into evaluation mode."""
        self.experiment: Experiment = from_plain(Experiment, read_json(Path(context.artifacts["experiment"])))
        training = self.experiment.weights
        assert isinstance(training, Training)
        self.network = load_model(training.model, context.artifacts["checkpoint"], **dict(training.config))

    def predict(
        self,
        context: Any,
        model_input: np.ndarray,
        params: Any = None,
    ) -> np.ndarray:
        """Probabilities (N, H, W) after the last round, in steps of 1/65536, of grey levels (N, H, W) from 0 to 255."""
        channels = self.experiment.input.channels
        frames = []
        for place, grey in enumerate(np.asarray(model_input, np.uint8)):
            image = np.repeat(grey[..., None], channels, axis=2) if channels > 1 else grey
            frames.append(Frame(str(place), image, grey))
        found = predict(
            self.network,
            frames,
            input=self.experiment.input,
            rounds=self.experiment.rounds,
            device=torch.device("cpu"),
            start=self.experiment.start,
        )
        return np.stack([each.rounds[-1] for each in found]).astype(np.float32) / 65536


set_model(MlflowNetwork())
