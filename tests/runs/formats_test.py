"""What was trained once stays readable, resumable and exportable."""

import json
import pathlib
import shutil

import numpy as np
import pytest

from configs import base
from lstm_variants import optimizers
from lstm_variants.config import fields, populations, rules, schema, settings
from lstm_variants.runs import record, results
from lstm_variants.training import states, trained
from tests import conftest

DATA = conftest.REPOSITORY / 'tests/data/runs'
FORMATS = ('format1', 'format2')
GRID = '--config=tests/data/runs/configs/interrupted.py'


@pytest.fixture(params=FORMATS)
def old(request, tmp_path) -> pathlib.Path:
  """A copy of the directories of one format."""
  shutil.copytree(DATA / request.param, tmp_path / 'runs')
  return tmp_path / 'runs'


def _done(answer) -> str:
  assert answer['status'] == 0, answer
  return answer['stdout']


def test_the_directories_are_of_their_formats_and_small():
  sizes = [path.stat().st_size for path in DATA.rglob('*') if path.is_file()]
  assert sum(sizes) < 200_000
  for number, name in enumerate(FORMATS, 1):
    for study in (DATA / name).glob('*/study.json'):
      assert json.loads(study.read_text())['format'] == number
  assert len(FORMATS) == results.FORMAT


def test_every_study_is_compared_analysed_and_exported(old, fork):
  others = [path.name for path in old.iterdir() if path.name != 'interrupted']
  assert len(others) == 2  # one of them a training alone, or a search
  for study in others:
    _done(fork('compare', f'--workdir={old / study}'))
  # What reads weights over time, at one moment, and none.
  for kind in ('gates', 'lengths', 'survival'):
    flags = (f'--workdir={old / "finished"}', f'--figure={kind}')
    assert f'{kind}: ' in _done(fork('analyse', *flags, '--models=vanilla'))
  for study in (*others, 'interrupted'):
    for name in trained.read(str(old / study)).names:
      if name.startswith('fgr'):  # other tools have no such gates
        continue
      out = old / f'{name}.onnx'
      flags = (f'--workdir={old / study}', f'--run={name}', f'--out={out}')
      _done(fork('export', *flags))
      assert out.stat().st_size > 500


def test_a_finished_study_is_found_finished(old, fork):
  grid = '--config=tests/data/runs/configs/finished_small.py'
  done = fork('sweep', grid, f'--workdir={old / "finished"}', '--resume')
  assert _done(done).count('already finished') == 3


def test_a_search_goes_on_from_its_generations(tmp_path, fork):
  workdir = shutil.copytree(DATA / 'format2/searched', tmp_path / 'study')
  search = '--config=tests/data/runs/configs/searched.py'
  said = _done(fork('search', search, f'--workdir={workdir}', '--resume'))
  assert 'generation 1/1: 2/2 trials, best loss' in said
  assert 'compiling' not in said
  for path in (DATA / 'format2/searched').rglob('*.npz'):
    there = workdir / path.relative_to(DATA / 'format2/searched')
    assert there.read_bytes() == path.read_bytes()


def test_an_interrupted_study_goes_on_as_the_old_code_did(old, fork):
  workdir = old / 'interrupted'
  (partial,) = (workdir / 'populations').iterdir()
  more = (
    '--config.training.updates=420',
    '--config.training.evaluation_interval=10',
  )
  said = _done(fork('sweep', GRID, f'--workdir={workdir}', '--resume', *more))
  assert 'going on after update 400' in said
  name = partial.name.removesuffix(results.PARTIAL)
  ours = results.read_params(str(workdir), name)
  with np.load(DATA / 'format1_end/params.npz') as arrays:
    theirs = dict(arrays)
  saved = trained.read(str(workdir))
  for lane, run in enumerate(saved.runs):
    for leaf, values in ours.items():
      np.testing.assert_allclose(
        values[lane],
        theirs[leaf][lane],
        atol=2e-4,
        err_msg=f'{run.model} {leaf}',
      )
  old_rows = (DATA / 'format1_end/metrics.jsonl').read_text().splitlines()
  new_rows = results.read_metrics(str(workdir))
  for one, two in zip(map(json.loads, old_rows), new_rows, strict=True):
    assert (one['update'], one['sequences']) == (
      two['update'],
      two['sequences'],
    )
    assert two['loss'] == pytest.approx(one['loss'], rel=1e-3)
  # All rows of a directory have the same fields.
  recorded = {
    frozenset(dict(fields.flatten(row['config'])))
    for row in results.read_runs(str(workdir))
  }
  study = results.read_study(str(workdir))
  assert recorded == {frozenset(dict(fields.flatten(study['runs'][0])))}
  assert (
    study['format']
    == json.loads((old / 'finished/study.json').read_text())['format']
  )


def test_another_value_of_a_field_that_it_lacks_is_another_run(old, fork):
  """A directory that knows no schedules was trained without one."""
  later = '--config.training.lanes=2'
  flags = (f'--workdir={old / "interrupted"}', '--resume', later)
  done = fork('sweep', GRID, *flags)
  assert done['status'] == 4
  assert 'training.lanes: 0 before, 2 now' in done['stderr']


def test_a_study_that_was_judged_on_drawn_lengths_goes_on_so_and_says_so(
  tmp_path, fork
):
  """Of before `task.evaluation_set`, which is another set today."""
  place = tmp_path / 'study'
  command = (
    *('train', '--config=configs/base.py', f'--workdir={place}'),
    '--config.training.updates=0',
    *('--config.task.name=parity', '--config.task.length=6'),
    *('--config.model.hidden_features=2', '--config.training.batch_size=2'),
  )
  drawn = '--config.task.evaluation_set=drawn'
  _done(fork(*command, drawn))
  path = place / 'study.json'
  study = json.loads(path.read_text())
  for config in (*study['runs'], study['config']):
    del config['task']['evaluation_set'], config['task']['success_limit']
  study['fingerprint'] = results.fingerprint(study['runs'])
  path.write_text(json.dumps(study))
  (run,) = trained.read(str(place)).runs
  assert run.settings.held_out_task.spread is None
  done = fork(*command, '--resume')
  assert done['status'] == 4
  assert 'task.evaluation_set: drawn before, spread now' in done['stderr']
  assert 'already finished' in _done(fork(*command, '--resume', drawn))


def test_trained_weights_are_those_that_their_toggles_use():
  one, two = (
    {
      run.model: trained.load(saved, index).params
      for saved in [trained.read(str(DATA / form / 'finished'))]
      for index, run in enumerate(saved.runs)
    }
    for form in FORMATS
  )
  for model in ('vanilla', 'fgr'):
    shapes = [
      {k: None if v is None else v.shape for k, v in leaf._asdict().items()}
      for leaf in (one[model]['layers'][0], two[model]['layers'][0])
    ]
    assert shapes[0] == shapes[1]
  assert one['vanilla']['layers'][0].peephole is None
  assert one['fgr']['layers'][0].gate_kernel is not None


def test_a_run_in_training_is_its_lane_of_the_newest_checkpoint():
  workdir = DATA / 'format2/interrupted'
  saved = trained.read(str(workdir))
  (population,) = saved.populations
  (place,) = workdir.rglob('checkpoints')
  newest = states.load(place, population)
  assert newest is not None and len(saved.runs) > 1
  kernels = newest[0].params['readout']['kernel']
  assert not np.array_equal(kernels[0], kernels[1])
  for index, (_, lane) in enumerate(saved.places):
    np.testing.assert_array_equal(
      trained.load(saved, index).params['readout']['kernel'], kernels[lane]
    )


def test_moments_come_in_the_order_in_which_they_are_asked_for():
  saved = trained.read(str(DATA / 'format2/finished'))
  # From one population to another and back.
  first = saved.places[0][0]
  inside = [n for n, (place, _) in enumerate(saved.places) if place == first]
  outside = next(n for n, (p, _) in enumerate(saved.places) if p != first)
  order = [inside[0], outside, inside[1]]
  moments = trained.moments(saved, order)
  assert [
    (of_run[-1].run.model, of_run[-1].run.settings) for of_run in moments
  ] == [(saved.runs[n].model, saved.runs[n].settings) for n in order]
  seeds = [of_run[-1].run.hyperparams.seed for of_run in moments]
  assert seeds == [saved.runs[n].hyperparams.seed for n in order]


@pytest.fixture
def added(monkeypatch):
  """A field that came later, with the role of a number of each run."""
  row = fields.Field(
    'optimizer.added', 0.5, rules.Real(0.5), fields.RUN, 'Comes later.'
  )
  later = optimizers.OPTIMIZERS['adam']._replace(fields=(row,))
  monkeypatch.setitem(optimizers.OPTIMIZERS._entries, 'adam', later)
  schema._table.cache_clear()
  schema._extension_fields.cache_clear()
  yield row
  schema._table.cache_clear()
  schema._extension_fields.cache_clear()


def test_a_field_that_is_added_changes_no_identity(added, fork):
  del fork
  config = base.get_config()
  assert config.to_dict()['optimizer']['added'] == 0.5
  after = settings.from_config(config)
  before = {
    name: value
    for name, value in fields.flatten(after.config)
    if name != added.name
  }
  now = record.new(schema.unrecorded())
  names = [now.hash([config]) for config in (after.config, fields.nest(before))]
  assert names[0] == names[1]
  other = settings.from_config(
    {**after.config, 'optimizer': {**after.config['optimizer'], 'added': 0.25}}
  )
  assert now.hash([other.config]) != names[0]
  for form_name in FORMATS:
    for study in ('finished', 'interrupted'):
      saved = trained.read(str(DATA / form_name / study))
      there = results.populations(saved.workdir)
      assert sorted(group.name for group in saved.populations) == there
      assert all(run.hyperparams.added == 0.5 for run in saved.runs)


@pytest.mark.parametrize('variant', ['janet', 'nog', 'vanilla'])
def test_a_wide_checkpoint_with_the_weights_of_every_gate_is_read(
  make_config, variant
):
  """Format 1 had them all: 4 FH + 13 H² + 7 H numbers of each layer."""
  width = 400
  changes = {'model.variant': variant, 'model.hidden_features': width}
  run = settings.from_config(make_config(changes))
  (population,) = populations.split([run])
  population = population._replace(format_version=1)
  expected = states.expected(states.describe(population), population)
  inputs = run.settings.task.in_features
  layer = 4 * inputs * width + 13 * width**2 + 7 * width
  # Weights and Adam's two moments, in 32 bits.
  assert expected.largest_bytes > 3 * 4 * layer


def test_names_of_many_runs_are_longer():
  run = settings.from_config(base.get_config())
  many = [
    run._replace(
      hyperparams=run.hyperparams.replace(seed=seed),
      config={**run.config, 'seed': seed},
    )
    for seed in range(1001)
  ]
  few, all_of_them = populations.split(many[:1000]), populations.split(many)
  assert len(few[0].run_names[0].rpartition('_')[2]) == 8
  assert len(all_of_them[0].run_names[0].rpartition('_')[2]) == 16
  assert len(set(all_of_them[0].run_names)) == 1001
  # Of a study that grows nobody knows how many it will have.
  (growing,) = populations.split(many[:2], parts=[2])
  assert len(growing.run_names[0].rpartition('_')[2]) == 16


@pytest.mark.parametrize(
  'change, words',
  [
    ({'format': 3}, 'of a newer version'),
    ({'format': 0}, 'no format of ours'),
    ({'format': '1'}, 'not a study of ours'),
    ({'runs': [{'seed': 'x'}]}, 'seed'),
    ({'runs': [{'model': {'variant': 'nonsense'}}]}, 'nonsense'),
    ({'runs': [{'optimizer': {'from_tomorrow': 1}}]}, 'from_tomorrow'),
    ({'runs': []}, 'no runs'),
    ({'parts': [1000]}, 'its parts'),
    ({'parts': [-1, 'x']}, 'its parts'),
    ({'parts': {}}, 'its parts'),
    ({'search': 1}, 'its search'),
    ({'search': {'fields': 3}, 'parts': []}, 'its'),
  ],
)
def test_a_format_too_new_or_damaged_is_told_in_one_line(
  tmp_path, fork, change, words
):
  shutil.copytree(DATA / 'format1/uniform', tmp_path / 'study')
  path = tmp_path / 'study/study.json'
  path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
  done = fork('analyse', f'--workdir={tmp_path / "study"}')
  assert done['status'] == 2 and done['stderr'].count('\n') == 1, done
  assert words in done['stderr'] and not done['stdout']
