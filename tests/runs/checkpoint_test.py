"""Checkpoints: whole or not there, and nothing but what was saved is used."""

import errno
import hashlib
import json
import os
import pathlib
import pickle
import re
import time
import tracemalloc
from typing import Any

import jax
import numpy as np
import pytest
import safetensors

from lstm_variants.runs import checkpoint, files
from lstm_variants.training import states

IDENTITY = 'f00d'
STATE = {
  'params': {'kernel': np.arange(24, dtype=np.float32).reshape(2, 3, 4)},
  'opt_state': (np.zeros(2, np.int32), [np.full((2, 5), 1 / 3, np.float64)]),
  'none': None,
  'empty': np.zeros((2, 0), np.float32),
}


def _save(directory, update=100, state: Any = STATE, identity=IDENTITY, keep=9):
  digest = hashlib.sha256(b'rows').hexdigest()
  progress = checkpoint.Progress(update, 1.5, 4, digest, 'jax 0 on a cpu')
  arrays = states.named_leaves(state)
  checkpoint.save(directory, identity, arrays, progress, keep)
  return directory / f'{update:09}.safetensors'


def _load(directory, warn=None, template: Any = STATE, identity=IDENTITY):
  def unexpected(text):
    raise AssertionError(text)

  expected = states.expected(template)
  saved = checkpoint.load(directory, identity, expected, warn or unexpected)
  return saved and (states.restore(template, saved[0]), saved[1])


def _refusal(directory, template: Any = STATE) -> str:
  with pytest.raises(checkpoint.CheckpointError) as info:
    _load(directory, template=template)
  message = str(info.value)
  assert '\n' not in message and '--overwrite' in message
  assert len(message) < 600
  return message


def _assert_state(found) -> None:
  state, progress = found
  assert jax.tree.structure(state) == jax.tree.structure(STATE)
  for one, two in zip(
    jax.tree.leaves(state), jax.tree.leaves(STATE), strict=True
  ):
    assert one.dtype == two.dtype
    np.testing.assert_array_equal(one, two)
  assert progress[1:3] == (1.5, 4)


def test_what_is_saved_comes_back(tmp_path):
  path = _save(tmp_path / 'checkpoints')
  found = _load(tmp_path / 'checkpoints')
  assert found is not None
  _assert_state(found)
  assert found[1].update == 100
  assert os.listdir(tmp_path / 'checkpoints') == [path.name]


def test_shapes_are_template_enough(tmp_path):
  _save(tmp_path)
  template = jax.tree.map(
    lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), STATE
  )
  _assert_state(_load(tmp_path, template=template))


def test_other_tools_can_open_it(tmp_path):
  path = _save(tmp_path)
  with safetensors.safe_open(path, framework='numpy') as file:
    assert set(file.keys()) == {
      'params/kernel',
      'opt_state/0',
      'opt_state/1/0',
      'empty',
    }
    assert json.loads(file.metadata()['lstm_variants'])['update'] == 100


def test_nothing_saved_is_nothing_found(tmp_path):
  assert _load(tmp_path) is None
  assert _load(tmp_path / 'nowhere') is None


def test_the_newest_are_kept_and_the_newest_is_used(tmp_path):
  for update in (100, 200, 1000, 1100):
    _save(tmp_path, update, keep=2)
  assert sorted(os.listdir(tmp_path)) == [
    '000001000.safetensors',
    '000001100.safetensors',
  ]
  found = _load(tmp_path)
  assert found is not None and found[1].update == 1100
  every = checkpoint.load_all(tmp_path, IDENTITY, states.expected(STATE))
  assert [progress.update for _, progress in every] == [1000, 1100]


# Damage.


def _damaged(tmp_path, data: bytes) -> str:
  """Return the warning when the newer of two checkpoints is replaced."""
  older, newer = _save(tmp_path, 100), _save(tmp_path, 200)
  newer.write_bytes(data)
  warnings: list[str] = []
  found = _load(tmp_path, warnings.append)
  assert found is not None and found[1].update == 100
  _assert_state(found)
  (warning,) = warnings
  assert str(newer) in warning and older.name in warning
  older.unlink()
  _refusal(tmp_path)
  return warning


def test_a_file_cut_anywhere_is_detected(tmp_path):
  whole = _save(tmp_path, 200).read_bytes()
  cuts = {len(whole) * part // 20 for part in range(20)}
  for size in sorted({*cuts, 7, 8, 9, len(whole) - 1}):
    _damaged(tmp_path, whole[:size])


def test_one_bit_flipped_anywhere_is_detected(tmp_path):
  whole = _save(tmp_path, 200).read_bytes()
  random = np.random.default_rng(0)
  bits = random.choice(8 * len(whole), 400, replace=False)
  for bit in bits.tolist():
    data = bytearray(whole)
    data[bit // 8] ^= 1 << bit % 8
    _damaged(tmp_path, bytes(data))


def test_every_bit_of_the_header_counts(tmp_path):
  whole = _save(tmp_path, 200).read_bytes()
  size = 8 + int.from_bytes(whole[:8], 'little')
  _save(tmp_path, 100).unlink()
  path = tmp_path / '000000200.safetensors'
  for position in range(size):
    data = bytearray(whole)
    data[position] ^= 1 << position % 8
    path.write_bytes(data)
    with pytest.raises(checkpoint.CheckpointError):
      _load(tmp_path)


@pytest.mark.parametrize(
  'data', [b'', b'\0', b'\0' * 4096, b'{}', os.urandom(5000)]
)
def test_another_file_in_its_place_is_detected(tmp_path, data):
  assert 'is no checkpoint' in _damaged(tmp_path, data)


def test_more_bytes_than_were_saved_are_detected(tmp_path):
  whole = _save(tmp_path, 200).read_bytes()
  assert 'damaged' in _damaged(tmp_path, whole + b'\0')


def test_swapped_checkpoints_are_detected(tmp_path):
  one, two = _save(tmp_path, 100), _save(tmp_path, 200)
  first, second = one.read_bytes(), two.read_bytes()
  one.write_bytes(second)
  two.write_bytes(first)
  assert 'is that of update 100, renamed' in _refusal(tmp_path)


def test_the_checkpoint_of_another_population_is_detected(tmp_path):
  _save(tmp_path, 100, identity='beef')
  assert 'belongs to another population' in _refusal(tmp_path)


@pytest.mark.parametrize(
  'change',
  [
    {'params': {'kernel': np.zeros((2, 3, 5), np.float32)}},
    {'params': {'kernel': np.zeros((2, 3, 4), np.int32)}},
    {'params': {'weight': np.zeros((2, 3, 4), np.float32)}},
    {'more': np.zeros(2, np.float32)},
  ],
)
def test_other_arrays_are_named(tmp_path, change):
  _save(tmp_path, 100, {**STATE, **change})
  message = _refusal(tmp_path)
  names = ('params/kernel', 'params/weight', 'more')
  assert 'other arrays' in message and any(name in message for name in names)


def test_a_directory_in_its_place_is_detected(tmp_path):
  (tmp_path / '000000200.safetensors').mkdir()
  assert 'directory' in _refusal(tmp_path)


# Files made to do harm: their checksum is right.


def _forge(header: bytes, body: bytes = b'', size: int | None = None) -> bytes:
  size = len(header) if size is None else size
  blob = size.to_bytes(8, 'little') + header + body
  match = re.search(rb'"sha256":"(0{64})"', blob)
  if not match:
    return blob
  start, end = match.span(1)
  digest = hashlib.sha256(blob).hexdigest().encode()
  return blob[:start] + digest + blob[end:]


def _header(metadata: dict | None = None, **arrays) -> bytes:
  metadata = {'sha256': '0' * 64, **(metadata or {})}
  return json.dumps(
    {'__metadata__': metadata, **arrays}, separators=(',', ':')
  ).encode()


def _text(fields: dict) -> dict:
  return {'lstm_variants': json.dumps(fields)}


class _Planted:
  """Unpickled, it would leave a file."""

  def __init__(self, path):
    self.path = path

  def __reduce__(self):
    return pathlib.Path.touch, (self.path,)


def _attacks(planted: pathlib.Path) -> dict[str, bytes]:
  huge = {'dtype': 'F32', 'shape': [10**12], 'data_offsets': [0, 4 * 10**12]}
  good = {'format': 1, 'identity': IDENTITY, 'update': 200, 'seconds': 0}
  deep = '[' * 10_000 + ']' * 10_000
  return {
    'pickle': pickle.dumps(_Planted(planted)),
    'pickle, signed': _forge(_header(), pickle.dumps(_Planted(planted))),
    'terabytes': _forge(_header(w=huge)),
    'short offsets': _forge(
      _header(w={**huge, 'data_offsets': [0, 4]}), b'1234'
    ),
    'overlap': _forge(
      _header(
        a={'dtype': 'U8', 'shape': [4], 'data_offsets': [0, 4]},
        b={'dtype': 'U8', 'shape': [4], 'data_offsets': [2, 6]},
      ),
      b'123456',
    ),
    'deep': _forge(_header() + deep.encode()),
    'deep metadata': _forge(_header({'lstm_variants': deep})),
    'no metadata': _forge(_header()),
    'list': _forge(_header({'lstm_variants': '[]'})),
    'newer': _forge(_header(_text({**good, 'format': 2}))),
    'fields missing': _forge(_header(_text(good))),
    'header beyond the file': _forge(_header(), size=10**15),
    'negative': _forge(
      _header(w={'dtype': 'F32', 'shape': [-1], 'data_offsets': [0, 0]})
    ),
    'names': _forge(
      _header(
        **{'../../x': {'dtype': 'U8', 'shape': [1], 'data_offsets': [0, 1]}}
      ),
      b'1',
    ),
  }


@pytest.mark.parametrize('name', _attacks(pathlib.Path()))
def test_a_file_made_to_do_harm_is_refused(tmp_path, name):
  planted = tmp_path / 'planted'
  folder = tmp_path / 'checkpoints'
  folder.mkdir()
  path = folder / '000000200.safetensors'
  path.write_bytes(_attacks(planted)[name])
  tracemalloc.start()
  started = time.monotonic()
  try:
    _refusal(folder)
    peak = tracemalloc.get_traced_memory()[1]
  finally:
    tracemalloc.stop()
  assert time.monotonic() - started < 2
  assert peak < 50 * 2**20
  assert os.listdir(tmp_path) == ['checkpoints']


def test_a_file_of_gigabytes_is_not_read(tmp_path):
  path = _save(tmp_path, 200)
  os.truncate(path, 2**31)  # sparse
  tracemalloc.start()
  try:
    assert 'is larger than' in _refusal(tmp_path)
    assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
  finally:
    tracemalloc.stop()


# A system that refuses.


@pytest.mark.parametrize('call', ['open', 'fsync', 'replace'])
@pytest.mark.parametrize(
  'number', [errno.ENOSPC, errno.EIO, errno.EACCES, errno.EDQUOT]
)
def test_what_cannot_be_written_is_told_and_what_was_there_stays(
  tmp_path, monkeypatch, call, number
):
  _save(tmp_path, 100)

  def refuse(*unused, **unused_too):
    raise OSError(number, os.strerror(number))

  with monkeypatch.context() as patch:
    if call == 'open':
      patch.setattr(files, 'open', refuse, raising=False)
    else:
      patch.setattr(files.os, call, refuse)
    with pytest.raises(files.StorageError) as info:
      _save(tmp_path, 200)
  message = str(info.value)
  assert os.strerror(number) in message
  # Syncing the directory's own name comes first.
  assert '000000200.safetensors' in message or call == 'fsync'
  assert files.StorageError.exit_status == 6
  found = _load(tmp_path)
  assert found is not None and found[1].update == 100
  assert os.listdir(tmp_path) == ['000000100.safetensors']


def test_a_directory_that_is_gone_is_told(tmp_path):
  with pytest.raises(files.StorageError, match='No such file'):
    _save(tmp_path / 'gone' / 'checkpoints')


def _plain(name: str) -> str:
  """Return the name of a file that is written aside without what is random."""
  return re.sub(r'\.\d+-[0-9a-f]{12}(?=\.tmp$)', '', name)


def test_names_reach_the_disk_in_order(tmp_path, monkeypatch):
  """The file first, then its name, then the directory (OSDI 2014)."""
  calls: list[str] = []
  fsync, replace = os.fsync, os.replace

  def kind(descriptor):
    return os.readlink(f'/proc/self/fd/{descriptor}')

  def note_sync(descriptor):
    calls.append('sync ' + _plain(pathlib.Path(kind(descriptor)).name))
    fsync(descriptor)

  def note_replace(one, two):
    calls.append(f'{_plain(one.name)} -> {two.name}')
    replace(one, two)

  monkeypatch.setattr(files.os, 'fsync', note_sync)
  monkeypatch.setattr(files.os, 'replace', note_replace)
  folder = tmp_path / 'folder'
  _save(folder)
  name = '000000100.safetensors'
  assert calls == [
    f'sync {tmp_path.name}',
    f'sync {name}.tmp',
    f'{name}.tmp -> {name}',
    'sync folder',
  ]


# What a directory may hold beside them.


def test_files_of_other_names_are_neither_used_nor_removed_nor_counted(
  tmp_path,
):
  for update in (100, 200):
    _save(tmp_path, update)
  for name in ('best.safetensors', '100.safetensors', '000000300.txt'):
    (tmp_path / name).write_bytes(b'mine')
  _save(tmp_path, 300, keep=2)
  assert sorted(os.listdir(tmp_path)) == [
    '000000200.safetensors',
    '000000300.safetensors',
    '000000300.txt',
    '100.safetensors',
    'best.safetensors',
  ]
  found = _load(tmp_path)
  assert found is not None and found[1].update == 300


def test_a_damaged_later_one_does_not_push_out_what_is_saved(tmp_path):
  _save(tmp_path, 100)
  (tmp_path / '000000900.safetensors').write_bytes(b'')
  (tmp_path / '000000150.safetensors.tmp').write_bytes(b'half')
  _save(tmp_path, 200, keep=1)
  assert os.listdir(tmp_path) == ['000000200.safetensors']


@pytest.mark.parametrize(
  'change, reason',
  [
    ({'metrics_bytes': 'x'}, 'other fields'),
    ({'metrics_bytes': None}, 'other fields'),
    ({'seconds': 'x'}, 'other fields'),
    ({'update': '000000200'}, 'other fields'),
    ({'update': True}, 'other fields'),
    ({'update': 201}, 'renamed'),
    ({'more': 1}, 'other fields'),
    ({'format': 2, 'more': 1}, 'has format 2, not 1'),
    ({'identity': 'beef'}, 'another population'),
    ({'made_by': 3}, 'other fields'),
  ],
)
def test_metadata_are_checked_whatever_the_checksum_says(
  tmp_path, change, reason
):
  path = _save(tmp_path, 200)
  whole = path.read_bytes()
  size = int.from_bytes(whole[:8], 'little')
  header = json.loads(whole[8 : 8 + size])
  fields = json.loads(header['__metadata__']['lstm_variants'])
  header['__metadata__'] = {
    'lstm_variants': json.dumps({**fields, **change}),
    'sha256': '0' * 64,
  }
  text = json.dumps(header, separators=(',', ':')).encode()
  path.write_bytes(_forge(text, whole[8 + size :]))
  assert reason in _refusal(tmp_path)


def test_a_pipe_in_its_place_is_not_waited_for(tmp_path):
  os.mkfifo(tmp_path / '000000200.safetensors')
  assert 'not a regular file' in _refusal(tmp_path)
