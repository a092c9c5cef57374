"""Language modelling, decoded anew from the texts."""

import collections
import hashlib
import math
import os
import re
import sys
from typing import Any

import jax
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants.tasks import base, data
from lstm_variants.tasks import text as text_task

NOVEL = (
  'It was the best of times, it was the worst of times; it was Jerry’s '
  'age of "wisdom", _1859_, and\n\tthe age of foolishness. '
)
# To compile takes most of the time of these tests.
QUICKLY = {'xla_backend_optimization_level': 0}
MEASURE = jax.jit(text_task.measure)
ERRORS = jax.jit(text_task.sequence_errors)


def write(tmp_path, text: str, name: str = 'text.txt') -> str:
  path = tmp_path / name
  path.write_bytes(text.encode())
  return str(path)


def draw(task, count: int = 300, seed: int = 0):
  sample = jax.jit(task.sample, static_argnums=1, compiler_options=QUICKLY)
  return jax.tree.map(np.asarray, sample(jax.random.key(seed), count))


def read(task, batch) -> tuple[list[list[str]], list[list[str]]]:
  """Return the names of the symbols of inputs and targets, by sequence."""
  names = task.inputs.names
  assert names == task.outputs.names and len(set(names)) == len(names)
  shown, asked = [], []
  for rows, targets, mask in zip(*batch, strict=True):
    length = int(mask.sum())
    np.testing.assert_array_equal(mask, np.arange(len(mask)) < length)
    assert not rows[length:].any()
    assert set(np.unique(rows)) <= {0.0, 1.0}
    np.testing.assert_array_equal(rows[:length].sum(axis=1), 1.0)
    shown.append([names[n] for n in rows[:length].argmax(axis=1)])
    asked.append([names[n] for n in targets[:length]])
  return shown, asked


def parts(symbols: list[str]) -> tuple[list[str], list[str]]:
  border = len(symbols) * 9 // 10
  return symbols[:border], symbols[border:]


def words(text: str) -> list[str]:
  """Return the words, spelt out one character after the other."""
  found, word = [], ''
  text = text.lower() + ' '
  for n, sign in enumerate(text):
    inner = sign in "'’" and word and text[n + 1 : n + 2].isalnum()
    if sign.isalnum() or inner:
      word += sign
      continue
    if word:
      found.append(word)
    word = ''
    if not sign.isspace():
      found.append(sign)
  return found


def alphabet(train: list[str], largest: int) -> list[str]:
  """Return the most frequent symbols of the training part, most first."""
  return [s for s, _ in collections.Counter(train).most_common(largest)]


def mean_cost(symbols: list[str], cost, lengths) -> float:
  """Return the mean of cost(before, symbol) over all windows of all T."""
  total = 0.0
  for length in lengths:
    windows = [
      sum(cost(*symbols[n - 1 : n + 1]) for n in range(s + 1, s + length + 1))
      for s in range(len(symbols) - length)
    ]
    total += sum(windows) / len(windows)
  return total / sum(lengths)


@pytest.mark.parametrize(
  ('name', 'held_out'),
  [('characters', False), ('characters', True), ('words', False)],
)
def test_windows_are_pieces_of_their_part_and_what_follows(
  name, held_out, tmp_path
):
  # Numbers in the text make every window unlike every other.
  text = ' '.join(f'{n} x{n * n}' for n in range(400))
  symbols = list(text) if name == 'characters' else words(text)
  task = lv.make_task(
    name, length=24, path=write(tmp_path, text), held_out=held_out, symbols=999
  )
  part = parts(symbols)[held_out]
  known = set(parts(symbols)[0])
  part = [s.replace(' ', '␣') if s in known else '\ufffd' for s in part]
  places = {}
  for n in range(len(part) - 24):
    places.setdefault(tuple(part[n : n + 25]), n)
  found = []
  for shown, asked in zip(*read(task, draw(task, 600)), strict=True):
    assert len(shown) == 24 and shown[1:] == asked[:-1]
    found.append(places[(*shown, asked[-1])])
  share = np.array(found) / (len(part) - 25)
  quarters = [0, 0.25, 0.5, 0.75, 1]
  np.testing.assert_allclose(np.quantile(share, quarters), quarters, atol=0.1)
  assert share.min() < 0.02 and share.max() > 0.98


@pytest.mark.parametrize('held_out', [False, True])
def test_the_first_and_the_last_window_of_a_part_are_drawn(held_out, tmp_path):
  text = 'abcdefghijklmnopqrstuvwxyzABCD'  # 27 to train on, 3 held out
  path = write(tmp_path, text)
  task = lv.make_task('characters', length=2, path=path, held_out=held_out)
  batch = draw(task, 600)
  shown, _ = read(task, batch)
  starts = {''.join(row) for row in shown}
  if held_out:
    assert starts == {'\ufffd\ufffd'}
  else:
    assert starts == {text[n : n + 2] for n in range(25)}
    counts = collections.Counter(''.join(row) for row in shown)
    assert max(counts.values()) < 24 + 5 * 24**0.5


@pytest.mark.parametrize(
  ('name', 'held_out'), [('characters', True), ('words', False)]
)
def test_who_knows_what_follows_makes_no_error(name, held_out, tmp_path):
  text = 'one two three four five six ' * 30
  if name == 'characters':
    text = 'abcdefgh ' * 90
  cycle = list('abcdefgh␣') if name == 'characters' else text.split()[:6]
  path = write(tmp_path, text)
  task = lv.make_task(name, length=12, path=path, held_out=held_out)
  batch = draw(task)
  shown, _ = read(task, batch)
  following: dict[str, str] = dict(
    zip(cycle, cycle[1:] + cycle[:1], strict=True)
  )
  answers = [
    [task.outputs.names.index(following[s]) for s in row] for row in shown
  ]
  outputs = 60 * np.eye(task.out_features, dtype=np.float32)[answers]
  means = MEASURE(outputs, batch)
  assert means['loss'].total < 1e-6 and means['bits'].total < 1e-6
  assert means['loss'].weight == means['wrong'].weight == 300 * 12
  assert means['wrong'].total == 0
  assert not ERRORS(outputs, batch).any()
  assert task.success.below < 0.3  # pyrefly: ignore[missing-attribute]


def test_metrics_are_means_over_symbols(tmp_path):
  path = write(tmp_path, NOVEL * 20)
  task = lv.make_task('characters', length=9, path=path)
  batch = draw(task, 50)
  logits = np.random.default_rng(0).normal(size=(50, 9, task.out_features))
  shares = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
  wrong, nats = np.zeros((50, 9)), np.zeros((50, 9))
  for n in range(50):
    for t in range(9):
      nats[n, t] = -math.log(shares[n, t, batch.targets[n, t]])
      wrong[n, t] = logits[n, t].argmax() != batch.targets[n, t]
  outputs = logits.astype(np.float32)
  means = MEASURE(outputs, batch)
  values = {
    name: float(mean.total / mean.weight) for name, mean in means.items()
  }
  assert values == {
    'loss': pytest.approx(nats.mean(), rel=1e-5),
    'bits': pytest.approx(nats.mean() / math.log(2), rel=1e-5),
    'wrong': pytest.approx(wrong.mean(), rel=1e-5),
  }
  np.testing.assert_allclose(
    ERRORS(outputs, batch), wrong.mean(axis=1), atol=1e-6
  )


@pytest.mark.parametrize('name', ['characters', 'words'])
def test_a_drawn_length_is_that_of_the_window(name, tmp_path):
  path = write(tmp_path, 'a b c d e f g h ' * 60)
  task = lv.make_task(name, length=9, shortest=6, path=path)
  following: dict[str, str] = dict(zip('abcdefgh', 'bcdefgha', strict=True))
  seen = set()
  for seed in range(25):
    shown, asked = read(task, draw(task, 20, seed))
    (length,) = {len(row) for row in shown}
    seen.add(length)
    for row, answers in zip(shown, asked, strict=True):
      assert row[1:] == answers[:-1]
      if name == 'words':
        assert answers == [following[word] for word in row]
  assert seen == {6, 7, 8, 9}


@pytest.mark.parametrize('shortest', [8, 5])
@pytest.mark.parametrize(
  ('name', 'largest'), [('characters', 96), ('characters', 5), ('words', 12)]
)
def test_chance_is_the_unigram_and_success_beats_the_bigram(
  name, largest, shortest, tmp_path
):
  text = NOVEL * 3 + 'Zebra ' + NOVEL[::-1]
  symbols: list[str] = list(text) if name == 'characters' else words(text)
  train, held_out = parts(symbols)
  kept = alphabet(train, largest)
  task = lv.make_task(
    name,
    length=8,
    shortest=shortest,
    symbols=largest,
    path=write(tmp_path, text),
  )
  assert task.out_features == len(kept) + 1
  train = [s if s in kept else '' for s in train]
  held_out = [s if s in kept else '' for s in held_out]
  counts = collections.Counter(train)
  size = len(kept) + 1
  pairs = collections.Counter(zip(train, train[1:], strict=False))
  given = collections.Counter(train[:-1])

  def unigram(symbol):
    return (counts[symbol] + 1) / (len(train) + size)

  def bigram(before, symbol):
    prior = 10 * unigram(symbol)
    return (pairs[before, symbol] + prior) / (given[before] + 10)

  best = max(counts[s] for s in counts)
  (likely,) = [s for s in counts if counts[s] == best]
  lengths = range(shortest, 9)
  costs = {
    'loss': lambda _, symbol: -math.log(unigram(symbol)),
    'bits': lambda _, symbol: -math.log2(unigram(symbol)),
    'wrong': lambda _, symbol: float(symbol != likely),
  }
  for metric, cost in costs.items():
    assert task.baselines[metric] == pytest.approx(
      mean_cost(held_out, cost, lengths), rel=1e-9
    )
  limit = mean_cost(held_out, lambda *pair: -math.log(bigram(*pair)), lengths)
  assert isinstance(task.success, base.HeldOut)
  assert task.success.metric == 'loss'
  assert task.success.below == pytest.approx(limit, rel=1e-9)


def test_the_unigrams_measured_loss_is_the_chance_level(tmp_path):
  text = NOVEL * 12
  task = lv.make_task(
    'characters',
    length=11,
    shortest=3,
    path=write(tmp_path, text),
    held_out=True,
  )
  counts = collections.Counter(parts(list(text))[0])
  signs = {'␣': ' ', '⏎': '\n', '⇥': '\t'}
  logits = np.log(
    [counts[signs.get(name, name)] + 1 for name in task.outputs.names]
  ).astype(np.float32)
  totals, weights = (dict.fromkeys(task.baselines, 0.0) for _ in range(2))
  for seed in range(60):
    batch = draw(task, 200, seed)
    outputs = np.broadcast_to(logits, (200, 11, logits.size))
    for metric, mean in MEASURE(outputs, batch).items():
      totals[metric] += float(mean.total)
      weights[metric] += float(mean.weight)
  for metric, chance in task.baselines.items():
    found = totals[metric] / weights[metric]
    assert found == pytest.approx(chance, rel=0.015)


def test_words_are_runs_of_letters_and_digits_and_single_signs(tmp_path):
  text = "It's Tom’s 2nd \"day\"… isn’t\n_it_? 'Quoted' ÄRGER-free "
  expected = (
    "it's tom’s 2nd \" day \" … isn’t _ it _ ? ' quoted ' ärger - free"
  ).split()
  assert words(text) == expected
  task = lv.make_task('words', length=5, path=write(tmp_path, text * 9))
  assert set(task.inputs.names) == {*expected, '\ufffd'}


def test_the_alphabet_is_that_of_the_training_part_most_frequent_first(
  tmp_path,
):
  # The last 88 are held out, with all that the training part lacks.
  path = write(tmp_path, 'ccccbbba' * 100 + 'z' * 80)
  task = lv.make_task('characters', length=5, path=path, held_out=True)
  assert task.inputs.names == ('c', 'b', 'a', '\ufffd')
  shown, asked = read(task, draw(task))
  assert {s for row in shown for s in row} == {*'cba', '\ufffd'}
  fewer = lv.make_task('characters', length=5, path=path, symbols=2)
  assert fewer.inputs.names == ('c', 'b', '\ufffd')
  shown, _ = read(fewer, draw(fewer))
  assert any('bbb\ufffdc' in ''.join(row) for row in shown)
  assert fewer.label.endswith('-symbols2') and fewer.label != task.label


def test_every_character_has_a_name_of_its_own_that_can_be_seen(tmp_path):
  text = ' \n\t\r␣⏎\ufffd\x07é\u0301𝄞' * 20
  task = lv.make_task('characters', length=5, path=write(tmp_path, text))
  names = task.inputs.names
  assert len(set(names)) == len(names) == 12
  assert set(names) == {
    *('␣', '⏎', '⇥', 'U+000D', 'U+2423', 'U+23CE', 'U+FFFD', 'U+0007'),
    *('é', '\u0301', '𝄞', '\ufffd'),
  }


def test_the_default_text_is_pythons_manual_without_its_repetitions():
  from pydoc_data import topics

  paragraphs = {
    paragraph
    for chapter in topics.topics.values()
    for paragraph in re.split(r'\n\n+', chapter.strip('\n'))
  }
  text = text_task.read_text('')
  found = text.split('\n\n')
  assert len(found) == len(set(found)) and {*found[:-1]} < paragraphs
  assert len(text) > 200_000 and ' the ' in text
  name = hashlib.sha256(text.encode()).hexdigest()[:8]
  for task_name in ('characters', 'words'):
    task = lv.make_task(task_name, length=30)
    assert task.label == f'{task_name}-next-T30-{name}'
    assert 0 < task.success.below < task.baselines['loss']  # pyrefly: ignore[missing-attribute]
    batch = draw(task, 3)
    shown, asked = read(task, batch)
    symbols = list(text) if task_name == 'characters' else words(text)
    kept = {*alphabet(parts(symbols)[0], task.out_features - 1)}
    signs = {' ': '␣', '\n': '⏎', '\t': '⇥'}
    stream = ' '.join(
      signs.get(s, s) if s in kept else '\ufffd' for s in symbols
    )
    for row, answers in zip(shown, asked, strict=True):
      assert ' '.join([*row, answers[-1]]) in stream


def test_without_pythons_manual_one_line_asks_for_a_text(monkeypatch):
  monkeypatch.setitem(sys.modules, 'pydoc_data', None)
  with pytest.raises(base.SpecError, match='has no manual: give a text'):
    lv.make_task('characters', length=57)


def refuse(path, name: str = 'characters', **choices) -> base.SpecError:
  chosen: Any = {'length': 5, **choices}
  with pytest.raises(base.SpecError) as caught:
    lv.make_task(name, path=str(path), **chosen)
  assert '\n' not in str(caught.value)
  return caught.value


def test_files_that_are_no_text_are_refused(tmp_path, monkeypatch):
  assert 'No such file' in refuse(tmp_path / 'missing').rule
  assert 'is a directory' in refuse(tmp_path).rule
  assert 'null byte' in refuse('a\0b').rule
  os.mkfifo(tmp_path / 'pipe')
  assert 'not a regular file' in refuse(tmp_path / 'pipe').rule
  latin = tmp_path / 'latin'
  latin.write_bytes(b'abcdefg\xe4' * 50)
  assert 'not UTF-8 text: see byte 7' in refuse(latin).rule
  path = write(tmp_path, 'ab' * 100)
  monkeypatch.setattr(data, 'LARGEST', 199)
  assert 'is larger than' in refuse(path).rule
  monkeypatch.setattr(data, 'LARGEST', 200)
  assert lv.make_task('characters', length=5, path=path).length == 5


@pytest.mark.parametrize(
  ('name', 'text', 'message'),
  [
    ('characters', '', '0 symbols'),
    ('characters', 'abcdefghij', '10 symbols'),
    ('words', 'one word after another, ' * 2, '10 symbols'),
    ('characters', 'a' * 100, 'fewer than 2'),
    ('words', 'mono ' * 100, 'fewer than 2'),
  ],
)
def test_texts_with_too_little_in_them_are_refused(
  name, text, message, tmp_path
):
  error = refuse(write(tmp_path, text), name, length=1)
  assert error.field == 'path' and message in error.rule


def test_a_window_longer_than_the_held_out_part_is_refused(tmp_path):
  path = write(tmp_path, 'abcdefghij' * 10)
  error = refuse(path, length=10)
  assert (error.field, error.value) == ('length', 10)
  assert 'has 10 symbols, T + 1 are needed; nearest: 9' in error.rule
  task = lv.make_task('characters', length=9, path=path, held_out=True)
  shown, asked = read(task, draw(task, 5))
  assert {''.join(row) for row in shown} == {'abcdefghi'}
  assert {row[-1] for row in asked} == {'j'}
  assert refuse(path, symbols=1).field == 'symbols'


def test_a_byte_order_mark_is_no_symbol(tmp_path):
  path = tmp_path / 'marked.txt'
  path.write_bytes(b'\xef\xbb\xbf' + b'abc' * 100)
  task = lv.make_task('characters', length=5, path=str(path))
  assert task.inputs.names == ('a', 'b', 'c', '\ufffd')
