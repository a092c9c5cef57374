"""What processes agree on; here they are threads that share what they tell."""

from collections.abc import Callable
import signal
import threading

import jax
import numpy as np
import pytest

from lstm_variants import console
from lstm_variants.runs import files
from lstm_variants.training import agreement, interrupt

_PATIENCE = 20


class _Processes:
  """Two threads that take themselves for two processes."""

  def __init__(self):
    self._here = threading.local()
    self._barrier = threading.Barrier(2)
    self._rows = [np.zeros(0)] * 2

  def number(self) -> int:
    return self._here.number

  def receive(self, number: int) -> None:
    self._here.signal = number

  def signal(self) -> int | None:
    return getattr(self._here, 'signal', None)

  def combined(self, combine, row: np.ndarray) -> np.ndarray:
    self._rows[self.number()] = row
    self._barrier.wait(_PATIENCE)
    whole = np.asarray(combine(np.stack(self._rows)))
    self._barrier.wait(_PATIENCE)
    return whole

  def run(self, *programs: Callable[[], object]) -> list[object]:
    """Return what each program returns, or raises."""
    ends: list[object] = [None, None]

    def act(number: int) -> None:
      self._here.number = number
      try:
        ends[number] = programs[number]()
      except Exception as error:
        ends[number] = error

    threads = [threading.Thread(target=act, args=(n,)) for n in range(2)]
    for thread in threads:
      thread.start()
    for thread in threads:
      thread.join(_PATIENCE)
    return ends


@pytest.fixture
def processes(monkeypatch):
  two = _Processes()
  monkeypatch.setattr(agreement, 'count', lambda: 2)
  monkeypatch.setattr(agreement, '_among_processes', two.combined)
  monkeypatch.setattr(agreement._State, 'signal', None)
  monkeypatch.setattr(interrupt, 'requested_number', two.signal)
  monkeypatch.setattr(jax, 'process_index', two.number)
  # Of a process, which threads share.
  monkeypatch.setattr(interrupt._State, 'deferred', False)
  monkeypatch.setattr(console._State, 'quiet', False)
  monkeypatch.setattr(console._State, 'silent', False)
  return two


def test_what_one_process_is_refused_ends_all_with_its_line_and_status(
  processes,
):
  def fail():
    with agreement.together():
      agreement.meet()
      raise files.StorageError('params.npz: no space')

  def go_on():
    with agreement.together():
      while True:
        agreement.meet()

  first, other = processes.run(fail, go_on)
  assert isinstance(first, files.StorageError)
  assert isinstance(other, agreement.OtherError)
  assert (str(other), other.exit_status) == (str(first), first.exit_status)
  # Of another one the first says which one it was.
  first, other = processes.run(go_on, fail)
  assert str(first) == f'process 1: {other}'
  assert (first.exit_status, type(other)) == (6, files.StorageError)
  # Where all are refused, that of the first counts.
  first, other = processes.run(fail, fail)
  assert isinstance(other, agreement.OtherError)
  assert str(first) == str(other)


def test_a_signal_to_one_process_saves_and_ends_all_at_the_same_meeting(
  processes,
):
  saved = []

  def train(number):
    for update in range(9):
      if (number, update) == (1, 3):
        processes.receive(signal.SIGTERM)
      if agreement.wants_saving(False):
        saved.append(update)
      agreement.check(saved=True)

  ends = processes.run(lambda: train(0), lambda: train(1))
  assert [type(end) for end in ends] == [interrupt.Interrupted] * 2
  assert [end.exit_status for end in ends] == [143, 143]
  assert saved == [3, 3]


def test_a_signal_after_a_meeting_waits_for_the_next_one(processes):
  def train(number):
    agreement.meet()
    processes.receive(signal.SIGTERM if number else None)
    agreement.check(saved=True)
    agreement.meet()
    agreement.check(saved=True)

  ends = processes.run(lambda: train(0), lambda: train(1))
  assert [type(end) for end in ends] == [interrupt.Interrupted] * 2


def test_the_clock_of_the_first_process_says_when_all_save(processes):
  def due(value):
    return lambda: agreement.wants_saving(value)

  assert processes.run(due(True), due(False)) == [True, True]
  assert processes.run(due(False), due(True)) == [False, False]


def test_what_the_first_process_has_reaches_all_bit_for_bit(
  processes, monkeypatch
):
  monkeypatch.setattr(agreement, '_BLOCK', 64)
  odd = np.array([0x7FC00001, 0x80000000, 1], np.uint32).view(np.float32)
  arrays = {'nan': odd, 'key': np.array([[2**32 - 1]], np.uint32)}
  value = {'best': [0.1, float('inf')], 'improved': 3, 'name': 'é'}

  def never():
    raise AssertionError('another process has no directory')

  def receive(ours, values):
    return (
      agreement.arrays_of_first(ours),
      agreement.arrays_of_first((lambda: None) if ours is not never else never),
      agreement.value_of_first(values),
    )

  _, (theirs, none, same) = processes.run(
    lambda: receive(lambda: arrays, lambda: value),
    lambda: receive(never, never),
  )
  assert {k: v.tobytes() for k, v in theirs.items()} == {
    k: v.tobytes() for k, v in arrays.items()
  }
  assert (none, same) == (None, value)


def test_processes_of_another_program_are_refused_by_what_differs(processes):
  facts = [{'code': 'a', 'packages': f'jax {n}'} for n in (1, 2)]
  ends = processes.run(*(lambda f=f: agreement.check_same(f) for f in facts))
  assert {str(end) for end in ends} == {
    'process 1: its packages (jax 2) is not that of process 0 (jax 1); start '
    'the same command and code everywhere'
  }


def test_a_long_refusal_of_any_signs_fits_a_meeting(processes):
  def fail():
    agreement.tell(ValueError('\x00é\ud800𝄞"' * 4000))

  ends = processes.run(agreement.meet, fail)
  assert isinstance(ends[0], agreement.OtherError)
  assert str(ends[0]).startswith('process 1: ?é')
