"""What a picture of the tour is, and the models that it is drawn from."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lstm_variants import errors, models
from lstm_variants.evidence import subjects
from lstm_variants.evidence.gates import measure
from lstm_variants.report import curves
from lstm_variants.runs import results
from lstm_variants.tasks import base

# Steps before and after a mark, in which a state is seen to be kept.
SETTLE = 12


class TourError(errors.Error, ValueError):
  """A study lacks what a picture needs; the message is one line."""


class Need(NamedTuple):
  """A trained model that a picture is drawn from.

  Attributes:
    task: its name and dialect, as a key of `tasks.TASKS`.
    model: its name.
    layers: how many it has.
  """

  task: str
  model: str
  layers: int = 1


class Drawn(NamedTuple):
  """A picture and the numbers behind it.

  Attributes:
    figure: of Matplotlib.
    columns: of the numbers.
    rows: the numbers.
  """

  figure: Any
  columns: Sequence[str]
  rows: Sequence[Sequence[Any]]


class Picture(NamedTuple):
  """A picture of the tour.

  Attributes:
    title: a few words.
    sentence: what it shows.
    needs: trained models.
    draw: `(study, *subjects) -> Drawn`, a subject for each need.
  """

  title: str
  sentence: str
  needs: tuple[Need, ...]
  draw: Callable[..., Drawn]


class Look(NamedTuple):
  """What is seen of one trained run.

  Attributes:
    words: model and seed.
    params: of the run.
    batch: new sequences, NumPy arrays.
    inside: their steps, without padding, `[batch, time]`.
    trace: what a layer did.
  """

  words: str
  params: Any
  batch: base.Batch
  inside: np.ndarray
  trace: measure.Trace


def find(study: subjects.Study, need: Need) -> subjects.Subject:
  """Return the first finished model that fits.

  Raises:
    TourError: there is none.
  """
  for subject in study.subjects:
    task = subject.settings.task
    name = f'{task.name}_{task.dialect}'
    if need == Need(name, subject.model, subject.settings.num_layers):
      return subject
  layers = f' of {need.layers} layers' if need.layers > 1 else ''
  raise TourError(
    f'--workdir={study.workdir}: holds no finished run of {need.model}{layers} '
    f'on {need.task}; nearest: train configs/studies/tour.py'
  )


def rows_of(
  study: subjects.Study, subject: subjects.Subject
) -> list[Mapping[str, Any]]:
  """Return what was recorded of the runs of a model, seed by seed."""
  ids = [study.saved.names[place] for place in subject.places]
  rows = {row['id']: row for row in study.rows}
  return [rows[name] for name in ids]


def learning_curve(
  study: subjects.Study, subject: subjects.Subject
) -> curves.Curve:
  """Return the held-out loss of a model over its seeds."""
  losses = results.read_losses(study.workdir)
  return curves.learning_curve(rows_of(study, subject), losses)


def run(
  study: subjects.Study,
  subject: subjects.Subject,
  params: Any,
  inputs: np.ndarray,
) -> np.ndarray:
  """Return the outputs of a model, `[batch, time, out_features]`.

  Args:
    study: in which it is.
    subject: the model.
    params: of one of its runs, or others of the same shapes.
    inputs: `[batch, time, in_features]`.
  """
  settings = subject.settings
  with jax.enable_x64(settings.dtype == 'float64'):
    _, outputs = models.apply_model(
      params,
      settings.architecture,
      subject.toggles,
      jnp.asarray(inputs),
      noise=subjects.noise(study, subject),
    )
  return np.asarray(outputs)


def look(
  study: subjects.Study,
  subject: subjects.Subject,
  count: int,
  layer: int = -1,
) -> Look:
  """Return what one run of a model does; a solved one, if there is any.

  Args:
    study: in which it is.
    subject: the model.
    count: of new sequences.
    layer: which is traced; −1 is the last.

  Raises:
    TourError: a model whose gates are not known, as with layer normalisation.
    WorkdirError: what was written at its end cannot be read.
  """
  times = [r['sequences_to_success'] for r in rows_of(study, subject)]
  chosen = next((n for n, time in enumerate(times) if time is not None), 0)
  settings = subject.settings
  with jax.enable_x64(settings.dtype == 'float64'):
    stacked = subjects.end(study, subject).params
    params = jax.tree.map(lambda leaf: leaf[chosen], stacked)
    batch, inside = subjects.sequences(settings, count)
    try:
      trace = measure.trace(
        params,
        settings.architecture,
        subject.toggles,
        batch.inputs,
        layer=layer,
        noise=subjects.noise(study, subject),
      )
    except ValueError as error:
      raise TourError(
        f'--workdir={study.workdir}: {subject.model} on {subject.task}: {error}'
      ) from error
  label = f'{subject.model}, seed {subject.seeds[chosen]}'
  return Look(label, params, batch, inside, trace)


def order(seen: Look, states: np.ndarray) -> np.ndarray:
  """Return the units, those first whose state tells most of the first answer.

  Args:
    seen: sequences, of which each is asked at least once.
    states: `[batch, time, units]`; the one before the question counts.
  """
  asked = np.argmax(seen.batch.mask > 0, axis=1)
  before = measure.at_steps(states, np.maximum(asked - 1, 0))
  answers = seen.batch.targets[np.arange(len(asked)), asked]
  if answers.ndim > 1:
    answers = answers[:, 0]
  telling = np.abs(measure.relevance(before, answers))
  return measure.order(telling)


def marked(seen: Look, sequence: int) -> list[int]:
  """Return the marked steps of a sequence, whose inputs are value, marker."""
  return np.flatnonzero(seen.batch.inputs[sequence, :, 1] > 0.5).tolist()


def settled(seen: Look) -> int:
  """Return the first sequence whose marks are `SETTLE` steps or more apart.

  From the beginning, from each other and from the end; the first one of all if
  there is none.
  """
  for sequence, inside in enumerate(seen.inside):
    places = [0, *marked(seen, sequence), int(np.sum(inside)) - 1]
    if min(np.diff(places)) >= SETTLE:
      return sequence
  return 0
