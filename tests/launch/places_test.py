"""Cores and GPUs of this machine, shared out among workers."""

import os
import pathlib
import sys

import pytest

from lstm_variants.launch import places


@pytest.mark.skipif(sys.platform != 'linux', reason='cores cannot be told')
def test_each_has_its_own_cores_and_gpu(monkeypatch):
  monkeypatch.setattr(os, 'sched_getaffinity', lambda process: range(8))
  monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '2,5')
  three = places.share_out(3)
  assert [sorted(place.cores) for place in three] == [
    *([0, 1], [2, 3, 4], [5, 6, 7]),
  ]
  gpus = [place.environ['CUDA_VISIBLE_DEVICES'] for place in three]
  assert gpus == ['2', '5', '2']
  many = places.share_out(20)
  assert {len(place.cores) for place in many} == {1}
  assert {core for place in many for core in place.cores} == {*range(8)}
  monkeypatch.undo()
  shared = 'XLA_PYTHON_CLIENT_PREALLOCATE'
  assert all(place.environ[shared] == 'false' for place in three)


def test_gpus_of_a_container_are_counted_from_0(monkeypatch):
  """As CUDA does, where of a machine's eight it has the fourth alone."""
  names = ('/dev/nvidia3', '/dev/nvidiactl', '/dev/nvidia-uvm')
  devices = [*map(pathlib.Path, names)]
  monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
  monkeypatch.setattr(pathlib.Path, 'glob', lambda self, pattern: devices)
  (place,) = places.share_out(1)
  assert place.environ['CUDA_VISIBLE_DEVICES'] == '0'


@pytest.mark.parametrize('named', ['0,-1,1', '0,,1', ' 0 , -1'])
def test_gpus_behind_one_that_is_none_are_none(monkeypatch, named):
  monkeypatch.setenv('CUDA_VISIBLE_DEVICES', named)
  for place in places.share_out(2):
    assert place.environ['CUDA_VISIBLE_DEVICES'] == '0'
    assert place.environ['XLA_PYTHON_CLIENT_PREALLOCATE'] == 'false'
