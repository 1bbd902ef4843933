"""What is trained: the losses, the optimiser, and how a validation step is judged."""

from __future__ import annotations

import os
from dataclasses import asdict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ottava.results import Notes, check_choice
from ottava.signal.logfreq import LogFrequency
from ottava.systems.transcription.decode import decode
from ottava.systems.transcription.train.network import PreStackedTranscriber
from ottava.training.networks import Prunable, load_network, save_network, warm_up_and_fall

__all__ = ["TranscriptionTask", "losses"]


def losses(logits: dict[str, Tensor], targets: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the parts of the loss that these logits have, each a scalar already weighted.

    Onsets, frames, offsets and drum hits are binary cross entropies, summed over pitches and averaged over frames.
    Velocities count only where a note or hit begins.
    """
    parts = {}
    for name, weight in (("onset", 1.0), ("frame", 0.5), ("offset", 0.25), ("drum_onset", 1.0)):
        if name in logits:
            total = F.binary_cross_entropy_with_logits(logits[name], targets[name], reduction="sum")
            parts[name] = weight * total / logits[name].shape[:2].numel()
    for name, begin, weight in (("velocity", "onset", 2.0), ("drum_velocity", "drum_onset", 1.0)):
        if name in logits:
            begins = targets[begin]
            wrong = (torch.sigmoid(logits[name]) - targets[name]).square() * begins
            parts[name] = weight * wrong.sum() / begins.sum().clamp(min=1)
    return parts


class TranscriptionTask(Prunable):
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
    only : {"notes", "drums"} or None
        Train one half of the network and leave the other as it is: they have no weights in common.
    initial_weights : str or None
        Weights to start from: a checkpoint, or ``.safetensors`` written by :meth:`TranscriptionTask.save_weights`.
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
        only: str | None = None,
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
        if only is not None:
            check_choice("only", only, ("notes", "drums"))
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad = only is None or name.startswith("drums.") == (only == "drums")
        self.only = only
        if initial_weights:
            self.load_weights(initial_weights)

    def save_weights(self, path: str | os.PathLike[str]) -> None:
        """Write the network's weights as safetensors, to start another training from."""
        save_network(self.network, path, pruned=self.pruned)

    def load_weights(self, path: str | os.PathLike[str]) -> None:
        """Take the weights that :meth:`save_weights` wrote.

        Raises
        ------
        ottava.errors.InputError
            If the file cannot be read or is of a network of other sizes.
        """
        self.pruned = load_network(self.network, path)

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """Return the network's logits for features of shape (B, channels, T, bins)."""
        logits: dict[str, Tensor] = self.network(features.contiguous(memory_format=torch.channels_last))
        return logits

    def _losses(self, batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        features = batch["features"].contiguous(memory_format=torch.channels_last)
        logits: dict[str, Tensor] = {}
        if self.only != "drums":
            logits |= self.network.note_logits(self.network.embed_notes(features))
        if self.only != "notes":
            logits |= self.network.drum_logits(self.network.embed_drums(features))
        return logits, losses(logits, batch)

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        """Return the loss of one batch."""
        parts = self._losses(batch)[1]
        total = torch.stack(list(parts.values())).sum()
        self.log("train/loss", total, prog_bar=True)
        self.log_dict({f"train/{k}": v for k, v in parts.items()})
        return total

    def validation_step(self, batch: dict[str, Tensor], _: int) -> None:
        """Log the losses, and precision and recall of frames and of onset peaks at fixed thresholds."""
        logits, parts = self._losses(batch)
        size = len(batch["features"])
        self.log("valid/loss", torch.stack(list(parts.values())).sum(), batch_size=size, prog_bar=True)
        self.log_dict({f"valid/{k}": v for k, v in parts.items()}, batch_size=size)
        if "frame" in logits:
            self._log_f("frame", torch.sigmoid(logits["frame"]) > 0.5, batch["frame"] > 0.5, size)
        for name in ("onset", "drum_onset"):
            if name in logits:
                self._log_f(name, _peaks(torch.sigmoid(logits[name]), 0.4), _peaks(batch[name], 0.5), size)

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
        self.log(f"valid/{name}_f", f, batch_size=size, prog_bar=name != "frame")

    def configure_optimizers(self) -> dict[str, object]:
        """Return AdamW with warm-up, a plateau and a linear fall."""
        return warm_up_and_fall(self)

    def export_module(self) -> nn.Module:
        """Return the network in two halves, with probabilities in place of logits."""
        return _Halves(self.network)

    def flow_module(self) -> nn.Module:
        """Return the network, for information to flow through."""
        return self.network

    def flow_inputs(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return what :meth:`flow_module` reads of a batch."""
        return {"features": batch["features"]}

    def flow_layers(self) -> list[str]:
        """Return the layers of :meth:`flow_module` whose units may be pruned.

        The U-Net, the first layer of each pitch's own, and the drums' bands. The others' sizes are those of what goes
        between the exported halves, or their weights are used in parts.
        """
        parts = ("unet.stem.", "unet.down.", "unet.narrow.", "unet.up.", "local.0.", "drums.bands.")
        return [name for name, layer in self.network.named_modules() if name.startswith(parts) and _has_weights(layer)]

    def example_inputs(self, n_frames: int) -> dict[str, Tensor]:
        """Return the features of a few struck and plucked tones, shape (1, 2, n_frames, 288), and their embedding."""
        extractor = LogFrequency()
        n_samples = n_frames * extractor.hop
        t = np.arange(n_samples) / extractor.rate_hz
        sound = np.zeros(n_samples)
        for begin_s, hz in ((0.0, 220.0), (0.5, 277.2), (0.9, 329.6), (1.4, 110.0), (2.0, 440.0)):
            since = np.maximum(t - begin_s, 0)
            sound += sum(np.sin(2 * np.pi * n * hz * since) * 0.1 / n for n in range(1, 8)) * np.exp(-3 * since)
        features = torch.from_numpy(extractor.features(sound.astype(np.float32)))[None]
        with torch.no_grad():
            return {"features": features, "embedded": self.network.embed(features)}

    def decode_outputs(self, outputs: dict[str, NDArray[np.float32]]) -> Notes:
        """Return the notes of a batch of one."""
        return decode({k: v[0] for k, v in outputs.items() if k != "embedding"}, frame_s=LogFrequency().frame_s)

    def feature_parameters(self) -> dict[str, object]:
        """Return how features are computed, and how far around a frame either half of the network looks."""
        return asdict(LogFrequency()) | {"margins_frames": self.network.margins_frames}


class _Halves(nn.Module):
    """The two halves of the network side by side, as they ship. Returns a tuple in the order of the spec's outputs."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: Tensor, embedded: Tensor) -> tuple[Tensor, ...]:
        notes, drums = embedded[..., : self.network.for_notes], embedded[..., self.network.for_notes :]
        logits = self.network.note_logits(notes) | self.network.drum_logits(drums)
        return self.network.embed(features), *(torch.sigmoid(x) for x in logits.values())


def _has_weights(layer: nn.Module) -> bool:
    return isinstance(layer, (nn.Conv1d, nn.Conv2d))


def _peaks(curve: Tensor, threshold: float) -> Tensor:
    """Mark local maxima over time above a threshold, for curves of shape (B, T, N)."""
    highest = F.max_pool2d(curve.unsqueeze(1), (3, 1), 1, (1, 0))[:, 0]
    return (curve >= highest) & (curve > threshold)
