"""What is trained: to write tunes from their codes, also after one bar's code was changed for another's."""

from __future__ import annotations

import os
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ottava.corpora.songs import make_songs
from ottava.errors import TrainingError
from ottava.results import RELATIONS, Labels
from ottava.systems.structure.lines import ONSET, REACH, STEPS, find_reference, split_bars
from ottava.systems.structure.train.measure import measure
from ottava.systems.structure.train.network import (
    StructureNetwork,
    Written,
    stored_nats,
    target_probabilities,
    write_forced,
)
from ottava.training.networks import Prunable, load_network, save_network, warm_up_and_fall

__all__ = ["StructureTask"]

_LEAST = 1e-6


class StructureTask(Prunable):
    """Train :class:`StructureNetwork`.

    The loss of a window is what it costs in nats to write its bars from sampled codes, plus ``beta`` times what the
    codes store. A second window is the first with one bar replaced and all that is made of it
    (:func:`.data.change_bar`): it is to be written from the first one's codes, but for the code of the replaced bar,
    which is the second's own.

    Parameters
    ----------
    width, heads, code, layers, hidden, apart, pointing, likeness, chords
        See :class:`StructureNetwork`.
    beta : float
        Weight of a nat in the codes against a nat in what is written.
    change : float
        Weight of the second window; 0 leaves it out.
    teach : float
        Weight of being shown which bar to point at, and what to take from it.
    own : float
        Share of bars that, in the first window, later bars see as the network writes them, not as they are: in use it
        sees its own.
    learning_rate, warmup_steps, decay_share, weight_decay : float
        AdamW, with warm-up, a plateau, and a linear fall over the last share of the steps.
    initial_weights : str or None
        ``.safetensors`` written by :meth:`save_weights`, to start from.
    """

    def __init__(
        self,
        width: int = 128,
        heads: int = 4,
        code: int = 32,
        layers: int = 2,
        hidden: int = 384,
        apart: bool = False,
        pointing: bool = True,
        likeness: bool = True,
        chords: bool = False,
        beta: float = 0.2,
        change: float = 1.0,
        teach: float = 3.0,
        own: float = 0.0,
        learning_rate: float = 1e-3,
        warmup_steps: int = 200,
        decay_share: float = 0.5,
        weight_decay: float = 1e-2,
        initial_weights: str | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["initial_weights"])
        self.network = StructureNetwork(width, heads, code, layers, hidden, apart, pointing, likeness, chords)
        self.beta, self.change, self.teach, self.own = beta, change, teach if pointing else 0.0, own
        if initial_weights:
            self.pruned = load_network(self.network, initial_weights)

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        """Return the loss of one batch."""
        rhythm, line, real = batch["rhythm"], batch["line"], batch["real"]
        chords = batch["chords"]
        mean, log_variance, _seen = self.network.encode(rhythm, line, chords)
        stored = _average(stored_nats(mean, log_variance), real)
        codes = _sample(mean, log_variance)
        past = self._mix_own(codes, rhythm, line, chords) if self.own else None
        written = self._cost(codes, rhythm, line, batch["source"], batch["kind"], real, chords, past)
        warm = min(1.0, (self.global_step + 1) / max(self.hparams["warmup_steps"] * 5, 1))
        loss = written + self.beta * warm * stored
        self.log("train/stored", stored, prog_bar=True)
        self.log("train/written", written, prog_bar=True)
        if self.change:
            other, other_variance, _seen = self.network.encode(batch["new_rhythm"], batch["new_line"], chords)
            mixed = torch.where(batch["changed"][..., None], _sample(other, other_variance), codes)
            changed = (batch["new_rhythm"], batch["new_line"], batch["new_source"], batch["kind"])
            followed = self._cost(mixed, *changed, real, chords)
            self.log("train/followed", followed, prog_bar=True)
            loss = loss + self.change * followed
        return loss

    def _mix_own(self, codes: Tensor, rhythm: Tensor, line: Tensor, chords: Tensor) -> tuple[Tensor, Tensor]:
        """Return the bars, some of them as the network writes them after the true ones."""
        with torch.no_grad():
            own = write_forced(self.network.decode(codes, rhythm, line, chords), rhythm, line)
        replaced = (torch.rand(rhythm.shape[:2], device=rhythm.device) < self.own)[..., None]
        return torch.where(replaced, own[0], rhythm), torch.where(replaced, own[1], line)

    def _cost(
        self,
        codes: Tensor,
        rhythm: Tensor,
        line: Tensor,
        source: Tensor,
        kind: Tensor,
        real: Tensor,
        chords: Tensor,
        past: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """Return nats a bar, and what it costs not to point at the source and take from it."""
        written = self.network.decode(codes, *(past or (rhythm, line)), chords)
        likely_rhythm, likely_line = target_probabilities(written, rhythm, line, past)
        onset = (rhythm == ONSET).float()
        # Pitches between onsets are heard nowhere, but let one bar's rhythm be put over another's line.
        weight = onset + 0.1 * (1 - onset) * (line > 0)
        nats = -likely_rhythm.clamp(_LEAST).log().sum(2) - (likely_line.clamp(_LEAST).log() * weight).sum(2)
        cost = _average(nats, real)
        if self.teach:
            sounding = real * (line > 0).any(2)
            pointed = written.pointer.gather(2, source[..., None] + 1)[..., 0]
            taken = self._taking(written.copies, rhythm, line, source, kind)
            cost = cost + self.teach * _average(taken - pointed.clamp(_LEAST).log(), sounding)
        return cost

    def _taking(self, copies: Tensor, rhythm: Tensor, line: Tensor, source: Tensor, kind: Tensor) -> Tensor:
        """Return what it costs not to take over what a bar has from its source, (batch, bars), means over steps.

        Pitches are to be taken over where they are equal, or, of a bar that is moved as a whole, with their offset.
        """
        where = source.clamp(0)[..., None].expand(-1, -1, rhythm.shape[2])
        same = rhythm == rhythm.gather(1, where)
        up = line - line.gather(1, where)
        whole = ((kind == RELATIONS.index("transposed")) | (kind == RELATIONS.index("contour")))[..., None]
        pitched = (up == 0) | whole
        of_rhythm, of_line = copies.clamp(_LEAST, 1 - _LEAST).unbind(3)
        each = -torch.where(same, of_rhythm, 1 - of_rhythm).log() - of_line.log() * pitched
        return each.mean(2) * (source >= 0)

    def validation_step(self, batch: dict[str, Tensor], _: int) -> None:
        """Log how tunes are written again from their codes, and what follows a change."""
        chords = batch["chords"]
        found = measure(
            partial(self._encode, chords=chords),
            partial(self._decode, chords=chords),
            {name: value.numpy() for name, value in batch.items()},
        )
        for name, (value, count) in found.items():
            if count:
                self.log(f"valid/{name}", value, batch_size=count, prog_bar=name == "free")
        score = sum(found[name][0] for name in ("free", "follow_exact", "follow_varied")) - found["collateral"][0]
        self.log("valid/score", score, batch_size=len(batch["real"]), prog_bar=True)

    def _encode(
        self, rhythm: NDArray[np.int64], line: NDArray[np.int64], chords: Tensor | None = None
    ) -> tuple[NDArray[np.float32], ...]:
        mean, log_variance, _seen = self.network.encode(torch.from_numpy(rhythm), torch.from_numpy(line), chords)
        return mean.numpy(), log_variance.numpy()

    def _decode(
        self,
        codes: NDArray[np.float32],
        rhythm: NDArray[np.int64],
        line: NDArray[np.int64],
        chords: Tensor | None = None,
    ) -> dict[str, NDArray[np.float32]]:
        told = None if chords is None else chords[:, : codes.shape[1]]
        given, past_rhythm, past_line = map(torch.from_numpy, (codes, rhythm, line))
        written = self.network.decode(given, past_rhythm, past_line, told)
        return {name: value.numpy() for name, value in zip(Written._fields, written, strict=True)}

    def configure_optimizers(self) -> dict[str, object]:
        """Return AdamW with warm-up, a plateau and a linear fall."""
        return warm_up_and_fall(self)

    def save_weights(self, path: str | os.PathLike[str]) -> None:
        """Write the network's weights as safetensors, to start another training from."""
        save_network(self.network, path, pruned=self.pruned)

    def export_module(self) -> nn.Module:
        """Return encoder and decoder as one graph.

        Raises
        ------
        ottava.errors.TrainingError
            If the network is told chords, which the graph has no input for.
        """
        if self.hparams["chords"]:
            raise TrainingError("a network that is told chords cannot be exported", expected="chords: false")
        return _Graph(self.network)

    def flow_module(self) -> nn.Module:
        """Return the network from bars to all that is written of them, for information to flow through."""
        return _Whole(self.network)

    def flow_inputs(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return what :meth:`flow_module` reads of a batch."""
        return {"rhythm": batch["rhythm"], "line": batch["line"]}

    def flow_layers(self) -> list[str]:
        """Return the layers of :meth:`flow_module` whose units may be pruned: hidden ones, but those of attention."""
        whole = ("network.read_rhythm", "network.read_line", "network.write.1")
        return [name for name, _ in self.flow_module().named_modules() if name in whole or name.endswith(".feed.1")]

    def example_inputs(self, n_bars: int) -> dict[str, Tensor]:
        """Return the bars of a made-up song, again and again, with codes for them."""
        song = make_songs(1)[0].symbols
        symbols = np.resize(song, (min(n_bars, 300), song.shape[1]))
        rhythm, line = (torch.from_numpy(x)[None] for x in split_bars(symbols, find_reference(song)))
        codes = torch.randn(1, rhythm.shape[1], self.network.code, generator=torch.Generator().manual_seed(0))
        return {"rhythm": rhythm, "line": line, "codes": codes, "past_rhythm": rhythm, "past_line": line}

    def decode_outputs(self, outputs: dict[str, NDArray[np.float32]]) -> Labels:
        """Return the likeliest rhythm of each step that is written anew, as words of a letter each."""
        return Labels(["".join("-hox"[k] for k in bar) for bar in outputs["new_rhythm"][0].argmax(2)])

    def feature_parameters(self) -> dict[str, object]:
        """Return how bars are read."""
        return {"steps": STEPS, "reach": REACH}


class _Whole(nn.Module):
    """From bars through their mean codes to what is written of them."""

    def __init__(self, network: StructureNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, rhythm: Tensor, line: Tensor) -> tuple[Tensor, ...]:
        mean, log_variance, _ = self.network.encode(rhythm, line)
        return mean, log_variance, *self.network.decode(mean, rhythm, line)


class _Graph(nn.Module):
    """Encoder and decoder side by side, as one graph."""

    def __init__(self, network: StructureNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, rhythm: Tensor, line: Tensor, codes: Tensor, past_rhythm: Tensor, past_line: Tensor
    ) -> tuple[Tensor, ...]:
        mean, log_variance, weights = self.network.encode(rhythm, line)
        return (
            mean,
            log_variance,
            torch.cat(weights, 1).transpose(1, 2),
            *self.network.decode(codes, past_rhythm, past_line),
        )


def _average(values: Tensor, weights: Tensor) -> Tensor:
    return (values * weights).sum() / weights.sum().clamp(1)


def _sample(mean: Tensor, log_variance: Tensor) -> Tensor:
    return mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
