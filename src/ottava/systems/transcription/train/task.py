"""What is trained: the losses, the optimiser, and how a validation step is judged."""

from __future__ import annotations

import os
from dataclasses import asdict

import lightning as L
import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ottava.errors import InputError
from ottava.io.files import atomic_write
from ottava.results import Notes
from ottava.signal.logfreq import LogFrequency
from ottava.systems.transcription.decode import decode
from ottava.systems.transcription.train.network import PreStackedTranscriber

__all__ = ["TranscriptionTask", "losses"]


def losses(logits: dict[str, Tensor], targets: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the parts of the loss, each a scalar already weighted.

    Onsets, frames, offsets and drum hits are binary cross entropies, summed over pitches and averaged over frames.
    Families count only where a note sounds, velocities only where one begins.
    """

    def cross_entropy(name: str) -> Tensor:
        total = F.binary_cross_entropy_with_logits(logits[name], targets[name], reduction="sum")
        return total / logits[name].shape[:2].numel()

    sounding = targets["frame"].unsqueeze(-1)
    family = F.binary_cross_entropy_with_logits(logits["family"], targets["family"], reduction="none")
    begins = targets["onset"]
    velocity = (torch.sigmoid(logits["velocity"]) - targets["velocity"]).square() * begins
    hits = targets["drum_onset"]
    force = (torch.sigmoid(logits["drum_velocity"]) - targets["drum_velocity"]).square() * hits
    return {
        "onset": cross_entropy("onset"),
        "frame": 0.5 * cross_entropy("frame"),
        "offset": 0.25 * cross_entropy("offset"),
        "family": (family * sounding).sum() / sounding.sum().clamp(min=1),
        "velocity": 2 * velocity.sum() / begins.sum().clamp(min=1),
        "drum_onset": cross_entropy("drum_onset"),
        "drum_velocity": force.sum() / hits.sum().clamp(min=1),
    }


class TranscriptionTask(L.LightningModule):
    """Train :class:`PreStackedTranscriber`.

    Parameters
    ----------
    width, context : int
        Size of the transcription network, see :class:`PreStackedTranscriber`.
    unet_widths, dilations : list of int
        See :class:`PreStackedTranscriber`.
    learning_rate : float
        Peak learning rate of AdamW.
    warmup_steps : int
        Steps of linear warm-up.
    decay_share : float
        Last share of the steps, over which the learning rate falls to a fiftieth; constant before.
    weight_decay : float
        Of AdamW.
    family_weight, drum_weight : float
        Weights of the losses of families and of drum onsets.
    initial_weights : str or None
        Weights to start from, ``.safetensors`` written by :meth:`TranscriptionTask.save_weights`.
    """

    def __init__(
        self,
        width: int = 32,
        context: int = 256,
        unet_widths: list[int] | None = None,
        dilations: list[int] | None = None,
        learning_rate: float = 2e-3,
        warmup_steps: int = 200,
        decay_share: float = 0.3,
        weight_decay: float = 1e-3,
        family_weight: float = 1.0,
        drum_weight: float = 1.0,
        initial_weights: str | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["initial_weights"])  # a checkpoint has weights of its own
        self.network = PreStackedTranscriber(
            width=width,
            context=context,
            unet_widths=tuple(unet_widths or (8, 16, 24, 32)),
            dilations=tuple(dilations or (1, 2, 4, 8, 16)),
        ).to(memory_format=torch.channels_last)
        self.learning_rate, self.warmup_steps = learning_rate, warmup_steps
        self.decay_share, self.weight_decay = decay_share, weight_decay
        self.weights = {"family": family_weight, "drum_onset": drum_weight}
        if initial_weights:
            self.load_weights(initial_weights)

    def save_weights(self, path: str | os.PathLike[str]) -> None:
        """Write the network's weights as safetensors, to start another training from."""
        with atomic_write(path, force=True) as file:
            file.write(safetensors.torch.save({k: v.contiguous() for k, v in self.network.state_dict().items()}))

    def load_weights(self, path: str | os.PathLike[str]) -> None:
        """Take the weights that :meth:`save_weights` wrote.

        Raises
        ------
        ottava.errors.InputError
            If the file cannot be read or is of a network of other sizes.
        """
        try:
            self.network.load_state_dict(safetensors.torch.load_file(path))
        except (OSError, RuntimeError, safetensors.SafetensorError) as error:
            found = str(error).splitlines()[-1].strip()
            raise InputError("these weights do not fit", path=path, found=found) from error

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """Return the network's logits for features of shape (B, channels, T, bins)."""
        logits: dict[str, Tensor] = self.network(features.contiguous(memory_format=torch.channels_last))
        return logits

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        """Return the loss of one batch."""
        parts = losses(self(batch["features"]), batch)
        total = torch.stack([self.weights.get(k, 1.0) * v for k, v in parts.items()]).sum()
        self.log("train/loss", total, prog_bar=True)
        self.log_dict({f"train/{k}": v for k, v in parts.items()})
        return total

    def validation_step(self, batch: dict[str, Tensor], _: int) -> None:
        """Log the losses, and precision and recall of frames and of onset peaks at fixed thresholds."""
        logits = self(batch["features"])
        parts = losses(logits, batch)
        size = len(batch["features"])
        self.log("valid/loss", torch.stack(list(parts.values())).sum(), batch_size=size, prog_bar=True)
        self.log_dict({f"valid/{k}": v for k, v in parts.items()}, batch_size=size)
        frames = torch.sigmoid(logits["frame"]) > 0.5
        self._log_f("frame", frames, batch["frame"] > 0.5, size)
        self._log_f("onset", _peaks(torch.sigmoid(logits["onset"]), 0.4), _peaks(batch["onset"], 0.5), size)
        self._log_f("drum", _peaks(torch.sigmoid(logits["drum_onset"]), 0.4), _peaks(batch["drum_onset"], 0.5), size)

    def _log_f(self, name: str, estimate: Tensor, truth: Tensor, size: int) -> None:
        if name != "frame":  # an onset may be one frame off
            reach_e, reach_t = (
                F.max_pool2d(m.float().unsqueeze(1), (3, 1), 1, (1, 0))[:, 0] > 0 for m in (estimate, truth)
            )
        else:
            reach_e, reach_t = estimate, truth
        precision = (estimate & reach_t).sum() / estimate.sum().clamp(min=1)
        recall = (truth & reach_e).sum() / truth.sum().clamp(min=1)
        f = 2 * precision * recall / (precision + recall).clamp(min=1e-9)
        self.log(f"valid/{name}_f", f, batch_size=size, prog_bar=name == "onset")

    def configure_optimizers(self) -> dict[str, object]:
        """Return AdamW with warm-up, a plateau and a linear fall."""
        decayed = [p for p in self.parameters() if p.ndim > 1]
        kept = [p for p in self.parameters() if p.ndim <= 1]
        groups = [
            {"params": decayed, "weight_decay": self.weight_decay},
            {"params": kept, "weight_decay": 0.0},
        ]
        optimiser = torch.optim.AdamW(groups, lr=self.learning_rate)
        total = max(int(self.trainer.estimated_stepping_batches), 1)

        def factor(step: int) -> float:
            rising = min(1.0, (step + 1) / max(self.warmup_steps, 1))
            falling = max((total - step) / max(self.decay_share * total, 1), 0.02)
            return min(rising, falling)

        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def export_module(self) -> nn.Module:
        """Return the network with probabilities in place of logits."""
        return _Probabilities(self.network)

    def example_inputs(self, n_frames: int) -> dict[str, Tensor]:
        """Return the features of a few struck and plucked tones, shape (1, 2, n_frames, 288)."""
        extractor = LogFrequency()
        n_samples = n_frames * extractor.hop
        t = np.arange(n_samples) / extractor.rate_hz
        sound = np.zeros(n_samples)
        for begin_s, hz in ((0.0, 220.0), (0.5, 277.2), (0.9, 329.6), (1.4, 110.0), (2.0, 440.0)):
            since = np.maximum(t - begin_s, 0)
            sound += sum(np.sin(2 * np.pi * n * hz * since) * 0.1 / n for n in range(1, 8)) * np.exp(-3 * since)
        features = extractor.features(sound.astype(np.float32))
        return {"features": torch.from_numpy(features)[None]}

    def decode_outputs(self, outputs: dict[str, NDArray[np.float32]]) -> Notes:
        """Return the notes of a batch of one."""
        return decode({k: v[0] for k, v in outputs.items()}, frame_s=LogFrequency().frame_s)

    def feature_parameters(self) -> dict[str, object]:
        """Return how features are computed, and how far around a frame the network looks."""
        return asdict(LogFrequency()) | {"margin_frames": self.network.margin_frames}


class _Probabilities(nn.Module):
    """The network as it ships: a tuple of probabilities, in the order of the spec's outputs."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        return tuple(torch.sigmoid(x) for x in self.network(features).values())


def _peaks(curve: Tensor, threshold: float) -> Tensor:
    """Mark local maxima over time above a threshold, for curves of shape (B, T, N)."""
    highest = F.max_pool2d(curve.unsqueeze(1), (3, 1), 1, (1, 0))[:, 0]
    return (curve >= highest) & (curve > threshold)
