"""Compiled programs outlive their process, whole or not at all."""

import os
import pathlib
import time

import jax
from jax.experimental.compilation_cache import compilation_cache
import pytest

from lstm_variants.training import kept_programs

_HIT = '/jax/compilation_cache/cache_hits'
_DIRECTORY = 'jax_compilation_cache_dir'
_SHORTEST = 'jax_persistent_cache_min_compile_time_secs'
_BESIDE = 'jax_persistent_cache_enable_xla_caches'


@pytest.fixture
def cache(tmp_path, monkeypatch):
  """Have JAX keep nothing yet; the user's cache is empty."""
  names = _DIRECTORY, _SHORTEST, _BESIDE
  before = {name: getattr(jax.config, name) for name in names}
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
  # As is set for the whole suite, and so that the smallest is kept.
  monkeypatch.setenv(_SHORTEST.upper(), '0')
  jax.config.update(_DIRECTORY, None)
  _end()
  yield tmp_path / 'lstm_variants' / 'programs'
  _end()
  for name, value in before.items():
    jax.config.update(name, value)
  compilation_cache.reset_cache()


def _end() -> None:
  """Forget what a process forgets when it ends."""
  kept_programs._close()
  kept_programs._State.place = None
  jax.config.update(_DIRECTORY, None)
  compilation_cache.reset_cache()
  jax.clear_caches()


def _compile() -> int:
  """Compile a program; return how many were taken from the cache for it."""
  hits = []

  def listen(event: str, **_) -> None:
    hits.append(event == _HIT)

  jax.monitoring.register_event_listener(listen)
  assert jax.jit(lambda x: x * 17 + 1)(2) == 35
  jax.monitoring.unregister_event_listener(listen)
  return sum(hits)


def _own() -> pathlib.Path:
  """Return the directory of this process."""
  place = kept_programs._State.place
  assert place is not None
  return place.own


def _in_use() -> str | None:
  """Return where JAX keeps programs."""
  return getattr(jax.config, _DIRECTORY)


def _kept(directory: pathlib.Path) -> list[pathlib.Path]:
  return sorted(directory.glob('*/*-cache'))


def test_a_later_process_takes_what_an_earlier_one_compiled(cache):
  kept_programs.keep()
  assert _compile() == 0
  _end()
  assert _kept(cache) and not list(cache.glob('*/process-*'))
  kept_programs.keep()
  assert _compile() > 0


def test_others_have_it_while_it_goes_on(cache):
  kept_programs.keep()
  _compile()
  assert not _kept(cache)
  kept_programs.share()
  assert _kept(cache)


def test_a_damaged_program_is_compiled_anew(cache):
  kept_programs.keep()
  _compile()
  _end()
  for path in _kept(cache):
    path.write_bytes(path.read_bytes()[:-9])
  kept_programs.keep()
  with pytest.warns(UserWarning, match='Error reading persistent'):
    assert _compile() == 0


def test_half_a_program_is_never_shared(cache):
  kept_programs.keep()
  _compile()
  own = _own()
  for path in own.glob('*-cache'):
    path.write_bytes(path.read_bytes()[:-9])
  _end()
  assert not _kept(cache)


def test_a_choice_of_the_user_stays(cache, tmp_path):
  jax.config.update(_DIRECTORY, str(tmp_path / 'mine'))
  kept_programs.keep()
  assert _in_use() == str(tmp_path / 'mine')
  jax.config.update(_DIRECTORY, None)
  jax.config.update('jax_enable_compilation_cache', False)
  kept_programs.keep()
  jax.config.update('jax_enable_compilation_cache', True)
  assert _in_use() is None and not cache.exists()


@pytest.mark.parametrize('mode', [0o777, 0o770])
def test_programs_that_others_could_plant_are_not_run(cache, mode):
  cache.mkdir(parents=True)
  cache.chmod(mode)
  kept_programs.keep()
  assert _in_use() is None


def test_without_a_place_nothing_is_kept(cache, tmp_path):
  (tmp_path / 'lstm_variants').write_text('a file of somebody')
  kept_programs.keep()
  assert _in_use() is None
  assert _compile() == 0


def test_the_directory_of_a_killed_process_goes(cache):
  kept_programs.keep()
  living = _own()
  killed, young = (living.with_name(f'process-{n}') for n in range(2))
  for own in (killed, young):
    own.mkdir()
    (own / 'jit-cache').write_text('')
  for own in (living, killed):
    os.utime(own, (0, time.time() - 2 * kept_programs._OLD))
  kept_programs._tidy(cache)
  assert [own.exists() for own in (living, killed, young)] == [
    True,
    False,
    True,
  ]


def test_what_was_used_least_lately_goes(cache, monkeypatch):
  folder = cache / '0123'
  folder.mkdir(parents=True)
  for number in range(8):
    path = folder / f'jit_{number}-cache'
    path.write_bytes(bytes(100))
    os.utime(path, (number, 0))
  monkeypatch.setattr(kept_programs, '_LIMIT', 799)
  kept_programs._tidy(cache)
  assert [path.name[4] for path in _kept(cache)] == ['5', '6', '7']
