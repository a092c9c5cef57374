"""Compiled programs outlive their process, whole or not at all."""

import errno
import fcntl
import os
import pathlib
import time
import types

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


def test_a_damaged_program_is_compiled_anew_without_a_word(cache):
  kept_programs.keep()
  _compile()
  _end()
  for path in _kept(cache):
    path.write_bytes(path.read_bytes()[:-9])
  kept_programs.keep()
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
@pytest.mark.parametrize('above', [False, True])
def test_programs_that_others_could_plant_are_not_run(cache, mode, above):
  cache.mkdir(parents=True, mode=0o700)
  (cache.parent if above else cache).chmod(mode)
  kept_programs.keep()
  assert _in_use() is None


def test_without_a_place_nothing_is_kept(cache, tmp_path):
  (tmp_path / 'lstm_variants').write_text('a file of somebody')
  kept_programs.keep()
  assert _in_use() is None
  assert _compile() == 0


def test_the_directory_of_a_killed_process_goes(cache):
  kept_programs.keep()
  living, prefix = _own(), kept_programs._prefix()
  killed, young = (living.with_name(f'{prefix}{n}') for n in range(2))
  # Of another machine, whose lock may not be seen here.
  far, older = (living.with_name(f'process-far{n}-0') for n in range(2))
  for own in (killed, young, far, older):
    own.mkdir()
    (own / 'jit-cache').write_text('')
  now = time.time()
  for own in (killed, far):
    os.utime(own, (0, now - 2 * kept_programs._OLD))
  for own in (living, older):
    os.utime(own, (0, now - 2 * kept_programs._OLD_ELSEWHERE))
  kept_programs._tidy(cache)
  every = living, killed, young, far, older
  assert [own.exists() for own in every] == [True, False, True, True, False]


def test_one_process_tidies(cache, monkeypatch):
  cache.mkdir(parents=True)
  evicted = []
  monkeypatch.setattr(kept_programs, '_evict', evicted.append)
  descriptor = os.open(cache, os.O_RDONLY)
  fcntl.flock(descriptor, fcntl.LOCK_EX)
  kept_programs._tidy(cache)
  assert not evicted
  os.close(descriptor)
  kept_programs._tidy(cache)
  assert evicted == [cache]


def test_what_was_removed_stays_so_and_what_is_new_is_seen(cache):
  kept_programs.keep()
  _compile()
  kept_programs.share()
  for path in (first := _kept(cache)):
    path.unlink()
  (other := first[0].with_name('jit_other-cache')).write_bytes(b'')
  kept_programs.share()
  assert _kept(cache) == [other]
  assert (_own() / other.name).samefile(other)


def test_a_fork_leaves_the_directory_to_its_parent(cache, monkeypatch):
  kept_programs.keep()
  own, process = _own(), os.getpid()
  monkeypatch.setattr(os, 'getpid', lambda: process + 1)
  kept_programs._close()
  assert own.exists()
  monkeypatch.undo()


@pytest.mark.parametrize('missing', ['link', 'flock'])
def test_a_disk_that_cannot_link_or_lock_is_left_as_it_is(
  cache, monkeypatch, missing
):
  def refuse(*_):
    raise OSError(errno.ENOSYS, 'not here')

  monkeypatch.setattr(os if missing == 'link' else fcntl, missing, refuse)
  kept_programs.keep()
  assert _in_use() is None and not list(cache.glob('*/*'))


def test_a_limit_of_jax_own_stays(cache):
  jax.config.update('jax_compilation_cache_max_size', 1000)
  kept_programs.keep()
  jax.config.update('jax_compilation_cache_max_size', -1)
  assert _in_use() is None


@pytest.mark.parametrize('module', ['compression.zstd', 'zstandard'])
def test_the_other_compression_is_checked_by_what_jax_uses(monkeypatch, module):
  def decompress(data):
    if data.endswith(b'half'):
      raise ValueError('did not decompress full frame')
    return data

  def find(name):
    if name != module:
      raise ImportError(name)
    return types.SimpleNamespace(
      decompress=decompress,
      ZstdDecompressor=lambda: types.SimpleNamespace(decompress=decompress),
    )

  monkeypatch.setattr(kept_programs.importlib, 'import_module', find)
  start = kept_programs._ZSTANDARD
  assert kept_programs._is_whole(start + b'whole')
  assert not kept_programs._is_whole(start + b'half')


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
