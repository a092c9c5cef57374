"""Digits pixel by pixel: which of ten digits is the image?

Each step brings the brightness of one pixel, 0 to 1, in reading order; at step
T the model is to name the digit. The image takes as many steps as it has
pixels; a longer T adds black pixels before the answer, a longer wait.

Worked example, dialect `sklearn`, T = 67: 8 x 8 = 64 pixels, 3 steps of wait.

    step     1    2    3    4    ...  64   65   66   67
    pixel    0    0    0.31 0.81 ...  0    0    0    0
    target                                           3

Dialect `mnist` is the same with 28 x 28 = 784 pixels; the literature has
T = 784. In `permuted_digits` the pixels come in another order, one for all
images: the permutation that NumPy's legacy generator draws from seed 92916, as
in much of the literature. It spreads neighbouring pixels over the whole
sequence. With 4 pixels a b c d and the permutation 2 0 3 1:

    step     1    2    3    4
    pixel    c    a    d    b

Batches draw images with replacement, from the training or the held-out part.
"""

from collections.abc import Mapping
import functools
import io
import pathlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lstm_variants.tasks import base, data, measures

CLASSES = 10
PERMUTATION_SEED = 92916
SKLEARN_PIXELS, SKLEARN_BRIGHTEST = 64, 16
# The last fifth; in the file's order, so that it holds other writers' digits.
SKLEARN_HELD_OUT = 360
MNIST_SIDE, MNIST_BRIGHTEST = 28, 255
MNIST_FILES = (
  'train-images-idx3-ubyte',
  'train-labels-idx1-ubyte',
  't10k-images-idx3-ubyte',
  't10k-labels-idx1-ubyte',
)
PATH = base.Option('', 0, 0, 'directory with the four IDX files, .gz or not')


class Images(NamedTuple):
  """Images in the order of their steps.

  Attributes:
    pixels: `[count, pixels]`, uint8.
    labels: `[count]`, uint8.
  """

  pixels: np.ndarray
  labels: np.ndarray


class Digits(NamedTuple):
  """A data set.

  Attributes:
    train: its training part.
    held_out: its held-out part.
    brightest: the pixel that becomes 1.
    fingerprint: of both parts.
  """

  train: Images
  held_out: Images
  brightest: int
  fingerprint: str


def sample_digits(
  key: jax.Array,
  batch_size: int,
  length: base.Length,
  num_steps: int,
  images: Images,
  brightest: int,
) -> base.Batch:
  """Draw images with replacement, each a sequence that ends with the question.

  Args:
    key: a PRNG key.
    batch_size: number of sequences.
    length: T in steps, at least the number of pixels; the answer's step.
    num_steps: the time axis, at least T; what follows T is padding.
    images: to draw from.
    brightest: the pixel that becomes 1.

  Returns:
    A `Batch`: inputs `[batch, num_steps, 1]`, targets `[batch, num_steps]`.

  Reference:
    Le, Jaitly & Hinton, 2015, arXiv:1504.00941.
  """
  chosen = jax.random.randint(key, (batch_size,), 0, images.labels.size)
  pixels = jnp.asarray(images.pixels)[chosen].astype(jnp.float32) / brightest
  wait = num_steps - pixels.shape[1]
  inputs = jnp.pad(pixels, ((0, 0), (0, wait)))[..., None]
  labels = jnp.asarray(images.labels)[chosen].astype(jnp.int32)
  last = jnp.arange(num_steps) == length - 1
  mask = jnp.broadcast_to(last.astype(jnp.float32), (batch_size, num_steps))
  return base.Batch(inputs, jnp.where(last, labels[:, None], 0), mask)


def permute(images: Images) -> Images:
  """Return the images with their pixels in the one fixed random order."""
  # This generator's stream is frozen; those of np.random.default_rng are not.
  order = np.random.RandomState(PERMUTATION_SEED)
  return images._replace(
    pixels=images.pixels[:, order.permutation(images.pixels.shape[1])]
  )


def read_sklearn(name: str) -> Digits:
  """Read scikit-learn's digits: 1,797 images of 8 x 8 pixels from 0 to 16.

  Args:
    name: of the task that needs them.

  Raises:
    base.SpecError: scikit-learn is not installed.
  """
  content = data.read_packed(
    data.find_bundled(name, 'sklearn', 'datasets', 'data', 'digits.csv.gz')
  )
  # A line holds the pixels of an image, then its digit.
  table = np.loadtxt(io.BytesIO(content), delimiter=',').astype(np.uint8)
  images = Images(table[:, :SKLEARN_PIXELS], table[:, SKLEARN_PIXELS])
  return Digits(
    train=Images(*(part[:-SKLEARN_HELD_OUT] for part in images)),
    held_out=Images(*(part[-SKLEARN_HELD_OUT:] for part in images)),
    brightest=SKLEARN_BRIGHTEST,
    fingerprint=data.fingerprint(content),
  )


def read_mnist(directory: str) -> Digits:
  """Read the four files of MNIST, or of other images in its format.

  Raises:
    base.SpecError: a file is missing or not what its header says.
  """
  if not directory:
    files = ', '.join(MNIST_FILES)
    raise data.refusal(directory, f'give the directory with {files}')
  parts = []
  for images, labels in (MNIST_FILES[:2], MNIST_FILES[2:]):
    pixels = _read_idx(directory, images, rank=3)
    digits = _read_idx(directory, labels, rank=1)
    if pixels.shape != (digits.size, MNIST_SIDE, MNIST_SIDE):
      raise data.refusal(
        directory,
        f'{images} has shape {pixels.shape}; {labels} asks for '
        f'{(digits.size, MNIST_SIDE, MNIST_SIDE)}',
      )
    if digits.max() >= CLASSES:
      raise data.refusal(directory, f'{labels} holds a {digits.max()}')
    parts.append(Images(pixels.reshape(digits.size, -1), digits))
  train, held_out = parts
  contents = (array.tobytes() for array in (*train, *held_out))
  return Digits(train, held_out, MNIST_BRIGHTEST, data.fingerprint(*contents))


def _read_idx(directory: str, file: str, rank: int) -> np.ndarray:
  path = pathlib.Path(directory, file)
  packed = path.with_name(f'{file}.gz')
  if packed.exists() and not path.exists():
    return data.parse_idx(data.read_packed(packed), rank, packed)
  return data.parse_idx(data.read(path), rank, path)


def chance(digits: Digits) -> Mapping[str, float]:
  """Return the metrics of who knows the training part's class frequencies.

  On the held-out part, with one added to every count.
  """
  counts = np.bincount(digits.train.labels, minlength=CLASSES)
  shares = (counts + 1) / (counts.sum() + CLASSES)
  labels = digits.held_out.labels
  wrong = float(np.mean(labels != np.argmax(counts)))
  loss = float(-np.mean(np.log(shares[labels])))
  return {'loss': loss, 'wrong': wrong, 'failed': wrong}


def _build(spec: base.Spec, name: str, digits: Digits, **facts) -> base.Task:
  images = digits.held_out if spec.held_out else digits.train
  if name == 'permuted_digits':
    images = permute(images)
  return base.Task(
    name=name,
    length=spec.length,
    num_steps=spec.length,
    inputs=base.channels('pixel'),
    outputs=base.symbols(*(str(n) for n in range(CLASSES))),
    sample=base.sampler(
      sample_digits,
      spec,
      spec.length,
      images=images,
      brightest=digits.brightest,
    ),
    measure=measures.classification,
    sequence_errors=measures.class_errors,
    baselines=chance(digits),
    variation=digits.fingerprint,
    **facts,
  )


def build_sklearn(spec: base.Spec, name: str) -> base.Task:
  """Return the version with scikit-learn's 8 x 8 digits; T ≥ 64.

  The last 360 images are held out. No paper sets a rule: success is less than a
  fifth wrong, which an LSTM of 32 units reaches within 2,000 batches of 32.

  Chance: about ln 10; the held-out part's cross-entropy with the training
  part's class frequencies, and the share of the other nine digits.
  """
  order = 'in a fixed random order' if name == 'permuted_digits' else 'in order'
  return _build(
    spec,
    name,
    read_sklearn(name),
    dialect='sklearn',
    success=base.HeldOut('wrong', 0.2, solves=False),
    summary=f'name a digit of 8 x 8 pixels, seen one by one {order}',
    reference=(
      'Alpaydin & Kaynak, Optical Recognition of Handwritten Digits, 1998, '
      'in scikit-learn; after Le, Jaitly & Hinton 2015, arXiv:1504.00941'
    ),
  )


def build_mnist(spec: base.Spec, name: str) -> base.Task:
  """Return the version with MNIST's 28 x 28 digits; T ≥ 784.

  The 10,000 test images are held out. No paper sets a rule: success is the
  error of the LSTM of 2018, rounded up: 2 % in order, 10 % permuted.

  Chance: about ln 10, as for `build_sklearn`.
  """
  permuted = name == 'permuted_digits'
  results = (
    (('LSTM', 0.09), ('JANET', 0.075))
    if permuted
    else (('LSTM', 0.015), ('JANET', 0.01))
  )
  order = 'in a fixed random order' if permuted else 'in order'
  return _build(
    spec,
    name,
    read_mnist(spec.path),
    dialect='mnist',
    success=base.HeldOut('wrong', 0.1 if permuted else 0.02, solves=False),
    summary=f'name a digit of 28 x 28 pixels, seen one by one {order}',
    reference='Le, Jaitly & Hinton, 2015, arXiv:1504.00941',
    published=tuple(
      base.Published(
        MNIST_SIDE**2,
        wrong,
        'share of wrong test images',
        'van der Westhuizen & Lasenby 2018, arXiv:1804.04849, abstract',
        model,
      )
      for model, wrong in results
    ),
  )


def _dialects(name: str) -> Mapping[str, base.Dialect]:
  return {
    'sklearn': base.Dialect(
      functools.partial(build_sklearn, name=name),
      SKLEARN_PIXELS,
      '8 x 8 pixels, one per step',
      usual=SKLEARN_PIXELS,
    ),
    'mnist': base.Dialect(
      functools.partial(build_mnist, name=name),
      MNIST_SIDE**2,
      '28 x 28 pixels, one per step',
      options={'path': PATH},
      usual=MNIST_SIDE**2,
      needs_files=True,
    ),
  }


TASKS = {
  name: _dialects(name) for name in ('sequential_digits', 'permuted_digits')
}
