"""The program that writes a trained run for other tools."""

import json
import pathlib
import shlex
import shutil
import subprocess
import sys
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants import bridges, models
from lstm_variants.config import populations
from lstm_variants.launch import local
from lstm_variants.runs import checkpoint, directory, results
from lstm_variants.training import population, resume, states
from tests import conftest

MODELS = ('coupled', 'simple_rnn')


def lines(done: dict[str, Any], status: int = 0) -> list[str]:
  assert done['status'] == status, done
  if status:
    assert done['stderr'].count('\n') == 1 and not done['stdout']
    assert done['stderr'].startswith('error: ')
    return done['stderr'].splitlines()
  return done['stdout'].splitlines()


@pytest.fixture(scope='module')
def trained(
  tmp_path_factory,
) -> tuple[pathlib.Path, list[local.settings_lib.Run]]:
  """A study of two models, two seeds each."""
  path = tmp_path_factory.mktemp('export') / 'study'
  config = conftest.tiny_config(
    {
      'training.stop_when_solved': False,
      # No number in JSON.
      'optimizer.clip_norm': float('inf'),
    }
  )
  grid = [
    {'config.model.variant': model, 'config.seed': seed}
    for seed in (3, 4)
    for model in MODELS
  ]
  runs = local.expand(config, lambda hyper: grid)
  local.train(str(path), 'export', config, runs)
  return path, runs


def row_of(path: pathlib.Path, model: str, seed: int) -> dict[str, Any]:
  return next(
    row
    for row in results.read_runs(str(path))
    if row['model'] == model and row['config']['seed'] == seed
  )


def outputs_of(trained, row: dict[str, Any], inputs: np.ndarray) -> np.ndarray:
  """Return what a run computes, from what training wrote at its end."""
  path, runs = trained
  key = (row['model'], row['config']['seed'])
  run = next(r for r in runs if (r.model, r.hyperparams.seed) == key)
  architecture = run.settings.architecture
  template = jax.eval_shape(
    lambda key: models.init_model(key, architecture, run.hyperparams.toggles),
    jax.random.key(0),
  )
  leaves = results.read_params(str(path), row['population'])
  names = [
    jax.tree_util.keystr(at, simple=True, separator='/')
    for at, _ in jax.tree_util.tree_flatten_with_path(template)[0]
  ]
  params = jax.tree.unflatten(
    jax.tree.structure(template), [leaves[k][row['index']] for k in names]
  )
  _, outputs = jax.jit(models.apply_model, static_argnums=(1, 2))(
    params, architecture, run.hyperparams.toggles, jnp.asarray(inputs)
  )
  return np.asarray(outputs)


INPUTS = np.random.default_rng(0).normal(size=(3, 11, 2)).astype(np.float32)


@pytest.mark.parametrize('model', MODELS)
def test_onnxruntime_reproduces_a_trained_run(fork, trained, tmp_path, model):
  runtime = pytest.importorskip('onnxruntime')
  path, _ = trained
  row = row_of(path, model, 4)
  out = tmp_path / 'new' / 'model.onnx'
  # What is enough to tell the run from the others.
  enough = {'coupled': 'coupled_seed4', 'simple_rnn': 'seed=4,model=simple_rnn'}
  done = fork(
    'export', f'--workdir={path}', f'--run={enough[model]}', f'--out={out}'
  )
  shown = lines(done)
  assert shown[0] == f'{out}: {row["id"]} after update 20'
  assert shown[1].endswith(f'{model} on adding-urnn16-T8')
  assert shown[2].endswith('inputs [batch, time, 2]')
  assert shown[3].endswith('outputs [batch, time, 1]')
  assert shown[-3].endswith('last_h [1, batch, 5]')
  assert shown[-2] == f'results: {out}'
  subprocess.run([sys.executable, *shlex.split(shown[-1])[2:]], check=True)
  assert not done['stderr'] and not done['compiled']
  session = runtime.InferenceSession(
    str(out), providers=['CPUExecutionProvider']
  )
  (found,) = session.run(['outputs'], {'inputs': INPUTS})
  expected = outputs_of(trained, row, INPUTS)
  np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
  other = outputs_of(trained, row_of(path, model, 3), INPUTS)
  assert np.max(np.abs(found - other)) > 1e-3


def test_weights_as_torch_names_them_are_those_of_the_run(
  fork, trained, tmp_path
):
  path, _ = trained
  row, out = row_of(path, 'coupled', 4), tmp_path / 'x.safetensors'
  lines(
    fork('export', f'--workdir={path}', f'--run={row["id"]}', f'--out={out}')
  )
  (layer,) = bridges.from_torch(out, prefix='lstm.').layers
  leaves = results.read_params(str(path), row['population'])
  for name in ('kernel', 'recurrent_kernel', 'bias'):
    found = np.split(getattr(layer, name), 4, axis=-1)
    saved = leaves[f'layers/0/{name}'][row['index']]
    # A coupled forget gate has no weights.
    i, g, o = np.split(saved, 3, axis=-1)
    np.testing.assert_array_equal(found, (i, -i, g, o))
  weight = bridges.load(out)['readout.weight']
  kernel = leaves['readout/kernel'][row['index']]
  np.testing.assert_array_equal(weight, kernel.T)


def test_a_run_that_is_not_finished_is_taken_from_its_checkpoint(
  fork, trained, tmp_path
):
  path = tmp_path / 'study'
  shutil.copytree(trained[0], path)
  row = row_of(path, 'coupled', 3)
  final = path / 'populations' / row['population']
  final.rename(final.with_name(final.name + results.PARTIAL))
  out = f'--out={tmp_path / "model.onnx"}'
  run = (f'--workdir={path}', f'--run={row["id"]}', out)
  assert lines(fork('export', *run))[0].endswith('after update 20')

  checkpoints = list(path.rglob('*.safetensors'))
  for file in checkpoints:
    file.write_bytes(file.read_bytes()[:-1])
  (refusal,) = lines(fork('export', *run), 4)
  assert 'is damaged' in refusal
  assert refusal.endswith('; train it further, or choose another run')
  for file in checkpoints:
    file.unlink()
  (refusal,) = lines(fork('export', *run), 4)
  assert 'holds no checkpoint' in refusal
  assert refusal.endswith('; train it further, or choose another run')


def test_a_finished_run_needs_no_checkpoint(fork, trained, tmp_path):
  path = tmp_path / 'study'
  shutil.copytree(trained[0], path)
  row = row_of(path, 'coupled', 4)
  place = path / 'populations' / row['population']
  outs = [tmp_path / f'{name}.safetensors' for name in ('whole', 'damaged')]
  run = ('export', f'--workdir={path}', f'--run={row["id"]}')
  lines(fork(*run, f'--out={outs[0]}'))
  for file in (place / 'checkpoints').iterdir():
    file.write_bytes(b'')
  (shown, *_) = lines(fork(*run, f'--out={outs[1]}'))
  assert shown.endswith('after update 20')
  assert outs[0].read_bytes() == outs[1].read_bytes()
  shutil.rmtree(place / 'checkpoints')
  lines(fork(*run, f'--out={outs[1]}'))

  whole = (place / 'params.npz').read_bytes()
  for data in (b'', b'x', whole[:-30], whole[:100] + b'xxxx' + whole[104:]):
    (place / 'params.npz').write_bytes(data)
    (refusal,) = lines(fork(*run, f'--out={outs[1]}'), 2)
    assert 'cannot be read' in refusal
    assert refusal.endswith('; choose another run')


@pytest.mark.parametrize(
  'runs, words',
  [
    ([], 'its study has no runs; choose another'),
    ([{'optimizer': 3}], '--config.optimizer=3: unknown'),
    ([{}], 'error: '),
    ([{'optimizer': {}, 'model': 3}], 'error: '),
  ],
)
def test_a_study_without_runs_of_ours_is_refused(
  fork, trained, tmp_path, runs, words
):
  saved = json.loads((trained[0] / 'study.json').read_text())
  if runs and 'optimizer' in runs[0]:
    runs = [{**saved['runs'][0], **runs[0]}]
  (tmp_path / 'study.json').write_text(json.dumps({**saved, 'runs': runs}))
  (refusal,) = lines(
    fork('export', f'--workdir={tmp_path}', '--run=a', '--out=x.onnx'), 2
  )
  assert words in refusal


def test_a_diverged_run_is_told(fork, trained, tmp_path):
  path = tmp_path / 'study'
  shutil.copytree(trained[0], path)
  row = row_of(path, 'coupled', 4)
  file = path / 'populations' / row['population'] / 'runs.jsonl'
  rows = [json.loads(line) for line in file.read_text().splitlines()]
  for one in rows:
    one['status'] = 'diverged' if one['id'] == row['id'] else one['status']
  file.write_text(''.join(json.dumps(one) + '\n' for one in rows))
  out = f'--out={tmp_path / "x.safetensors"}'
  done = fork('export', f'--workdir={path}', f'--run={row["id"]}', out)
  assert f'{row["id"]}: diverged; its last finite weights' in done['stderr']


@pytest.mark.parametrize(
  'arguments, words',
  [
    (('--out=x.onnx',), ('--run: missing; nearest: --run=', 'choices: ')),
    (('--out=x.onnx', '--run=cuopled'), ('--run=cuopled: unknown; ',)),
    (('--out=x.onnx', '--run=coupled'), ('2 runs are so, one is needed; ',)),
    (
      ('--out=x.safetensors', '--run={rnn}'),
      ('torch.nn.LSTM is not simple_rnn', 'nearest: x.onnx'),
    ),
    (('--run={rnn}',), ('--out: missing; nearest: --out=model.onnx',)),
    (('--run={rnn}', '--out=x.pt'), ('--out=x.pt', 'nearest: x.onnx')),
    (('--run={rnn}', '--out={dir}.onnx'), ('is a directory; nearest: ',)),
    (('--run={rnn}', '--out=.'), ('is a directory; nearest: model.onnx',)),
    (('--run={rnn}', '--out=/'), ('is a directory; nearest: /model.onnx',)),
    (('--run={rnn}', '--out=..'), ('is a directory; nearest: ../model.onnx',)),
    (
      ('--run={rnn}', f'--out={"x" * 251}.onnx'),
      ('name too long; nearest: --out=model.onnx',),
    ),
    (
      ('--workdir={dir}', '--run={rnn}', '--out=x.onnx'),
      ('holds no study', '--workdir={dir}'),
    ),
  ],
)
def test_what_cannot_be_written_is_refused_in_a_line(
  fork, trained, tmp_path, arguments, words
):
  path, _ = trained
  (tmp_path / 'a.onnx').mkdir()
  row = row_of(path, 'simple_rnn', 3)
  places = {'rnn': row['id'], 'dir': str(tmp_path / 'a')}
  given = [word.format(**places) for word in (f'--workdir={path}', *arguments)]
  (refusal,) = lines(fork('export', *given), 2)
  for word in words:
    assert word.format(**places).lower() in refusal.lower()
  assert not list(conftest.REPOSITORY.glob('x.*'))


def test_nothing_can_be_written_where_the_system_refuses(fork, trained):
  path, _ = trained
  run = f'--run={row_of(path, "simple_rnn", 3)["id"]}'
  lines(fork('export', f'--workdir={path}', run, '--out=/proc/x/m.onnx'), 6)


def test_help_shows_the_flags(fork):
  done = fork('export', '--help')
  assert done['status'] == 0
  for flag in ('run', 'out', 'workdir'):
    assert f'\n  --{flag}: ' in done['stdout']


class Saved(NamedTuple):
  """A run that was stopped at update 3, without having been trained."""

  name: str
  architecture: models.Architecture
  params: Any


def save(path: pathlib.Path, **model: Any) -> Saved:
  """Make a study of one run with random weights."""
  config = conftest.tiny_config({f'model.{k}': v for k, v in model.items()})
  run = local.settings_lib.from_config(config)
  name = populations.split([run])[0].name
  with directory.open_study(
    str(path), 'one', config.to_dict(), {}, [run.config]
  ):
    place = path / 'populations' / (name + results.PARTIAL)
    place.mkdir()
  rng = np.random.default_rng(0)
  with jax.enable_x64(run.settings.dtype == 'float64'):
    shapes = population.describe_state(run.settings, [run.hyperparams])
  state = jax.tree.map(
    lambda leaf: rng.normal(size=leaf.shape).astype(leaf.dtype), shapes
  )
  checkpoint.save(
    place / resume.CHECKPOINTS,
    populations.split([run])[0].identity,
    states.named_leaves(state),
    checkpoint.Progress(3, 0.0, 0, '', ''),
    1,
  )
  params = jax.tree.map(lambda leaf: leaf[0], state.params)
  return Saved(
    populations.split([run])[0].run_names[0], run.settings.architecture, params
  )


@pytest.mark.parametrize(
  'suffix, model, words',
  [
    ('onnx', {'zoneout_h': 0.25}, 'zoneout_h=0.25: at test time'),
    ('safetensors', {'zoneout_c': 0.5}, 'zoneout_c=0.5: at test time'),
    ('onnx', {'layer_norm': True}, 'layer_norm=True: no operator'),
    ('onnx', {'variant': 'mgu'}, "cell='mgu': ONNX has no operator"),
    ('onnx', {'toggles.gate_recurrence': True}, 'gate_recurrence=True'),
    ('onnx', {'dtype': 'float64'}, 'has type float64'),
    ('safetensors', {'learned_carry': True}, 'learned_carry=True: torch'),
    ('safetensors', {'variant': 'noaf'}, 'torch.nn.LSTM has none such'),
    (
      'safetensors',
      {'residual': True, 'num_layers': 2},
      'residual=True: torch.nn.LSTM has none',
    ),
  ],
)
def test_models_that_others_cannot_have_are_refused(
  fork, tmp_path, suffix, model, words
):
  name = save(tmp_path / 'study', **model).name
  out = tmp_path / 'new' / f'model.{suffix}'
  (refusal,) = lines(
    fork(
      *('export', f'--workdir={tmp_path}/study', f'--run={name}'),
      f'--out={out}',
    ),
    2,
  )
  assert words in refusal
  assert 'nearest: ' in refusal or 'choices: ' in refusal
  assert not out.parent.exists()


def test_both_directions_go_to_either_file(fork, tmp_path):
  around = {'bidirectional': True, 'direct_connections': True}
  name = save(tmp_path / 'study', num_layers=2, **around).name
  command = ('export', f'--workdir={tmp_path}/study', f'--run={name}')
  shown = lines(fork(*command, f'--out={tmp_path}/model.onnx'))
  assert shown[0].endswith('after update 3')
  assert shown[-3].endswith('last_h [4, batch, 5]')
  shown = lines(fork(*command, f'--out={tmp_path}/model.safetensors'))
  stack = bridges.from_torch(tmp_path / 'model.safetensors', prefix='lstm.')
  assert stack.backward is not None and len(stack.backward) == 2
  assert shown[-5].split() == ['readout.weight', '[1,', '10]']
  assert shown[-3].split() == ['direct.weight', '[1,', '2]']


def test_what_is_around_the_layers_goes_too(fork, tmp_path):
  runtime = pytest.importorskip('onnxruntime')
  around = {'bidirectional': True, 'residual': True, 'learned_carry': True}
  saved = save(tmp_path / 'study', num_layers=2, **around)
  out = tmp_path / 'model.onnx'
  lines(
    fork(
      *('export', f'--workdir={tmp_path}/study', f'--run={saved.name}'),
      f'--out={out}',
    )
  )
  session = runtime.InferenceSession(
    str(out), providers=['CPUExecutionProvider']
  )
  (found,) = session.run(['outputs'], {'inputs': INPUTS})
  _, expected = jax.jit(models.apply_model, static_argnums=(1, 2))(
    saved.params, saved.architecture, lv.Toggles(), INPUTS
  )
  np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
