"""What trained models show, against what they and their study say."""

import math
import pathlib

import jax
import numpy as np
import pytest

from lstm_variants import evidence, models, tasks
from lstm_variants.cells import remedies
from lstm_variants.config import settings as settings_lib
from lstm_variants.evidence import gallery, subjects
from lstm_variants.evidence.gradient_flow import gradients
from lstm_variants.evidence.lengths import draw, measure
from lstm_variants.launch import local as study_lib
from lstm_variants.runs import grouping, results
from lstm_variants.training import step, trained
from tests import conftest

MODELS = ('vanilla', 'coupled', 'simple_rnn')
SEEDS = (3, 4)


@pytest.fixture(scope='module')
def workdir(tmp_path_factory):
  """A study of three models, two seeds each, with checkpoints on the way."""
  path = str(tmp_path_factory.mktemp('evidence') / 'study')
  config = conftest.tiny_config(
    {
      'training.stop_when_solved': False,
      'training.save_interval': 8,
      'training.keep_checkpoints': 9,
    }
  )
  grid = [
    {'config.model.variant': model, 'config.seed': seed}
    for model in MODELS
    for seed in SEEDS
  ]
  runs = study_lib.expand(config, lambda hyper: grid)
  study_lib.train(path, 'evidence', config, runs)
  return path


@pytest.fixture(scope='module')
def study(workdir):
  return subjects.read(workdir)


@pytest.fixture(scope='module')
def drawings(study):
  return {
    kind: list(evidence.drawer(kind)(study, 'vanilla'))
    for kind in evidence.KINDS
  }


def table(drawing: gallery.Drawing) -> list[dict]:
  return [dict(zip(drawing.columns, row, strict=True)) for row in drawing.rows]


def of(study, model):
  (subject,) = (s for s in study.subjects if s.model == model)
  return subject


def params_of(study, model, seed):
  subject = of(study, model)
  place = subject.places[subject.seeds.index(seed)]
  return subject, trained.load(study.saved, place).params


def test_each_kind_is_a_folder_that_draws_its_own_kind(drawings):
  house = pathlib.Path(evidence.__file__).parent
  assert {path.parent.name for path in house.glob('*/draw.py')} == set(
    evidence.KINDS
  )
  assert all(
    drawing.kind == kind for kind, some in drawings.items() for drawing in some
  )


def test_models_are_groups_of_seeds(study):
  assert [subject.model for subject in study.subjects] == list(MODELS)
  assert all(subject.seeds == SEEDS for subject in study.subjects)
  for subject in study.subjects:
    found = [study.saved.runs[place] for place in subject.places]
    assert [run.model for run in found] == [subject.model] * len(SEEDS)
    assert tuple(run.hyperparams.seed for run in found) == SEEDS


@pytest.mark.parametrize(
  'chosen, words',
  [
    ({'models': ['vanila']}, ('--models=vanila', 'nearest: vanilla')),
    ({'tasks': ['copy']}, ('--tasks=copy', 'choices: adding')),
  ],
)
def test_what_is_not_there_is_refused_with_the_nearest(workdir, chosen, words):
  with pytest.raises(subjects.SubjectError) as error:
    subjects.read(workdir, **chosen)
  for word in words:
    assert word in str(error.value)


def test_models_can_be_chosen(workdir):
  chosen = subjects.read(workdir, models=['coupled'])
  assert [subject.model for subject in chosen.subjects] == ['coupled']


def test_moments_go_from_the_seed_over_checkpoints_to_the_end(study):
  family = study.subjects
  for subject, moments in zip(
    family, subjects.moments(study, family), strict=True
  ):
    assert [moment.update for moment in moments] == [0, 8, 16, 20]
    assert [moment.title for moment in moments] == [
      *('before training', 'after 8 updates', 'after 16 updates', 'at the end')
    ]
    for n, place in enumerate(subject.places):
      run = study.saved.runs[place]
      start = step.init_state(run.settings, run.hyperparams).params
      end = trained.load(study.saved, place).params
      for wanted, moment in ((start, moments[0]), (end, moments[-1])):
        found = jax.tree.map(lambda leaf, n=n: leaf[n], moment.params)
        jax.tree.map(
          lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6),
          found,
          wanted,
        )
    kernels = [
      np.asarray(moment.params['layers'][0].kernel) for moment in moments
    ]
    for earlier, later in zip(kernels[:-1], kernels[1:], strict=True):
      assert np.max(np.abs(later - earlier)) > 1e-4


def test_the_files_of_a_population_are_read_once(study, monkeypatch):
  read, read_params = [], results.read_params

  def counted(workdir, population, *limits):
    read.append(population)
    return read_params(workdir, population, *limits)

  monkeypatch.setattr(results, 'read_params', counted)
  every = sorted(population.name for population in study.saved.populations)
  subjects.moments(study, study.subjects)
  assert sorted(read) == every and len(every) < len(study.subjects)
  read.clear()
  for subject in study.subjects:
    subjects.end(study, subject)
  assert len(read) == len(study.subjects)


def _diverge(study, monkeypatch, which):
  rows = [
    {**row, 'status': 'diverged'} if which(row) else row
    for row in study.every_row
  ]
  finished = (results.read_study(study.workdir), rows)
  monkeypatch.setattr(results, 'read_finished', lambda workdir: finished)
  return subjects.read(study.workdir)


def test_runs_that_diverged_are_left_out_and_told(study, monkeypatch, capsys):
  found = _diverge(
    study, monkeypatch, lambda row: row['config']['seed'] == 3
  ).subjects
  assert all(subject.seeds == (4,) for subject in found)
  told = capsys.readouterr().err.splitlines()
  assert len(told) == 3 and all('1 of 2 runs diverged' in line for line in told)


def test_a_model_that_diverged_stays_in_the_table_of_survival(
  study, monkeypatch
):
  found = _diverge(study, monkeypatch, lambda row: row['model'] == 'coupled')
  assert [s.model for s in found.subjects] == ['vanilla', 'simple_rnn']
  (drawing,) = evidence.drawer('survival')(found, 'vanilla')
  rows = {row['model']: row for row in table(drawing)}
  assert set(rows) == set(MODELS)
  assert rows['coupled']['runs'] == 2 and rows['coupled']['solved'] == 0


def test_the_baseline_is_compared_with_though_another_model_is_asked_for(
  workdir,
):
  chosen = subjects.read(workdir, models=['coupled'])
  (drawing,) = evidence.drawer('survival')(chosen, 'vanilla')
  rows = {row['model']: row for row in table(drawing)}
  assert set(rows) == {'vanilla', 'coupled'}
  assert not math.isnan(rows['coupled']['loss_ratio'])
  (drawing,) = evidence.drawer('survival')(chosen, 'peephole')
  assert 'nothing is compared' in drawing.caption


def test_sequences_are_not_those_of_training_or_of_the_held_out_set(study):
  settings = study.subjects[0].settings
  ours = subjects.sequences(settings, settings.batch_size).batch.inputs
  root = jax.random.key(settings.evaluation_seed)
  held_out = jax.random.fold_in(root, step.HELD_OUT)
  keys = [
    jax.random.fold_in(held_out, index)
    for index in range(settings.evaluation_batches)
  ]
  for seed in SEEDS:
    stream = jax.random.fold_in(jax.random.key(seed), step.DATA)
    keys += [jax.random.fold_in(stream, update) for update in range(20)]
  for key in keys:
    batch = settings.task.sample(key, settings.batch_size)
    assert np.any(np.asarray(batch.inputs) != ours)


def test_the_numbers_of_gradient_flow_are_those_of_the_trained_model(
  study, drawings
):
  states, shares, lags = drawings['gradient_flow']
  parts = [drawing.part for drawing in (states, shares, lags)]
  assert parts == ['states', 'shares', 'lags']
  for model, seed in (('vanilla', 4), ('simple_rnn', 3)):
    subject, params = params_of(study, model, seed)
    batch, _ = subjects.sequences(subject.settings, 64)
    found = gradients.state_gradients(
      params,
      subject.settings.architecture,
      subject.toggles,
      batch.inputs,
      gradients.sequence_losses(subject.settings.task.measure, batch),
    )
    for state, norms in found.norms.items():
      rows = [
        row['norm']
        for row in table(states)
        if (row['model'], row['seed'], row['update'], row['state'])
        == (model, seed, 20, state)
      ]
      wanted = np.mean(np.asarray(norms[0]), axis=-1)
      known = ~np.isnan(rows)
      assert known.sum() >= len(rows) - 1
      np.testing.assert_allclose(np.asarray(rows)[known], wanted[known], 1e-4)
  states_of_lags = {row['state'] for row in table(lags)}
  assert states_of_lags == {'c', 'h', 'product of forget gates'}


def test_the_traced_states_are_those_of_the_model(study, drawings):
  (drawing,) = (d for d in drawings['gates'] if d.part == 'sequence-coupled')
  seed = int(drawing.rows[0][0].rpartition(' ')[2])
  subject, params = params_of(study, 'coupled', seed)
  batch, _ = subjects.sequences(subject.settings, 128)
  (carry,), _ = models.apply_model(
    params, subject.settings.architecture, subject.toggles, batch.inputs
  )
  last = batch.inputs.shape[1]
  found = {
    (row['name'], row['unit']): row['value']
    for row in table(drawing)
    if row['step'] == last
  }
  for unit in range(5):
    np.testing.assert_allclose(found['h', unit], carry.h[0, unit], atol=1e-5)
    np.testing.assert_allclose(found['c', unit], carry.c[0, unit], atol=1e-5)
    np.testing.assert_allclose(found['i', unit] + found['f', unit], 1, 1e-5)


def test_every_task_has_sequences_averages_saturation_and_constants(drawings):
  parts = [drawing.part for drawing in drawings['gates']]
  gated = ('vanilla', 'coupled')
  assert parts == [
    *(f'{kind}-{m}' for m in MODELS for kind in ('sequence', 'aligned')),
    *('saturation', 'time_constants'),
  ]
  rows = table(drawings['gates'][-1])
  assert {row['run'].partition(',')[0] for row in rows} == set(gated)


def test_errors_at_a_length_are_those_of_the_model(study, drawings):
  (drawing,) = drawings['lengths']
  rows = table(drawing)
  assert {row['length'] for row in rows} >= {8, 64}
  task = study.subjects[0].settings.held_out_task
  root = jax.random.fold_in(jax.random.key(0), step.HELD_OUT)
  for model in MODELS:
    for seed in SEEDS:
      subject, params = params_of(study, model, seed)
      found = measure.measure_lengths(
        [params],
        subject.settings.architecture,
        subject.toggles,
        tasks.make_task(task.name, task.dialect, 64, held_out=True),
        [8],
        key=root,
        batch_size=draw.SEQUENCES,
      )['loss']
      (row,) = (
        row
        for row in rows
        if (row['model'], row['seed'], row['length']) == (model, seed, 8)
      )
      for name, side in (('value', 'mean'), ('low', 'low'), ('high', 'high')):
        wanted = getattr(found, side)[0, 0]
        np.testing.assert_allclose(row[name], wanted, 1e-4)


def test_lengths_are_multiples_of_what_makes_other_sequences():
  dialect = tasks.DIALECTS['modular_arithmetic']['deletang23']
  dialect = dialect._replace(shortest=3, stride=2)
  points = draw.grid(dialect, 11)
  assert points[0] == 3 and 11 in points and points[-1] in (87, 88, 89)
  assert all((point - 3) % 2 == 0 for point in points)
  assert points == sorted(set(points))


def test_survival_has_a_row_for_each_model_and_none_for_the_baseline(
  study, drawings
):
  (drawing,) = drawings['survival']
  rows = {row['model']: row for row in table(drawing)}
  assert list(rows) == list(MODELS)
  groups = {
    group.label: group for group in grouping.group_runs(study.tasks, study.rows)
  }
  for label, row in rows.items():
    runs = groups[label].runs
    assert row['runs'] == len(runs) == 2
    finals = {run['config']['seed']: run['final']['loss'] for run in runs}
    bases = {
      run['config']['seed']: run['final']['loss']
      for run in groups['vanilla'].runs
    }
    wanted = np.exp(
      np.mean([np.log(finals[seed] / bases[seed]) for seed in finals])
    )
    if label == 'vanilla':
      assert math.isnan(row['loss_ratio'])
      assert math.isnan(row['speed_p'])
    else:
      np.testing.assert_allclose(row['loss_ratio'], wanted, 1e-6)


def test_the_baseline_comes_first_and_too_many_are_left_out(
  study, monkeypatch, capsys
):
  (family,) = subjects.families(study, 'coupled')
  assert [subject.model for subject in family] == [
    *('coupled', 'vanilla', 'simple_rnn')
  ]
  monkeypatch.setattr(subjects, 'MOST_MODELS', 2)
  assert list(subjects.families(study, 'coupled')) == []
  assert '3 models' in capsys.readouterr().err


def _settings(changes):
  return settings_lib.from_config(conftest.tiny_config(changes)).settings


def test_sequences_of_drawn_lengths_are_the_longest():
  settings = _settings({'task.length': 12, 'task.shortest_length': 4})
  batch, inside = subjects.sequences(settings, 6)
  assert np.all(inside) and inside.shape == (6, 12)
  assert np.all(batch.mask[:, -1] > 0)


def test_padding_is_outside():
  settings = _settings({'task.name': 'embedded_reber', 'task.length': 20})
  batch, inside = subjects.sequences(settings, 6)
  ends = [int(np.flatnonzero(mask > 0)[-1]) + 1 for mask in batch.mask]
  assert inside.sum(axis=1).tolist() == ends and len(set(ends)) > 1


def test_data_are_those_that_no_run_was_trained_on():
  settings = _settings({'task.name': 'characters', 'task.length': 16})
  ours, _ = subjects.sequences(settings, 4)
  key = jax.random.fold_in(
    jax.random.key(settings.evaluation_seed), step.HELD_OUT
  )
  key = jax.random.fold_in(key, settings.evaluation_batches)
  held_out = settings.held_out_task.sample(key, 4)
  trained_on = settings.task.sample(key, 4)
  np.testing.assert_array_equal(ours.inputs, held_out.inputs)
  assert np.any(ours.inputs != np.asarray(trained_on.inputs))


@pytest.mark.parametrize(
  'changes',
  [
    {
      'model.dtype': 'bfloat16',
      'model.zoneout_c': 0.5,
      'model.zoneout_h': 0.2,
    },
    {
      'model.dtype': 'float64',
      'model.toggles.input_gate': False,
      'model.toggles.forget_gate': False,
      'model.toggles.output_gate': False,
    },
    {
      'model.variant': 'lstm_1997',
      'model.cell.truncated_gradient': True,
      'model.recurrent_init': 'orthogonal',
    },
  ],
)
def test_unusual_models_are_drawn(changes, tmp_path):
  config = conftest.tiny_config({**changes, 'training.updates': 2})
  runs = study_lib.expand(config, lambda hyper: [{}])
  study_lib.train(str(tmp_path / 's'), 'unusual', config, runs)
  found = subjects.read(str(tmp_path / 's'))
  kinds = {
    kind: list(evidence.drawer(kind)(found, 'vanilla'))
    for kind in ('gradient_flow', 'gates')
  }
  assert len(kinds['gradient_flow']) == 3
  assert any(d.part.startswith('sequence') for d in kinds['gates'])
  if 'model.cell.truncated_gradient' in changes:
    assert 'lstm_1997' in kinds['gradient_flow'][0].caption
  if 'model.zoneout_c' in changes:
    _zoneout_is_that_of_the_test(found, kinds['gradient_flow'][0])
  if changes.get('model.dtype') == 'float64':
    (moments,) = subjects.moments(found, found.subjects)
    leaves = jax.tree.leaves([moment.params for moment in moments])
    assert {leaf.dtype for leaf in leaves} == {np.dtype('float64')}


def _zoneout_is_that_of_the_test(study, drawing):
  (subject,) = study.subjects
  batch, _ = subjects.sequences(subject.settings, 64)
  params = trained.load(study.saved, 0).params
  found = gradients.state_gradients(
    params,
    subject.settings.architecture,
    subject.toggles,
    batch.inputs,
    gradients.sequence_losses(subject.settings.task.measure, batch),
    noise=remedies.Noise(None, 0.5, 0.2, 0.0),
  )
  rows = [
    row['norm']
    for row in table(drawing)
    if (row['update'], row['state']) == (2, 'h')
  ]
  wanted = np.mean(np.asarray(found.norms['h'][0]), axis=-1)
  np.testing.assert_allclose(rows, wanted, 1e-4)
