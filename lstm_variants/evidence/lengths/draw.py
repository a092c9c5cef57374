"""Errors of a study's models on sequences longer than those of training."""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from lstm_variants import console, tasks
from lstm_variants.config import settings as settings_lib
from lstm_variants.evidence import gallery, subjects
from lstm_variants.evidence.lengths import captions, figures, measure
from lstm_variants.runs import results
from lstm_variants.tasks import base
from lstm_variants.training import step

# Lengths go up to so many times that of training, in so many points.
FACTOR, POINTS = 8, 12
SEQUENCES = 128
COLUMNS = ('model', 'seed', 'length', 'metric', 'value', 'low', 'high')


def draw(study: subjects.Study, baseline: str) -> Iterator[gallery.Drawing]:
  """Draw errors against lengths, a figure per task.

  Args:
    study: whose models are measured at their end; a task whose lengths cannot
      be chosen is left out, with a warning.
    baseline: the model that comes first.
  """
  for family in subjects.families(study, baseline):
    task = family[0].task
    try:
      yield _draw_task(study, task, family)
    except results.WorkdirError:
      raise
    except ValueError as error:
      console.warn(f'{task}: lengths are left out: {error}')


def grid(dialect: base.Dialect, trained: int) -> list[int]:
  """Return lengths from the shortest to `FACTOR` times that of training.

  Spread evenly by their logarithms, that of training among them.
  """
  shortest, longest = dialect.shortest, FACTOR * trained
  spread = np.geomspace(shortest, longest, POINTS)
  # Where only every so many T make other sequences, those.
  steps = np.round((spread - shortest) / dialect.stride).astype(int)
  points = {shortest + int(n) * dialect.stride for n in steps}
  return sorted(points | {trained})


def _draw_task(
  study: subjects.Study, task: str, family: Sequence[subjects.Subject]
) -> gallery.Drawing:
  settings = family[0].settings
  small, success = settings.task, settings.task.success
  metric = success.metric if isinstance(success, base.HeldOut) else 'loss'
  dialect = tasks.DIALECTS[small.name][small.dialect]
  points = grid(dialect, small.length)
  options = _options(settings)
  long = tasks.make_task(
    small.name,
    small.dialect,
    points[-1],
    shortest=points[-1],
    held_out=True,
    **options,
  )
  curves, rows = {}, []
  for subject in family:
    curve = _measure(study, subject, long, points)[metric]
    curves[subject.label] = points, curve.mean
    rows += [
      (subject.label, seed, length, metric, *values)
      for n, seed in enumerate(subject.seeds)
      for length, *values in zip(
        points, *(side[n].tolist() for side in curve), strict=True
      )
    ]
  chance = measure.chance(small.name, small.dialect, points, **options)
  trained = settings.task_fields.shortest_length or small.length
  figure = figures.draw_lengths(
    task,
    curves,
    metric=_phrase(metric),
    trained=(trained, small.length),
    chance=(points, chance[metric]) if metric in chance else None,
  )
  caption = captions.LENGTHS.format(
    trained=small.length,
    sequences=SEQUENCES,
    longest=points[-1],
    metric=_phrase(metric),
  )
  heading = 'Sequences longer than those of training'
  return gallery.Drawing(
    'lengths', task, '', heading, caption, figure, COLUMNS, rows
  )


def _measure(
  study: subjects.Study,
  subject: subjects.Subject,
  task: base.Task,
  points: Sequence[int],
) -> dict[str, measure.Curve]:
  settings = subject.settings
  with jax.enable_x64(settings.dtype == 'float64'):
    end = subjects.end(study, subject)
    toggles, params = subjects.shared(subject, end.params)
    return measure.measure_lengths(
      [
        jax.tree.map(lambda leaf, n=n: leaf[n], params)
        for n in range(len(subject.seeds))
      ],
      settings.architecture,
      toggles,
      task,
      points,
      key=jax.random.fold_in(
        jax.random.key(settings.evaluation_seed), step.HELD_OUT
      ),
      batch_size=SEQUENCES,
      noise=subjects.noise(study, subject),
    )


def _options(settings: settings_lib.Settings) -> dict[str, Any]:
  """Return what was chosen of the dialect, beside the lengths."""
  fields = settings.task_fields._asdict()
  return {option: fields[option] for option in base.OPTIONS}


def _phrase(metric: str) -> str:
  return {
    'loss': "loss (the task's own unit)",
    'wrong': 'share of steps that are wrong',
    'failed': 'share of sequences with an error',
  }.get(metric, metric)
