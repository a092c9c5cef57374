"""The configs of the house, by name."""

import pathlib
import shutil
import sys

import pytest

import lstm_variants as lv
from lstm_variants.config import builtin, settings, source
from lstm_variants.config import grid as hyper

ROOT = pathlib.Path(__file__).parents[2]


def test_every_file_below_configs_has_a_name():
  paths = (ROOT / 'configs').rglob('*.py')
  files = {str(path.relative_to(ROOT / 'configs')) for path in paths}
  packages = {'__init__.py', 'studies/__init__.py', 'published/__init__.py'}
  assert {f'{name}.py' for name in builtin.names()} == files - packages
  assert {'adding', 'studies/quickstart', 'published/hs97'} < set(
    builtin.names()
  )


def test_a_name_leads_to_its_file_from_any_directory(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  for name in builtin.names():
    assert builtin.find(name) == ROOT / 'configs' / f'{name}.py'
    assert len(builtin.sentence(name)) > 20


def test_a_file_of_ones_own_wins(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'configs').mkdir()
  (tmp_path / 'configs/adding.py').write_text('')
  (tmp_path / 'copy').write_text('')
  (tmp_path / 'base').mkdir()  # no file
  for path in ('configs/adding.py', 'copy'):
    assert builtin.find(path) == pathlib.Path(path)
  assert builtin.find('base') == ROOT / 'configs/base.py'


@pytest.mark.parametrize(
  'path', ['', '.', '..', '../configs/adding', '__init__', 'studies', '/etc/x']
)
def test_nothing_but_the_configs_is_found_by_name(path, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  assert builtin.find(path) is None


@pytest.mark.parametrize(
  'wrong, close',
  [
    ('ading', 'adding'),
    ('configs/adding.py', 'adding'),
    ('configs/studies/quickstart.py', 'studies/quickstart'),
    ('quickstart', 'studies/quickstart'),
    ('hs97', 'published/hs97'),
    ('variant', 'studies/variants'),
    ('studies/quikstart', 'studies/quickstart'),
    ('zzzz', None),
  ],
)
def test_the_nearest_name_is_told(wrong, close, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  assert builtin.nearest(wrong) == close
  with pytest.raises(source.SourceError, match='no such file') as error:
    source.load_module(wrong)
  assert str(error.value).endswith(f'--config={close}') == bool(close)


@pytest.mark.parametrize('name', builtin.names())
def test_a_copy_makes_the_same_runs_beside_other_configs(
  name, tmp_path, monkeypatch
):
  """Where `configs` and `experiments` are somebody else's."""
  monkeypatch.chdir(tmp_path)
  copy = tmp_path / 'copy_of_it.py'
  shutil.copy(builtin.folder() / f'{name}.py', copy)
  assert (
    'configs'
    not in (builtin.folder() / f'{name}.py').read_text().split('"""')[2]
  ), 'a copy can import lstm_variants only'
  original = source.load_module(name)
  module = source.load_module(str(copy))
  chosen = next(iter(getattr(module, 'EXPERIMENTS', [''])))
  argument = (chosen,) if chosen else ()
  config = module.get_config(*argument)
  assert config.to_dict() == original.get_config(*argument).to_dict()
  if hasattr(module, 'get_hyper'):
    grid = module.get_hyper(hyper, *argument)
    assert grid and grid == original.get_hyper(hyper, *argument)
  else:
    settings.from_config(config)


def test_a_config_of_a_clone_is_told_what_to_import_elsewhere(
  tmp_path, monkeypatch
):
  monkeypatch.chdir(tmp_path)
  monkeypatch.setitem(sys.modules, 'configs', None)  # as if there were none
  (tmp_path / 'old.py').write_text('from configs import base\n')
  with pytest.raises(source.SourceError, match=r'lv\.default_config'):
    source.load_module('old.py')


def test_the_default_config_is_public_and_anew_each_time():
  config = lv.default_config()
  config.seed = 7
  assert lv.default_config().seed == 0
  assert source.load_module('base').get_config() == lv.default_config()
