"""Studies and results from Python: the same as by the commands."""

import ast
import csv
import json
import pathlib
import shutil
import signal
import subprocess
import sys
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import rich.console

import lstm_variants as lv
from lstm_variants.runs import files
from lstm_variants.runs import results as runs_lib
from lstm_variants.training import interrupt
from tests import conftest

FIELDS = {
  'task': {'name': 'adding', 'length': 8},
  'model.hidden_features': 5,
  'model.recurrent_init': 'uniform',
  'training': {'batch_size': 4, 'evaluation_batches': 2},
  'config.training.updates': 20,
  'training.evaluation_interval': np.int64(8),
  'training.stop_when_solved': False,
}
GRID = {'model.variant': ['vanilla', 'peephole', 'gru'], 'seed': range(2)}
FILE = f"""
import lstm_variants as lv
from lstm_variants.config import fields

def get_config():
  config = lv.default_config()
  given = {FIELDS!r}
  config.update_from_flattened_dict({{
    name.removeprefix('config.'): value
    for name, value in fields.flatten(given)
  }})
  return config

def get_hyper(hyper):
  return hyper.product([
    hyper.sweep('config.model.variant', ['vanilla', 'peephole', 'gru']),
    hyper.sweep('config.seed', range(2)),
  ])
""".replace('np.int64(8)', '8')


@pytest.fixture(scope='module')
def place(tmp_path_factory) -> pathlib.Path:
  """A config file, and what `sweep` makes of it."""
  place = tmp_path_factory.mktemp('python')
  (place / 'tiny.py').write_text(FILE)
  return place


@pytest.fixture(scope='module')
def swept(place, fork) -> pathlib.Path:
  done = fork('sweep', *_flags(place, place / 'swept'))
  assert done['status'] == 0, done
  return place / 'swept'


@pytest.fixture(scope='module')
def results(place) -> lv.Results:
  """What Python makes of the same fields."""
  study = lv.Study(FIELDS, GRID, name='tiny')
  return study.train(place / 'trained', progress=False)


def _flags(place: pathlib.Path, workdir: pathlib.Path) -> tuple[str, str]:
  return f'--config={place / "tiny.py"}', f'--workdir={workdir}'


def _left(workdir: pathlib.Path | str) -> dict[str, Any]:
  """Return what a study left, without times."""
  path = pathlib.Path(workdir)
  study = json.loads((path / 'study.json').read_text())
  del study['created']
  left: dict[str, Any] = {'study': study}
  for folder in sorted((path / 'populations').iterdir()):
    rows = [dict(row) for row in files.read_json_lines(folder / 'runs.jsonl')]
    for row in rows:
      del row['seconds_per_update']
    left[folder.name] = rows
    left[f'{folder.name} metrics'] = (folder / 'metrics.jsonl').read_bytes()
    arrays = runs_lib.read_params(str(path), folder.name)
    left[f'{folder.name} params'] = {k: v.tobytes() for k, v in arrays.items()}
  return left


def test_python_and_sweep_leave_equal_files_and_go_on_with_each_other(
  place, swept, results, fork, capsys
):
  assert _left(results.workdir) == _left(swept)
  again = fork('sweep', *_flags(place, place / 'trained'), '--resume')
  assert again['stdout'].count('already finished') == 2
  capsys.readouterr()
  lv.Study(place / 'tiny.py').train(swept, resume=True)
  assert capsys.readouterr().out.count('already finished') == 2


class Stop(Exception):
  """Raised by a callback."""


def _stop(rows: list[dict[str, Any]]) -> None:
  if rows[0]['update'] > 0:
    raise Stop


def _look_and_stop(rows: list[dict[str, Any]]) -> None:
  """Look at the results, as another process may, and stop."""
  results = lv.open_results('run')
  if rows[0]['update'] > 0:
    assert set(results.to_pandas()['status']) == {'training'}
    with pytest.raises(lv.Error, match='run=gru_seed0_.*: has not begun'):
      results.metrics('gru_seed0')
    with pytest.raises(lv.Error, match='run=lstm_seed0: unknown'):
      results.metrics('lstm_seed0')
    raise Stop


def _press_ctrl_c(rows: list[dict[str, Any]]) -> None:
  if rows[0]['update'] == 8:
    signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(
  'callback, raised', [(_stop, Stop), (_press_ctrl_c, KeyboardInterrupt)]
)
def test_what_ends_early_is_gone_on_with(
  place, results, callback, raised, tmp_path
):
  study = lv.Study(place / 'tiny.py')
  before = signal.getsignal(signal.SIGINT)
  with pytest.raises(raised) as ended:
    study.train(tmp_path / 'run', callback=callback, progress=False)
  if raised is KeyboardInterrupt:
    assert str(ended.value) == 'SIGINT: saved; resume=True goes on'
  assert signal.getsignal(signal.SIGINT) == before
  half = lv.open_results(tmp_path / 'run')
  assert half.runs() == []
  table, rows = half.to_pandas(), half.metrics()
  assert set(table['status']) == {'interrupted'}  # nobody trains them now
  assert {*table['id']} == {row['run'] for row in rows}
  assert table['final.loss'].tolist() == [
    half.metrics(name)[-1]['loss'] for name in table['id']
  ]
  assert set(table['model.variant']) < set(GRID['model.variant'])
  study.train(tmp_path / 'run', resume=True, progress=False)
  assert _left(tmp_path / 'run') == _left(results.workdir)


def test_results_tell_what_trains_and_what_has_not_begun(
  place, tmp_path, monkeypatch
):
  monkeypatch.chdir(tmp_path)
  study = lv.Study(place / 'tiny.py')
  with pytest.raises(Stop):
    study.train('run', callback=_look_and_stop, progress=False)


def test_a_callback_sees_every_row_that_is_written(place, results, tmp_path):
  seen: list[dict[str, Any]] = []
  grid = {**GRID, 'model.variant': 'gru'}
  lv.Study(FIELDS, grid).train(tmp_path, callback=seen.extend, progress=False)
  written = lv.open_results(tmp_path).metrics()
  assert [row['update'] for row in seen] == [0, 0, 8, 8, 16, 16, 20, 20]
  assert files.jsonable(seen) == written


def test_progress_is_plain_lines_or_none(place, tmp_path, capsys):
  study = lv.Study(FIELDS)
  study.train(tmp_path / 'one', progress=False)
  assert capsys.readouterr().out == ''
  study.train(tmp_path / 'two')
  lines = capsys.readouterr().out.splitlines()
  assert 3 <= len(lines) < 8 and '\x1b' not in ''.join(lines)


def test_runs_are_known_before_they_are_trained(results):
  runs = lv.Study(FIELDS, GRID).runs
  assert {run['id']: run['config']['seed'] for run in runs} == {
    row['id']: row['config']['seed'] for row in results.runs()
  }
  assert {run['population'] for run in runs} == {
    row['population'] for row in results.runs()
  }
  listed = [
    {'config.model.variant': variant, 'seed': np.int64(seed)}
    for variant in GRID['model.variant']
    for seed in GRID['seed']
  ]

  def get_hyper(hyper):
    return hyper.product(
      [hyper.sweep(f'config.{name}', values) for name, values in GRID.items()]
    )

  for grid in (listed, get_hyper):
    assert lv.Study(FIELDS, grid).runs == runs


def test_results_are_tables_of_the_finished_runs(results):
  frame = results.to_pandas()
  assert len(frame) == 6 and list(frame['id']) == [
    row['id'] for row in results.runs()
  ]
  assert {'seed', 'model.variant', 'final.loss', 'status'} < set(frame.columns)
  assert 'model.hidden_features' not in frame.columns
  assert 'model.hidden_features' in results.to_pandas(every_field=True).columns
  best = frame.sort_values('final.loss').iloc[0]
  metrics = results.metrics('best')
  assert {row['run'] for row in metrics} == {best['id']}
  assert metrics[-1]['loss'] == best['final.loss']
  assert len(results.metrics()) == 6 * 4
  assert '6 of 6 runs finished' in repr(results)


def test_results_are_of_the_study_that_is_there_now(results, tmp_path):
  workdir = tmp_path / 'study'
  opened = lv.Study({**FIELDS, 'training.updates': 1}).train(
    workdir, progress=False
  )
  table = opened.compare()
  text = repr(table)
  shutil.rmtree(workdir)
  shutil.copytree(results.workdir, workdir)
  study = json.loads((workdir / 'study.json').read_text())
  study['tasks'] = {'other': study['tasks'].pop('adding-urnn16-T8')}
  for path in (workdir / 'populations').glob('*/runs.jsonl'):
    path.write_text(path.read_text().replace('adding-urnn16-T8"', 'other"'))
  (workdir / 'study.json').write_text(json.dumps(study))
  assert '6 of 6 runs finished' in repr(opened)
  assert {row.task for row in opened.compare().rows} == {'other'}
  assert 'model.variant' in opened.to_pandas().columns
  assert repr(table) == text
  shutil.rmtree(workdir)
  assert repr(opened).endswith('its study is gone')


def test_a_swept_field_has_a_column_before_all_populations_end(
  results, tmp_path
):
  workdir = tmp_path / 'half'
  shutil.copytree(results.workdir, workdir)
  last = results.runs()[-1]
  shutil.rmtree(workdir / 'populations' / last['population'])
  half = lv.open_results(workdir).to_pandas()
  assert 0 < len(half) < 6
  (workdir / 'populations').rename(workdir / 'gone')
  empty = lv.open_results(workdir).to_pandas()
  assert len(empty) == 0 and 'model.variant' in empty.columns
  (workdir / 'gone').rename(workdir / 'populations')
  assert list(half.columns) == list(results.to_pandas().columns)
  assert set(half['model.variant']) < set(GRID['model.variant'])


def test_the_comparison_is_that_of_the_command(results, fork):
  done = fork('compare', f'--workdir={results.workdir}', '--baseline=gru')
  assert done['status'] == 0
  table = results.compare('gru')
  assert repr(table).strip() in done['stdout']
  with open(f'{results.workdir}/compare.csv') as file:
    lines = list(csv.DictReader(file))
  frame = table.to_pandas()
  assert list(frame.columns) == list(lines[0])
  for column in ('label', 'runs', 'loss', 'loss_p', 'speed_p'):
    for one, two in zip(frame[column], lines, strict=True):
      text = '' if one != one else str(one)
      assert text == two[column]
  assert results.compare().baseline == 'vanilla'
  shown = table._repr_html_()
  assert shown.count('<tr>') == 4 and 'gru (baseline)' in shown
  with pytest.raises(lv.Error, match='no runs of that model'):
    results.compare('lstm')


def test_a_notebook_shows_a_comparison_once(results, monkeypatch, capsys):
  table = results.compare()
  text = repr(table)
  # What rich asks to know that it is in the kernel of a notebook.
  monkeypatch.setattr(rich.console, '_is_jupyter', lambda: True)
  # As the kernel has it for what is started there.
  monkeypatch.setenv('FORCE_COLOR', '1')
  monkeypatch.setenv('TERM', 'xterm-color')
  assert repr(table) == text and 'vanilla (baseline)' in text
  assert capsys.readouterr().out == ''


def test_figures_show_themselves_and_are_saved(results, tmp_path):
  figures = results.compare().figures()
  assert [figure.kind for figure in figures] == ['loss', 'success']
  assert figures[0]._repr_svg_().rstrip().endswith('</svg>')
  for name in ('loss.svg', 'new/loss.png'):
    figures[0].save(tmp_path / name)
    assert (tmp_path / name).stat().st_size > 1000
  with pytest.raises(lv.Error, match='are .svg or .png; nearest: .*loss.svg'):
    figures[0].save(tmp_path / 'loss.pdf')
  with pytest.raises(lv.Error, match='cannot be written'):
    figures[0].save(tmp_path / 'loss.svg' / 'loss.svg')
  assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize('run', ['best', 'gru_seed1', 'model=peephole,seed=0'])
def test_a_loaded_model_answers_as_its_export_does(results, run, tmp_path):
  runtime = pytest.importorskip('onnxruntime')
  model = results.load(run)
  row = next(row for row in results.runs() if row['id'] == model.id)
  assert (model.name, model.update) == (row['model'], 20)
  inputs = np.random.default_rng(0).normal(size=(3, 7, 2)).astype(np.float32)
  model.export_onnx(tmp_path / 'new' / 'model.onnx')
  session = runtime.InferenceSession(
    str(tmp_path / 'new' / 'model.onnx'), providers=['CPUExecutionProvider']
  )
  (expected,) = session.run(['outputs'], {'inputs': inputs})
  np.testing.assert_allclose(model.predict(inputs), expected, atol=1e-5)
  np.testing.assert_allclose(model.predict(inputs[1]), expected[1], atol=1e-5)
  for wrong in (inputs[..., :1], inputs[0, 0], 3.0):
    with pytest.raises(lv.Error, match='reads .batch, time, 2.'):
      model.predict(wrong)
  assert model.task.label == row['task']


def test_symbols_and_units_are_those_of_the_data(tmp_path):
  (tmp_path / 'data').write_text('level\n' + '2\n4\n6\n9\n' * 20)
  fields = {
    **FIELDS,
    'task': {
      'name': 'forecasting',
      'path': str(tmp_path / 'data'),
      'length': 3,
    },
  }
  results = lv.Study(fields).train(tmp_path / 'series', progress=False)
  (tmp_path / 'data').unlink()
  model = results.load()
  values = np.array([[2.0], [4.0], [6.0]])
  plain = model.predict((values - model.task.mean) / model.task.scale)
  np.testing.assert_allclose(
    model.predict(values, original_units=True),
    plain * model.task.scale + model.task.mean,
    rtol=1e-6,
  )
  assert model.task.mean == pytest.approx(5.25)

  fields = {
    **FIELDS,
    'task': {'name': 'copy', 'dialect': 'urnn16', 'length': 2},
  }
  model = lv.Study(fields).train(tmp_path / 'copy', progress=False).load()
  symbols = np.array([1, 0, 2])
  one_hot = np.eye(model.task.in_features)[symbols]
  np.testing.assert_array_equal(model.predict(symbols), model.predict(one_hot))
  with pytest.raises(lv.Error, match='knows 0 to '):
    model.predict([99])
  with pytest.raises(lv.Error, match='have one length'):
    model.predict([[1, 0], [1]])
  with pytest.raises(lv.Error, match='numbers are read'):
    model.predict(['a'])


@pytest.mark.parametrize(
  'arguments, said',
  [
    (
      ({'model.hiden_features': 3},),
      "model.hiden_features=3: unknown field; nearest: 'model.hidden_features'",
    ),
    (({'model.hidden_features': 'x'},), "model.hidden_features='x'"),
    (({'model.hidden_features': 0},), 'must be 1'),
    (({'model': {'variant': 'gur'}},), "model.variant='gur'"),
    ((3,), '3 is no config'),
    (('nowhere',), 'config=nowhere: no such file'),
    (('adding', 3), '3 is no grid'),
    (('adding', {'seed': []}), 'the grid is empty'),
    (('adding', {'sed': [1]}), 'grid: sed=1: unknown field'),
    (('adding', [3]), '3 is not a setting'),
    (('adding', {'seed': [1, 1]}), 'are the same run'),
  ],
)
def test_what_is_no_study_is_refused_in_a_line(arguments, said):
  with pytest.raises(lv.Error) as refusal:
    lv.Study(*arguments)
  line = str(refusal.value)
  assert said in line and '\n' not in line and '--' not in line


@pytest.mark.parametrize(
  'field, value, rule',
  [
    ('seed', 1.6, 'not an integer; nearest: 2'),
    ('seed', -2.5, 'not an integer; nearest: 0'),
    ('optimizer.learning_rate', 'x', 'not a number; for example 0.001'),
    ('model.learned_carry', 1, 'not true or false; nearest: true'),
    ('model.variant', 3, 'unknown; choices: vanilla'),
    ('training.trackers', ['csv', 'wandb'], "not text; nearest: 'csv,wandb'"),
    ('training.trackers', 'mine', 'import the module of your own'),
  ],
)
def test_a_value_of_another_type_is_refused_by_the_rule_of_its_field(
  field, value, rule
):
  for arguments in (({field: value},), ('adding', [{field: value}])):
    with pytest.raises(lv.Error) as refusal:
      lv.Study(*arguments)
    line = str(refusal.value)
    assert f'{field}={value!r}: ' in line and rule in line
    assert 'cast' not in line and '--' not in line


def test_a_refused_value_of_a_config_file_names_the_file(tmp_path):
  path = tmp_path / 'mine.py'
  head, _ = FILE.split('def get_hyper')
  path.write_text(head.replace("'batch_size': 4", "'batch_size': -4"))
  line = f'^config={path}: training.batch_size=-4: must be '
  for grid in (None, {'seed': [0]}):
    with pytest.raises(lv.Error, match=line):
      lv.Study(path, grid)
  # The value is the caller's.
  with pytest.raises(lv.Error, match='^training.batch_size=-5: must be '):
    lv.Study(path, {'training.batch_size': [-5]})


def test_ctrl_c_waits_for_a_compilation():
  with (
    pytest.raises(KeyboardInterrupt, match='nothing to save yet'),
    interrupt.heard(),
  ):
    with interrupt.compiling():
      signal.raise_signal(signal.SIGINT)
    interrupt.check(saved=False)


@pytest.mark.parametrize('name', [3, '', 'a\nb'])
def test_a_name_that_no_reader_takes_is_refused(name):
  with pytest.raises(lv.Error, match="nearest: name='study'"):
    lv.Study('adding', name=name)


@pytest.mark.parametrize('array', [np.array(3), jnp.asarray(3), np.int64(3)])
def test_a_number_of_numpy_or_jax_is_a_value(array):
  (run,) = lv.Study('adding', {'seed': array}).runs
  (again,) = lv.Study({'seed': array}, {'seed': [array]}).runs
  assert run['config']['seed'] == again['config']['seed'] == 3


def test_a_callback_that_is_none_is_refused_before_anything_is_done(tmp_path):
  with pytest.raises(lv.Error, match='callback=3: is no function'):
    lv.Study('adding').train(tmp_path / 'study', callback=3)  # pyrefly: ignore[bad-argument-type]
  assert not list(tmp_path.iterdir())


def test_what_is_asked_of_results_is_refused_in_a_line(results, tmp_path):
  model, figure = results.load(), results.compare().figures()[0]
  values: tuple[Any, ...] = (3, [], {}, b'x', 'gur', 'a\0b', np.zeros(3))
  for ask in (results.metrics, results.load, results.compare, model.predict):
    for value in values:
      with pytest.raises(lv.Error):
        ask(value)
  for write in (figure.save, model.export_onnx):
    for value in (None, '', *values[:4], *values[5:]):
      with pytest.raises(lv.Error):
        write(value)


def test_a_study_that_is_there_is_not_mixed_up(results):
  study = lv.Study(FIELDS, GRID)
  with pytest.raises(lv.Error, match='holds a study.*resume=True'):
    study.train(results.workdir)
  with pytest.raises(lv.Error, match='^baseline=.copled.: '):
    results.compare('copled')
  with pytest.raises(lv.Error, match='^run=nobody: '):
    results.load('nobody')
  with pytest.raises(lv.Error, match='is a file; nearest: workdir='):
    lv.open_results(f'{results.workdir}/study.json')
  with pytest.raises(lv.Error, match='resume and overwrite'):
    study.train(results.workdir, resume=True, overwrite=True)
  with pytest.raises(lv.Error, match='needs the same runs'):
    lv.Study(FIELDS).train(results.workdir, resume=True)


def test_results_are_read_without_jax_and_without_pandas(
  results, tmp_path, monkeypatch
):
  script = (
    'import sys, lstm_variants as lv\n'
    f'results = lv.open_results({results.workdir!r})\n'
    'assert len(results.runs()) == 6 and len(results.metrics("best")) == 4\n'
    'print(results.compare())\n'
    'assert not {"jax", "pandas"} & set(sys.modules)\n'
  )
  done = subprocess.run(
    [sys.executable, '-c', script],
    cwd=conftest.REPOSITORY,
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr
  assert 'vanilla (baseline)' in done.stdout
  monkeypatch.setitem(sys.modules, 'pandas', None)
  for table in (results, results.compare()):
    with pytest.raises(lv.Error, match='pip install pandas'):
      table.to_pandas()
  with pytest.raises(lv.Error, match='holds no study'):
    lv.open_results(tmp_path)


# In place of the length of the examples, and of their widths.
SMALL = {
  "'task.length': 20": (
    "'task.length': 6, 'training.updates': 2, 'training.batch_size': 2, "
    "'model.recurrent_init': 'uniform'"
  ),
  '[8, 16]': '[2]',
}


def _small(text: str) -> str:
  for long, short in SMALL.items():
    assert text.count(long) <= 1
    text = text.replace(long, short)
  return text


def _cells() -> list[str]:
  """Return the code of the notebook, which is committed without outputs."""
  path = conftest.REPOSITORY / 'examples/python.ipynb'
  cells = json.loads(path.read_text())['cells']
  code = [cell for cell in cells if cell['cell_type'] == 'code']
  for cell in code:
    assert cell['outputs'] == [] and cell['execution_count'] is None
  return [''.join(cell['source']) for cell in code]


def _check_example(names: dict[str, Any], place: pathlib.Path) -> None:
  assert len(names['results'].runs()) == 18
  assert len(names['table']) == 6
  assert names['model'].id == names['results'].load('best').id
  assert (place / 'best.onnx').stat().st_size > 500


def test_the_script_of_the_examples_runs(tmp_path, monkeypatch, capsys):
  text = (conftest.REPOSITORY / 'examples/python.py').read_text()
  assert len([line for line in text.splitlines() if line]) <= 15
  assert all(long in text for long in SMALL)
  monkeypatch.chdir(tmp_path)
  names: dict[str, Any] = {}
  exec(_small(text), names)
  _check_example(names, tmp_path)
  assert 'loss' in capsys.readouterr().out


def test_the_notebook_of_the_examples_runs(tmp_path, monkeypatch, capsys):
  monkeypatch.chdir(tmp_path)
  names: dict[str, Any] = {}
  shown = []
  cells = _cells()
  assert all(long in ''.join(cells) for long in SMALL)
  for cell in cells:
    *body, last = ast.parse(_small(cell)).body
    if not isinstance(last, ast.Expr):
      body, last = [*body, last], None
    exec(compile(ast.Module(body, []), 'cell', 'exec'), names)
    if last is not None:
      exec(f'shown = {ast.unparse(last)}', names)
      shown.append(names['shown'])
  _check_example(names, tmp_path)
  for form in ('_repr_html_', '_repr_svg_'):
    assert any(hasattr(value, form) for value in shown)
  # A notebook is no terminal, and is not flooded.
  assert len(capsys.readouterr().out.splitlines()) < 20
