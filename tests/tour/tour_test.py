"""Every picture of the tour, from a tiny version of its study, in one go."""

import csv
import pathlib
import re
import statistics
from typing import Any
import xml.etree.ElementTree

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.studies import tour as tour_study
from docs import tour
from docs.tour import depth, picture, sequences
from lstm_variants import models
from lstm_variants.cells import variants
from lstm_variants.evidence import subjects
from lstm_variants.evidence.gradient_flow import gradients, jacobians
from lstm_variants.launch import local as study_lib
from lstm_variants.tasks import text
from lstm_variants.training import trained
from tests.tour import tiny

ROOT = pathlib.Path(__file__).parents[2]
PAGE = ROOT / 'docs' / 'tour.md'
FIGURES = ROOT / 'docs' / 'figures' / 'tour'
TEN = 10
# Bytes of one picture, and of all of them, in docs/.
LARGEST, LARGEST_TOUR = 150_000, 1_000_000


@pytest.fixture(scope='module')
def study(tmp_path_factory):
  path = str(tmp_path_factory.mktemp('tour') / 'study')
  tiny.write(path)
  return subjects.read(path)


@pytest.fixture(scope='module')
def written(study, tmp_path_factory):
  directory = tmp_path_factory.mktemp('pictures') / 'new'
  list(tour.write(study, list(tour.PICTURES), directory))
  return directory


def test_there_are_ten_pictures_and_each_is_one_sentence():
  assert len(tour.PICTURES) == TEN
  for shown in tour.PICTURES.values():
    assert shown.sentence.endswith('.') and len(shown.sentence) < 80
  assert len({shown.sentence for shown in tour.PICTURES.values()}) == TEN


def test_every_picture_is_drawn_with_its_numbers(written):
  names = {path.name for path in written.iterdir()}
  assert names == {
    f'{name}.{kind}' for name in tour.PICTURES for kind in ('svg', 'csv')
  }
  for name in tour.PICTURES:
    root = xml.etree.ElementTree.parse(written / f'{name}.svg').getroot()
    assert root.tag.endswith('svg')
    with open(written / f'{name}.csv', newline='') as file:
      header, *rows = csv.reader(file)
    assert rows and all(len(row) == len(header) for row in rows), name


def test_the_study_trains_what_the_pictures_need_and_nothing_else():
  runs = study_lib.expand(tour_study.get_config(), tour_study.get_hyper)
  found = {
    picture.Need(
      f'{r.settings.task.name}_{r.settings.task.dialect}',
      *(r.model, r.settings.num_layers),
    )
    for r in runs
  }
  needed = {need for p in tour.PICTURES.values() for need in p.needs}
  assert found == needed
  assert len(runs) == tour_study.SEEDS * len(found)


def test_nothing_is_written_where_a_model_is_missing(study, tmp_path):
  fewer = study._replace(
    subjects=[s for s in study.subjects if s.settings.num_layers == 1]
  )
  with pytest.raises(picture.TourError) as error:
    list(tour.write(fewer, ['chain', 'stacking'], tmp_path / 'new'))
  assert 'vanilla of 2 layers on characters_next' in str(error.value)
  assert 'configs/studies/tour.py' in str(error.value)
  assert not (tmp_path / 'new').exists()


def test_a_model_whose_gates_cannot_be_told_is_refused(study):
  subject = picture.find(study, picture.Need('adding_urnn16', 'vanilla'))
  normalised = subject.settings.replace(layer_norm=True)
  with pytest.raises(picture.TourError) as error:
    picture.look(study, subject._replace(settings=normalised), 1)
  assert 'vanilla on adding' in str(error.value)
  assert 'layer_norm=True' in str(error.value)


def test_a_solved_run_is_looked_at_first(study):
  need = picture.Need('adding_urnn16', 'vanilla')
  subject = picture.find(study, need)
  assert picture.look(study, subject, 1).words == 'vanilla, seed 0'
  (second,) = (
    row for row in picture.rows_of(study, subject) if row['config']['seed'] == 1
  )
  rows = [
    {**row, 'sequences_to_success': 8} if row['id'] == second['id'] else row
    for row in study.rows
  ]
  solved = study._replace(rows=rows)
  assert picture.look(solved, subject, 1).words == 'vanilla, seed 1'


def _table(written, name) -> list[dict[str, str]]:
  with open(written / f'{name}.csv', newline='') as file:
    return list(csv.DictReader(file))


def _column(rows, name) -> np.ndarray:
  return np.array([float(row[name]) for row in rows])


def _model(study, *need):
  """Return a model, the parameters of its first seed, and how to run it."""
  subject = picture.find(study, picture.Need(*need))
  params = trained.load(study.saved, subject.places[0]).params
  architecture = subject.settings.architecture

  def run(inputs, toggles=subject.toggles):
    inputs = jnp.asarray(inputs, jnp.float32)
    return models.apply_model(params, architecture, toggles, inputs)[1]

  return subject, params, run


def test_the_chain_of_the_lstm_is_the_product_of_its_forget_gates(
  study, written
):
  subject, params, _ = _model(study, 'adding_urnn16', 'vanilla')
  inputs = subjects.sequences(subject.settings, 1).batch.inputs
  path = jacobians.cell_path(
    *(params, subject.settings.architecture, subject.toggles, inputs, 0)
  )
  found = _column(_table(written, 'chain'), 'lstm_log10_product_of_best_unit')
  np.testing.assert_allclose(found[-1], path.largest[-1, 0], atol=1e-3)


def test_the_belt_of_the_picture_is_the_cell_state(study, written):
  rows = _table(written, 'conveyor')
  c, f = _column(rows, 'cell_state'), _column(rows, 'forget_gate')
  put = _column(rows, 'put_in')
  before = np.concatenate(([0.0], c[:-1]))
  np.testing.assert_allclose(c, f * before + put, atol=1e-3)
  parts = [n for n in rows[0] if n.startswith('from_')]
  assert len(parts) == 3
  total = sum(_column(rows, name) for name in parts)
  np.testing.assert_allclose(total, c, atol=2e-3)
  marked = np.flatnonzero(_column(rows, 'marked'))
  assert len(marked) == 2
  for n, step in enumerate(marked):
    part = _column(rows, f'from_mark_{n + 1}')
    assert not np.any(part[:step]) and part[step] == put[step] != 0


def test_the_gates_of_the_picture_make_its_states(written):
  rows = _table(written, 'gates')
  i, f, o, g, c, h = (_column(rows, f'{n}_of_unit') for n in 'ifogch')
  before = np.concatenate(([0.0], c[:-1]))
  np.testing.assert_allclose(c, f * before + i * g, atol=1e-3)
  np.testing.assert_allclose(h, o * np.tanh(c), atol=1e-3)
  assert np.sum(_column(rows, 'marker')) == 2


def test_without_peepholes_the_output_is_that_of_an_lstm_that_has_none(
  study, written
):
  rows = _table(written, 'peepholes')
  subject, _, run = _model(study, 'timed_spikes_gers02', 'peephole')
  inputs = _column(rows, 'delay')[None, :, None]
  vanilla = variants.VARIANTS['vanilla'].toggles
  for name, toggles in (
    ('output', subject.toggles),
    ('output_peepholes_0', vanilla),
  ):
    found = run(inputs, toggles)[0, :, 0]
    np.testing.assert_allclose(_column(rows, name), found, atol=1e-3)
  assert np.ptp(_column(rows, 'output') - _column(rows, 'output_peepholes_0'))


def test_coupled_gates_add_up_to_one_and_free_ones_do_not(written):
  rows = _table(written, 'coupling')
  found = {
    row['run'].partition(',')[0]: float(row['deviation_of_i_plus_f'])
    for row in rows
  }
  assert found['coupled'] < 1e-5 < 1e-3 < found['vanilla']
  assert {row['sequences'] for row in rows} == {'0', '4', '8'}


def test_the_chance_of_a_word_is_that_of_all_the_words_before_it(
  study, written
):
  subject, _, run = _model(study, 'words_next', 'vanilla')
  spec = sequences.spec_of(subject)
  found = text.index_text(text.read_text(''), text.split_words, spec)
  codes = found.held_out.astype(int)
  names = (*found.names[:-1], '(rare)')
  rows = [
    row
    for row in _table(written, 'next_word')
    if row['place'].isdigit() and row['guess']
  ][:: sequences.GUESSES]
  wanted = [names.index(row['word']) for row in rows]
  begin = next(
    n
    for n in range(sequences.CONTEXT, len(codes))
    if codes[n : n + len(wanted)].tolist() == wanted
  )
  for place in (0, 3, len(rows) - 1):
    before = codes[begin - sequences.CONTEXT : begin + place]
    logits = run(np.eye(len(names))[before][None])[0, -1]
    chance = jax.nn.softmax(logits)[wanted[place]]
    written_chance = float(rows[place]['chance_or_loss'])
    np.testing.assert_allclose(written_chance, chance, rtol=2e-3)


def test_a_forecast_is_that_of_the_values_right_before_it(study, written):
  subject, _, run = _model(study, 'forecasting_one_step', 'simple_rnn')
  rows = [r for r in _table(written, 'time_series') if r['time'].isdigit()]
  values = _column(rows, 'value')
  batch = subject.settings.held_out_task.sample(jax.random.key(5), 6)
  outputs = run(batch.inputs)[:, -1, 0]
  for inputs, target, output in zip(
    batch.inputs[:, -1, 0], batch.targets[:, -1, 0], outputs, strict=True
  ):
    near = np.isclose(values, target, atol=1e-3)
    # Values may come twice; what was before tells them apart.
    near[1:] &= np.isclose(values[:-1], inputs, atol=1e-3)
    assert near.any()
    place = np.flatnonzero(near)[-1]
    name = f'simple_rnn_seed_{subject.seeds[0]}'
    np.testing.assert_allclose(float(rows[place][name]), output, atol=2e-3)


def test_the_gradient_of_the_lag_is_that_of_the_model(study, written):
  subject, params, _ = _model(study, 'long_lag_hs97_2c', 'simple_rnn')
  drawn = subjects.sequences(subject.settings, depth.LAG_SEQUENCES)
  batch = jax.tree.map(lambda x: x[: depth.GRADIENTS], drawn.batch)
  loss = gradients.sequence_losses(subject.settings.task.measure, batch)
  norms = gradients.state_gradients(
    *(params, subject.settings.architecture, None, batch.inputs, loss)
  ).norms['h'][0]
  rows = [r for r in _table(written, 'thousand_steps') if r['state'] == 'h']
  for row in rows[:3]:
    wanted = np.mean(norms[int(row['step'])])
    np.testing.assert_allclose(
      float(row['mean_gradient_norm']), wanted, rtol=1e-3
    )


def test_the_sequence_that_is_shown_has_room_around_its_marks(study):
  subject = picture.find(study, picture.Need('adding_urnn16', 'vanilla'))
  seen = picture.look(study, subject, 2)
  inputs: Any = np.zeros((3, 60, 2))
  for sequence, marks in enumerate(((1, 40), (15, 20), (20, 40))):
    inputs[sequence, marks, 1] = 1
  batch = seen.batch._replace(inputs=inputs)
  seen = seen._replace(batch=batch, inside=np.ones((3, 60), bool))
  assert picture.marked(seen, 1) == [15, 20]
  assert picture.settled(seen) == 2
  first = batch._replace(inputs=inputs[:2])
  few = seen._replace(batch=first, inside=np.ones((2, 60), bool))
  assert picture.settled(few) == 0


def _sections() -> dict[str, str]:
  """Return the part of the page that shows each picture, by its name."""
  parts = re.split(r'^## ', PAGE.read_text(), flags=re.MULTILINE)[1:]
  found = {}
  for part in parts:
    shown = re.findall(r'\]\(figures/tour/(\w+)\.svg\)', part)
    assert len(shown) <= 1
    if shown:
      found[shown[0]] = part
  return found


def test_the_page_shows_every_picture_in_order_with_its_command():
  sections = _sections()
  assert list(sections) == list(tour.PICTURES)
  for number, (name, part) in enumerate(sections.items(), 1):
    assert part.startswith(f'{number}. {tour.PICTURES[name].title}\n')
    assert f'experiments.tour --workdir=runs/tour --only={name}\n' in part


def test_the_pictures_of_the_page_are_there_and_small():
  names = {path.stem for path in FIGURES.glob('*.svg')}
  assert names == set(tour.PICTURES)
  assert names == {path.stem for path in FIGURES.glob('*.csv')}
  sizes = {path.name: path.stat().st_size for path in FIGURES.glob('*.svg')}
  assert max(sizes.values()) < LARGEST, sizes
  assert sum(sizes.values()) < LARGEST_TOUR


def test_the_links_of_the_page_lead_to_files():
  links = re.findall(r'\]\(([^)#:]+)\)', PAGE.read_text())
  assert links
  assert not [link for link in links if not (PAGE.parent / link).exists()]


def test_the_numbers_of_the_page_are_in_the_picture_or_its_table():
  checked = 0
  for name, part in _sections().items():
    prose = re.sub(r'```.*?```|`[^`]*`|\]\([^)]*\)', '', part, flags=re.DOTALL)
    table = _numbers((FIGURES / f'{name}.csv').read_text())
    drawn = ' '.join(
      re.findall(r'>([^<>]+)<', (FIGURES / f'{name}.svg').read_text())
    )
    for token in re.findall(r'[-−]?\d+\.\d+|\d+(?= %)|\d+,\d+', prose):
      plain = token.replace('−', '-').replace(',', '')
      digits = len(plain.partition('.')[2])
      value = float(plain)
      near = any(
        round(scale * number, digits) == value
        for number in table
        for scale in (1, 100)
      )
      assert near or token in drawn or plain in drawn, (name, token)
      checked += 1
  assert checked >= TEN


def test_the_times_of_the_text_are_those_of_their_layers():
  times: dict[tuple[str, str], list[float]] = {}
  with open(FIGURES / 'stacking.csv', newline='') as file:
    for row in csv.DictReader(file):
      if row['what'] == 'time constant, steps':
        key = row['run'], row['layer']
        times.setdefault(key, []).append(float(row['value']))
  one, low, high = (
    times[key]
    for key in (
      ('1 layer of 43', '1'),
      ('2 layers of 32', '1'),
      ('2 layers of 32', '2'),
    )
  )
  text = ' '.join(_sections()['stacking'].split())
  assert (
    f'a median of {statistics.median(low):.1f} characters in the first layer, '
    f'of {statistics.median(high):.1f} in the second, the longest '
    f'{max(high):.1f}; but the single layer has one of {max(one):.1f}.'
  ) in text


def _numbers(table: str) -> list[float]:
  found = re.findall(
    r'(?:^|,)(-?\d+(?:\.\d+)?(?:e[-+]\d+)?)(?=,|$)', table, re.MULTILINE
  )
  return [float(text) for text in found]
