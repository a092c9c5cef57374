"""The embedded Reber grammar: its tables, its strings, and what to expect."""

import functools
import random
from typing import NamedTuple

import numpy as np

from lstm_variants.tasks import base

NAMES = 'BTPSXVE'
# Node of the Reber grammar -> the edges that leave it, as (symbol, node). The E
# of node 6 leads out of the inner string.
REBER = (
  (('B', 1),),
  (('T', 2), ('P', 3)),
  (('S', 2), ('X', 4)),
  (('T', 3), ('V', 5)),
  (('X', 3), ('S', 6)),
  (('P', 4), ('V', 6)),
  (('E', 7),),
)
# Probabilities that change by less from one step to the next do not change.
_SETTLED = 1e-15
# In the training set, and as many in the test set.
STRINGS = 256
SEED = 1997


def _embed() -> tuple[tuple[tuple[str, int], ...], ...]:
  """Return the edges of the embedded grammar; the last E leads to node 0.

  Nodes: 0 for B, 1 for T or P, 2 for the last E; then those of the inner string
  and one for the second T or P, once after T and once after P.
  """
  nodes: list[tuple[tuple[str, int], ...]] = [
    (('B', 1),),
    (('T', 3), ('P', 11)),
    (('E', 0),),
  ]
  for outer, first in (('T', 3), ('P', 11)):
    for edges in REBER:
      nodes.append(tuple((symbol, first + node) for symbol, node in edges))
    nodes.append(((outer, 2),))
  return tuple(nodes)


GRAMMAR = _embed()
# [node, 0 or 1]: the two edges, or twice the only one.
SYMBOL = np.array(
  [[NAMES.index(edges[n][0]) for n in (0, -1)] for edges in GRAMMAR], np.int32
)
FOLLOWING = np.array(
  [[edges[n][1] for n in (0, -1)] for edges in GRAMMAR], np.int32
)
# [node, symbol]: 1 where it may come.
POSSIBLE = np.eye(len(NAMES), dtype=np.float32)[SYMBOL].max(axis=1)
# [node]: there is a choice; the second T or P is next.
CHOICE = FOLLOWING[:, 0] != FOLLOWING[:, 1]
RECALL = np.array([edges[0][1] == 2 for edges in GRAMMAR])


class Strings(NamedTuple):
  """Strings in order of length; what follows a string's end is zero.

  Attributes:
    inputs: `[strings, time, 7]`.
    targets: `[strings, time, 7]`, 1 for every symbol that may follow.
    lengths: `[strings]`, in symbols.
  """

  inputs: np.ndarray
  targets: np.ndarray
  lengths: np.ndarray


@functools.cache
def draw_strings() -> tuple[str, ...]:
  """Return the 256 training strings, then the 256 test strings.

  Both follow the grammar's own probabilities; a test string that is among the
  training strings is drawn again.
  """
  rng = random.Random(SEED)
  drawn: list[str] = []
  while len(drawn) < 2 * STRINGS:
    string, node = 'B', 1
    while node != 0:
      symbol, node = GRAMMAR[node][-(rng.random() < 0.5)]
      string += symbol
    if len(drawn) < STRINGS or string not in drawn[:STRINGS]:
      drawn.append(string)
  return tuple(drawn)


def longest(limit: int) -> int:
  """Return the length of the longest string of at most `limit` symbols."""
  return max(len(string) for string in draw_strings() if len(string) <= limit)


@functools.cache
def lay_out(held_out: bool) -> Strings:
  """Return the training strings, or these and the test strings."""
  drawn = draw_strings()
  strings = sorted(drawn if held_out else drawn[:STRINGS], key=len)
  targets = np.zeros(
    (len(strings), len(max(drawn, key=len)), len(NAMES)), np.float32
  )
  inputs = np.zeros_like(targets)
  for n, string in enumerate(strings):
    node = 0
    for t, symbol in enumerate(string):
      inputs[n, t, NAMES.index(symbol)] = 1
      node = dict(GRAMMAR[node])[symbol]
      if node != 0:
        targets[n, t] = POSSIBLE[node]
  return Strings(inputs, targets, np.array([len(string) for string in strings]))


class Expected(NamedTuple):
  """What a sequence holds on average, for a model without the long memory.

  Attributes:
    steps: those with a target.
    choices: those before a choice of the grammar.
    recalls: those before a second T or P.
    unfailed: the probability that guesses at all of these are right.
  """

  steps: float
  choices: float
  recalls: float
  unfailed: float


def expect_strings(spec: base.Spec) -> Expected:
  """Count in the strings that are drawn from; mean over T and strings."""
  strings = lay_out(spec.held_out)
  choices = np.sum(np.sum(strings.targets, axis=2) == 2, axis=1)
  # From the longest string on, every T is like that.
  longest = int(strings.lengths.max())
  limits = np.arange(min(spec.shortest, longest), min(spec.length, longest) + 1)
  weights = np.ones(limits.size)
  weights[-1] = spec.length - max(spec.shortest, limits[-1]) + 1
  kept = [strings.lengths <= n for n in limits]
  steps = [np.mean(strings.lengths[n] - 1) for n in kept]
  return Expected(
    steps=float(np.average(steps, weights=weights)),
    choices=float(
      np.average([np.mean(choices[n]) for n in kept], weights=weights)
    ),
    recalls=1.0,
    unfailed=0.5,
  )


def expect_stream(spec: base.Spec) -> Expected:
  """Follow the distribution over the nodes for T steps; mean over T.

  The target of a step is of the node that comes next: the first is node 1.
  """
  moves = np.zeros((len(GRAMMAR), len(GRAMMAR)))
  for node, edges in enumerate(FOLLOWING):
    np.add.at(moves[node], edges, 0.5)
  reached = unfailed = np.eye(len(GRAMMAR))[0]
  steps = []
  for _ in range(2, spec.length + 1):
    before = reached, unfailed
    reached = reached @ moves
    unfailed = unfailed @ moves * np.where(RECALL, 0.5, 1.0)
    steps.append((reached @ CHOICE, reached @ RECALL, np.sum(unfailed)))
    # Where nothing changes any more, a long stream goes on as it is.
    if np.abs(np.subtract((reached, unfailed), before)).max() < _SETTLED:
      break
  taken = np.minimum(np.arange(spec.length - 1), len(steps) - 1)
  choices, recalls, unfailed = np.array(steps)[taken].T
  counts = np.arange(1, spec.length), np.cumsum(choices), np.cumsum(recalls)
  drawn = slice(spec.shortest - 2, None)
  return Expected(*(float(np.mean(x[drawn])) for x in (*counts, unfailed)))
