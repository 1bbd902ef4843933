"""The torch floor: training, evaluation and export of any system, over Lightning. It knows no system.

What a system brings
--------------------
Its spec names a ``LightningModule`` (``spec.task``) and a ``LightningDataModule`` (``spec.data``) as dotted
strings. Lightning's own YAML configures both by their constructors' arguments, under ``model:`` and
``data:``, and ``trainer:`` takes every option of Lightning's ``Trainer``. The task calls
``self.save_hyperparameters()`` in its constructor, configures its own optimisers, and adds to the usual
Lightning methods four that export needs:

``export_module() -> torch.nn.Module``
    What ships. Its ``forward`` takes the tensors of ``spec.inputs`` and returns those of ``spec.outputs``, as
    a tuple in the spec's order (or the one tensor).
``example_inputs(n_frames) -> dict[str, torch.Tensor]``
    Inputs by name, as music would give them, of any length from one frame on. Zeros must mean silence.
``decode_outputs(outputs) -> ottava.results.Payload``
    What the system's verb makes of the outputs (NumPy arrays by name).
``feature_parameters() -> dict``
    Plain data that says how inputs are computed. It travels inside the ONNX file.

A configuration may name another pair with ``task:`` and ``datamodule:``, also as dotted strings; a control or
a paper's own protocol is one. If such a task exports another graph than the system's, its ``export_spec()``
returns the spec of that.

For ``ottava prune`` the task is a :class:`ottava.training.networks.Prunable` and has ``flow_module()`` (a module from
what comes in to all that goes out), ``flow_inputs(batch)`` (tensors by the names of its ``forward``), ``flow_layers()``
(names of its layers whose units may go) and ``save_weights(path)``.

For ``ottava evaluate`` the system has ``train/evaluate.py`` with ``evaluate(weights, data)``, which
yields one row, a dictionary, for each file. The floor averages its numbers for the card.

What the floor adds
-------------------
A run folder (``--run``) with the resolved ``config.yaml``, ``environment.json``, logs as CSV and for
TensorBoard, ``last.ckpt``, and ``best.ckpt`` when ``--monitor`` names a validation metric. Checkpoints are
written atomically and load with ``weights_only=True``. ``--resume auto`` continues from ``last.ckpt``.

A resumed run takes the same steps as one that was never stopped, when two things are functions of the step
and not of history. The floor seeds torch anew before every batch
(:class:`ottava.training.callbacks.StepSeeds`); the data module reads its examples in an
:class:`ottava.training.order.Order`, which starts where the trainer stands.

Training stops on a loss or gradient that is not finite and names the step. With ``--ema_decay`` an
exponential average of the weights is what is validated, kept and exported.
"""
