"""One process among several: how it joins, is refused, and ends, by stand-ins.

Real ones: hosts_test.py.
"""

import os
import sys
import types
from typing import Any

import jax
import pytest

from lstm_variants import console, errors, extensions
from lstm_variants.commands import distributed
from lstm_variants.launch import hosts
from lstm_variants.runs import exclusive, provenance
from lstm_variants.training import agreement, backend, interrupt

_HERE = hosts.Place('127.0.0.1:1234', 2, 1)


class _EndedError(Exception):
  """Stands for the end of the process; its argument is the status."""


class _Joined:
  """Stands for what joins processes; notes what it is asked for."""

  def __init__(self, monkeypatch):
    self.asked: dict[str, Any] = {}
    self.events: list[str] = []
    self.compared: dict[str, str] = {}
    self.error: Exception | None = None
    monkeypatch.setattr(jax.distributed, 'initialize', self._initialize)
    self._note(monkeypatch, jax.distributed, 'shutdown')
    self._note(monkeypatch, exclusive, 'release_all')
    self._note(monkeypatch, backend, 'use_every_core')
    monkeypatch.setattr(backend, 'check', lambda: None)
    monkeypatch.setattr(jax.config, 'update', self._update)
    monkeypatch.setattr(agreement, 'check_same', self.compared.update)
    monkeypatch.setattr(os, '_exit', self._exit)
    for state in interrupt._State, console._State:
      for name in ('deferred', 'quiet', 'silent'):
        if hasattr(state, name):
          monkeypatch.setattr(state, name, False)

  def _note(self, monkeypatch, module, name: str) -> None:
    monkeypatch.setattr(module, name, lambda: self.events.append(name))

  def _initialize(self, **asked: Any) -> None:
    if self.error:
      raise self.error
    self.asked = asked

  def _update(self, name: str, value: Any) -> None:
    self.events.append(f'{name}={value}')

  def _exit(self, status: int) -> None:
    self.events.append(f'exit {status}')
    raise _EndedError(status)


@pytest.fixture
def joined(monkeypatch) -> _Joined:
  """This process is the first of two, as far as it sees."""
  monkeypatch.setattr(agreement, 'is_first', lambda: True)
  return _Joined(monkeypatch)


def _second(monkeypatch) -> None:
  monkeypatch.setattr(agreement, 'is_first', lambda: False)


def test_a_process_joins_with_its_place_and_a_stated_time_for_the_others(
  joined, capsys
):
  seen: list[bool] = []
  hosts.run(_HERE, ['sweep'], lambda: seen.append(interrupt._State.deferred))
  assert seen == [True]  # a signal waits until all have saved
  patience = joined.asked.pop('initialization_timeout')
  assert patience == joined.asked.pop('shutdown_timeout_seconds') == 300
  assert joined.asked == {
    **_HERE._asdict(),
    'heartbeat_timeout_seconds': hosts.HEARTBEAT_SECONDS,
  }
  # Its own answer to SIGTERM would be in the way of ours.
  assert joined.events == [
    'jax_enable_preemption_service=False',
    'use_every_core',
    'shutdown',
  ]
  assert 'waiting up to' not in capsys.readouterr().out
  hosts.run(_HERE._replace(process_id=0), ['sweep'], lambda: None)
  assert 'waiting up to 300 s' in capsys.readouterr().out


def test_processes_compare_their_command_lines_code_and_packages(
  joined, monkeypatch, tmp_path
):
  def compared(*arguments: str) -> dict[str, str]:
    hosts.run(_HERE, arguments, lambda: None)
    return dict(joined.compared)

  one = compared('sweep', '--config=a')
  assert set(one) == {'command', 'code', 'packages'}
  other = compared('sweep', '--config=b')
  assert one['command'] != other['command']
  assert one['code'] == other['code']
  # Also that of an extension.
  path = tmp_path / 'mine.py'
  mine: Any = types.ModuleType('mine')
  mine.__file__ = str(path)
  monkeypatch.setitem(sys.modules, 'mine', mine)
  monkeypatch.setattr(extensions, 'modules', lambda: ['mine'])
  codes = {one['code']}
  for text in 'a = 1', 'a = 2':
    path.write_text(text)
    codes.add(compared('sweep')['code'])
  monkeypatch.setattr(provenance, 'source', lambda: 'another version')
  codes.add(compared('sweep')['code'])
  assert len(codes) == 4


@pytest.mark.parametrize(
  ('address', 'line'),
  [
    ('one', 'is no HOST:PORT'),
    (':12', 'is no HOST:PORT'),
    ('one:', 'is no HOST:PORT'),
    ('one:0', 'is no HOST:PORT'),
    ('one:65536', 'is no HOST:PORT'),
    ('one:x', 'is no HOST:PORT'),
    ('a..b:1234', 'there is no host a..b: '),
  ],
)
def test_an_address_for_which_jax_would_wait_in_vain_is_refused(
  joined, address, line
):
  with pytest.raises(hosts.JoinError, match=line) as error:
    hosts.run(hosts.Place(address, 2, 1), [], lambda: None)
  assert str(error.value).startswith(
    f'--coordinator_address={address} --num_processes=2 --process_id=1: '
  )
  assert 'nearest: --coordinator_address=HOST:PORT' in str(error.value)
  assert not joined.asked and not joined.events


@pytest.mark.parametrize('error', [ValueError, TypeError, RuntimeError])
def test_what_jax_refuses_is_a_line(joined, error):
  joined.error = error('Number of processes must be defined.')
  with pytest.raises(hosts.JoinError, match='--distributed: Number of proc'):
    hosts.run(hosts.Place(), [], lambda: None)


def test_a_machine_without_devices_is_refused_before_anything_is_trained(
  joined, monkeypatch
):
  def check() -> None:
    raise backend.BackendError('no devices')

  monkeypatch.setattr(backend, 'check', check)
  with pytest.raises(hosts.JoinError, match='no devices'):
    hosts.run(_HERE, [], lambda: pytest.fail('trains'))


def _raise(error: BaseException):
  def program() -> None:
    raise error

  return program


class _OurError(errors.Error):
  exit_status = 4


def test_only_the_first_process_says_what_ends_all(joined, monkeypatch, capsys):
  told: list[Exception] = []
  monkeypatch.setattr(agreement, 'tell', told.append)
  ours = _OurError('not so')
  for _ in range(2):
    with pytest.raises(SystemExit) as end:
      hosts.run(_HERE, [], _raise(ours))
    assert end.value.code == 4
    assert joined.events[-1] == 'shutdown'
    line = '' if told == [ours] * 2 else 'error: not so\n'
    assert capsys.readouterr().err == line
    _second(monkeypatch)
  assert told == [ours, ours]


def test_the_others_say_nothing_while_the_first_one_does(
  joined, monkeypatch, capsys
):
  def program() -> None:
    console.say('said')
    console.warn('warned')

  _second(monkeypatch)
  hosts.run(_HERE, [], program)
  printed = capsys.readouterr()
  assert printed.out == printed.err == ''


def test_the_status_of_what_another_process_was_refused_is_that_of_all(
  joined, monkeypatch, capsys
):
  monkeypatch.setattr(
    agreement, 'tell', _raise_always(agreement.OtherError('process 1: x', 6))
  )
  with pytest.raises(SystemExit) as end:
    hosts.run(_HERE, [], _raise(_OurError('not so')))
  assert end.value.code == 6
  assert capsys.readouterr().err == 'error: process 1: x\n'


def _raise_always(error: Exception):
  def tell(unused: Exception) -> None:
    raise error

  return tell


@pytest.mark.parametrize('is_first', [True, False])
def test_who_finds_another_process_gone_says_so_and_waits_for_nobody(
  joined, monkeypatch, capsys, is_first
):
  monkeypatch.setattr(agreement, 'is_first', lambda: is_first)
  with pytest.raises(_EndedError):
    hosts.run(_HERE, [], _raise(agreement.GoneError('process 1 is gone')))
  # What it has is given back first, as nothing of Python's runs after that.
  end = ['release_all', f'exit {agreement.ABORTED}']
  assert [each for each in joined.events if each != 'shutdown'][-2:] == end
  assert capsys.readouterr().err == 'error: process 1 is gone\n'


def test_a_crash_ends_a_process_at_once_with_its_traceback(joined, capsys):
  with pytest.raises(_EndedError):
    hosts.run(_HERE, [], _raise(ZeroDivisionError('of ours')))
  assert 'ZeroDivisionError: of ours' in capsys.readouterr().err
  assert joined.events[2:4] == ['release_all', 'exit 1']


def test_a_program_that_ends_by_itself_ends_with_its_status(joined):
  with pytest.raises(SystemExit) as end:
    hosts.run(_HERE, [], _raise(SystemExit(3)))
  assert end.value.code == 3 and joined.events[-1] == 'shutdown'


def test_processes_with_other_runs_mode_or_weights_are_told_apart(
  joined, monkeypatch
):
  def run(label: str, seed: int) -> Any:
    settings = types.SimpleNamespace(task_label=label)
    return types.SimpleNamespace(settings=settings, config={'seed': seed})

  copy = ('copy', 0)

  def study(name='a', mode='new', runs: Any = (copy,), start='') -> str:
    hosts.check_same_study(name, mode, [run(*each) for each in runs], start)
    return joined.compared.pop('study', '')

  assert study() == ''  # a process alone compares nothing
  monkeypatch.setattr(agreement, 'count', lambda: 2)
  studies = [
    study(),
    study(name='b'),
    study(mode='resume'),
    study(runs=[('copy_of_1a2b', 0)]),
    study(runs=[('copy', 1)]),
    study(runs=[copy, ('copy', 1)]),
    study(start='1a2b'),
  ]
  assert len(set(studies)) == len(studies) and study() == studies[0]
  assert {'code', 'packages'} <= set(joined.compared)


def test_what_is_for_processes_that_are_not_joined_is_refused(monkeypatch):
  hosts.check_alone('--share')
  monkeypatch.setattr(agreement, 'count', lambda: 2)
  with pytest.raises(hosts.JoinError, match='--share: is for processes that'):
    hosts.check_alone('--share')


def test_one_process_with_the_flags_of_several_launches_nothing(monkeypatch):
  """Its workers had the flags too: the first to join it ended all, by 134."""
  distributed.check_not_joined('--launch')
  monkeypatch.setattr(distributed._State, 'joined', True)
  assert agreement.count() == 1
  with pytest.raises(
    hosts.JoinError, match='--launch: is .*, or --distributed,'
  ):
    distributed.check_not_joined('--launch')
