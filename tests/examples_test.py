"""The examples of docs/extending.md: each as a user would run it."""

import json
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
EXAMPLES = ROOT / 'examples'
# Each with the component that it registers.
MODULES = {
  'examples.majority': "task 'majority'",
  'examples.fixed_forget': "cell 'fixed_forget'",
  'examples.watched_output': "cell 'watched_output'",
  'examples.sign_momentum': "optimizer 'sign_momentum'",
}
IMPORT = f'--import={", ".join(MODULES)}'
MODELS = ('vanilla', 'fixed_forget', 'watched_output')
STUDY = (
  f'--config=examples/study.py:{",".join(MODELS)}',
  '--config.optimizer.name=sign_momentum',
  '--config.task.length=6',
  '--config.task.shortest_length=4',
  '--config.model.hidden_features=4',
  '--config.model.recurrent_init=uniform',
  '--config.training.batch_size=4',
  '--config.training.updates=8',
  '--config.training.stop_when_solved=false',
  '--config.training.evaluation_interval=2',
  '--config.training.evaluation_batches=2',
)


def finals(workdir: pathlib.Path) -> dict[str, dict]:
  """Return the row of each run, by its name."""
  rows = [
    json.loads(line)
    for file in sorted(workdir.glob('populations/*/runs.jsonl'))
    for line in file.read_text().splitlines()
  ]
  return {row['id']: row for row in rows}


@pytest.fixture(scope='module')
def run(fork):
  """`run(0, 'compare', …)` runs a program that ends with that status."""

  def run(status: int, *arguments: str) -> str:
    ended = fork(*arguments)
    assert ended['status'] == status, ended
    assert 'Traceback' not in ended['stderr']
    if status in (2, 4):
      assert ended['stderr'].count('\n') == 1 and not ended['stdout']
    return ended['stdout'] if status == 0 else ended['stderr']

  return run


@pytest.fixture(scope='module')
def workdir(run, tmp_path_factory) -> pathlib.Path:
  """The run directory of a study that was interrupted and gone on with."""
  workdir = tmp_path_factory.mktemp('examples') / 'study'
  place = f'--workdir={workdir}'
  interrupting = IMPORT + ',tests.interrupting'
  run(143, 'sweep', interrupting, *STUDY, place)
  assert not finals(workdir)
  run(0, 'sweep', IMPORT, *STUDY, place, '--resume')
  return workdir


def test_what_was_interrupted_ends_as_what_was_not(run, workdir, tmp_path):
  run(0, 'sweep', IMPORT, *STUDY, f'--workdir={tmp_path}')
  ended, undisturbed = finals(workdir), finals(tmp_path)
  assert list(ended) == list(undisturbed)
  assert len(ended) == 3 * len(MODELS)
  for name, row in ended.items():
    assert row['updates'] == 8
    for field in ('status', 'final', 'sequences_to_success'):
      assert row[field] == undisturbed[name][field]


def test_a_study_is_compared_without_its_modules(run, workdir):
  table = run(0, 'compare', f'--workdir={workdir}')
  assert 'majority-own-T6-from4-spread' in table
  assert all(model in table for model in MODELS)
  assert 'Tell at the last step whether most bits were ones' in table


def test_a_study_is_analysed(run, workdir):
  for figure, model in {
    'gradient_flow': MODELS[1],
    'lengths': MODELS[0],
  }.items():
    wanted = f'--figure={figure}', f'--models={model}'
    run(0, 'analyse', IMPORT, f'--workdir={workdir}', *wanted)
  names = {path.name for path in (workdir / 'figures').glob('*.svg')}
  label = 'majority-own-T6-from4-spread'
  assert {f'{label}-gradient_flow-shares.svg', f'{label}-lengths.svg'} <= names


def test_who_lacks_a_module_is_told_its_name_in_a_line(run, workdir):
  place = f'--workdir={workdir}'
  for missing, component in MODULES.items():
    others = f'--import={",".join(MODULES.keys() - {missing})}'
    refused = (
      f'error: {place}: its runs use the {component} of the module '
      f'{missing}; nearest: --import={missing}\n'
    )
    assert run(2, 'analyse', others, place) == refused
    assert run(2, 'sweep', others, *STUDY, place, '--resume') == refused
    assert run(2, 'export', others, place, '--out=x.onnx') == refused
  refused = run(2, 'train', *STUDY, f'{place}_2')
  assert (
    "study.py:vanilla,fixed_forget,watched_output: task.name='majority'"
    in (refused)
  )


def test_the_cell_with_a_gradient_of_its_own_is_taken(run):
  assert 'fused_forget' in run(
    0, 'list', 'cells', '--import=examples.fused_forget'
  )


def test_a_model_is_exported_or_refused_in_words(run, workdir, tmp_path):
  pytest.importorskip('onnx')
  for name in finals(workdir):
    if '_seed0_' in name:
      out = tmp_path / f'{name}.onnx'
      status = 2 if name.startswith('fixed_forget') else 0
      text = run(
        *(status, 'export', IMPORT, f'--workdir={workdir}', f'--run={name}'),
        f'--out={out}',
      )
      assert out.exists() == (status == 0)
      assert status == 0 or 'ONNX has no operator for it' in text


def test_a_task_is_shown(run, tmp_path):
  text = run(
    0,
    'show',
    '--import=examples.majority',
    '--task=majority',
    f'--out={tmp_path / "task.svg"}',
  )
  assert 'majority-own-T100: Tell at the last step whether' in text


@pytest.mark.parametrize(
  ('name', 'most'),
  [
    ('fixed_forget', 40),
    ('watched_output', 4),  # the import is one of them
    ('majority', 60),
    ('sign_momentum', 10),
  ],
)
def test_an_example_is_as_short_as_it_is_said_to_be(name, most):
  assert len(code_lines((EXAMPLES / f'{name}.py').read_text())) <= most


def code_lines(text: str) -> list[str]:
  """Return the lines below a module's docstring that are not blank."""
  below = text.split('"""', 2)[2]
  return [line for line in below.splitlines() if line.strip()]


def test_the_page_shows_the_examples_as_they_are():
  page = (ROOT / 'docs' / 'extending.md').read_text()
  blocks = re.findall(r'```python\n(.*?)```', page, re.DOTALL)
  # The script of docs/python.md plugs nothing in.
  files = {path.read_text() for path in EXAMPLES.glob('*.py')}
  assert files - set(blocks) == {(EXAMPLES / 'python.py').read_text()}
  assert set(blocks) <= files
