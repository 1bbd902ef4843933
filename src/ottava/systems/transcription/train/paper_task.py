"""What the paper's protocol trains, in the settings that are known of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ottava.errors import UsageError
from ottava.metrics.transcription import average_precision
from ottava.results import FAMILIES, Notes, check_choice
from ottava.signal.logfreq import LogFrequency
from ottava.spec import Spec
from ottava.systems.transcription.train.paper import NETS, FamilyStack, PreStack, UNet, family_stack
from ottava.systems.transcription.train.paper import transcription_loss as loss_of
from ottava.systems.transcription.train.paper_decode import frame_notes

__all__ = ["PAPER", "PaperTask", "build"]

PAPER = Spec(
    name="transcription",
    title="The paper's own protocol",
    paper="Pedersoli, Tzanetakis, Yi. Improving music transcription by pre-stacking a U-Net. ICASSP 2020.",
    verbs=(),
    model="",
    task="ottava.systems.transcription.train.paper_task:PaperTask",
    data="ottava.systems.transcription.train.paper_data:PaperData",
    inputs={"features": (1, 1, "frames", 288)},
    outputs={"frame": (1, "families", "frames", 88)},
)
"""The shipped model has a spec of its own; this one says what an export of the paper's networks has."""


def build(
    variant: str,
    transcriber: str,
    *,
    bins: int,
    depth: int = 1,
    unet: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
) -> PreStack | FamilyStack:
    """Make one of the paper's networks or of the controls.

    Parameters
    ----------
    variant : {"single", "V1", "V2", "V3", "V4"}
        One set of notes, or one for each family: see :mod:`.paper`.
    transcriber : str
        One of :data:`ottava.systems.transcription.train.paper.NETS`.
    bins : int
    depth : int
        U-Nets in series, for ``"single"``; 0 is the baseline.
    unet, options : dict
        Arguments of the U-Nets and of the transcription network.
    """
    check_choice("variant", variant, ("single", "V1", "V2", "V3", "V4"))
    check_choice("transcriber", transcriber, tuple(NETS))
    unet, options = dict(unet or {}), dict(options or {})
    if variant == "single":
        return PreStack([UNet(**unet) for _ in range(depth)], NETS[transcriber](bins, **options))
    return family_stack(
        variant,  # type: ignore[arg-type]
        len(FAMILIES),
        lambda channels: UNet(channels_out=channels, **unet),
        lambda notes: NETS[transcriber](bins, notes, **options),
    )


class PaperTask(L.LightningModule):
    """Train U-Net and transcription network together.

    Parameters
    ----------
    variant, transcriber, depth
        See :func:`build`.
    unet, options : dict or None
        Arguments of :class:`.paper.UNet` and of the transcription network.
    bins : int
        Height of the features.
    loss : {"bce", "squared"}
    optimizer : {"adam", "sgd"}
        SGD has momentum 0.95.
    learning_rate : float
    decay : float
        Factor on the learning rate every ``decay_steps`` steps.
    decay_steps : int
    threshold : float
        Of the frame scores and of the notes.
    """

    def __init__(
        self,
        variant: str = "single",
        transcriber: str = "translation-invariant",
        depth: int = 1,
        unet: dict[str, Any] | None = None,
        options: dict[str, Any] | None = None,
        bins: int = 288,
        loss: str = "bce",
        optimizer: str = "adam",
        learning_rate: float = 1e-5,
        decay: float = 0.98,
        decay_steps: int = 1000,
        threshold: float = 0.5,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        check_choice("loss", loss, ("bce", "squared"))
        check_choice("optimizer", optimizer, ("adam", "sgd"))
        self.network = build(variant, transcriber, bins=bins, depth=depth, unet=unet, options=options)
        self.single, self.bins, self.loss, self.optimizer = variant == "single", bins, loss, optimizer
        self.learning_rate, self.decay, self.decay_steps = learning_rate, decay, decay_steps
        self.threshold = threshold
        self._scored: list[tuple[NDArray[np.bool_], NDArray[np.float32]]] = []

    def _labels(self, batch: dict[str, Tensor]) -> Tensor:
        return batch["labels"].amax(1) if self.single else batch["labels"]

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Return numbers from 0 to 1: squared loss trains them directly, cross entropy their logits."""
        return outputs.clamp(0, 1) if self.loss == "squared" else torch.sigmoid(outputs)

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        """Return the loss over the frames whose whole context is in the clip."""
        X, margin = batch["features"], self.network.context // 2
        if X.shape[-1] <= 2 * margin:
            raise UsageError(f"clips of {X.shape[-1]} frames are too short", expected=f"more than {2 * margin}")
        labels = self._labels(batch)[..., margin : X.shape[-1] - margin]
        value = loss_of(self.network.valid(X), labels, self.loss)  # type: ignore[arg-type]
        self.log("train_loss", value, prog_bar=True)
        return value

    def validation_step(self, batch: dict[str, Tensor], _: int) -> None:
        """Keep the posteriors of one recording for the scores of all."""
        posterior = self.probabilities(self.network(batch["features"]))
        self._scored.append((self._labels(batch).bool().cpu().numpy(), posterior.float().cpu().numpy()))

    def on_validation_epoch_end(self) -> None:
        """Log scores both ways: the mean over recordings, and over all frames at once. They differ."""
        self._log_scores("val")

    def test_step(self, batch: dict[str, Tensor], index: int) -> None:
        """As in validation."""
        self.validation_step(batch, index)

    def on_test_epoch_end(self) -> None:
        """As in validation."""
        self._log_scores("test")

    def _log_scores(self, split: str) -> None:
        truths, posteriors = zip(*self._scored, strict=True)
        self._scored = []
        each = [_frame_scores(t, p, self.threshold) for t, p in zip(truths, posteriors, strict=True)]
        pooled = _frame_scores(
            np.concatenate([t.ravel() for t in truths]),
            np.concatenate([p.ravel() for p in posteriors]),
            self.threshold,
        )
        self.log_dict({f"{split}_{name}": value for name, value in pooled.items()})
        means = {name: float(np.nanmean([scores[name] for scores in each])) for name in pooled}
        self.log_dict({f"{split}_mean_{name}": value for name, value in means.items()})

    def configure_optimizers(self) -> dict[str, Any]:
        """Return the optimiser, with a learning rate that falls in steps."""
        optimizer: torch.optim.Optimizer
        if self.optimizer == "adam":
            optimizer = torch.optim.Adam(self.parameters(), self.learning_rate)
        else:
            optimizer = torch.optim.SGD(self.parameters(), self.learning_rate, momentum=0.95)
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, self.decay_steps, self.decay)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def export_module(self) -> nn.Module:
        """Return the network, from features (1, 1, frames, bins) to posteriors (1, families, frames, 88)."""
        return _Exported(self)

    def example_inputs(self, n_frames: int) -> dict[str, Tensor]:
        """Return features as music gives them: a few level lines over a floor."""
        draw = torch.Generator().manual_seed(n_frames)
        features = 0.2 * torch.rand(1, 1, n_frames, self.bins, generator=draw)
        features[..., torch.randint(self.bins, (12,), generator=draw)] += 0.5
        return {"features": features}

    def decode_outputs(self, outputs: dict[str, NDArray[np.float32]]) -> Notes:
        """Return the notes of all families; a single-instrument network calls them keys."""
        frame_s = LogFrequency().frame_s
        found = [
            frame_notes(posterior, frame_s, threshold=self.threshold, instrument=family)
            for family, posterior in zip(FAMILIES, outputs["frame"][0], strict=False)
        ]
        columns = {name: np.concatenate([getattr(n, name) for n in found]) for name in vars(found[0])}
        return Notes(**columns).sorted()

    def export_spec(self) -> Spec:
        """Return the spec of the graph, which is not that of the shipped model."""
        return PAPER

    def feature_parameters(self) -> dict[str, Any]:
        """Return the defaults of the features that the paper's configuration uses."""
        features = LogFrequency()
        return {"rate_hz": features.rate_hz, "hop": features.hop, "windows": [features.windows[0]]}


class _Exported(nn.Module):
    def __init__(self, task: PaperTask) -> None:
        super().__init__()
        self.network, self.squared, self.single = task.network, task.loss == "squared", task.single

    def forward(self, features: Tensor) -> tuple[Tensor]:
        outputs = self.network(features.transpose(2, 3))
        posterior = outputs.clamp(0, 1) if self.squared else torch.sigmoid(outputs)
        return ((posterior.unsqueeze(1) if self.single else posterior).transpose(2, 3),)


def _frame_scores(truth: NDArray[np.bool_], posterior: NDArray[np.float32], threshold: float) -> dict[str, float]:
    """Return average precision, and precision, recall, F and accuracy at a threshold."""
    found = posterior >= threshold
    right, true, estimated = int((found & truth).sum()), int(truth.sum()), int(found.sum())
    return {
        "ap": average_precision(truth, posterior),
        "precision": right / max(estimated, 1),
        "recall": right / max(true, 1),
        "f": 2 * right / max(true + estimated, 1),
        "accuracy": right / max(true + estimated - right, 1),
    }
