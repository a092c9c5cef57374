"""A trained model, loaded from a run directory to be asked and exported."""

import functools
import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lstm_variants import errors, extensions, models
from lstm_variants.bridges import onnx as onnx_lib
from lstm_variants.cells import remedies
from lstm_variants.config import fields
from lstm_variants.models import architecture as architecture_lib
from lstm_variants.runs import choice, files
from lstm_variants.tasks import base
from lstm_variants.training import trained


class InputsError(errors.Error, ValueError):
  """A model cannot read these inputs; the message is one line."""


class Model:
  """A trained model.

  Attributes:
    id: of its run.
    name: of the model, as 'vanilla+peephole_i'.
    config: of its run, nested.
    update: updates that it was trained for.
    diverged: tells that it has, or is empty.
    params: NumPy arrays, as `models.apply_model` takes them.
    toggles: of an LSTM, else None.
    architecture: the shapes of the model.
  """

  def __init__(self, name: str, loaded: trained.Trained):
    run = loaded.run
    self.id, self.name, self.config = name, run.model, run.config
    self.update, self.diverged = loaded.update, loaded.diverged
    self.params: Any = loaded.params
    self.toggles: Any = run.hyperparams.toggles
    self.architecture: architecture_lib.Architecture = run.settings.architecture
    self._run = run

  def __repr__(self) -> str:
    return (
      f'Model({self.id!r}): {self.name} on {self._run.settings.task_label}, '
      f'{self.update:,} updates'
    )

  @property
  def task(self) -> base.Task:
    """The task that it was trained on; without its data where they are gone."""
    return self._run.settings.task

  def predict(self, inputs: Any, *, original_units: bool = False) -> np.ndarray:
    """Return what the model answers, at every step.

    Args:
      inputs: `[batch, time, in_features]`, or `[time, in_features]` for one
        sequence. Of a task of symbols also integers `[batch, time]` or
        `[time]`: positions in `task.inputs.names`.
      original_units: of a task whose data are standardised (forecasting),
        inputs and answers are in the units of the data.

    Returns:
      `[batch, time, out_features]`, without the batch where the inputs have
      none. Of a task whose answers are symbols these are logits, in the order
      of `task.outputs.names`.

    Raises:
      lv.Error: inputs of another shape, or integers that are no symbols.
    """
    task, settings = self.task, self._run.settings
    values = _array(inputs)
    if original_units:
      values = (values - task.mean) / task.scale
    alone = values.ndim == (1 if self._are_symbols(values) else 2)
    if alone:
      values = values[np.newaxis]
    if self._are_symbols(values):
      values = self._one_hot(values)
    if values.ndim != 3 or values.shape[2] != task.in_features:
      raise InputsError(
        f'inputs {list(np.shape(inputs))}: {self.name} reads [batch, time, '
        f'{task.in_features}], or [time, {task.in_features}]'
      )
    noise = None
    rates = [getattr(self._run.hyperparams, rate) for rate in fields.RATES]
    if any(rates):
      noise = remedies.Noise(None, *rates)
    with jax.enable_x64(settings.dtype == 'float64'):
      outputs = np.asarray(
        _apply(
          self.params,
          self.architecture,
          self.toggles,
          jnp.asarray(values, jnp.promote_types(settings.dtype, jnp.float32)),
          noise,
        )
      )
    if original_units:
      outputs = outputs * task.scale + task.mean
    return outputs[0] if alone else outputs

  def _are_symbols(self, values: np.ndarray) -> bool:
    one_hot = self.task.inputs.one_hot
    return one_hot and values.dtype.kind in 'iu' and values.ndim < 3

  def _one_hot(self, symbols: np.ndarray) -> np.ndarray:
    size = self.task.in_features
    if symbols.size and not 0 <= symbols.min() <= symbols.max() < size:
      raise InputsError(
        f'inputs: symbols {symbols.min()} to {symbols.max()}; {self.name} '
        f'knows 0 to {size - 1}'
      )
    return np.eye(size, dtype=np.float32)[symbols]

  def export_onnx(self, path: str | os.PathLike[str]) -> None:
    """Write the model as an ONNX file, as the command `export` does.

    Raises:
      lv.Error: other tools have no such model, or it cannot be written.
    """
    onnx_lib.check_zoneout(self._run.hyperparams)
    parent = onnx_lib.file_path(path).parent
    with files.refusals(parent):
      parent.mkdir(parents=True, exist_ok=True)
    onnx_lib.export_onnx(
      self.params,
      self.toggles,
      path,
      cell=self.architecture.cell,
      residual=self.architecture.residual,
    )


@functools.partial(jax.jit, static_argnums=(1, 2))
def _apply(params, architecture, toggles, inputs, noise) -> jax.Array:
  return models.apply_model(params, architecture, toggles, inputs, noise=noise)[
    1
  ]


def _array(inputs: Any) -> np.ndarray:
  """Return the inputs as an array.

  Raises:
    InputsError: sequences of several lengths, or what is no number.
  """
  try:
    values = np.asarray(inputs)
  except ValueError as error:
    raise InputsError(
      'inputs of several shapes: sequences asked together have one length'
    ) from error
  if values.dtype.kind not in 'biuf':
    raise InputsError(f'inputs of {values.dtype}: numbers are read')
  return values


def planned(workdir: str) -> dict[str, dict[str, Any]]:
  """Return what is known of each run of a study before it is finished.

  Returns:
    id -> its `population`, `task`, `model` and `config`, as in runs.jsonl.

  Raises:
    lv.Error: the directory cannot be read.
  """
  extensions.load_installed()
  return {
    name: {
      'id': name,
      'population': population.name,
      'task': run.settings.task_label,
      'model': run.model,
      'config': run.config,
    }
    for population in trained.read(workdir).populations
    for name, run in zip(population.run_names, population.runs, strict=True)
  }


def load(workdir: str, run: choice.Wanted) -> Model:
  """Return the trained model of a run; see `Results.load`."""
  extensions.load_installed()
  saved = trained.read(workdir)
  index = trained.find(saved, run)
  return Model(saved.names[index], trained.load(saved, index))
