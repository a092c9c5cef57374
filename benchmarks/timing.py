"""Timing side by side: one round after the other over all contestants."""

from collections.abc import Callable, Iterable, Mapping
import math
import resource
import statistics
import time
from typing import NamedTuple

# Before each measurement, so that the threads of the last contestant sleep.
_PAUSE_SECONDS = 0.01
MILLI, MICRO = 1e-3, 1e-6


class Timing(NamedTuple):
  """Median and quartiles over the rounds, in seconds per unit of work."""

  median: float
  low: float
  high: float


def interleave(
  runs: Mapping[str, Callable[[], None]], repeats: int
) -> dict[str, list[float]]:
  """Time every contestant once a round, each round from another one on.

  What else the machine does, and its clock, then meets all of them alike.

  Args:
    runs: each blocks until its work is done.
    repeats: rounds, after one call each to warm up.

  Returns:
    The seconds of each call, in order.
  """
  for run in runs.values():
    run()
  names = list(runs)
  seconds: dict[str, list[float]] = {name: [] for name in names}
  for number in range(repeats):
    first = number % len(names) if names else 0
    for name in names[first:] + names[:first]:
      time.sleep(_PAUSE_SECONDS)
      started = time.perf_counter()
      runs[name]()
      seconds[name].append(time.perf_counter() - started)
  return seconds


def processor_seconds(of: int = resource.RUSAGE_CHILDREN) -> float:
  """Return what the processor took, in programs and in the system.

  Args:
    of: as `resource.getrusage` has it; children count when they have ended.
  """
  usage = resource.getrusage(of)
  return usage.ru_utime + usage.ru_stime


def summarize(seconds: Iterable[float], units: float = 1.0) -> Timing:
  """Return median and quartiles per unit of work.

  Args:
    seconds: of each call, at least one.
    units: how much work a call does: updates, or time steps.
  """
  values = sorted(value / units for value in seconds)
  low, median, high = (
    statistics.quantiles(values, n=4, method='inclusive')
    if len(values) > 1
    else values * 3
  )
  return Timing(median, low, high)


def measure(
  runs: Mapping[str, Callable[[], None]], repeats: int, units: float
) -> dict[str, Timing]:
  """Interleave and summarize; every call does `units` units of work."""
  return {
    name: summarize(seconds, units)
    for name, seconds in interleave(runs, repeats).items()
  }


def geometric_mean(values: Iterable[float]) -> float:
  """Return exp of the mean logarithm, NaN of nothing."""
  logarithms = [math.log(value) for value in values]
  return math.exp(statistics.fmean(logarithms)) if logarithms else math.nan


def number(value: float) -> str:
  """Write a number with about three digits."""
  if not math.isfinite(value):
    return '—'
  digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
  return f'{value:,.{digits}f}'


def show(timing: Timing | None, unit: float = MICRO) -> str:
  """Write 'median [quartiles]' in `unit` seconds; a dash where skipped."""
  if timing is None:
    return '—'
  median, low, high = (number(value / unit) for value in timing)
  return f'{median} [{low}, {high}]'


def quotient(over: Timing | None, under: Timing | None) -> float:
  """Return over / under of the medians, NaN where one was skipped."""
  if over is None or under is None:
    return math.nan
  return over.median / under.median
