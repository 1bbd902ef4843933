"""What is trained: who plays each note of the truth."""

from __future__ import annotations

import os
from dataclasses import asdict

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ottava.results import FAMILIES, Notes, check_choice
from ottava.signal.logfreq import LogFrequency
from ottava.systems.transcription.families.naming import FRAMES, HEARD, PITCHES
from ottava.systems.transcription.families.train.network import FamilyNetwork
from ottava.training.networks import load_network, save_network, warm_up_and_fall

__all__ = ["FamilyTask"]


class FamilyTask(L.LightningModule):
    """Train :class:`FamilyNetwork` on the onsets of the truth.

    Parameters
    ----------
    widths : list of int
        See :class:`FamilyNetwork`.
    sound, hidden, heads, layers : int
        See :class:`FamilyNetwork`.
    dropout : float
        See :class:`FamilyNetwork`.
    only : {"together"} or None
        Train only the attention among notes; all that describes a note by itself stays as it is.
    learning_rate, warmup_steps, decay_share, weight_decay
        See :class:`.task.TranscriptionTask`.
    initial_weights : str or None
        Weights to start from: a checkpoint, or ``.safetensors`` written by :meth:`FamilyTask.save_weights`.
    """

    def __init__(
        self,
        widths: list[int] | None = None,
        sound: int = 256,
        hidden: int = 256,
        heads: int = 8,
        layers: int = 3,
        dropout: float = 0.15,
        only: str | None = None,
        learning_rate: float = 2e-3,
        warmup_steps: int = 100,
        decay_share: float = 0.6,
        weight_decay: float = 1e-2,
        initial_weights: str | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["initial_weights"])
        self.network = FamilyNetwork(
            widths=tuple(widths or (16, 16, 16)),
            sound=sound,
            hidden=hidden,
            heads=heads,
            layers=layers,
            dropout=dropout,
        )
        if only is not None:
            check_choice("only", only, ("together",))
            for part in self.network.described_by():
                part.requires_grad_(False)
        self.only = only
        if initial_weights:
            load_network(self.network, initial_weights)

    def train(self, mode: bool = True) -> FamilyTask:
        """Set the mode of all that is trained; what is not keeps its statistics."""
        super().train(mode)
        if self.only:
            for part in self.network.described_by():
                part.eval()
        return self

    def _judge(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        names = ("levels", "frame", "pitch", "time_s", "heard")
        alone, together = self.network(*(batch[name] for name in names))
        return alone.flatten(0, 1), together.flatten(0, 1), batch["target"].flatten(0, 1)

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        """Return the loss of one batch: what each note says alone counts half."""
        alone, together, target = self._judge(batch)
        first, second = _loss(alone, target), _loss(together, target)
        self.log("train/alone", first)
        self.log("train/together", second, prog_bar=True)
        return 0.5 * first + second

    def validation_step(self, batch: dict[str, Tensor], _: int) -> None:
        """Log losses and shares of right families and of onsets rightly taken for notes, alone and together."""
        alone, together, target = self._judge(batch)
        if not (n := len(target)):  # a piece of rests
            return
        self.log("valid/alone", _loss(alone, target), batch_size=n)
        self.log("valid/loss", _loss(together, target), batch_size=n, prog_bar=True)
        played, judged = target[:, -1] != 0, target[:, -1] >= 0
        for name, logits in (("alone", alone), ("together", together)):
            if played.any():
                right = target[played].gather(1, logits[played, :-1].argmax(1, keepdim=True))
                self.log(f"valid/right_{name}", right.mean(), batch_size=int(played.sum()))
            if judged.any():
                agree = (logits[judged, -1] > 0) == (target[judged, -1] > 0)
                self.log(f"valid/note_{name}", agree.float().mean(), batch_size=int(judged.sum()))

    def configure_optimizers(self) -> dict[str, object]:
        """Return AdamW with warm-up, a plateau and a linear fall."""
        return warm_up_and_fall(self)

    def save_weights(self, path: str | os.PathLike[str]) -> None:
        """Write the network's weights as safetensors, to start another training from."""
        save_network(self.network, path)

    def export_module(self) -> nn.Module:
        """Return the network in two halves, with probabilities in place of logits."""
        return _Halves(self.network)

    def example_inputs(self, n_notes: int) -> dict[str, Tensor]:
        """Return a scale of tones with a few partials each."""
        frame, pitch = 8 * torch.arange(n_notes)[None], torch.arange(n_notes)[None] % PITCHES
        levels = torch.zeros(1, 2, 8 * n_notes + FRAMES, LogFrequency().n_bins)
        fall = torch.linspace(0.8, 0.4, FRAMES)
        for at, key in zip(frame[0], pitch[0], strict=True):
            for n, semitones in enumerate((0, 12, 19, 24, 28, 31)):
                bin_ = 3 * (int(key) + semitones)
                if bin_ < levels.shape[3]:
                    levels[:, :, at : at + FRAMES, bin_] = fall - 0.05 * n
        with torch.no_grad():
            heard = torch.linspace(0, 1, n_notes)[None, :, None].repeat(1, 1, HEARD)
            described = self.network.describe(levels, frame, pitch, heard)
        time_s = 0.192 * torch.arange(n_notes, dtype=torch.float32)[None]
        sounds = {"levels": levels, "frame": frame, "sound_pitch": pitch, "heard": heard}
        return sounds | {"described": described, "pitch": pitch, "time_s": time_s}

    def decode_outputs(self, outputs: dict[str, NDArray[np.float32]]) -> Notes:
        """Return a note for each, with its likeliest family."""
        family = outputs["likely"][0, :, :-1]
        n = len(family)
        return Notes(
            np.arange(n), np.arange(n) + 1, np.full(n, 60), np.full(n, 64), family.max(1),
            [FAMILIES[i] for i in family.argmax(1)],
        )  # fmt: skip

    def feature_parameters(self) -> dict[str, object]:
        """Return how features are computed."""
        return asdict(LogFrequency())


def _loss(logits: Tensor, target: Tensor) -> Tensor:
    """Whether each family plays is a question of its own: of notes that several play, all are right.

    Who plays is asked where somebody does; whether it is a note, of onsets that were found.
    """
    loss = F.binary_cross_entropy_with_logits(logits, target.clamp(0), reduction="none")
    played, judged = (target[:, -1:] != 0).float(), (target[:, -1] >= 0).float()
    families = (loss[:, :-1] * played).sum() / played.sum().clamp(1)
    return families + (loss[:, -1] * judged).sum() / judged.sum().clamp(1)


class _Halves(nn.Module):
    """The two halves of the network side by side: what compares many notes need not hold all their sounds."""

    def __init__(self, network: FamilyNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        levels: Tensor,
        frame: Tensor,
        sound_pitch: Tensor,
        heard: Tensor,
        described: Tensor,
        pitch: Tensor,
        time_s: Tensor,
    ) -> tuple[Tensor, Tensor]:
        likely = torch.sigmoid(self.network.compare(described, pitch, time_s))
        return self.network.describe(levels, frame, sound_pitch, heard), likely
