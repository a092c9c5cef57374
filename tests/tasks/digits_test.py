"""Digits pixel by pixel, against the files they come from."""

import csv
import functools
import gzip
import hashlib
import importlib.metadata
import math
import struct
import sys

import jax
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants.tasks import base, data, digits

MEASURE = jax.jit(digits.measures.classification)
ERRORS = jax.jit(digits.measures.class_errors)
# To compile takes most of the time of these tests.
QUICKLY = {'xla_backend_optimization_level': 0}
NAMES = ('sequential_digits', 'permuted_digits')
# The order of 64 pixels that NumPy draws from seed 92916, written down.
# fmt: off
ORDER_64 = (
  13, 12, 55, 7, 0, 18, 5, 16, 35, 42, 63, 43, 36, 24, 33, 49,
  3, 47, 30, 4, 10, 27, 21, 58, 20, 1, 44, 6, 51, 50, 37, 48,
  57, 28, 19, 60, 46, 45, 32, 2, 23, 40, 15, 54, 17, 52, 9, 11,
  41, 53, 31, 56, 62, 14, 34, 61, 59, 25, 22, 8, 38, 39, 26, 29,
)
# fmt: on
# The SHA-256 of the order of 784 pixels, as lines of decimal numbers.
ORDER_784 = '254d5c2bbd0fa3e424d648163651b8bca6d099e492d10c1a90af7bc6c9f2c18e'


@functools.cache
def table() -> tuple[bytes, list[list[int]]]:
  """Return the file of scikit-learn, and its rows: 64 pixels, the digit."""
  place = importlib.metadata.distribution('scikit-learn')
  path = place.locate_file('sklearn/datasets/data/digits.csv.gz')
  with gzip.open(str(path)) as file:
    content = file.read()
  lines = content.decode().splitlines()
  return content, [[int(cell) for cell in row] for row in csv.reader(lines)]


def split(held_out: bool) -> list[list[int]]:
  return table()[1][-360:] if held_out else table()[1][:-360]


def draw(task, count: int = 500, seed: int = 0):
  sample = jax.jit(task.sample, static_argnums=1, compiler_options=QUICKLY)
  return jax.tree.map(np.asarray, sample(jax.random.key(seed), count))


def read_pixels(inputs: np.ndarray, brightest: int) -> list[tuple[int, ...]]:
  """Return each sequence's pixels as the integers of the file."""
  scaled = inputs[..., 0].astype(np.float64) * brightest
  np.testing.assert_allclose(scaled, np.rint(scaled), atol=1e-4)
  return [tuple(row) for row in np.rint(scaled).astype(int).tolist()]


def answer(task, batch, labels) -> np.ndarray:
  """Return sure logits for the labels at step T, noise elsewhere."""
  outputs = np.random.default_rng(0).normal(size=(*batch.targets.shape, 10))
  rows = np.arange(len(labels))
  outputs[rows, batch.mask.argmax(axis=1)] = 60 * np.eye(10)[labels]
  return outputs.astype(np.float32)


@pytest.mark.parametrize(
  ('name', 'length', 'held_out'),
  [
    ('sequential_digits', 64, True),
    ('permuted_digits', 70, True),
    ('permuted_digits', 70, False),
  ],
)
def test_sequences_are_the_images_of_their_part_then_a_wait(
  name, length, held_out
):
  task = lv.make_task(name, 'sklearn', length, held_out=held_out)
  batch = draw(task)
  order = ORDER_64 if name == 'permuted_digits' else range(64)
  rows = split(held_out)
  images = {tuple(row[n] for n in order): row[64] for row in rows}
  assert len(rows) == (360 if held_out else 1437)
  assert batch.inputs.shape == (500, length, 1)
  assert not batch.inputs[:, 64:].any()
  pixels = read_pixels(batch.inputs[:, :64], 16)
  # Who knows the images reads the digit off the pixels.
  labels = [images[row] for row in pixels]
  np.testing.assert_array_equal(batch.targets[:, -1], labels)
  np.testing.assert_array_equal(batch.mask[:, -1], 1.0)
  assert not batch.mask[:, :-1].any()
  outputs = answer(task, batch, labels)
  means = MEASURE(outputs, batch)
  assert means['loss'].total < 1e-6 and means['loss'].weight == 500
  assert means['wrong'].total == 0
  assert ERRORS(outputs, batch).max() < 1e-6


def test_all_images_are_drawn_and_equally_often():
  batch = draw(lv.make_task('sequential_digits', 'sklearn', 64), 30_000)
  rows = [tuple(row[:64]) for row in split(held_out=False)]
  place = {row: n for n, row in enumerate(rows)}
  assert len(place) == len(rows)
  counts = np.bincount(
    [place[row] for row in read_pixels(batch.inputs, 16)], minlength=len(rows)
  )
  expected = 30_000 / len(rows)
  assert np.abs(counts - expected).max() < 5 * expected**0.5
  spread = np.sum((counts - expected) ** 2 / expected) / (len(rows) - 1)
  assert abs(spread - 1) < 5 * (2 / len(rows)) ** 0.5


def test_a_drawn_length_moves_the_question_alone():
  task = lv.make_task('permuted_digits', 'sklearn', 70, shortest=66)
  images = {tuple(row[:64]): row[64] for row in split(held_out=False)}
  order = np.argsort(ORDER_64)
  seen = set()
  for seed in range(25):
    batch = draw(task, 20, seed)
    (last,) = set(batch.mask.argmax(axis=1).tolist())
    np.testing.assert_array_equal(batch.mask.sum(axis=1), 1.0)
    seen.add(last + 1)
    assert not batch.inputs[:, 64:].any()
    pixels = read_pixels(batch.inputs[:, :64][:, order], 16)
    labels = [images[row] for row in pixels]
    np.testing.assert_array_equal(batch.targets[:, last], labels)
    means = MEASURE(answer(task, batch, labels), batch)
    assert means['wrong'].total == 0 and means['wrong'].weight == 20
  assert seen == {66, 67, 68, 69, 70}


def test_chance_is_that_of_the_training_parts_class_frequencies():
  task = lv.make_task('permuted_digits', 'sklearn', 64, held_out=True)
  known = [row[64] for row in split(held_out=False)]
  shares = np.array([(known.count(n) + 1) / (1437 + 10) for n in range(10)])
  asked = [row[64] for row in split(held_out=True)]
  loss = sum(-math.log(shares[n]) for n in asked) / 360
  wrong = sum(n != int(np.argmax(shares)) for n in asked) / 360
  assert task.baselines == {
    'loss': pytest.approx(loss, rel=1e-9),
    'wrong': pytest.approx(wrong, rel=1e-9),
    'failed': pytest.approx(wrong, rel=1e-9),
  }
  assert abs(loss - math.log(10)) < 0.001
  batch = draw(task, 5000)
  outputs = np.broadcast_to(np.log(shares).astype(np.float32), (5000, 64, 10))
  for metric, mean in MEASURE(outputs, batch).items():
    noise = 5 * 0.5 / 5000**0.5
    assert abs(mean.total / mean.weight - task.baselines[metric]) < noise


def test_both_parts_have_the_same_label_chance_and_rule():
  parts = [
    lv.make_task('permuted_digits', 'sklearn', 64, held_out=held_out)
    for held_out in (False, True)
  ]
  name = hashlib.sha256(table()[0]).hexdigest()[:8]
  for part in parts:
    assert part.label == f'permuted_digits-sklearn-T64-{name}'
    assert part.baselines == parts[0].baselines
    assert str(part.success) == (
      'held-out wrong below 0.2 (a mark: training goes on)'
    )


@pytest.mark.parametrize('name', NAMES)
def test_without_the_extra_one_line_says_how_to_get_it(name, monkeypatch):
  monkeypatch.setitem(sys.modules, 'sklearn', None)
  with pytest.raises(base.SpecError) as caught:
    lv.make_task(name, 'sklearn', 131)
  assert (caught.value.field, caught.value.value) == ('name', name)
  assert caught.value.rule == (
    "needs an extra: pip install 'lstm-variants[data]'"
  )


@pytest.mark.parametrize(
  ('dialect', 'shortest'), [('sklearn', 64), ('mnist', 784)]
)
def test_a_length_that_cuts_the_image_is_refused(dialect, shortest):
  with pytest.raises(base.SpecError, match=f'nearest: {shortest}$'):
    lv.make_task('sequential_digits', dialect, shortest - 1)


def idx(shape: tuple[int, ...], values: bytes, kind: int = 8) -> bytes:
  """Return an IDX file as its documentation has it."""
  header = bytes((0, 0, kind, len(shape)))
  return header + b''.join(struct.pack('>I', n) for n in shape) + values


def mnist(train: int = 7, test: int = 5) -> dict[str, bytes]:
  """Return the four files; images are noise."""
  rng = np.random.default_rng(0)
  files = {}
  for part, count in (('train', train), ('t10k', test)):
    pixels = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
    labels = rng.integers(0, 10, count, dtype=np.uint8)
    pixels[0, 0, 0] = 255
    files[f'{part}-images-idx3-ubyte'] = idx((count, 28, 28), pixels.tobytes())
    files[f'{part}-labels-idx1-ubyte'] = idx((count,), labels.tobytes())
  return files


def save(directory, files: dict[str, bytes], packed: bool = False) -> str:
  directory.mkdir(exist_ok=True)
  for name, content in files.items():
    if packed:
      (directory / f'{name}.gz').write_bytes(gzip.compress(content))
    else:
      (directory / name).write_bytes(content)
  return str(directory)


@pytest.mark.parametrize(
  ('name', 'held_out'), [(NAMES[0], False), (NAMES[1], True)]
)
def test_mnist_is_read_from_its_four_files(name, held_out, tmp_path):
  files = mnist()
  task = lv.make_task(
    name, 'mnist', 790, held_out=held_out, path=save(tmp_path, files)
  )
  part, count = ('t10k', 5) if held_out else ('train', 7)
  pixels = files[f'{part}-images-idx3-ubyte'][16:]
  labels = files[f'{part}-labels-idx1-ubyte'][8:]
  order = np.arange(784)
  if name == 'permuted_digits':
    order = np.random.RandomState(92916).permutation(784)
    text = '\n'.join(map(str, order))
    assert hashlib.sha256(text.encode()).hexdigest() == ORDER_784
  images = {}
  for n in range(count):
    image = pixels[784 * n : 784 * (n + 1)]
    images[tuple(image[place] for place in order)] = labels[n]
  batch = draw(task, 60)
  assert batch.inputs.max() == 1.0
  rows = read_pixels(batch.inputs[:, :784], 255)
  assert set(rows) == set(images)
  np.testing.assert_array_equal(
    batch.targets[:, 789], [images[row] for row in rows]
  )
  assert not batch.inputs[:, 784:].any() and not batch.mask[:, :789].any()


def test_mnist_packed_or_not_is_the_same_data_and_other_data_another(tmp_path):
  labels = [
    lv.make_task('sequential_digits', 'mnist', 784, path=path).label
    for path in (
      save(tmp_path / 'plain', mnist()),
      save(tmp_path / 'packed', mnist(), packed=True),
      save(tmp_path / 'other', mnist(test=6)),
    )
  ]
  assert labels[0] == labels[1] != labels[2]
  assert labels[0].startswith('sequential_digits-mnist-T784-')
  assert len(labels[0]) == len('sequential_digits-mnist-T784-') + 8


def test_mnist_has_the_results_of_2018_to_compare_with(tmp_path):
  path = save(tmp_path, mnist())
  for name, wrong in zip(NAMES, ((0.015, 0.01), (0.09, 0.075)), strict=True):
    task = lv.make_task(name, 'mnist', 784, path=path)
    assert tuple(result.value for result in task.published) == wrong
    assert {result.length for result in task.published} == {784}
    assert [result.note for result in task.published] == ['LSTM', 'JANET']
    assert task.success.limits[0][1] >= wrong[0]  # pyrefly: ignore[missing-attribute]


IMAGES, LABELS = 'train-images-idx3-ubyte', 'train-labels-idx1-ubyte'
BAD_FILES = {
  'no images': (IMAGES, b'', 'rank 3'),
  'a short header': (IMAGES, idx((7, 28, 28), b'')[:15], 'rank 3'),
  'another rank': (IMAGES, idx((7, 784), bytes(7 * 784)), 'rank 3'),
  'another type': (LABELS, idx((7,), bytes(7), kind=9), 'rank 1'),
  'too few bytes': (IMAGES, idx((7, 28, 28), bytes(5487)), 'asks for 5504'),
  'too many bytes': (LABELS, idx((7,), bytes(8)), 'has 16 .* asks for 15'),
  'a huge header': (IMAGES, idx((2**32 - 1,) * 3, bytes(9)), 'asks for'),
  'no labels': (LABELS, idx((0,), b''), 'asks for 8'),
  'another count': (LABELS, idx((6,), bytes(6)), r'asks for \(6, 28, 28\)'),
  'another size': (IMAGES, idx((7, 27, 28), bytes(7 * 756)), 'has shape'),
  'a class too many': (LABELS, idx((7,), bytes((10,) * 7)), 'holds a 10'),
}


@pytest.mark.parametrize('case', BAD_FILES)
def test_mnist_files_that_are_not_what_they_say_are_refused(case, tmp_path):
  name, content, message = BAD_FILES[case]
  path = save(tmp_path, mnist() | {name: content})
  with pytest.raises(base.SpecError, match=message) as caught:
    lv.make_task('sequential_digits', 'mnist', 784, path=path)
  assert caught.value.field == 'path' and '\n' not in str(caught.value)


def test_mnist_without_its_files_is_refused_with_their_names(tmp_path):
  def build(path):
    return lv.make_task('sequential_digits', 'mnist', 784, path=path)

  with pytest.raises(base.SpecError, match='train-images.*t10k-labels'):
    build('')
  with pytest.raises(base.SpecError, match='train-images.*No such file'):
    build(str(tmp_path))
  files = mnist()
  del files['t10k-labels-idx1-ubyte']
  with pytest.raises(base.SpecError, match='t10k-labels.*No such file'):
    build(save(tmp_path / 'three', files))
  path = save(tmp_path / 'torn', mnist(), packed=True)
  packed = tmp_path / 'torn' / f'{IMAGES}.gz'
  packed.write_bytes(packed.read_bytes()[:-300])
  with pytest.raises(base.SpecError, match='not a whole gzip file'):
    build(path)
  packed.write_bytes(b'not packed')
  with pytest.raises(base.SpecError, match='not a whole gzip file'):
    build(path)


def test_a_file_larger_than_the_limit_is_refused(tmp_path, monkeypatch):
  monkeypatch.setattr(data, 'LARGEST', 5000)
  for packed in (False, True):  # what is packed is smaller than the limit
    files = mnist() | {IMAGES: idx((7, 28, 28), bytes(5488))}
    path = save(tmp_path / str(packed), files, packed)
    with pytest.raises(base.SpecError, match='is larger than'):
      lv.make_task('sequential_digits', 'mnist', 784, path=path)
