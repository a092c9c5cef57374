"""Stragglers: who trains what is simulated as the project does it.

Nothing is trained, and no time passes.
"""

import math
import types
from typing import Any

import numpy as np
import pytest

from benchmarks import pages, sharing, stragglers
from lstm_variants.launch import shared
from lstm_variants.runs import lease

LONGEST = sharing.Policy.LONGEST


def work(*seconds: float) -> sharing.Work:
  each = np.array(seconds)
  return sharing.Work(each, each, np.arange(len(each)))


@pytest.mark.parametrize('policy', sharing.Policy)
def test_equal_workers_of_equal_populations_end_at_the_bound(policy):
  populations, machines = work(*[60.0] * 40), [sharing.Machine()] * 8
  free = sharing.Costs()
  outcome = sharing.simulate(populations, machines, policy, free, 0)
  assert outcome.end == pytest.approx(sharing.bound(populations, machines))
  assert outcome.end == pytest.approx(300) and not outcome.untrained
  dear = sharing.Costs(start=30, compile=20, claim=1)
  outcome = sharing.simulate(populations, machines, policy, dear, 0)
  assert outcome.end == pytest.approx(30 + 5 * (20 + 1 + 60), abs=0.1)


def test_the_bound_counts_who_is_late_slow_or_stopped():
  machines = [
    sharing.Machine(speed=0.5),
    sharing.Machine(comes=100),
    sharing.Machine(stops=(sharing.Stop(50, 70, True),)),
    sharing.Machine(stops=(sharing.Stop(80, math.inf, False),)),
  ]
  # Until 200 s: 100 + 100 + 180 + 80.
  assert sharing.bound(work(400, 60), machines) == pytest.approx(200)


def test_a_simulated_worker_takes_populations_in_the_order_of_a_real_one(
  monkeypatch,
):
  seconds = [100.0, 140, 110, 130, 120, 90, 150]
  rank, taken = 4, 5  # the latter is of the list, the longest first
  busy = int(np.argsort(seconds)[::-1][taken])

  real: list[int] = []

  def train(workdir, worker, member, *unused):
    """Settle a member, but for the busy one before all others are."""
    if member == busy and len(real) < 6:
      return False
    real.append(member)
    return True

  monkeypatch.setattr(shared, '_cost', lambda member: seconds[member])
  monkeypatch.setattr(shared, '_train_one', train)
  worker: Any = types.SimpleNamespace(rank=rank, check=lambda: None)
  nothing: Any = object()
  members: Any = range(7)
  shared.train_left('there', worker, members, None, nothing, nothing)

  simulated: list[int] = []
  simulation = sharing._Simulation(
    *(work(*seconds), [sharing.Machine()], LONGEST, sharing.Costs(), 0, False)
  )
  finish = simulation._finish

  def note(now: float, one: sharing._Worker) -> None:
    simulated.append(one.population or 0)
    finish(now, one)

  simulation._finish = note  # pyrefly: ignore[bad-assignment]
  simulation._names = [-1.0] * rank  # others, who train elsewhere
  simulation._free_from[busy] = 115  # one more has it when it is passed over
  simulation.run()
  assert simulated == real
  assert real == [2, 5, 6, 1, 3, 4, 0]


@pytest.mark.parametrize('seconds', [120.0, 600.0])
def test_what_a_dead_worker_had_is_held_until_its_lease_has_ended(
  monkeypatch, seconds
):
  monkeypatch.setenv(lease.SECONDS_VARIABLE, f'{seconds}')
  dies = sharing.Machine(stops=(sharing.Stop(590, math.inf, False),))
  given = (
    *(work(600, 600), [sharing.Machine(), dies], LONGEST),
    sharing.Costs(save=200),
  )
  for seed in range(5):
    outcome = sharing.simulate(*given, seed, wait=True)
    since_renewal = seconds / lease._BEATS
    assert seconds - since_renewal <= outcome.held <= seconds
    assert outcome.lost == pytest.approx(190)
    # Who waits sees it soon, and goes on from the checkpoint.
    waited = outcome.end - (590 + outcome.held + 200)
    assert 0 <= waited <= shared._PAUSE
  # Nobody is left who could.
  assert sharing.simulate(*given, 0).untrained == 1


def test_who_saves_loses_nothing_and_holds_nothing():
  stops = sharing.Machine(stops=(sharing.Stop(590, 5000, True),))
  machines = [sharing.Machine(), stops]
  costs = sharing.Costs(save=200)
  outcome = sharing.simulate(work(600, 600), machines, LONGEST, costs, 0)
  assert (outcome.lost, outcome.held) == (0, 0)
  assert outcome.end == pytest.approx(610)


def test_a_slow_machine_takes_longer_for_the_same():
  stop = sharing.Stop(50, 100, True)
  machine = sharing.Machine(0.5, 0, (stop,))
  outcome = sharing.simulate(work(100), [machine], LONGEST, sharing.Costs(), 0)
  assert outcome.end == pytest.approx(100 + (100 - 25) / 0.5)


def test_a_worker_that_was_started_again_stays_for_what_others_leave():
  again = sharing.Machine(stops=(sharing.Stop(10, 20, True),))
  dies = sharing.Machine(stops=(sharing.Stop(590, math.inf, False),))
  costs = sharing.Costs(save=200)
  outcome = sharing.simulate(work(600, 600), [again, dies], LONGEST, costs, 0)
  assert not outcome.untrained


def test_a_worker_compiles_a_program_once_and_anew_when_it_is_back():
  one = work(100, 100, 100)._replace(program=np.zeros(3, int))
  costs = sharing.Costs(start=10, compile=20)
  machine = sharing.Machine(stops=(sharing.Stop(140, 200, True),))
  outcome = sharing.simulate(one, [machine], LONGEST, costs, 0)
  # 100 s and 10 s of the second are trained when it is stopped.
  assert outcome.begun == pytest.approx(2 * (10 + 20))
  assert outcome.end == pytest.approx(200 + 10 + 20 + 90 + 100)


@pytest.mark.parametrize(('keeps', 'compiled'), [(2, 2), (1, 4)])
def test_a_worker_keeps_so_many_programs(keeps, compiled):
  two = work(104, 103, 102, 101)._replace(program=np.array([0, 1, 0, 1]))
  costs = sharing.Costs(compile=20, keeps=keeps)
  outcome = sharing.simulate(two, [sharing.Machine()], LONGEST, costs, 0)
  assert outcome.begun == pytest.approx(20 * compiled)


def test_nobody_takes_over_what_was_dealt_out():
  dies = sharing.Machine(stops=(sharing.Stop(250, math.inf, False),))
  machines = [dies, sharing.Machine()]
  given = (work(*[100.0] * 10), machines)
  costs = sharing.Costs(save=60)
  dealt = sharing.simulate(*given, sharing.Policy.DEALT, costs, 0)
  assert (dealt.untrained, dealt.end) == (3, pytest.approx(500))
  assert not sharing.simulate(*given, LONGEST, costs, 0).untrained


def test_stops_find_a_worker_that_is_there_and_the_dead_stay_dead():
  scale = stragglers.Scale(4000, 200, 3600.0, 1)
  machines = stragglers.draw_machines(scale, set(stragglers.KINDS), 0)
  assert all(
    not machine.stops for machine in stragglers.draw_machines(scale, set(), 0)
  )
  dead = 0
  for machine in machines:
    stops = machine.stops
    for one, after in zip(stops, stops[1:], strict=False):
      assert one.back < after.at
    assert not stops or machine.comes < stops[0].at
    dead += bool(stops) and stops[-1].back == math.inf
  assert 0 < dead < 30
  while_away = [(15, math.inf, False), (10, 20, True)]
  assert stragglers._in_turn(while_away) == (sharing.Stop(10, math.inf, True),)


def test_the_page_has_every_size_policy_and_disturbance(tmp_path):
  text = stragglers.page(stragglers.SMALL, rounds=1)
  rows = [line for line in text.splitlines() if line.startswith('|')]
  assert len(rows) == 2 + len(stragglers.SIZES) + 2 + 9
  for policy in sharing.Policy:
    assert policy.value in rows[0]
  page = tmp_path / 'page.md'
  page.write_text('a\n<!-- me -->\nold\n<!-- end -->\nb\n')
  pages.write_between_marks(page, 'me', 'new\n')
  assert page.read_text() == 'a\n<!-- me -->\nnew\n<!-- end -->\nb\n'
  with pytest.raises(AssertionError):
    pages.write_between_marks(page, 'other', 'new\n')
