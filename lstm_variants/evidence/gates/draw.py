"""What gates and states of a study's models do."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from lstm_variants import console
from lstm_variants.evidence import gallery, subjects
from lstm_variants.evidence.gates import captions, figures, measure
from lstm_variants.plots import samples
from lstm_variants.runs import results
from lstm_variants.tasks import base

SEQUENCES = 128
# Seeds whose time constants are drawn, and units whose averages are.
MOST_SEEDS, UNITS = 3, 4
# Steps before and after a marked one.
WINDOW = 5, 15
# A feature of the inputs whose ones are marks.
MARKER = 'marker'


class _Look(NamedTuple):
  """What is seen of a run.

  Attributes:
    label: model and seed.
    batch: sequences.
    inside: their steps, without padding.
    trace: of them.
    telling: how much each unit tells of the answer.
  """

  label: str
  batch: base.Batch
  inside: np.ndarray
  trace: measure.Trace
  telling: np.ndarray


def draw(study: subjects.Study, baseline: str) -> Iterator[gallery.Drawing]:
  """Draw a sequence and averages for each model, and two figures per task.

  Args:
    study: whose models are looked at, at their end; one that cannot be is left
      out, with a warning.
    baseline: the model that comes first.
  """
  for family in subjects.families(study, baseline):
    task = family[0].task
    looks = {}
    for subject in family:
      try:
        looks[subject.label] = _look(study, subject)
      except results.WorkdirError:
        raise
      except ValueError as error:
        console.warn(f'{task}, {subject.label}: left out: {error}')
    known = [s for s in family if s.label in looks]
    for subject in known:
      yield _draw_sequence(subject, looks[subject.label][0])
      marks = _marks(subject, looks[subject.label][0].batch)
      if marks.shape[1]:
        yield _draw_aligned(subject, looks[subject.label][0], marks)
    seen = {s.label: looks[s.label] for s in known}
    gated = {
      label: of_model
      for label, of_model in seen.items()
      if set(of_model[0].trace.gates) - set(of_model[0].trace.off)
    }
    if gated:
      yield _draw_saturation(task, gated)
    keeping = {
      label: of_model
      for label, of_model in seen.items()
      if of_model[0].trace.keep is not None
    }
    if keeping:
      steps = family[0].settings.task.num_steps
      yield _draw_constants(task, keeping, steps)


def _look(study: subjects.Study, subject: subjects.Subject) -> list[_Look]:
  """Return what is seen of the first runs; a solved one comes first."""
  settings = subject.settings
  ids = [study.saved.names[place] for place in subject.places]
  solved = {
    row['id'] for row in study.rows if row['sequences_to_success'] is not None
  }
  order = sorted(range(len(ids)), key=lambda n: ids[n] not in solved)
  looks = []
  with jax.enable_x64(settings.dtype == 'float64'):
    end = subjects.end(study, subject)
    chosen = subjects.sequences(settings, SEQUENCES)
    for n in order[:MOST_SEEDS]:
      traced = measure.trace(
        jax.tree.map(lambda leaf, n=n: leaf[n], end.params),
        settings.architecture,
        subject.toggles,
        chosen.batch.inputs,
        noise=subjects.noise(study, subject),
      )
      label = f'{subject.label}, seed {subject.seeds[n]}'
      looks.append(
        _Look(label, *chosen, traced, _telling(chosen.batch, traced))
      )
  return looks


def _telling(batch: base.Batch, trace: measure.Trace) -> np.ndarray:
  """Return how much the state of each unit tells of the answer, `[units]`.

  The answer is that of the first step that is asked about in all sequences and
  not answered alike in all; the state is the one before that step.
  """
  targets = batch.targets
  if targets.ndim == 3:
    targets = targets[..., 0]
  asked = np.all(batch.mask > 0, axis=0)
  asked &= np.any(targets != targets[:1], axis=0)
  if asked.any():
    steps = np.full(len(targets), np.argmax(asked))
  else:
    steps = np.argmax(batch.mask > 0, axis=1)
  states = trace.h if trace.c is None else trace.c
  before = measure.at_steps(states, np.maximum(steps - 1, 0))
  answers = targets[np.arange(len(targets)), steps]
  return np.abs(measure.relevance(before, answers))


def _marks(subject: subjects.Subject, batch: base.Batch) -> np.ndarray:
  """Return the marked steps, `[batch, marks]`."""
  task = subject.settings.task
  if task.inputs.one_hot or MARKER not in task.inputs.names:
    return np.zeros((len(batch.inputs), 0), int)
  channel = batch.inputs[..., task.inputs.names.index(MARKER)]
  most = int(np.max(np.sum(channel > 0.5, axis=1)))
  return measure.find_marks(channel, most)


def _draw_sequence(subject: subjects.Subject, look: _Look) -> gallery.Drawing:
  batch, trace = look.batch, look.trace
  task = subject.settings.task
  sample = samples.Sample(
    np.asarray(batch.inputs[0]),
    np.asarray(batch.targets[0]),
    np.asarray(batch.mask[0]),
    samples.Axis(*task.inputs),
    samples.Axis(*task.outputs),
  )
  order = measure.order(look.telling)
  marks = [int(step) for step in _marks(subject, batch)[0] if step >= 0]
  figure = figures.draw_sequence(
    f'{subject.task}: {look.label}',
    sample,
    trace,
    marks=marks,
    unit=int(order[0]),
    order=order,
    ordered='those first that tell most of the answer',
  )
  states = {**trace.gates, 'h': trace.h}
  states |= {} if trace.c is None else {'c': trace.c}
  rows = [
    (look.label, name, unit, step, value)
    for name, values in states.items()
    for unit in _units(values, order)
    for step, value in enumerate(values[0, :, unit].tolist(), 1)
  ]
  return gallery.Drawing(
    'gates',
    subject.task,
    f'sequence-{subject.label}',
    f'One sequence, step by step: {subject.label}',
    captions.SEQUENCE.format(run=look.label, sequences=SEQUENCES),
    figure,
    ('run', 'name', 'unit', 'step', 'value'),
    rows,
  )


def _units(values: np.ndarray, order: np.ndarray) -> list[int]:
  """Return the units of `[batch, time, units]`, those of another width as is.

  A projected h has fewer units than c, and they are not those of c.
  """
  count = values.shape[2]
  return order.tolist() if count == len(order) else list(range(count))


def _draw_aligned(
  subject: subjects.Subject, look: _Look, marks: np.ndarray
) -> gallery.Drawing:
  trace, (before, after) = look.trace, WINDOW
  drawn = {
    measure.NAMES.get(name, name): values
    for name, values in trace.gates.items()
    if name not in trace.off
  }
  drawn |= {'h': trace.h} if trace.c is None else {'c': trace.c}
  averages = {
    name: measure.aligned(
      values, marks, before, after, lengths=np.sum(look.inside, axis=1)
    )
    for name, values in drawn.items()
  }
  units = measure.order(look.telling)[:UNITS].tolist()
  names = [f'mark {n + 1}' for n in range(marks.shape[1])]
  rows = [
    (look.label, name, mark, unit, step, *values)
    for name, average in averages.items()
    for place, mark in enumerate(names)
    for unit in units
    for step, *values in zip(
      average.steps.tolist(),
      *(
        side[place, :, unit].tolist()
        for side in (average.mean, average.low, average.high)
      ),
      strict=True,
    )
  ]
  return gallery.Drawing(
    'gates',
    subject.task,
    f'aligned-{subject.label}',
    f'Around the marked steps: {subject.label}',
    captions.ALIGNED.format(run=look.label, sequences=SEQUENCES),
    figures.draw_aligned(
      f'{subject.task}: {look.label}', averages, units, marks=names
    ),
    ('run', 'name', 'mark', 'unit', 'step', 'mean', 'low', 'high'),
    rows,
  )


def _draw_saturation(
  task: str, looks: dict[str, list[_Look]]
) -> gallery.Drawing:
  saturations = {
    label: {
      name: measure.saturation(values, runs[0].inside)
      for name, values in runs[0].trace.gates.items()
      if name not in runs[0].trace.off
    }
    for label, runs in looks.items()
  }
  rows = [
    (label, name, unit, shut, open_)
    for label, of_gates in saturations.items()
    for name, saturation in of_gates.items()
    for unit, (shut, open_) in enumerate(
      zip(saturation.left.tolist(), saturation.right.tolist(), strict=True)
    )
  ]
  return gallery.Drawing(
    'gates',
    task,
    'saturation',
    'How often gates are shut or open',
    captions.SATURATION.format(sequences=SEQUENCES),
    figures.draw_saturation(task, saturations),
    ('model', 'gate', 'unit', 'share_below_0.1', 'share_above_0.9'),
    rows,
  )


def _draw_constants(
  task: str, looks: dict[str, list[_Look]], steps: int
) -> gallery.Drawing:
  constants: dict[str, list[np.ndarray]] = {}
  rows: list[Sequence[Any]] = []
  for label, runs in looks.items():
    for look in runs:
      keep = look.trace.keep
      assert keep is not None
      tau = measure.time_constants(keep, look.inside)
      constants.setdefault(label, []).append(tau)
      rows += [(look.label, unit, value) for unit, value in enumerate(tau)]
  return gallery.Drawing(
    'gates',
    task,
    'time_constants',
    'How long the gates keep a state',
    captions.CONSTANTS.format(seeds=MOST_SEEDS, sequences=SEQUENCES),
    figures.draw_time_constants(task, constants, steps),
    ('run', 'unit', 'tau_steps'),
    rows,
  )
