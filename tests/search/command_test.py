"""The command: its refusals in one line, what it and `status` say."""

import json
import shutil

import pytest

CONFIG = """
import lstm_variants as lv

def get_config(trials='4'):
  config = lv.default_config()
  config.update_from_flattened_dict({
    'task.length': 8,
    'model.hidden_features': 5,
    'model.recurrent_init': 'uniform',
    'training.batch_size': 4,
    'training.updates': 4,
    'training.evaluation_interval': 4,
    'training.evaluation_batches': 2,
    'training.stop_when_solved': False,
  })
  return config

def get_search(search, trials='4'):
  return search.space(
    {'config.optimizer.learning_rate': search.log_uniform(1e-3, 1e-1)},
    sampler='random',
    trials=int(trials),
    batch=2,
  )
"""


@pytest.fixture(scope='module')
def config(tmp_path_factory):
  path = tmp_path_factory.mktemp('config') / 'tiny.py'
  path.write_text(CONFIG)
  return path


@pytest.mark.parametrize(
  'arguments, words',
  [
    (['--config=studies/quickstart'], 'nearest: --config=studies/search'),
    (
      ['--config=studies/search', '--config.training.stop_when_solved=true'],
      'stop_when_solved=True: a generation would stop',
    ),
    (
      ['--config=studies/search', '--mirror=mysql://me:secret@host/db'],
      'has a password',
    ),
    (['--config=studies/search', '--resume'], 'nothing to go on with'),
  ],
)
def test_a_search_is_refused_in_a_line_and_nothing_is_written(
  fork, tmp_path, arguments, words
):
  done = fork('search', *arguments, f'--workdir={tmp_path / "s"}')
  (line,) = done['stderr'].splitlines()
  assert done['status'] in (2, 4) and words in line
  assert 'secret' not in line
  assert not (tmp_path / 's').exists()


def test_the_command_trains_goes_on_and_status_tells_how_far_it_is(
  fork, config, tmp_path
):
  place = f'--workdir={tmp_path / "s"}'
  done = fork('search', f'--config={config}', place)
  assert done['status'] == 0, done
  assert 'generation 2/2: 4/4 trials, best loss' in done['stdout']
  assert done['stdout'].splitlines()[-1].startswith('next: ')
  said = fork('status', place)['stdout']
  assert 'search: 4 of 4 trials asked for' in said
  assert 'compare' in said.splitlines()[-1]
  study = json.loads((tmp_path / 's/study.json').read_text())
  assert study['name'] == 'tiny'
  # More trials behind a colon; it was killed before it asked for them.
  shutil.copytree(tmp_path / 's', tmp_path / 'killed')
  study['search']['trials'] = 6
  (tmp_path / 'killed/study.json').write_text(json.dumps(study))
  said = fork('status', f'--workdir={tmp_path / "killed"}')['stdout']
  assert 'search: 4 of 6 trials asked for' in said
  assert '--resume' in said.splitlines()[-1]
  done = fork('search', f'--config={config}:6', place, '--resume')
  assert done['status'] == 0, done
  assert 'generation 3/3: 6/6 trials' in done['stdout']
