"""What is looked at: the models of a study, and sequences for them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lstm_variants import console, errors
from lstm_variants import names as names_lib
from lstm_variants.cells import layout, remedies, toggles
from lstm_variants.config import fields, task_fields
from lstm_variants.config import settings as settings_lib
from lstm_variants.runs import grouping, results
from lstm_variants.tasks import base
from lstm_variants.training import step, trained

# Moments of training that are shown: before, between, at the end.
MOST_MOMENTS = 4
# Of a task.
MOST_MODELS = 40


class SubjectError(errors.Error, ValueError):
  """What was asked for is not in the study; the message is one line."""


class Study(NamedTuple):
  """A study whose finished runs are looked at.

  Attributes:
    workdir: of the study.
    tasks: facts of each task, by its label, in the order of the study.
    rows: of `results.read_runs`, of the tasks and models that are wanted.
    every_row: of all of them.
    saved: all of its runs, finished or not.
    subjects: its models, task by task.
    searched: the fields of a search that says so, else None.
  """

  workdir: str
  tasks: dict[str, Any]
  rows: Sequence[Mapping[str, Any]]
  every_row: Sequence[Mapping[str, Any]]
  saved: trained.Saved
  subjects: list['Subject']
  searched: Sequence[str] | None = None


class Subject(NamedTuple):
  """Runs of one task that differ by their seeds alone.

  Attributes:
    task: its label.
    model: the name of the model.
    label: tells it from the others of its task.
    settings: of its runs.
    toggles: of its runs; None of a cell without.
    places: of the runs that did not diverge, in `Study.runs`.
    seeds: of these runs.
  """

  task: str
  model: str
  label: str
  settings: settings_lib.Settings
  toggles: Any
  places: tuple[int, ...]
  seeds: tuple[int, ...]


class Moment(NamedTuple):
  """The runs of a subject at one moment of their training.

  Attributes:
    title: such as 'before training'.
    update: updates done.
    params: of the model, every leaf `[seeds, ...]`.
  """

  title: str
  update: int
  params: Any


def read(
  workdir: str, tasks: Sequence[str] = (), models: Sequence[str] = ()
) -> Study:
  """Return the models of a study.

  Args:
    workdir: of the study.
    tasks: labels of those that are wanted; none: all.
    models: names of those that are wanted; none: all.

  Raises:
    WorkdirError: no study, or no finished run.
    InputError: it holds a config that this version refuses.
    SubjectError: no finished run is of a task or model that is wanted.
  """
  study, rows = results.read_finished(workdir)
  saved = trained.read(workdir)
  runs = saved.runs
  place = {name: index for index, name in enumerate(saved.names)}
  groups = grouping.group_runs(study['tasks'], rows, pooled=False)
  _check('tasks', tasks, [group.task for group in groups])
  _check('models', models, [group.model for group in groups])
  subjects = []
  for group in groups:
    if not _is_wanted(group, tasks, models):
      continue
    whole = [row for row in group.runs if row['status'] != 'diverged']
    places = tuple(place[row['id']] for row in whole if row['id'] in place)
    if len(whole) < len(group.runs):
      console.warn(
        f'{group.task}, {group.label}: {len(group.runs) - len(whole)} of '
        f'{len(group.runs)} runs diverged; gradients, gates and lengths are '
        'those of the others'
      )
    if places:
      run = runs[places[0]]
      seeds = tuple(runs[index].hyperparams.seed for index in places)
      names = group.task, group.model, group.label
      subjects.append(
        Subject(*names, run.settings, run.hyperparams.toggles, places, seeds)
      )
  wanted = [
    row
    for group in groups
    if _is_wanted(group, tasks, models)
    for row in group.runs
  ]
  searched = grouping.searched_fields(study)
  return Study(workdir, study['tasks'], wanted, rows, saved, subjects, searched)


def _is_wanted(
  group: grouping.Group, tasks: Sequence[str], models: Sequence[str]
) -> bool:
  return (not tasks or group.task in tasks) and (
    not models or group.model in models
  )


def _check(flag: str, wanted: Sequence[str], there: Sequence[str]) -> None:
  known = list(dict.fromkeys(there))
  for name in wanted:
    if name not in known:
      raise SubjectError(
        f'--{flag}={name}: no finished run is of it'
        + names_lib.tail(name, known)
      )


def families(study: Study, baseline: str) -> Iterator[list[Subject]]:
  """Yield the models of each task, the baseline first.

  A task whose data are not there any more is left out, with a warning; so is
  one with more models than can be told apart, as in a random search.
  """
  for task in dict.fromkeys(subject.task for subject in study.subjects):
    family = [s for s in study.subjects if s.task == task]
    without_data = family[0].settings.without_data
    if without_data is not None:
      console.warn(f'{without_data.summary}; left out')
      continue
    if len(family) > MOST_MODELS:
      console.warn(
        f'{task}: has {len(family)} models, too many to show one by one; '
        '--models chooses'
      )
      continue
    yield sorted(family, key=lambda subject: subject.model != baseline)


def moments(study: Study, family: Sequence[Subject]) -> list[list[Moment]]:
  """Return the models of a task before, during and after their training.

  During: after numbers of updates at which checkpoints of all their runs were
  kept, a few of them spread evenly; so all models are seen at the same ones.
  At the end: after as many as each was trained for.

  Args:
    study: in which they are.
    family: its models of one task.

  Returns:
    For each model, its moments: equally many for all, with the same titles.

  Raises:
    WorkdirError: what was written at an end cannot be read.
  """
  # At once: models that were trained together are in the same files.
  places = [place for subject in family for place in subject.places]
  of_all = iter(trained.moments(study.saved, places))
  read = [
    [
      {moment.update: moment.params for moment in next(of_all)}
      for _ in subject.places
    ]
    for subject in family
  ]
  runs = [run for of_subject in read for run in of_subject]
  ends = {max(run) for run in runs}
  shared = set.intersection(*(set(run) for run in runs)) - {0}
  chosen = _spread(sorted(u for u in shared if u < min(ends)))
  trained_at_all = max(ends) > 0
  of_runs = []
  for of_subject in read:
    of_model = [_moment('before training', [(r, 0) for r in of_subject])]
    for update in chosen:
      when = f'after {update:,} updates'
      of_model.append(_moment(when, [(r, update) for r in of_subject]))
    if trained_at_all:
      last = [(run, max(run)) for run in of_subject]
      of_model.append(_moment('at the end', last))
    of_runs.append(of_model)
  return of_runs


def _spread(updates: Sequence[int]) -> list[int]:
  """Return a few of the updates, spread evenly."""
  count = min(len(updates), MOST_MOMENTS - 2)
  places = [
    round((n + 1) * (len(updates) + 1) / (count + 1)) - 1 for n in range(count)
  ]
  return [updates[place] for place in places]


def end(study: Study, subject: Subject) -> Moment:
  """Return a subject at the end of its training.

  Raises:
    WorkdirError: what was written at the end cannot be read.
  """
  of_runs = trained.load_all(study.saved, subject.places)
  return _moment(
    'at the end', [({r.update: r.params}, r.update) for r in of_runs]
  )


def _moment(
  when: str, chosen: Sequence[tuple[Mapping[int, Any], int]]
) -> Moment:
  """Return runs at an update each."""
  params = [run[update] for run, update in chosen]
  stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *params)
  return Moment(when, max(update for _, update in chosen), stacked)


def shared(subject: Subject, params: Any) -> tuple[Any, Any]:
  """Return toggles and weights with which the LSTMs share a program.

  Args:
    subject: whose models are looked at.
    params: of its models, with the weights that they use.

  Returns:
    Its toggles as arrays, all but the one that decides what a state is, and the
    weights with zeros for gates that it does not have. As they are, of a cell
    without toggles.
  """
  if subject.toggles is None:
    return None, params
  traced = toggles.trace(subject.toggles, keep=('gate_recurrence',))
  return traced, layout.expand(params, subject.toggles)


class Sequences(NamedTuple):
  """Sequences that no run was trained or judged on, as NumPy arrays.

  Attributes:
    batch: what the task gives.
    inside: up to the last step that counts, the rest is padding,
      `[batch, time]`.
  """

  batch: base.Batch
  inside: np.ndarray


def sequences(settings: settings_lib.Settings, count: int) -> Sequences:
  """Draw new sequences, equal for all models of a task.

  Of data, from the part that is not trained on. Of the lengths of training;
  where each batch draws its T, of the longest. In 32 bits at least.
  """
  task = _new_task(settings)
  key = jax.random.fold_in(
    jax.random.key(settings.evaluation_seed), step.HELD_OUT
  )
  # The held-out set has the numbers before it.
  key = jax.random.fold_in(key, settings.evaluation_batches)
  fields = settings.task_fields
  length = {}
  if fields.shortest_length < fields.length and task.takes_length:
    length['length'] = task.length
  batch = task.sample(key, count, **length)
  inputs = batch.inputs.astype(precision(settings))
  batch = jax.tree.map(np.asarray, batch._replace(inputs=inputs))
  steps = np.arange(batch.mask.shape[1])
  last = np.max(np.where(batch.mask > 0, steps, 0), axis=1)
  return Sequences(batch, steps <= last[:, np.newaxis])


def precision(settings: settings_lib.Settings) -> Any:
  """Return the dtype that a model is looked at in."""
  return jnp.promote_types(settings.dtype, jnp.float32)


def _new_task(settings: settings_lib.Settings) -> base.Task:
  """Return the task of training on the data of the held-out set."""
  fields = settings.task_fields
  lengths = {
    'evaluation_length': fields.length,
    'evaluation_shortest_length': fields.shortest_length,
  }
  return task_fields.make_task(fields._asdict() | lengths, held_out=True)


def noise(study: Study, subject: Subject) -> remedies.Noise | None:
  """Return the zoneout of a model as it is at test time."""
  if not subject.settings.noisy:
    return None
  rates = study.saved.runs[subject.places[0]].hyperparams
  return remedies.Noise(None, *(getattr(rates, rate) for rate in fields.RATES))
