"""The embedded Reber grammar against its papers, decoded anew in Python."""

import collections
import functools
import math
import re

import jax
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants.tasks import base, reber, reber_grammar

NAMES = 'BTPSXVE'
# What leads from the X or the S of the upper path to the end, and from the
# start of the lower path.
UPPER = '(?:XT*VP)*(?:S|XT*VV)'
LOWER = f'T*V(?:P{UPPER}|V)'
INNER = f'B(?:TS*X{UPPER}|TS*X{UPPER}|P{LOWER})E'
EMBEDDED = re.compile(f'BT{INNER}TE|BP{INNER}PE')
# Of the inner string: what it ends with so far -> what may follow; the place is
# told by the last symbols alone, except inside a run of T and between X and V.
PLACES = {
  'start': {'B': 'begun'},
  'begun': {'T': 'loop S', 'P': 'loop T'},
  'loop S': {'S': 'loop S', 'X': 'upper'},
  'loop T': {'T': 'loop T', 'V': 'lower'},
  'upper': {'X': 'loop T', 'S': 'over'},
  'lower': {'P': 'upper', 'V': 'over'},
  'over': {'E': 'recall'},
}
CASES = [('embedded_reber', False), ('embedded_reber', True)]
CASES += [('continual_reber', False)]
MEASURE = jax.jit(reber.measure)
ERRORS = jax.jit(reber.sequence_errors)


@functools.cache
def draw(name, held_out=False, length=100, count=1000, shortest=None, seed=0):
  task = lv.make_task(name, None, length, held_out=held_out, shortest=shortest)
  batch = jax.jit(task.sample, static_argnums=1)(jax.random.key(seed), count)
  return task, jax.tree.map(np.asarray, batch)


def read(inputs: np.ndarray) -> list[str]:
  """Return what each sequence spells; padding is last and zero."""
  assert np.all((inputs == 0) | (inputs == 1))
  total = inputs.sum(axis=-1)
  assert np.all((total == 0) | (total == 1))
  assert np.all(np.diff(total, axis=1) <= 0)
  letters = np.frombuffer(NAMES.encode(), 'u1')[inputs.argmax(axis=-1)]
  return [
    row[: int(size)].tobytes().decode()
    for row, size in zip(letters, total.sum(axis=1), strict=True)
  ]


@functools.lru_cache(maxsize=10_000)
def follow(text: str, memory: bool) -> tuple[dict[str, float], ...]:
  """Return after each symbol what may come next, with probabilities.

  Without memory the first T or P is not known when it comes again.
  """
  answers: list[dict[str, float]] = []
  step, first, place = 0, '', ''
  for symbol in text:
    if step == 0:
      assert symbol == 'B'
      step, allowed = 1, 'TP'
    elif step == 1:
      step, first, place, allowed = 2, symbol, 'start', 'B'
    elif step == 2:
      place = PLACES[place][symbol]
      if place == 'recall':
        step, allowed = 3, first if memory else 'TP'
      else:
        allowed = ''.join(PLACES[place])
    elif step == 3:
      assert symbol == first
      step, allowed = 4, 'E'
    else:
      assert symbol == 'E'
      step, allowed = 0, 'B'
    answers.append(dict.fromkeys(allowed, 1 / len(allowed)))
  return tuple(answers)


@functools.lru_cache(maxsize=10_000)
def believe(text: str, memory: bool) -> tuple[np.ndarray, list[int]]:
  """Return ln of each probability, and the steps where memory lacks."""
  known, chances = follow(text, True), follow(text, memory)
  logits = np.full((len(text), 7), -60.0, np.float32)
  for t, after in enumerate(chances):
    logits[t, [NAMES.index(n) for n in after]] = -math.log(len(after))
  return logits, [t for t in range(len(text)) if chances[t] != known[t]]


def predict(texts, num_steps: int, memory: bool = True, seed=0):
  """Return logits told from the past alone.

  Without memory T or P is guessed by a little when one is to come again.
  """
  rng = np.random.default_rng(seed)
  outputs = np.full((len(texts), num_steps, 7), -60.0, np.float32)
  guess = [NAMES.index('T'), NAMES.index('P')]
  for n, text in enumerate(texts):
    logits, missing = believe(text, memory)
    outputs[n, : len(text)] = logits
    for t in missing:
      outputs[n, t, guess[rng.integers(2)]] += 1e-4
  return outputs


def value(mean) -> float:
  return float(mean.total / mean.weight)


def test_the_grammar_of_this_file_makes_the_strings_of_the_textbook():
  for inner in (
    'BTSSXXTVVE',
    'BPVVE',
    'BTXXVPSE',
    'BPVPXVPXVPXVVE',
    'BTSXXVPSE',
    'BPTVPXTTVVE',
  ):
    assert re.fullmatch(INNER, inner)
    place = 'start'
    for symbol in inner:
      place = PLACES[place][symbol]
    assert place == 'recall'
    assert EMBEDDED.fullmatch(f'BT{inner}TE')
    assert not EMBEDDED.fullmatch(f'BT{inner}PE')
  assert not re.fullmatch(INNER, 'BTVVE')


@pytest.mark.parametrize('held_out', [False, True])
def test_hs97_draws_strings_of_the_grammar_and_masks_the_last_symbol(held_out):
  task, batch = draw('embedded_reber', held_out)
  texts = read(batch.inputs)
  assert all(EMBEDDED.fullmatch(text) for text in texts)
  assert max(map(len, texts)) <= task.num_steps <= 28
  for text, mask in zip(texts, batch.mask, strict=True):
    expected = np.arange(task.num_steps) < len(text) - 1
    np.testing.assert_array_equal(mask, expected)


def test_gers00_is_string_after_string_cut_at_t():
  task, batch = draw('continual_reber')
  assert task.num_steps == 100
  lengths = []
  for text in read(batch.inputs):
    assert len(text) == 100
    follow(text, True)  # no symbol breaks the grammar
    ends = [n.end() for n in re.finditer('(?<=E[TP])E', text)]
    for start, end in zip([0, *ends], ends, strict=False):
      assert EMBEDDED.fullmatch(text[start:end])
    lengths.append(ends[0] if ends else 100)
  np.testing.assert_array_equal(batch.mask[:, :99], 1)
  np.testing.assert_array_equal(batch.mask[:, 99], 0)
  # A quarter has 9 symbols; the mean is 12.
  assert np.mean(np.equal(lengths, 9)) == pytest.approx(0.25, abs=0.05)
  assert np.mean(lengths) == pytest.approx(12, abs=0.5)


@pytest.mark.parametrize(('name', 'held_out'), CASES)
def test_targets_are_the_symbols_that_may_follow(name, held_out):
  task, batch = draw(name, held_out)
  for n, text in enumerate(read(batch.inputs)[:500]):
    expected = np.zeros((task.num_steps, 7))
    for t, allowed in enumerate(follow(text, True)[: len(text) - 1]):
      expected[t, [NAMES.index(symbol) for symbol in allowed]] = 1
    np.testing.assert_array_equal(batch.targets[n], expected)


def test_choices_are_even_and_streams_differ():
  texts = read(draw('continual_reber')[1].inputs)
  taken = collections.Counter()
  for text in texts[:500]:
    for symbol, after in zip(text[1:], follow(text, True), strict=False):
      if len(after) == 2:
        taken[''.join(after), symbol] += 1
  assert len(taken) == 10
  for (pair, symbol), count in taken.items():
    other = pair.replace(symbol, '')
    total = count + taken[pair, other]
    assert abs(count - total / 2) < 2.5 * total**0.5
  assert len(set(texts)) == len(texts)
  early = np.array([[text[1] == 'T', text[3] == 'T'] for text in texts])
  assert abs(np.corrcoef(early.T)[0, 1]) < 5 / 1000**0.5


def test_256_training_strings_and_256_others_are_fixed():
  train = collections.Counter()
  for seed in (0, 1):
    _, batch = draw('embedded_reber', count=10_000, seed=seed)
    train.update(read(batch.inputs))
  both = read(draw('embedded_reber', True, count=10_000)[1].inputs)
  slots = {text: n * 256 / 20_000 for text, n in train.items()}
  assert min(slots.values()) > 0.5
  assert abs(sum(max(round(n), 1) for n in slots.values()) - 256) <= 6
  # As the grammar has them: a quarter with 9 symbols, half with T.
  assert sum(n for text, n in slots.items() if len(text) == 9) == pytest.approx(
    64, abs=35
  )
  assert sum(n for text, n in slots.items() if text[1] == 'T') == pytest.approx(
    128, abs=40
  )
  others = [text for text in both if text not in train]
  assert len(others) / len(both) == pytest.approx(0.5, abs=0.02)
  assert 100 < len(set(others)) <= 256
  # Held-out sequences come from the training strings as well.
  assert set(both) >= set(train)


@pytest.mark.parametrize(('name', 'held_out'), CASES)
def test_who_knows_the_rule_makes_no_mistake(name, held_out):
  task, batch = draw(name, held_out)
  texts = read(batch.inputs)
  outputs = predict(texts, task.num_steps)
  means = MEASURE(outputs, batch)
  for metric in ('wrong', 'failed', 'lag_wrong'):
    assert means[metric].total == 0 and means[metric].weight > 0
  assert not ERRORS(outputs, batch).any()
  assert means['failed'].weight == len(texts)
  assert means['wrong'].weight == sum(len(text) - 1 for text in texts)
  # The step before a second T or P is where an E is followed by one.
  recalls = sum(len(re.findall('E(?=[TP])', text)) for text in texts)
  assert means['lag_wrong'].weight == recalls
  # The best there is: ln 2 at each choice.
  choices = sum(
    len(chances) == 2 for text in texts for chances in follow(text, True)[:-1]
  )
  best = math.log(2) * choices / sum(len(text) - 1 for text in texts)
  assert value(means['loss']) == pytest.approx(best, rel=1e-4)


@pytest.mark.parametrize(
  ('name', 'held_out', 'length', 'shortest'),
  [
    ('embedded_reber', False, 100, None),
    ('embedded_reber', True, 100, None),
    ('embedded_reber', True, 14, None),
    ('continual_reber', False, 9, None),
    ('continual_reber', False, 30, None),
    ('continual_reber', False, 20, 9),
    ('embedded_reber', False, 14, 9),
  ],
)
def test_chance_level_is_that_of_guessing_the_second_t_or_p(
  name, held_out, length, shortest
):
  totals: dict[str, np.ndarray] = {}
  draws, count = (60, 50) if shortest else (1, 1000)
  chance = lv.make_task(
    name, None, length, held_out=held_out, shortest=shortest
  ).baselines
  seen = set()
  for seed in range(draws):
    task, batch = draw(name, held_out, length, count, shortest, seed)
    texts = read(batch.inputs)
    seen.add(max(map(len, texts)))
    outputs = predict(texts, task.num_steps, memory=False, seed=seed)
    for metric, mean in MEASURE(outputs, batch).items():
      totals[metric] = totals.get(metric, 0) + np.array(mean)
  if shortest:
    assert min(seen) == shortest and max(seen) <= length
    assert len(seen) >= (length - shortest + 1 if 'cont' in name else 4)
  assert set(totals) == set(chance)
  for metric, (total, weight) in totals.items():
    # Steps of one sequence go together; drawn lengths spread the means more.
    noise = 2.5 / (draws * count) ** 0.5
    limit = {'loss': 0.02, 'wrong': 0.1 * noise + 0.003}.get(metric, noise)
    limit += 0.02 if shortest else 0
    assert total / weight == pytest.approx(chance[metric], abs=limit)


@pytest.mark.parametrize('name', ['embedded_reber', 'continual_reber'])
def test_who_knows_the_rule_makes_no_mistake_at_drawn_lengths(name):
  for seed in range(20):
    task, batch = draw(name, False, 14, 50, 9, seed)
    texts = read(batch.inputs)
    assert 9 <= min(map(len, texts)) and max(map(len, texts)) <= 14
    means = MEASURE(predict(texts, task.num_steps), batch)
    assert means['failed'].total == means['wrong'].total == 0
    assert means['wrong'].weight == sum(len(text) - 1 for text in texts)


def test_a_lower_t_leaves_out_longer_strings():
  task, batch = draw('embedded_reber', True, 15)
  _, every = draw('embedded_reber', True, count=10_000)
  kept = set(read(batch.inputs))
  assert task.num_steps == 15
  assert kept <= {text for text in read(every.inputs) if len(text) <= 15}
  assert max(map(len, kept)) == 15
  _, shortest = draw('embedded_reber', False, 9)
  assert len(set(read(shortest.inputs))) == 4


def test_a_possible_symbol_must_be_more_active_than_every_other():
  _, batch = draw('embedded_reber')
  outputs = np.array(batch.targets)
  assert MEASURE(outputs, batch)['wrong'].total == 0
  # Equal is not more, whatever the other possible symbol does.
  n, t = np.argwhere(batch.targets.sum(axis=-1) == 2)[0]
  allowed = np.flatnonzero(batch.targets[n, t])
  other = np.flatnonzero(batch.targets[n, t] == 0)[0]
  outputs[n, t, allowed[1]] = outputs[n, t, other]
  means = MEASURE(outputs, batch)
  assert means['wrong'].total == means['failed'].total == 1
  errors = np.asarray(ERRORS(outputs, batch))
  assert errors[n] == pytest.approx(1 / batch.mask[n].sum())
  assert np.count_nonzero(errors) == 1
  # Steps without a target do not count; what is not a number is wrong.
  outputs = np.where(batch.mask[..., None] > 0, batch.targets, np.nan)
  assert MEASURE(outputs, batch)['failed'].total == 0
  assert np.isfinite(MEASURE(outputs, batch)['loss'].total)
  unknown = MEASURE(np.full_like(outputs, np.nan), batch)
  assert value(unknown['wrong']) == value(unknown['failed']) == 1


@pytest.mark.parametrize('name', ['embedded_reber', 'continual_reber'])
def test_too_short_a_length_is_refused_and_no_mistake_is_success(name):
  with pytest.raises(ValueError, match='length 8.*needs at least 9'):
    lv.make_task(name, None, 8)
  rule = lv.make_task(name, None, 100).success
  assert isinstance(rule, base.HeldOut)
  assert rule.metric == 'failed' and rule.below < 1e-5


def test_published_results_are_those_of_the_papers():
  hs97 = lv.make_task('embedded_reber').published
  assert sorted(result.value for result in hs97) == [
    *(8440, 9500, 14060, 21730, 39740),
  ]
  assert all('table 1' in result.source for result in hs97)
  gers00 = lv.make_task('continual_reber').published
  assert [result.value for result in gers00] == [18, 62, 74]


def test_what_a_long_stream_holds_is_counted_to_its_end():
  # Step by step, where the program stops once nothing changes.
  spec = base.Spec(length=5000, shortest=3000)
  found = reber_grammar.expect_stream(spec)
  nodes = np.eye(len(reber_grammar.GRAMMAR))[0]
  choices, recalls, counts = 0.0, 0.0, []
  for length in range(2, spec.length + 1):
    following = np.zeros_like(nodes)
    for node, edges in enumerate(reber_grammar.GRAMMAR):
      for _, target in edges:
        following[target] += nodes[node] / len(edges)
    nodes = following
    choices += sum(
      share * (len(edges) > 1)
      for share, edges in zip(nodes, reber_grammar.GRAMMAR, strict=True)
    )
    recalls += sum(
      share * (edges[0][1] == 2)
      for share, edges in zip(nodes, reber_grammar.GRAMMAR, strict=True)
    )
    if length >= spec.shortest:
      counts.append((length - 1, choices, recalls))
  np.testing.assert_allclose(found[:3], np.mean(counts, axis=0), rtol=1e-12)
  assert found.unfailed == pytest.approx(0, abs=1e-11)
