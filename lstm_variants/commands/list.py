"""List tasks, cells, variants, optimizers, fields and studies.

    lstm-variants list tasks
    lstm-variants list tasks recall
    lstm-variants list fields --section=optimizer
    lstm-variants list fields --cell=gru

Words behind the kind choose the entries that have all of them, in the name or
in the sentence. Of a task the sentence has the loss of the best guess without
memory, in brackets the source. Of a field the default is in brackets; --cell
leaves out the fields that the cell, or the variant, does not read. What a
module of --import registers is listed too, with the module's name.
"""

from collections.abc import Callable, Iterator
import re
from typing import Any, NamedTuple

from absl import flags

from lstm_variants import cells, console, optimizers, tasks, trackers
from lstm_variants import names as names_lib
from lstm_variants.cells import variants
from lstm_variants.commands import command, config_file
from lstm_variants.config import builtin, fields, model_fields, schema, source
from lstm_variants.registry import HOUSE, Registry
from lstm_variants.tasks import base

_WORDS = command.define_words()
_CELL = flags.DEFINE_string(
  'cell', None, 'Of fields: those that this cell or variant reads.'
)
_SECTION = flags.DEFINE_string(
  'section', None, 'Of fields: those of this section, as optimizer.'
)


class Entry(NamedTuple):
  """One line of a list.

  Attributes:
    name: as it is given to a flag.
    sentence: that says what it is.
    note: behind it in brackets, as where it is from; '' for none.
    example: how a flag takes it, if not by its name alone.
  """

  name: str
  sentence: str
  note: str = ''
  example: str = ''


class Kind(NamedTuple):
  """One kind of things that are listed.

  Attributes:
    entries: yields them.
    what: they are, in a sentence.
    usage: what to do with a name: a command, or a flag of train and sweep.
  """

  entries: Callable[[], Iterator[Entry]]
  what: str
  usage: str


def main() -> None:
  """Print the list that is asked for."""
  if not _WORDS():
    lines = [
      console.entry(f'{console.command_line("list")} {name}', kind.what, 45)
      for name, kind in KINDS.items()
    ]
    console.say('\n'.join(lines))
    return
  name, *wanted = _WORDS()
  if name not in KINDS:
    raise config_file.UsageError(
      f'list {name}: no such list{names_lib.tail(name, KINDS)}'
    )
  kind = KINDS[name]
  _check_flags(name)
  entries = list(kind.entries())
  chosen = [entry for entry in entries if _has(entry, wanted)]
  if not chosen:
    known = [entry.name for entry in entries]
    find = names_lib.nearest_field if name == 'fields' else names_lib.nearest
    near = _elsewhere(wanted) or (find(wanted[0], known) if wanted else None)
    raise config_file.UsageError(
      f'list {name} {" ".join(wanted)}: none of {len(entries)} has these '
      f'words{names_lib.hint_at(near)}'
    )
  width = min(26, max(len(entry.name) for entry in chosen) + 1)
  console.say('\n'.join(_line(entry, width) for entry in chosen))
  console.say_next(_usage(kind, chosen[0]))


def _elsewhere(wanted: list[str]) -> str | None:
  """Return the list that has an entry of this very name, None if none has."""
  if len(wanted) != 1:
    return None
  (name,) = wanted
  lists = (
    f'{console.command_line("list")} {kind} {name}'
    for kind in KINDS
    if any(entry.name == name.lower() for entry in KINDS[kind].entries())
  )
  return next(lists, None)


def _usage(kind: Kind, entry: Entry) -> str:
  """Return what to do with an entry."""
  usage = kind.usage.format(entry.example or entry.name)
  if usage.startswith('--'):
    return f'{usage}, a flag of train and sweep'
  program, arguments = usage.split(' ', 1)
  return f'{console.command_line(program)} {arguments}'


def _check_flags(name: str) -> None:
  """Refuse flags that another list has.

  Raises:
    UsageError: the flag, and the list that has it.
  """
  for flag, choices in ((_CELL, _readers()), (_SECTION, _sections())):
    if flag.value is not None and name != 'fields':
      near = flag.value
      if near not in choices:
        near = names_lib.nearest(near, choices)
      again = f' --{flag.name}={near}' if near else ''
      raise config_file.UsageError(
        f'--{flag.name}={flag.value}: chooses among fields; nearest: '
        f'{console.command_line("list")} fields{again}'
      )


def _has(entry: Entry, words: list[str]) -> bool:
  text = ' '.join(entry).lower()
  return all(word.lower() in text for word in words)


def _line(entry: Entry, width: int) -> str:
  note = f' ({entry.note})' if entry.note else ''
  return console.entry(entry.name, f'{entry.sentence}{note}', width)


def _tasks() -> Iterator[Entry]:
  for name in tasks.DIALECTS:
    try:
      task = tasks.make_task(name)
    except base.SpecError as error:  # it needs files of the user's
      yield _registered(tasks.DIALECTS, name, error.rule, '')
      continue
    chance = task.baselines.get('loss')
    memory = '' if chance is None else f'; without memory {chance:.3g}'
    sentence = f'{task.summary}{memory}'
    yield _registered(tasks.DIALECTS, name, sentence, task.reference)


def _from(registry: Registry[Any]) -> Callable[[], Iterator[Entry]]:
  """Return the entries of a registry whose components know their sentence."""

  def entries() -> Iterator[Entry]:
    for name, known in registry.items():
      source = getattr(known, 'reference', '')
      yield _registered(registry, name, known.summary, source)

  return entries


def _registered(
  registry: Registry[Any], name: str, sentence: str, reference: str
) -> Entry:
  module = registry.module_of(name)
  notes = [short(reference), '' if module == HOUSE else f'from {module}']
  return Entry(name, sentence, ', '.join(filter(None, notes)))


def short(reference: str) -> str:
  """Return the authors and the year of a reference, as far as it tells them.

  'Gers, Schmidhuber & Cummins, JMLR 3, 2002: …' is 'Gers, Schmidhuber &
  Cummins 2002'.
  """
  year = re.search(r'\b(1[89]|20)\d\d\b', reference)
  if not year:
    return reference
  authors = re.match(r'.*? et al\.|[^&0-9]*& [^,0-9]+|[^,0-9]+', reference)
  return f'{authors[0].strip() if authors else ""} {year[0]}'.strip()


def _fields() -> Iterator[Entry]:
  rows, section, read = schema.table(), _SECTION.value, _read()
  sections = _sections()
  if section is not None and section not in sections:
    raise config_file.UsageError(
      f'--section={section}: no such section'
      + names_lib.tail(section, sections, '--section={}'.format)
    )
  for name, row in rows.items():
    if section is not None and not name.startswith(f'{section}.'):
      continue
    if read is not None and row.by == 'model.variant' and name not in read:
      continue
    yield Entry(name, row.doc, schema.default_text(row))


def _sections() -> list[str]:
  """Return the sections of the fields."""
  names = (name.rpartition('.')[0] for name in schema.table() if '.' in name)
  return list(dict.fromkeys(names))


def _readers() -> dict[str, frozenset[str]]:
  """Return cell or variant -> the fields that it reads, not all do."""
  readers = dict(model_fields.readers())
  for cell in fields.LSTMS.values():
    readers[cell] = readers['vanilla']
  return readers


def _read() -> frozenset[str] | None:
  """Return the fields that the chosen cell reads, of those that not all do.

  Raises:
    UsageError: there is no such cell.
  """
  if _CELL.value is None:
    return None
  readers = _readers()
  if _CELL.value not in readers:
    raise config_file.UsageError(
      f'--cell={_CELL.value}: no such cell or variant'
      + names_lib.tail(_CELL.value, readers, '--cell={}'.format)
    )
  return readers[_CELL.value]


def _studies() -> Iterator[Entry]:
  for name in sorted(builtin.names(), key=_is_published):
    module = source.load_module(name)
    if not hasattr(module, 'get_hyper'):
      continue
    sentence = builtin.sentence(name)
    experiments = list(getattr(module, 'EXPERIMENTS', ()))
    if experiments:
      note = ' '.join(f':{experiment}' for experiment in experiments)
      yield Entry(name, sentence, note, f'{name}:{experiments[0]}')
    else:
      yield Entry(name, sentence)


def _is_published(name: str) -> bool:
  return name.startswith('published/')


KINDS = {
  'tasks': Kind(
    _tasks,
    'What is trained on, with the loss without memory.',
    'show --task={}',
  ),
  'cells': Kind(
    _from(cells.CELLS), 'Recurrent cells.', 'list fields --cell={}'
  ),
  'variants': Kind(
    _from(variants.VARIANTS),
    'Settings of the LSTM by name.',
    '--config.model.variant={}',
  ),
  'optimizers': Kind(
    _from(optimizers.OPTIMIZERS),
    'What makes a step of a gradient.',
    '--config.optimizer.name={}',
  ),
  'schedules': Kind(
    _from(optimizers.SCHEDULES),
    'How the learning rate falls.',
    '--config.optimizer.schedule={}',
  ),
  'trackers': Kind(
    _from(trackers.TRACKERS),
    'Where curves go beside the run directory.',
    '--config.training.trackers={}',
  ),
  'fields': Kind(
    _fields,
    'Everything that can be set, with its default.',
    '--config.{}=…',
  ),
  'studies': Kind(
    _studies, 'Grids that sweep trains.', 'sweep --config={} --workdir=runs/x'
  ),
}
