"""A study that many workers share, simulated: who trains what, what is lost.

Time goes from event to event: a worker comes, has trained a population, is
stopped. What it trains next is decided as by `launch.shared`: it goes through
the populations, the longest first, from a place of its own on, passes over what
others have, and comes back to that until a whole round finds nothing free. What
another has is free when that gives it back; where it died, when its lease has
ended (`runs.lease`). Listings tell what is free; a worker looks singly at what
was trained before it came, and at what another has, again when that lease may
have ended. A round takes no time, and is paid for at its end.
"""

import bisect
from collections.abc import Callable, Sequence
import enum
import heapq
import itertools
import math
from typing import NamedTuple

import numpy as np

from lstm_variants.launch import shared
from lstm_variants.runs import lease

# Populations that are looked at by one call of NumPy.
_PART = 4096


class Policy(enum.Enum):
  """How populations come to workers; the value is its name in a table."""

  DEALT = 'dealt out'
  LISTED = 'leases, as listed'
  LONGEST = 'leases, longest first'


class Work(NamedTuple):
  """The populations of a study, in its order.

  Attributes:
    expected: `[populations]` how long each takes, as it is reckoned before.
    seconds: `[populations]` how long it takes a worker of speed 1.
    program: `[populations]` the number of its compiled program.
  """

  expected: np.ndarray
  seconds: np.ndarray
  program: np.ndarray


class Stop(NamedTuple):
  """A worker ends before there is nothing left to train.

  Attributes:
    at: seconds since the first workers were started.
    back: when it is started again; inf: never.
    saves: whether it was asked to end, and saved; else it was killed.
  """

  at: float
  back: float
  saves: bool


class Machine(NamedTuple):
  """Where a worker runs.

  Attributes:
    speed: 1 trains a population in its `seconds`.
    comes: when the worker is started, in seconds.
    stops: in turn; each is after the worker is back from the one before.
  """

  speed: float = 1.0
  comes: float = 0.0
  stops: tuple[Stop, ...] = ()


class Costs(NamedTuple):
  """What is no training, in seconds.

  Attributes:
    start: of a process, until it looks for its first population.
    compile: of a program that the process does not keep.
    keeps: so many programs; one of them goes at random.
    save: of training between two checkpoints; what is not saved is lost with
      the process.
    claim: to have a population and to give it back.
    listing: to list what there is, whenever a worker looks for what is next.
    taken: to see that another worker has a population.
    done: to see that one is trained.
  """

  start: float = 0.0
  compile: float = 0.0
  keeps: int = 1
  save: float = math.inf
  claim: float = 0.0
  listing: float = 0.0
  taken: float = 0.0
  done: float = 0.0


class Outcome(NamedTuple):
  """How it ended; times in seconds.

  Attributes:
    end: when the last population was trained.
    untrained: populations that nobody was left to train.
    lost: of training at speed 1 that was done again.
    begun: that workers took to start and to compile.
    looking: that workers took to find what to train; those that wait not.
    held: for which leases of dead workers kept others from populations.
    listings: by all workers.
    looks: at single populations, by all workers.
    busy: of them, at what another worker had.
  """

  end: float
  untrained: int
  lost: float
  begun: float
  looking: float
  held: float
  listings: int
  looks: int
  busy: int


def simulate(
  work: Work,
  machines: Sequence[Machine],
  policy: Policy,
  costs: Costs,
  seed: int,
  wait: bool = False,
) -> Outcome:
  """Have workers train a study.

  Args:
    work: the populations.
    machines: each has a worker.
    policy: how populations come to workers.
    costs: what is no training.
    seed: of the names of workers, and of when they look or renew a lease.
    wait: whether workers stay until all is trained; those that were started
      again do, as an element of SLURM that was queued again.
  """
  simulation = _Simulation(work, machines, policy, costs, seed, wait)
  return simulation.run()


def bound(work: Work, machines: Sequence[Machine]) -> float:
  """Return the seconds that no division of the work can beat.

  All machines train from when they come until the end, but for the time for
  which they are stopped, and what they share is as fine as sand.
  """
  speeds = np.array([machine.speed for machine in machines])
  comes = np.array([machine.comes for machine in machines])
  stops = np.array(
    [
      (machine.speed, stop.at, stop.back)
      for machine in machines
      for stop in machine.stops
    ]
  ).reshape(-1, 3)

  def trained(until: float) -> float:
    there = speeds * np.maximum(until - comes, 0)
    speed, at, back = stops.T
    gone = speed * np.maximum(np.minimum(back, until) - at, 0)
    return float(there.sum() - gone.sum())

  total = float(work.seconds.sum())
  low, high = 0.0, 1.0
  while trained(high) < total:
    low, high = high, 2 * high
  while high - low > 1e-9 * high:
    middle = (low + high) / 2
    low, high = (low, middle) if trained(middle) >= total else (middle, high)
  return high


class _Worker:
  """A worker: where it is in its list, and what it has."""

  def __init__(self, number: int, machine: Machine, wait: bool):
    self.number, self.speed = number, machine.speed
    self.stops = list(machine.stops)
    self.name, self.wait, self.is_waiting = 0.0, wait, False
    self.programs: list[int] = []
    # What is planned for it counts only if it has the newest number.
    self.plan = 0
    self.population: int | None = None
    self.began = 0.0

  def join(self, now: float, pending: np.ndarray) -> None:
    """Be a worker from now on, of populations that may not be trained."""
    self.came = now
    # Before that no lease that one passes over was looked at.
    self.looked_at = self.round_began = -math.inf
    self.list(now, pending)

  def list(self, now: float, pending: np.ndarray) -> None:
    """Begin a round over populations that may not be trained."""
    self.looked_at, self.round_began = self.round_began, now
    self.pending, self.place = pending, 0
    self.taken: list[np.ndarray] = []
    self.is_settled = False


# What happens to a worker, at a time.
Event = Callable[[float, _Worker], None]


class _Simulation:
  """What all workers see, and the events to come."""

  def __init__(
    self,
    work: Work,
    machines: Sequence[Machine],
    policy: Policy,
    costs: Costs,
    seed: int,
    wait: bool,
  ):
    self._work, self._policy, self._costs = work, policy, costs
    self._random = np.random.default_rng(seed)
    count = len(work.seconds)
    order = np.arange(count)
    if policy is Policy.LONGEST:
      order = np.argsort(-work.expected, kind='stable')
    # Twice, so that the list of each worker is a part of it.
    self._order = np.concatenate([order, order])
    self._left = work.seconds.astype(float)
    self._free_from = np.zeros(count)
    self._done_at = np.full(count, math.inf)
    self._workers = [_Worker(n, m, wait) for n, m in enumerate(machines)]
    self._names: list[float] = []
    self._waiting: list[_Worker] = []
    self._events: list[tuple[float, int, int, _Worker, Event]] = []
    self._count = itertools.count()
    self._trained, self._end = 0, 0.0
    self._lost = self._begun = self._looking = self._held = 0.0
    self._listings = self._looks = self._busy = 0
    for worker, machine in zip(self._workers, machines, strict=True):
      self._start(0.0, worker, machine.comes)

  def run(self) -> Outcome:
    """Let happen what is to happen, until all is trained or nobody is left."""
    count = len(self._left)
    now = 0.0
    while self._events and self._trained < count:
      now, _, plan, worker, event = heapq.heappop(self._events)
      if plan == worker.plan:
        event(now, worker)
    for worker in list(self._waiting):
      self._wait_no_longer(now, worker)
    return Outcome(
      self._end,
      count - self._trained,
      *(self._lost, self._begun, self._looking, self._held),
      *(self._listings, self._looks, self._busy),
    )

  def _plan(
    self, now: float, worker: _Worker, at: float, event: Event | None
  ) -> None:
    """Have something happen to a worker, unless it is stopped before."""
    worker.plan += 1
    if worker.stops and worker.stops[0].at < at:
      at, event = max(worker.stops[0].at, now), self._stop
    if event is not None:
      count = next(self._count)
      heapq.heappush(self._events, (at, count, worker.plan, worker, event))

  def _start(self, now: float, worker: _Worker, at: float) -> None:
    """Start the process of a worker."""
    self._plan(now, worker, at + self._costs.start, self._join)

  def _join(self, now: float, worker: _Worker) -> None:
    """Be a worker of the study: its place is told by its name's."""
    self._begun += self._costs.start
    worker.name = self._random.random()
    rank = bisect.bisect(self._names, worker.name)
    self._names.insert(rank, worker.name)
    count, first = len(self._left), rank % len(self._left)
    pending = self._order[first : first + count]
    if self._policy is Policy.DEALT:
      pending = self._order[worker.number : count : len(self._workers)]
    worker.join(now, pending)
    self._look(now, worker)

  def _leave(self, now: float, worker: _Worker) -> None:
    """Be a worker no longer."""
    del now
    place = bisect.bisect_left(self._names, worker.name)
    if place < len(self._names) and self._names[place] == worker.name:
      del self._names[place]

  def _look(self, now: float, worker: _Worker) -> None:
    """Take the next population that is free; else wait, or end."""
    looks, busy = self._looks, self._busy
    population = self._next(now, worker)
    busy = self._busy - busy
    done = self._looks - looks - busy
    cost = busy * self._costs.taken + done * self._costs.done
    cost += self._costs.listing
    self._listings += 1
    if population is None:
      self._looking += cost
      if worker.wait and len(worker.pending):
        worker.is_waiting, worker.began = True, now
        self._waiting.append(worker)
        self._plan(now, worker, math.inf, None)
      else:
        self._leave(now, worker)
      return
    cost += self._costs.claim
    self._looking += cost
    if not self._has_program(worker, int(self._work.program[population])):
      self._begun += self._costs.compile
      cost += self._costs.compile
    self._free_from[population] = math.inf
    worker.population, worker.began = population, now + cost
    seconds = self._left[population] / worker.speed
    self._plan(now, worker, worker.began + seconds, self._finish)

  def _has_program(self, worker: _Worker, program: int) -> bool:
    """Tell whether a process keeps a program; afterwards it does."""
    if program in worker.programs:
      return True
    if len(worker.programs) == self._costs.keeps:
      del worker.programs[int(self._random.integers(self._costs.keeps))]
    worker.programs.append(program)
    return False

  def _next(self, now: float, worker: _Worker) -> int | None:
    """Return the next population of a worker's list that nobody has."""
    while len(worker.pending):
      while worker.place < len(worker.pending):
        part = worker.pending[worker.place : worker.place + _PART]
        is_free = self._free_from[part] <= now
        passed = int(is_free.argmax()) if is_free.any() else len(part)
        done_at = self._done_at[part[:passed]]
        others = part[:passed][np.isinf(done_at)]
        if len(others):
          worker.taken.append(others)
        # Until then their leases hold: they were renewed a while before.
        is_due = now - worker.looked_at > lease.length() * (
          1 - 1 / lease._BEATS
        )
        busy = len(others) if is_due else 0
        self._looks += int((done_at <= worker.came).sum()) + busy
        self._busy += busy
        worker.is_settled |= len(others) < passed
        worker.place += passed
        if passed < len(part):
          worker.place += 1
          worker.is_settled = True
          return int(part[passed])
      is_settled = worker.is_settled
      worker.list(now, np.concatenate([worker.pending[:0], *worker.taken]))
      if not is_settled:
        return None
    return None

  def _finish(self, now: float, worker: _Worker) -> None:
    """Have trained a population."""
    assert worker.population is not None
    self._done_at[worker.population] = now
    self._trained += 1
    self._end, worker.population = now, None
    self._look(now, worker)

  def _stop(self, now: float, worker: _Worker) -> None:
    """End a worker: it saves, or was killed."""
    stop = worker.stops.pop(0)
    if worker.is_waiting:
      self._wait_no_longer(now, worker)
    if worker.population is not None:
      self._give_up(now, worker, stop.saves)
    name = _Worker(-1, Machine(), wait=False)
    name.name, ends = worker.name, now
    if not stop.saves:  # those who join count it for a while
      ends += lease.length() * lease._PATIENCE
    self._plan(now, name, ends, self._leave)
    worker.programs.clear()
    worker.wait = True
    if stop.back < math.inf:
      self._start(now, worker, stop.back)

  def _give_up(self, now: float, worker: _Worker, saves: bool) -> None:
    """Leave what was trained of a population to whoever comes next."""
    population, worker.population = worker.population, None
    trained = max(now - worker.began, 0.0)
    kept, free = trained, now
    if not saves:
      kept = trained // self._costs.save * self._costs.save
      self._lost += (trained - kept) * worker.speed
      if self._policy is not Policy.DEALT:
        # It was renewed some time ago.
        since = self._random.random() / lease._BEATS
        free += lease.length() * (1 - since)
    self._left[population] -= kept * worker.speed
    self._free_from[population] = free
    self._held += free - now
    nobody = _Worker(-1, Machine(), wait=False)
    self._plan(now, nobody, free, self._see)

  def _see(self, now: float, unused: _Worker) -> None:
    """Have one of those who wait see that a population is free."""
    del unused
    if self._waiting:
      pauses = self._random.random(len(self._waiting)) * shared._PAUSE
      first = int(pauses.argmin())
      worker, at = self._waiting[first], now + float(pauses[first])
      self._wait_no_longer(at, worker)
      self._plan(now, worker, at, self._look)

  def _wait_no_longer(self, now: float, worker: _Worker) -> None:
    """Count the rounds of one who waited; what it passed over got less."""
    worker.is_waiting = False
    self._waiting.remove(worker)
    waited = now - worker.began
    self._listings += int(waited / shared._PAUSE)
    still = int(np.isinf(self._done_at[worker.pending]).sum())
    looks = int(waited / lease.length() * (len(worker.pending) + still) / 2)
    self._looks += looks
    self._busy += looks
