"""The house: who may import whom, and how large things may grow."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
OURS = ('lstm_variants', 'experiments', 'configs', 'tests', 'benchmarks')
# Which parts a part may import, beside itself.
BELOW = {
  # The public names, lazily.
  'lstm_variants': {
    'cells',
    'export',
    'models',
    'modules',
    'tasks',
  },
  'bridges': {'cells', 'storage'},
  'export': {'bridges', 'cells', 'storage'},
  'cells': set(),
  'tasks': set(),
  'architecture': {'cells'},
  'models': {'architecture', 'cells'},
  'probes': {'architecture', 'cells'},
  'penalty': {'architecture', 'models', 'probes', 'cells'},
  'modules': {'models', 'cells'},
  'training': {
    'models',
    'penalty',
    'tasks',
    'cells',
    'results',
    'population_files',
    'directory',
    'storage',
    'console',
    'provenance',
  },
  'sweeps': {'training', 'results', 'directory', 'storage', 'console'},
  'directory': {'results', 'storage', 'console'},
  'population_files': {'results', 'storage'},
  'results': {'storage'},
  'storage': set(),
  'console': set(),
  'provenance': set(),
  'analysis': {
    'results',
    'storage',
    'architecture',
    'models',
    'probes',
    'cells',
    'tasks',
  },
  'evidence': {
    'analysis',
    'sweeps',
    'training',
    'results',
    'console',
    'cells',
    'tasks',
  },
  'tour': {
    'analysis',
    'evidence',
    'training',
    'results',
    'storage',
    'models',
    'tasks',
  },
  'claims': {'analysis', 'results', 'storage'},
  'experiments': {
    'bridges',
    'claims',
    'export',
    'sweeps',
    'training',
    'tasks',
    'results',
    'directory',
    'storage',
    'console',
    'analysis',
    'evidence',
    'tour',
  },
  'configs': set(),
  'benchmarks': {
    'lstm_variants',
    'training',
    'sweeps',
    'models',
    'tasks',
    'cells',
    'provenance',
    'configs',
  },
}
# The libraries that stay in a few places.
HOMES = {
  'ml_collections': {
    'lstm_variants/training/settings.py',
    'lstm_variants/sweeps/study.py',
    'lstm_variants/sweeps/trained.py',
    'experiments/command.py',
    'experiments/config_file.py',
    'experiments/sweep.py',
    'configs',
  },
  'onnx': {'lstm_variants/bridges/graph.py'},
  'absl': {'experiments', 'benchmarks'},
  'tensorboardX': {'lstm_variants/training/tensorboard.py'},
  'rich': {'lstm_variants/training/progress.py', 'lstm_variants/analysis'},
  'matplotlib': {
    'lstm_variants/analysis/best_trials_figures.py',
    'lstm_variants/analysis/figures.py',
    'lstm_variants/analysis/gate_statistics_figures.py',
    'lstm_variants/analysis/gates_figures.py',
    'lstm_variants/analysis/gradient_figures.py',
    'lstm_variants/analysis/importance_figures.py',
    'lstm_variants/analysis/lengths_figures.py',
    'lstm_variants/analysis/samples.py',
    'lstm_variants/analysis/sequence_axes.py',
    'lstm_variants/analysis/singular_value_figures.py',
    'lstm_variants/analysis/survival_figures.py',
    'lstm_variants/tour/canvas.py',
    'lstm_variants/tour/depth_figures.py',
    'lstm_variants/tour/gating_figures.py',
    'lstm_variants/tour/products_figures.py',
    'lstm_variants/tour/sequences_figures.py',
  },
  'scipy': {
    'lstm_variants/analysis/improvement.py',
    'lstm_variants/analysis/log_rank.py',
    'lstm_variants/analysis/paired.py',
    'lstm_variants/analysis/power.py',
    'lstm_variants/analysis/shares.py',
    'lstm_variants/analysis/statistics.py',
    'lstm_variants/analysis/survival.py',
  },
  'optuna': {'lstm_variants/analysis/importance.py'},
}
NO_JAX = (
  'lstm_variants/storage.py',
  'lstm_variants/directory.py',
  'lstm_variants/results.py',
  'lstm_variants/population_files.py',
  'lstm_variants/training/interrupt.py',
  'lstm_variants/analysis',
  'lstm_variants/tour',
)
# What computes with models.
WITH_JAX = {
  'lstm_variants/analysis/gates.py',
  'lstm_variants/analysis/gradient_flow.py',
  'lstm_variants/analysis/jacobians.py',
  'lstm_variants/analysis/lengths.py',
  'lstm_variants/analysis/singular_values.py',
  'lstm_variants/tour/depth.py',
  'lstm_variants/tour/gating.py',
  'lstm_variants/tour/picture.py',
  'lstm_variants/tour/sequences.py',
}
JAX = {'jax', 'flax', 'optax', 'chex', 'jaxlib'}


def _sources(*folders) -> list[pathlib.Path]:
  return sorted(
    path for folder in folders for path in (ROOT / folder).rglob('*.py')
  )


SOURCES = _sources('lstm_variants', 'experiments', 'configs', 'benchmarks')
TREES = {
  str(path.relative_to(ROOT)): ast.parse(path.read_text()) for path in SOURCES
}


def _imports(tree: ast.AST) -> list[str]:
  """Return the dotted names that a file imports, `from` ones in full."""
  names = []
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      names += [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
      assert not node.level, 'imports are absolute'
      names += [f'{node.module}.{alias.name}' for alias in node.names]
  return names


def _part(name: str) -> str | None:
  """Return the part of ours that a dotted name belongs to."""
  words = name.removesuffix('.py').replace('/', '.').split('.')
  if words[0] != 'lstm_variants':
    return words[0] if words[0] in OURS else None
  return words[1] if len(words) > 1 and words[1] in BELOW else words[0]


def _is_in(file: str, places) -> bool:
  return any(file == place or file.startswith(place + '/') for place in places)


def test_the_files_are_found():
  assert {_part(file) for file in TREES} == set(BELOW)
  assert len(TREES) > 25


@pytest.mark.parametrize('file', TREES)
def test_imports_point_down_only(file):
  part = _part(file) or ''
  for name in _imports(TREES[file]):
    imported = _part(name)
    if imported not in (None, part):
      assert imported in BELOW[part], f'{file} imports {name}'


@pytest.mark.parametrize('file', TREES)
def test_libraries_stay_in_their_places(file):
  for name in _imports(TREES[file]):
    places = HOMES.get(name.split('.')[0])
    assert places is None or _is_in(file, places), f'{file} imports {name}'


@pytest.mark.parametrize(
  'file', [f for f in TREES if _is_in(f, NO_JAX) and f not in WITH_JAX]
)
def test_reading_results_needs_no_jax(file):
  assert not {name.split('.')[0] for name in _imports(TREES[file])} & JAX


def test_statistics_import_nothing_of_ours():
  tree = TREES['lstm_variants/analysis/statistics.py']
  assert not any(map(_part, _imports(tree)))


def test_configs_never_import_the_package():
  for file, tree in TREES.items():
    if file.startswith('configs/'):
      assert {_part(name) for name in _imports(tree)} <= {'configs', None}


def test_flags_are_read_only_in_main():
  for file, tree in TREES.items():
    uses = [
      node
      for node in ast.walk(tree)
      if isinstance(node, ast.Attribute) and node.attr == 'FLAGS'
    ]
    assert not uses or file.startswith('experiments/'), file


@pytest.mark.parametrize('file', TREES)
def test_nothing_private_or_experimental_of_jax_is_used(file):
  for node in ast.walk(TREES[file]):
    if isinstance(node, ast.Attribute):
      assert ast.unparse(node) not in ('jax._src', 'jax.experimental')
  for name in _imports(TREES[file]):
    words = name.split('.')
    if words[0] in JAX:
      assert 'experimental' not in words, f'{file} imports {name}'
      assert not any(word.startswith('_') for word in words[1:]), name


@pytest.mark.parametrize('file', TREES)
def test_nothing_is_unpickled_evaluated_or_executed(file):
  tree = TREES[file]
  banned = {'pickle', 'cloudpickle', 'dill', 'joblib', 'marshal', 'shelve'}
  assert not {name.split('.')[0] for name in _imports(tree)} & banned
  for node in ast.walk(tree):
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
      assert node.func.id not in ('eval', 'exec', '__import__'), file
    if isinstance(node, ast.keyword) and node.arg == 'allow_pickle':
      assert ast.unparse(node.value) == 'False', file


@pytest.mark.parametrize('path', SOURCES, ids=lambda path: path.name)
def test_no_file_has_more_than_320_lines(path):
  assert len(path.read_text().splitlines()) <= 320


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
  return (node.end_lineno or 0) - node.lineno + 1


# A config is one list of fields.
@pytest.mark.parametrize('file', [f for f in TREES if _part(f) != 'configs'])
def test_no_function_has_more_than_60_lines_or_nests_deeply(file):
  for node in ast.walk(TREES[file]):
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
      assert _length(node) <= 60, f'{file}: {node.name}'
      for inner in ast.walk(node):
        if isinstance(inner, ast.FunctionDef) and inner is not node:
          deeper = [
            n for n in ast.walk(inner) if isinstance(n, ast.FunctionDef)
          ]
          assert deeper == [inner], f'{file}: {node.name}'
