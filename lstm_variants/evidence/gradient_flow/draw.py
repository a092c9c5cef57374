"""Gradient flow of a study's models, before, during and after training."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lstm_variants import cells, console
from lstm_variants.cells import remedies
from lstm_variants.cells import toggles as toggles_lib
from lstm_variants.evidence import compiling, gallery, subjects
from lstm_variants.evidence.gradient_flow import (
  captions,
  curves,
  figures,
  gradients,
  jacobians,
)
from lstm_variants.tasks import base

# Sequences that a curve of gradients, or of lags, is the mean over: the lags
# take matrices.
SEQUENCES, LAG_SEQUENCES = 64, 2
# Lags that are followed, from the first step on.
MOST_LAGS = 200
_FLOW_COLUMNS = ('model', 'update', 'state', 'seed', 'step', 'norm')
_LAG_COLUMNS = ('model', 'update', 'state', 'seed', 'lag', 'log10_norm')


class _Measured(NamedTuple):
  """Of a subject: its moments, and what was measured at each."""

  subject: subjects.Subject
  moments: Sequence[subjects.Moment]
  flows: Sequence[curves.Flow]
  shares: Sequence[curves.Flow]
  lags: Sequence[curves.Lags]


def draw(study: subjects.Study, baseline: str) -> Iterator[gallery.Drawing]:
  """Draw both figures of each task.

  Args:
    study: whose models are measured; one that cannot be is left out, with a
      warning.
    baseline: the model that comes first.
  """
  for family in subjects.families(study, baseline):
    task = family[0].task
    measured = []
    for subject, moments in zip(
      family, subjects.moments(study, family), strict=True
    ):
      try:
        measured.append(_measure(study, subject, moments))
      except ValueError as error:
        console.warn(f'{task}, {subject.label}: left out: {error}')
    if measured:
      yield _draw_flow(task, measured)
      yield _draw_shares(task, measured)
      yield _draw_lags(task, measured)


def _measure(
  study: subjects.Study,
  subject: subjects.Subject,
  moments: Sequence[subjects.Moment],
) -> _Measured:
  noise = subjects.noise(study, subject)
  with jax.enable_x64(subject.settings.dtype == 'float64'):
    chosen = subjects.sequences(subject.settings, SEQUENCES)
    of_moments = [
      _of_moment(subject, moment, chosen, noise) for moment in moments
    ]
  return _Measured(subject, moments, *zip(*of_moments, strict=True))


def _of_moment(
  subject: subjects.Subject,
  moment: subjects.Moment,
  chosen: subjects.Sequences,
  noise: remedies.Noise | None,
) -> tuple[curves.Flow, curves.Flow, curves.Lags]:
  settings, label = subject.settings, subject.label
  seeds = range(len(subject.seeds))
  toggles, params = subjects.shared(subject, moment.params)
  static, traced = toggles_lib.split(toggles) if toggles else (None, None)
  params = jax.tree.map(
    lambda leaf: jnp.asarray(leaf, subjects.precision(settings)), params
  )
  norms = _norms(settings, static, traced, params, chosen.batch, noise)
  of_seeds = [_take(norms.norms, n) for n in seeds]
  flow, share = (
    curves.flow(label, of_seeds, mask=chosen.inside, normalised=normalised)
    for normalised in (False, True)
  )
  # Up to where the shortest of the sequences ends.
  steps = int(np.min(np.sum(chosen.inside[:LAG_SEQUENCES], axis=1)))
  steps = min(steps, MOST_LAGS + 1)
  inputs = chosen.batch.inputs[:LAG_SEQUENCES, :steps]
  lag_norms, path = _lag_norms(settings, static, traced, params, inputs, noise)
  lags = curves.lags(
    label,
    [_take(lag_norms, n) for n in seeds],
    None if path is None else [path.largest[n] for n in seeds],
    'c' if 'c' in lag_norms else 'h',
  )
  return flow, share, lags


def _take(norms: dict[str, jax.Array], seed: int) -> dict[str, np.ndarray]:
  return {name: np.asarray(values)[seed] for name, values in norms.items()}


@compiling.program(0, 1)
def _norms(
  settings: Any,
  static: Any,
  traced: Any,
  params: Any,
  batch: base.Batch,
  noise: remedies.Noise | None,
) -> Any:
  """Return the gradients by all states, every leaf `[seeds, ...]`."""
  toggles = toggles_lib.join(static, traced) if static else None
  loss = gradients.sequence_losses(settings.task.measure, batch)

  def of_seed(params):
    return gradients.state_gradients(
      params,
      settings.architecture,
      toggles,
      batch.inputs,
      loss,
      noise=noise,
    )

  return jax.vmap(of_seed)(params)


@compiling.program(0, 1)
def _lag_norms(
  settings: Any,
  static: Any,
  traced: Any,
  params: Any,
  inputs: jax.Array,
  noise: remedies.Noise | None,
) -> Any:
  """Return lag norms, and the path through the gates or None."""
  toggles = toggles_lib.join(static, traced) if static else None
  sizes = settings.architecture
  gated = cells.CELLS[sizes.cell].gates is not None
  # The gates are not all of the path where states are left out or normalised.
  gated &= not sizes.layer_norm and noise is None

  def of_seed(params):
    arguments = params, sizes, toggles, inputs, 0
    path = jacobians.cell_path(*arguments) if gated else None
    return jacobians.lag_norms(*arguments, noise=noise), path

  return jax.lax.map(of_seed, params)


def _draw_flow(task: str, measured: Sequence[_Measured]) -> gallery.Drawing:
  return gallery.Drawing(
    kind='gradient_flow',
    task=task,
    part='states',
    heading='How much of the error arrives at each step',
    caption=captions.FLOW.format(sequences=SEQUENCES) + _truncated(measured),
    figure=figures.draw_gradient_flow(
      task, _panels(measured, [model.flows for model in measured])
    ),
    columns=_FLOW_COLUMNS,
    rows=_rows(measured, [model.flows for model in measured]),
  )


def _draw_shares(task: str, measured: Sequence[_Measured]) -> gallery.Drawing:
  return gallery.Drawing(
    kind='gradient_flow',
    task=task,
    part='shares',
    heading='The same, as the share of each step',
    caption=captions.SHARES + _truncated(measured),
    figure=figures.draw_gradient_flow(
      task,
      _panels(measured, [model.shares for model in measured]),
      normalised=True,
    ),
    columns=(*_FLOW_COLUMNS[:-1], 'share'),
    rows=_rows(measured, [model.shares for model in measured]),
  )


def _truncated(measured: Sequence[_Measured]) -> str:
  """Return what is to be said of cells with a truncated gradient."""
  cut = [
    model.subject.label
    for model in measured
    if getattr(
      model.subject.settings.cell_settings, 'truncated_gradient', False
    )
  ]
  return captions.TRUNCATED.format(models=', '.join(cut)) if cut else ''


def _rows(
  measured: Sequence[_Measured],
  of_models: Sequence[Sequence[curves.Flow]],
) -> list[tuple[Any, ...]]:
  return [
    (model.subject.label, moment.update, state, seed, step, norm)
    for model, flows in zip(measured, of_models, strict=True)
    for moment, flow in zip(model.moments, flows, strict=True)
    for state, of_seeds in flow.norms.items()
    for seed, curve in zip(model.subject.seeds, of_seeds, strict=True)
    for step, norm in enumerate(curve.tolist(), 1)
  ]


def _draw_lags(task: str, measured: Sequence[_Measured]) -> gallery.Drawing:
  rows = []
  for model in measured:
    for moment, lags in zip(model.moments, model.lags, strict=True):
      states = dict(lags.norms)
      if lags.path is not None:
        states['product of forget gates'] = lags.path
      rows += [
        (model.subject.label, moment.update, state, seed, lag, value)
        for state, of_seeds in states.items()
        for seed, curve in zip(model.subject.seeds, of_seeds, strict=True)
        for lag, value in enumerate(curve.tolist())
      ]
  return gallery.Drawing(
    kind='gradient_flow',
    task=task,
    part='lags',
    heading='What a state still does to a later one',
    caption=captions.LAGS.format(sequences=LAG_SEQUENCES)
    + _truncated(measured),
    figure=figures.draw_lags(
      task, _panels(measured, [model.lags for model in measured])
    ),
    columns=_LAG_COLUMNS,
    rows=rows,
  )


def _panels(
  measured: Sequence[_Measured], of_models: Sequence[Sequence[Any]]
) -> list[figures.Moment]:
  """Return a panel for each moment."""
  return [
    figures.Moment(moment.title, list(of_moment))
    for moment, *of_moment in zip(measured[0].moments, *of_models, strict=True)
  ]
