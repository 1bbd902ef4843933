"""The order in which training reads its examples: a function of the step, and so resumable anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from torch.utils.data import DistributedSampler

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

__all__ = ["Order"]


# Lightning wraps any other sampler for several processes, and would read an endless one to its end to do so.
class Order(DistributedSampler[int]):
    """An endless order of example numbers that starts where the trainer stands, shared among its processes.

    Parameters
    ----------
    length : int or None
        Number of examples, shuffled anew in each pass. None for made data: the numbers are then 0, 1, 2,
        ... and an example is a function of its number.
    batch_size : int
        Examples in a batch of one process.
    trainer : lightning.pytorch.Trainer
        Says at which step to start, and which share of the examples this process reads.
    seed : int
        Seed of the shuffling.
    """

    def __init__(self, length: int | None, batch_size: int, trainer: Trainer, *, seed: int = 0) -> None:
        self.length = length
        self.batch_size = batch_size
        self.trainer = trainer
        self.seed = seed

    def __iter__(self) -> Iterator[int]:
        trainer = self.trainer
        batches = trainer.global_step * trainer.accumulate_grad_batches
        number = batches * self.batch_size * trainer.world_size + trainer.global_rank
        order, shuffled_pass = np.empty(0, np.int64), -1
        while True:
            if self.length is None:
                yield number
            else:
                this_pass, place = divmod(number, self.length)
                if this_pass != shuffled_pass:
                    order = np.random.default_rng((self.seed, this_pass)).permutation(self.length)
                    shuffled_pass = this_pass
                yield int(order[place])
            number += trainer.world_size

    def __len__(self) -> int:
        raise TypeError("an endless order has no length")  # what `len` of an unsized object raises

    def set_epoch(self, epoch: int) -> None:
        """Do nothing: an endless order has no epochs."""
