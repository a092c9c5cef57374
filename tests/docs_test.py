"""The papers of the house: generated pages are fresh, README's commands run."""

import ast
import itertools
import math
import pathlib
import re
import runpy
import shlex
from typing import Any

import numpy as np
import pytest

from configs.studies import cells as cells_study
from configs.studies import gradient_penalty, thousand_steps, timed_spikes
from configs.studies import tasks as tasks_study
from configs.studies import variants as variants_study
from docs import hero
from lstm_variants import cells, claims, models, tasks
from lstm_variants.cells import variants
from lstm_variants.claims import page as claims_page
from lstm_variants.launch import local
from lstm_variants.report import write as report
from tests import conftest, readme
from tests.report import study_fixture as fixture

ROOT = pathlib.Path(__file__).parents[1]
README = readme.TEXT

PAGES = (
  'README.md',
  'CONTRIBUTING.md',
  *sorted(
    str(path.relative_to(ROOT)) for path in (ROOT / 'docs').rglob('*.md')
  ),
)
# Files that a page names for what they are not there.
EXAMPLES = {'configs/missing.py'}


@pytest.mark.parametrize('name', ['variants.md', 'tasks.md', 'config.md'])
def test_generated_page_is_what_the_registries_say(name):
  pages = runpy.run_path(str(ROOT / 'docs' / 'generate.py'))['PAGES']
  assert (ROOT / 'docs' / name).read_text() == pages[name](), 'run: make docs'


def test_architecture_names_files_and_functions_that_exist():
  reading = runpy.run_path(str(ROOT / 'docs' / 'reading.py'))
  page = (ROOT / 'docs' / 'architecture.md').read_text()
  named = re.findall(r'`([\w/]+\.py)(?::([\w.]+))?`', page)
  assert len(named) > 40
  for file, name in named:
    path = reading['place'](file)
    assert path.is_file(), file
    known = _defined(ast.parse(path.read_text()).body)
    assert not name or name in known, f'{file}:{name}'


def _defined(body: list[ast.stmt], prefix: str = '') -> set[str]:
  """Return the functions and classes of a file, and methods as Class.method."""
  names = set()
  for node in body:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
      names.add(prefix + node.name)
      names |= _defined(node.body, f'{prefix}{node.name}.')
  return names


def test_the_reading_order_is_an_evening_and_as_long_as_it_says():
  reading = runpy.run_path(str(ROOT / 'docs' / 'reading.py'))
  page = (ROOT / 'docs' / 'architecture.md').read_text()
  rows = re.findall(r'^\| \d+ \| `([\w/.]+)`(.*?) \| (\d+) \|', page, re.M)
  parts = reading['READING']
  assert [row[0] for row in rows] == [part.file for part in parts], 'make docs'
  lengths = [reading['count'](part) for part in parts]
  assert sum(lengths) < 2200
  for part, (_, names, lines), length in zip(parts, rows, lengths, strict=True):
    assert re.findall(r'`([\w.]+)`', names) == list(part.names), (
      'run: make docs'
    )
    # A line more or less is no reason to write the page anew.
    assert abs(int(lines) - length) <= 5 + length // 10, 'run: make docs'


def test_the_picture_of_imports_has_the_imports_of_now():
  imports = runpy.run_path(str(ROOT / 'docs' / 'imports.py'))
  edges = imports['imports']()
  drawn = set(re.findall(r'id="(import-[^"]+)"', imports['FIGURE'].read_text()))
  arrows = imports['reduced'](edges)
  assert drawn == {
    imports['arrow_id'](name, other)
    for name, others in arrows.items()
    for other in others
  }, 'run: make docs'
  # What is left out follows from what is drawn, and arrows point down only.
  depth = {
    name: number
    for number, row in enumerate(imports['layers']())
    for name in row
  }
  for name, others in edges.items():
    reached, new = set(), set(arrows[name])
    while new:
      reached |= new
      new = {one for name in new for one in arrows[name]} - reached
    assert others <= reached
    assert all(depth[name] < depth[other] for other in others)


def test_study_of_all_variants_names_every_variant():
  assert list(variants_study.VARIANTS) == list(variants.VARIANTS)


def test_readme_is_below_200_lines():
  assert len(README.splitlines()) < 200


def test_readme_leaves_no_placeholder():
  assert not re.findall(r'\b[A-Z0-9]+_[A-Z_]+\b', README)


def test_readme_links_lead_to_files():
  links = re.findall(r'\]\(([^)#:]+)\)', README)
  assert links
  missing = [link for link in links if not (ROOT / link).exists()]
  assert not missing


@pytest.mark.parametrize('page', PAGES)
def test_files_that_a_page_names_exist(page):
  places = ROOT, ROOT / 'lstm_variants', ROOT / 'docs'
  text = (ROOT / page).read_text()
  named = set(re.findall(r'`([\w-]+(?:/[\w-]+)+\.(?:py|md|svg))\b', text))
  missing = {
    name
    for name in named - EXAMPLES
    if not any((place / name).is_file() for place in places)
  }
  assert not missing


def test_readme_python_examples_run(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  study, cells_alone, _ = readme.blocks('python')
  shorter = study.replace("'seed': [0, 1, 2]", "'seed': [0], **SHORT")
  assert shorter != study
  short = {'updates': 2, 'evaluation_batches': 1, 'batch_size': 4}
  scope: dict[str, Any] = {
    'SHORT': {f'training.{name}': [value] for name, value in short.items()}
  }
  for block in (shorter, cells_alone):
    exec(compile(block, 'README.md', 'exec'), scope)
  assert len(scope['study'].runs) == 2
  assert scope['hiddens'].shape == (16, 100, 32)
  batch = scope['batch']
  again = scope['task'].loss(scope['model'](batch.inputs), batch)
  assert float(again) < float(scope['loss'])


@pytest.mark.parametrize('target', ['compare', 'test', 'docs'])
def test_readme_make_commands_are_targets(target):
  assert ['make', target] in readme.commands('make')
  shown = conftest.run_quickly('make', '--dry-run', target)
  assert shown.returncode == 0, shown.stderr


def test_ci_runs_the_test_command_and_nothing_else():
  lines = (ROOT / '.ci' / 'run').read_text().splitlines()
  commands_run = [line for line in lines if line and line[0] != '#']
  assert commands_run[-1] == 'make test'
  assert all(line.startswith(('set ', 'cd ')) for line in commands_run[:-1])
  workflow = (ROOT / '.github' / 'workflows' / 'test.yml').read_text()
  assert re.findall(r'run: (.*)', workflow) == ['make test']


def _run(fork, words: list[str], *more: str) -> str:
  """Run `python -m experiments.NAME …`; return what it prints."""
  assert words[1] == '-m', words
  done = fork(words[2].removeprefix('experiments.'), *words[3:], *more)
  assert done['status'] == 0, (words, done['stderr'])
  return done['stdout']


def test_quickstart_of_make_compare_trains_and_reports(fork, tmp_path):
  """The commands behind `make compare`, in small."""
  shown = conftest.run_quickly(
    'make', '--dry-run', 'compare', f'WORKDIR={tmp_path}/run'
  ).stdout
  lines = shown.replace('\\\n', ' ').splitlines()
  steps = [shlex.split(line) for line in lines if 'experiments.' in line]
  assert [step[2] for step in steps] == [
    'experiments.sweep',
    'experiments.analyse',
    'experiments.compare',
  ]
  # Sizes are part of the study's grid; what is left to shorten is the training.
  shorter = [flag for flag in readme.SHORT if 'hidden_features' not in flag]
  sweep, analyse, compare = steps
  _run(fork, sweep, *shorter)
  # One figure of one model, as each takes seconds of compiling.
  fewer = ('--models=coupled', '--tasks=adding-urnn16-T50')
  _run(fork, analyse, *fewer, '--figure=gradient_flow')
  printed = _run(fork, compare)
  for model in ('vanilla', 'peephole', 'coupled', 'simple_rnn'):
    assert printed.count(model) >= 2, printed  # on both tasks
  page = (tmp_path / 'run' / 'report.html').read_text()
  assert 'How much of the error arrives' in page
  assert set(hero.loss_curves(tmp_path / 'run')) == set(hero.MODELS)
  xs, exponents = hero.lag_curves(tmp_path / 'run')['coupled']
  assert xs[-1] == 49 and len(exponents) == 5


def test_the_figure_of_the_readme_tells_what_is_left_at_the_end(
  monkeypatch, tmp_path
):
  lags = tmp_path / hero.LAGS
  lags.parent.mkdir()
  lines = ['model,update,state,seed,lag,log10_norm']
  for model, last in zip(hero.MODELS, (0, 0.5, 1, -12), strict=True):
    for update, state, seed, lag in itertools.product(
      (0, 100), 'ch', (0, 1, 2), (0, 7)
    ):
      right = update and state == ('h' if model == 'simple_rnn' else 'c')
      norm = last + (seed == 2) if lag and right else 0 if right else 9
      lines.append(f'{model},{update},{state},{seed},{lag},{norm}')
  lags.write_text('\n'.join(lines))
  losses = np.array([0.0, 1.0]), np.array([[1.0, 0.1], [1.0, 0.2]])
  monkeypatch.setattr(
    hero, 'loss_curves', lambda workdir: dict.fromkeys(hero.MODELS, losses)
  )
  hero.main([str(tmp_path), str(tmp_path / 'hero.svg')])
  drawn = (tmp_path / 'hero.svg').read_text()
  assert 'LSTMs: 1 to 10 after 7 steps' in drawn
  assert 'simple RNN: 10⁻¹² after 7 steps' in drawn


def test_the_overview_has_a_row_a_task_and_the_numbers_of_compare(tmp_path):
  fixture.write(tmp_path, fixture.example())
  rows = report.write(str(tmp_path), 'vanilla').rows
  page = runpy.run_path(str(ROOT / 'docs' / 'overview.py'))
  lines = [line for line in page['overview'](str(tmp_path)) if line]
  for task in fixture.TASKS:
    (line,) = [line for line in lines if line.startswith(f'| {task} |')]
    for row in rows:
      if row.task == task:
        assert f'{row.solved}/{row.runs}' in line
        assert f'; {row.loss.estimate:.3g}' in line
        if row.solved:
          median = row.median.estimate
          shown = f'{median:,.0f}' if math.isfinite(median) else '> budget'
          assert f', {shown} [' in line


def test_the_table_of_models_shows_the_best_setting_of_each(tmp_path):
  fixture.write(tmp_path, fixture.example())
  rows = report.write(str(tmp_path), 'vanilla').rows
  page = runpy.run_path(str(ROOT / 'docs' / 'overview.py'))
  header, _, *lines = page['models'](str(tmp_path))
  tasks_shown = header.strip('| ').split(' | ')[1:]
  assert set(tasks_shown) == {row.task for row in rows}
  assert len(lines) == len({row.model for row in rows})
  for line in lines:
    model, *reached = line.strip('| ').split(' | ')
    for task, words in zip(tasks_shown, reached, strict=True):
      own = [row for row in rows if (row.task, row.model) == (task, model)]
      if not own:
        assert words == '—'
        continue
      solved = max(row.solved for row in own)
      loss = min(
        row.loss.estimate if math.isfinite(row.loss.estimate) else math.inf
        for row in own
        if row.solved == solved
      )
      assert words.startswith(f'{solved}/')
      assert f'; {loss:.3g}; ' in words


def test_every_cell_has_as_many_parameters_as_can_be():
  runs = local.expand(cells_study.get_config(), cells_study.get_hyper)
  used = {run.settings.cell for run in runs}
  assert used == set(cells.CELLS)
  tasks_used = {run.settings.task.name for run in runs}
  assert tasks_used == {'adding', 'copy', 'selective_copying', 'parity'}
  wanted = {
    run.settings.task.name: _count(run)
    for run in runs
    if run.model == 'vanilla'
  }
  # One for each rate and seed, which are no parameters.
  for run in {
    (run.model, run.settings.task.name): run for run in runs
  }.values():
    if run.settings.cell in ('echo_state', 'delta_rule', 'mlstm'):
      continue
    target = wanted[run.settings.task.name]
    distance = abs(_count(run) - target)
    assert distance < 0.06 * target
    width = run.settings.hidden_features
    for other in (width - 4, width - 1, width + 1, width + 4):
      sizes = run.settings.architecture._replace(hidden_features=other)
      cell = cells.CELLS[sizes.cell]
      if sizes.cell == 'clockwork' and other % cell.settings.groups:
        continue
      count = models.count_params(sizes, run.hyperparams.toggles)
      assert abs(count - target) >= distance, (run.model, width, other)


def _count(run):
  sizes, toggles = run.settings.architecture, run.hyperparams.toggles
  return models.count_params(sizes, toggles)


def test_the_study_of_every_task_has_every_task():
  runs = local.expand(tasks_study.get_config(), tasks_study.get_hyper)
  assert {run.settings.task.name for run in runs} == set(tasks.DIALECTS)
  models = {run.model for run in runs}
  assert models == {'vanilla', 'peephole', 'coupled', 'simple_rnn'}


def test_the_page_of_faults_begins_with_what_is_written_by_hand():
  text = (ROOT / 'docs/reliability.md').read_text()
  assert text.startswith(
    (ROOT / 'tests/faults/introduction.md').read_text().rstrip()
  )


def test_the_page_of_results_has_a_verdict_for_every_claim():
  text = (ROOT / 'docs/results.md').read_text()
  table = text.partition(claims_page.BEGIN)[2].partition(claims_page.END)[0]
  assert table.count('\n| `') == len(claims.CLAIMS)
  assert 'not run yet' not in table


def test_the_other_studies_are_what_they_say():
  runs = local.expand(thousand_steps.get_config(), thousand_steps.get_hyper)
  assert all(run.settings.task.length == 1000 for run in runs)
  assert {run.model for run in runs} == {'vanilla', 'simple_rnn'}
  runs = local.expand(gradient_penalty.get_config(), gradient_penalty.get_hyper)
  assert {run.hyperparams.gradient_penalty for run in runs} == {0.0, 2.0}
  assert {run.settings.task.length for run in runs} == {50, 100}
  runs = local.expand(timed_spikes.get_config(), timed_spikes.get_hyper)
  assert {run.settings.hidden_features for run in runs} == {1, 4}
  assert {run.settings.task_fields.period for run in runs} == {10, 30}
