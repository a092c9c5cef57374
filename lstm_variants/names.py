"""The nearest valid name for one that is none, and how a line says it.

Near is what a slip of the fingers makes (`peephol`), a beginning or a word of
the name (`digits` of `sequential_digits`), and what other frameworks call the
thing (`epochs`, `mnist`). Where nothing is near nothing is named: a wild guess
sends the reader the wrong way.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
import difflib
import enum
import re
from typing import Any, NamedTuple

# How much two names share, as `difflib` counts it, from 0 to 1: with any first
# letter, with the same one, and where nothing else is nearer.
_SURE_SLIP, _SLIP, _WEAK_SLIP = 0.85, 0.8, 0.7
# A word this much like another one is a slip of it.
_WORD_SLIP = 0.6
# A beginning that says something, in characters.
_BEGINNING = 3
# A synonym this long, in characters, is known with a slip in it.
_LONG = 6
# Of more choices, as the ids of a large study, only beginnings are looked at.
_COMPARED = 1000


class _Rank(enum.IntEnum):
  """How a wrong name is like a right one, the nearest first."""

  SAME = 0  # but for upper case and separators
  SYNONYM = 1
  SLIP = 2
  BEGINNING = 3  # the right name goes on with another word
  LONGER = 4  # the wrong one does
  WORDS = 5  # all of one stand in the other
  PART = 6  # a beginning that ends within a word
  WEAK_SLIP = 7


class _Likeness(NamedTuple):
  """How a wrong name is like a right one; the smallest is the nearest."""

  rank: _Rank
  apart: bool  # another section of a config
  difference: float


def nearest(value: Any, choices: Iterable[str]) -> str | None:
  """Return the choice that `value` was meant to be, or None if none is near.

  Args:
    value: that is none of the choices; only text is like a name.
    choices: valid names.
  """
  choices = list(choices)
  if not isinstance(value, str):
    return None
  if len(choices) > _COMPARED:
    choices = [one for one in choices if one.startswith(value)][:_COMPARED]
  likenesses = [(_like(value, choice), choice) for choice in choices]
  best = _best(likenesses, _synonym(value, choices))
  best = best or _slip_of_synonym(value, choices)
  # `torch.nn.LSTM(64)`; a path has slashes.
  parts = value.partition('(')[0].split('.')
  if best is None and parts != [value] and all(map(str.isidentifier, parts)):
    return nearest(parts[-1], choices)
  return best


def nearest_field(field: str, known: Iterable[str]) -> str | None:
  """Return the field that `field` was meant to be, or None if none is near.

  The words behind the last dots are compared: the section may lack or be wrong.
  Of fields that are equally near, one of the section that was named is taken.

  Args:
    field: dotted or not, and none of the known ones.
    known: dotted fields, and flags without a dot.

  Returns:
    One of `known`, or one with a value, as 'model.variant=peephole'.
  """
  known = list(known)
  section, _, last = field.rpartition('.')
  if not plain(last):
    return None
  whole = _synonym(field, known)
  same = [name for name in known if name.rpartition('.')[2] == last]
  # `model.name`, elsewhere `model_name`; `name`, which several sections have.
  if whole is not None and (section or len(same) > 1):
    return whole
  if section != _OF_ONE_CELL and [*map(_section, same)] == [_OF_ONE_CELL]:
    # `depth` is what most mean by it, and not what one cell has for its own.
    if elsewhere := _synonym(last, known):
      return elsewhere
  if whole is None and not same and _has_no_counterpart(section, last):
    return None
  sections = dict.fromkeys(map(_section, known))
  if section and section not in sections:
    section = nearest(section, filter(None, sections)) or ''
  likenesses = []
  for name in known:
    likeness = _like(last, name.rpartition('.')[2])
    if likeness and section:
      likeness = likeness._replace(apart=section != _section(name))
    likenesses.append((likeness, name))
  best = _best(likenesses, _synonym(last, known))
  return best or _slip_of_synonym(last, known)


def _has_no_counterpart(section: str, last: str) -> bool:
  """Tell whether a field of others is none of ours, whatever it looks like."""
  of_cells = section != _OF_ONE_CELL and last in _ONLY_OF_CELLS
  return of_cells or last in _WITHOUT_COUNTERPART


class Meant(NamedTuple):
  """What a wrong value of a field was meant to be.

  Attributes:
    choice: of the field; None: none is near.
    settings: of other fields beside it, as 'model.bidirectional=true'.
  """

  choice: str | None
  settings: tuple[str, ...] = ()

  def __str__(self) -> str:
    """Return the end of a line that names it, '' if nothing is near."""
    if not self.settings:
      return hint_at(self.choice, repr)
    if self.choice is None:
      return hint_at(self.flags)
    return hint_at(f'{self.choice!r} with {self.flags}')

  @property
  def flags(self) -> str:
    """The settings as a command line has them."""
    return ' '.join(f'--config.{setting}' for setting in self.settings)


def takes_any(choice: str, field: str) -> bool:
  """Tell that a choice can have any field beside it; see `meant`."""
  del choice, field
  return True


def meant(
  field: str,
  value: Any,
  choices: Iterable[str],
  takes: Callable[[str, str], bool] = takes_any,
) -> Meant:
  """Return what a value of a field was meant to be.

  What others have as one name may be several settings here: `StackedBiLSTM`.

  Args:
    field: dotted.
    value: that is none of the choices.
    choices: valid values.
    takes: tells whether a choice can have another field set beside it.
  """
  choices = list(choices)
  name, arguments = _called(value) if isinstance(value, str) else ('', [])
  besides = _BESIDE.get(field, ())
  whole = _divided('_'.join(_words(name)), choices, besides)
  if whole is None:
    return Meant(nearest(value, choices))
  choice, settings = whole
  for argument in arguments:
    part = _divided('_'.join(_words(argument)), (), besides)
    settings += part.settings if part else ()
  if choice is not None:
    settings = tuple(
      one for one in settings if takes(choice, one.partition('=')[0])
    )
  if settings:
    settings += _NEEDED.get(field, {}).get(choice or '', ())
  return Meant(choice, tuple(dict.fromkeys(settings)))


def _called(value: str) -> tuple[str, list[str]]:
  """Return the last name of `torch.nn.LSTM(8, bias=True)`, the arguments."""
  called, _, arguments = value.partition('(')
  parts = called.split('.')
  name = parts[-1] if all(map(str.isidentifier, parts)) else called
  return name, arguments.split(',')


def _divided(
  word: str, choices: Sequence[str], besides: Sequence['_Beside']
) -> Meant | None:
  """Return the choice and the settings of which a word is made, None: it isn't.

  Args:
    word: in lower case, with an underscore where there was any separator.
    choices: valid values.
    besides: the settings that may be in it, each once.
  """
  for place, beside in enumerate(besides):
    others = (*besides[:place], *besides[place + 1 :])
    for rest in beside.rests(word):
      if not rest:
        return Meant(_known(word, choices), beside.settings)
      if inner := _divided(rest, choices, others):
        return Meant(inner.choice, beside.settings + inner.settings)
  choice = _known(word, choices)
  return None if choice is None else Meant(choice)


def _known(word: str, choices: Iterable[str]) -> str | None:
  """Return the choice that a word is, here or elsewhere, but for its form."""
  same = (choice for choice in choices if plain(choice) == plain(word))
  return next(same, None) or _synonym(word, choices)


def hint(
  value: Any, choices: Iterable[str], form: Callable[[str], str] = str
) -> str:
  """Return the end of a line that names the nearest choice, '' if none is near.

  Args:
    value: that is none of the choices.
    choices: valid names.
    form: how a choice is written, as `repr`.
  """
  return hint_at(nearest(value, choices), form)


def hint_at(name: str | None, form: Callable[[str], str] = str) -> str:
  """Return the end of a line that names a choice, '' if there is none.

  Args:
    name: of `nearest`, or of another search for it.
    form: how it is written.
  """
  return '' if name is None else f'; nearest: {form(name)}'


def tail(
  value: Any,
  choices: Iterable[str],
  form: Callable[[str], str] = str,
  most: int | None = None,
) -> str:
  """Return the end of a line that names the nearest choice, then all of them.

  Args:
    value: that is none of the choices.
    choices: valid names.
    form: how the nearest one is written.
    most: how many are listed; None: all.
  """
  choices = list(choices)
  listed = some(choices, len(choices) if most is None else most)
  return f'{hint(value, choices, form)}; choices: {listed}'


def field_tail(field: str, known: Iterable[str]) -> str:
  """Return the end of a line that names the nearest field, then its section.

  Sections within that one are named, what they hold is not: it is too much.

  Args:
    field: dotted or not, and none of the known ones.
    known: dotted fields.
  """
  known, near = list(known), nearest_field(field, known)
  sections = {name.rpartition('.')[0] for name in known}
  section = field.rpartition('.')[0]
  if section not in sections or not section:
    section = (near or '').rpartition('.')[0]
  within = [
    name.removeprefix(f'{section}.').partition('.')
    for name in known
    if section and name.startswith(f'{section}.')
  ]
  beside = dict.fromkeys(
    f'{section}.{name}{".…" if dot else ""}' for name, dot, _ in within
  )
  parts = dict.fromkeys(name.partition('.')[0] for name in known)
  return f'{hint_at(near, repr)}; choices: {", ".join(beside or parts)}'


def counted(count: int, noun: str) -> str:
  """Return a number of things: `1 run`, `2 runs`."""
  return f'{count} {noun}' if count == 1 else f'{count} {noun}s'


def some(names: Iterable[str], most: int = 8) -> str:
  """Return names in a row, the rest of many counted."""
  names = list(names)
  rest = f', … ({len(names)})' if len(names) > most else ''
  return ', '.join(names[:most]) + rest


def _best(
  likenesses: Iterable[tuple[_Likeness | None, str]], meant: str | None
) -> str | None:
  """Return the nearest name; `meant` is what a table has for the wrong one."""
  near = [(likeness, name) for likeness, name in likenesses if likeness]
  if meant is not None:
    near.append((_Likeness(_Rank.SYNONYM, False, 0.0), meant))
  return min(near, key=lambda one: one[0])[1] if near else None


def _like(value: str, choice: str) -> _Likeness | None:
  """Tell how a wrong name is like a right one; None: it is not."""
  wrong, right = plain(value), plain(choice)
  if not wrong or not right:
    return None
  if wrong == right:
    return _Likeness(_Rank.SAME, False, 0.0)
  shared = _shared(wrong, right)
  words, its_words = _words(value), _words(choice)
  rank = _slip(words, its_words, shared) or _beginning(words, its_words)
  if rank is None and _is_weak_slip(words, its_words, shared):
    rank = _Rank.WEAK_SLIP
  return None if rank is None else _Likeness(rank, False, 1 - shared)


def _slip(
  words: Sequence[str], its_words: Sequence[str], shared: float
) -> _Rank | None:
  """Return the rank of a slip of the fingers, None if it is no such."""
  same_first = words[0][0] == its_words[0][0]
  if shared < (_SLIP if same_first else _SURE_SLIP):
    return None
  if len(words) != len(its_words):  # a separator was forgotten
    return _Rank.SLIP
  # `input_size` is no slip of `input_scale`; `peephole_x` is one of `_i`.
  pairs = zip(words, its_words, strict=True)
  slips = all(
    max(len(word), len(other)) < _BEGINNING
    or _shared(word, other) >= _WORD_SLIP
    for word, other in pairs
  )
  return _Rank.SLIP if slips else None


def _beginning(words: Sequence[str], its_words: Sequence[str]) -> _Rank | None:
  """Return the rank of a name that is part of the other, None if none is."""
  wrong, right = ''.join(words), ''.join(its_words)
  long = len(wrong) >= _BEGINNING
  most = 2 * len(right) >= len(wrong)
  if its_words[: len(words)] == words and long:
    return _Rank.BEGINNING
  if words[: len(its_words)] == its_words and most:
    return _Rank.LONGER
  # A slip of one word of three says little: `resnet` in `gru_reset_before`.
  are_in = set(words) <= set(its_words)
  if 2 * len(words) >= len(its_words):
    are_in = _are_in(words, its_words)
  if long and are_in:
    return _Rank.WORDS
  if most and len(its_words) > 1 and _are_in(its_words, words):
    return _Rank.WORDS
  if long and right.startswith(wrong):
    return _Rank.PART
  if most and len(right) > _BEGINNING and wrong.startswith(right):
    return _Rank.PART
  return None


def _is_weak_slip(
  words: Sequence[str], its_words: Sequence[str], shared: float
) -> bool:
  """Tell whether single words are somewhat alike."""
  return (
    shared >= _WEAK_SLIP
    and len(words) == len(its_words) == 1
    and len(words[0]) > _BEGINNING
    and words[0][0] == its_words[0][0]
  )


def plain(name: str) -> str:
  """Return a name without what is easily mistaken: case and separators."""
  return ''.join(_words(name))


def _section(field: str) -> str:
  """Return where a field stands, '' for one without a dot."""
  return field.rpartition('.')[0]


def _words(name: str) -> list[str]:
  return [word for word in re.split(r'[\W_]+', name.lower()) if word]


def _are_in(words: Sequence[str], others: Sequence[str]) -> bool:
  """Tell whether each word stands among others, or a slip of it does."""
  return all(any(_is_word(word, other) for other in others) for word in words)


def _is_word(word: str, other: str) -> bool:
  return word == other or (
    word[0] == other[0]
    and len(word) > _BEGINNING
    and _shared(word, other) >= _SLIP
  )


def _shared(wrong: str, right: str) -> float:
  """Return how much two words share, from 0 to 1."""
  if _is_swapped(wrong, right):
    return 0.9
  matcher = difflib.SequenceMatcher(None, wrong, right)
  return matcher.ratio() if matcher.quick_ratio() >= _WORD_SLIP else 0.0


def _is_swapped(wrong: str, right: str) -> bool:
  """Tell whether two letters that stand side by side have changed places."""
  if len(wrong) != len(right):
    return False
  pairs = list(zip(wrong, right, strict=True))
  places = [n for n, (one, other) in enumerate(pairs) if one != other]
  return (
    len(places) == 2
    and places[1] == places[0] + 1
    and pairs[places[0]] == pairs[places[1]][::-1]
  )


def _synonym(value: str, choices: Iterable[str]) -> str | None:
  """Return the choice that other frameworks call `value`, or None."""
  choices = set(choices)
  word = plain(value)
  for spelled in (word, f'{word}s', word.removesuffix('s')):
    for name in _BY_SYNONYM.get(spelled, ()):
      if name.partition('=')[0] in choices:
        return name
  return None


def _slip_of_synonym(value: str, choices: Iterable[str]) -> str | None:
  """Return the choice that others call almost `value`, or None."""
  word = plain(value)
  if len(word) < _LONG:
    return None
  # `beam_size` is no slip of `emsize`.
  alike = [known for known in _BY_SYNONYM if known[0] == word[0]]
  shared, known = max(
    ((_shared(word, one), one) for one in alike), default=(0, '')
  )
  return _synonym(known, choices) if shared >= _SURE_SLIP else None


# What others have and we have not, though it looks like a field; and what only
# a cell of ours has, by which others mean something else.
_WITHOUT_COUNTERPART = ('compile', 'count', 'detach', 'direction', 'eval')
_ONLY_OF_CELLS = ('bias', 'use_bias', 'group', 'memory')
# The section of fields that each are of a cell, as its `depth`.
_OF_ONE_CELL = 'model.cell'


class _Beside(NamedTuple):
  """Settings that others have in the name of a value.

  Attributes:
    settings: of other fields.
    first: what the name begins with, a regular expression.
    last: what it ends with.
  """

  settings: tuple[str, ...]
  first: str
  last: str

  def rests(self, word: str) -> Iterator[str]:
    """Yield what is over of a word without them, at most twice."""
    if first := re.match(f'(?:{self.first})_?', word):
      yield word[first.end() :]
    if last := re.search(f'_?(?:{self.last})$', word):
      yield word[: last.start()]


_BOTH_WAYS = 'bidirectional(?:_?true)?|bidir|bi'
_DEEP = 'stacked|stack|deep|multi_?layer|2_?layers?|two_?layers?|num_?layers_?2'
_NORMALISED = 'layer_?norm(?:_?basic|alized)?|ln'
# Field -> what others have in the names of its values, and is settings here.
_BESIDE: dict[str, tuple[_Beside, ...]] = {
  'model.variant': (
    # BLSTM; of other names a letter is a slip.
    _Beside(
      ('model.bidirectional=true',),
      f'{_BOTH_WAYS}|b(?=_?(?:lstm|rnn|gru))',
      _BOTH_WAYS,
    ),
    # `multilstm` is a slip of `mult_lstm`.
    _Beside(('model.num_layers=2',), f'{_DEEP}|multi$', _DEEP),
    _Beside(('model.layer_norm=true',), _NORMALISED, _NORMALISED),
    _Beside(
      ('model.residual=true', 'model.num_layers=2'),
      'residual|res',
      'residual|res',
    ),
  ),
  'optimizer.schedule': (
    _Beside(
      ('optimizer.warmup_updates=100',), 'warm_?up', '(?:with_?)?warm_?up'
    ),
  ),
  'optimizer.name': (
    _Beside(('optimizer.momentum=0.9',), 'momentum', '(?:with_?)?momentum'),
  ),
}
# What a choice needs beside such settings.
_NEEDED: dict[str, dict[str, tuple[str, ...]]] = {
  'optimizer.schedule': {
    'linear': ('optimizer.decay_updates=2000',),
    'cosine': ('optimizer.decay_updates=2000',),
    'exponential': (
      'optimizer.decay_updates=2000',
      'optimizer.final_factor=0.01',
    ),
  },
}
# What a thing is called here -> what others call it. A field may have a value;
# of a synonym of several names the first is taken that is a choice.
SYNONYMS: dict[str, str] = {
  'training.updates': (
    'epoch epochs n_epochs num_epochs max_epochs num_train_epochs step steps '
    'n_steps num_steps max_steps train_steps num_train_steps total_steps '
    'training_steps iters n_iters max_iters iterations num_iterations '
    'max_updates num_updates total_timesteps train_iters n_updates n_epoch'
  ),
  'training.batch_size': (
    'bs batch minibatch minibatch_size train_batch_size '
    'per_device_train_batch_size micro_batch_size bsz train_bs'
  ),
  'training.evaluation_interval': (
    'eval_every eval_steps eval_interval eval_freq log_every log_interval '
    'logging_steps log_every_n_steps val_check_interval validation_freq '
    'check_val_every_n_epoch eval_frequency eval_iters test_interval '
    'test_every val_every print_every print_freq log_freq log_steps '
    'log_frequency report_interval'
  ),
  'training.evaluation_batches': (
    'validation_split val_split validation_steps val_batches eval_batches '
    'limit_val_batches test_size'
  ),
  'training.evaluation_seed': 'eval_seed val_seed',
  'training.success_interval': 'success_every check_success_every',
  'training.save_interval': (
    'save_every save_steps save_freq checkpoint_every checkpoint_interval '
    'ckpt_interval every_n_train_steps checkpoint_freq checkpoint_frequency '
    'save_frequency ckpt_every'
  ),
  'training.keep_checkpoints': 'save_total_limit max_to_keep save_top_k',
  'training.patience': 'early_stopping early_stop early_stopping_patience',
  'training.remat': (
    'gradient_checkpointing grad_checkpointing checkpointing '
    'activation_checkpointing checkpoint_gradients use_checkpoint'
  ),
  'training.input_noise': 'noise noise_std gaussian_noise',
  'training.batch_devices': 'num_devices n_gpus num_gpus gpus world_size',
  'training.trackers': 'logger loggers report_to track tracking comet neptune',
  'training.trackers=wandb': 'wandb use_wandb weights_and_biases',
  'training.trackers=mlflow': 'mlflow use_mlflow',
  'training.trackers=trackio': 'trackio',
  'training.tensorboard': 'tb use_tensorboard',
  'optimizer.name': (
    'optim opt optimizer optimiser optimizer_type optimizer_name optim_type '
    'solver'
  ),
  'optimizer.learning_rate': (
    'lr eta step_size base_lr init_lr initial_lr max_lr peak_lr lr_rate lr_init'
  ),
  'optimizer.schedule': (
    'lr_schedule lr_scheduler lr_scheduler_type scheduler lr_decay '
    'learning_rate_schedule learning_rate_decay annealing'
  ),
  'optimizer.warmup_updates': (
    'warmup_steps warmup_epochs warmup_iters warmup_ratio num_warmup_steps '
    'n_warmup lr_warmup warm_up'
  ),
  'optimizer.decay_updates': 'decay_steps decay_iters t_max lr_decay_iters',
  'optimizer.final_factor': 'min_lr lr_min eta_min end_lr end_value lr_end',
  'optimizer.weight_decay': (
    'wd l2 l2_reg l2_penalty l2_regularization kernel_regularizer '
    'regularization'
  ),
  'optimizer.b1': 'betas beta beta1 beta_1 adam_beta1',
  'optimizer.b2': 'beta2 beta_2 adam_beta2 rho',
  'optimizer.eps': 'epsilon adam_epsilon',
  'optimizer.clip_norm': (
    'clip grad_clip clip_grad clip_grad_norm max_grad_norm gradient_clip '
    'gradient_clipping gradient_clip_val grad_norm global_clipnorm max_norm '
    'max_grad gradient_clip_norm grad_clip_norm clipping'
  ),
  'optimizer.clip_value': 'clip_grad_value',
  'optimizer.accumulation': (
    'grad_accum accum_steps accumulate_grad_batches grad_accumulation '
    'gradient_accumulation gradient_accumulation_steps'
  ),
  'model.variant': (
    'model model_type model_name cell cell_type rnn rnn_type rnn_cell arch '
    'architecture network net'
  ),
  'model.variant=peephole': 'peephole peepholes use_peepholes use_peephole',
  'model.variant=vanilla': 'lstm use_lstm',
  'model.variant=gru': 'gru use_gru',
  'model.variant=cifg': 'cifg use_cifg',
  'model.variant=lstmp': 'proj_size projection projection_size num_proj',
  'model.hidden_features': (
    'hidden hidden_size hidden_dim hidden_units n_hidden num_hidden nhid unit '
    'units n_units num_units d_model model_dim rnn_size width dim size '
    'features cell_size lstm_units lstm_size lstm_hidden_size rnn_hidden_size '
    'state_size hidden_channels hdim hidden_layer_sizes'
  ),
  'model.num_layers': (
    'layers n_layers hidden_layers num_hidden_layers n_layer num_rnn_layers '
    'depth lstm_layers num_lstm_layers stacked'
  ),
  'model.dropout': 'drop_rate dropout_rate dropout_prob keep_prob',
  'model.bidirectional': 'bidir birnn bilstm bi',
  'model.layer_norm': 'norm layernorm normalization use_layer_norm ln',
  'model.embedding_features': (
    'embed embedding embed_dim embed_size embedding_dim embedding_size '
    'emb_dim emsize'
  ),
  'model.forget_bias': 'unit_forget_bias forget_gate_bias',
  'model.chrono_t_max': 'chrono chrono_init',
  'model.recurrent_init': (
    'init initializer kernel_initializer weight_init recurrent_initializer '
    'initialization initialisation init_method init_type'
  ),
  'model.learned_carry': 'learned_state learn_initial_state train_h0',
  'model.residual': 'skip skip_connections residual_connections',
  'model.direct_connections': (
    'input_to_output direct shortcut shortcut_connections input_skip'
  ),
  'model.dtype=float64': 'x64 fp64 double enable_x64 jax_enable_x64',
  'model.dtype': (
    'precision amp fp16 bf16 half mixed_precision compute_dtype param_dtype '
    'float16'
  ),
  'task.name': 'task dataset dataset_name problem benchmark',
  'task.path': (
    'data data_path data_dir data_root root file dataset_path train_file '
    'data_file train_path csv csv_path corpus'
  ),
  'task.length': (
    'seq_len seq_length seqlen sequence_length max_length max_len max_seq_len '
    'timesteps time_steps bptt context_length window T tbptt truncated_bptt '
    'tbptt_steps'
  ),
  'task.symbols': 'vocab vocab_size num_tokens alphabet num_classes n_classes',
  'seed': (
    'random_seed rng_seed seeds n_seeds num_seeds manual_seed random_state '
    'prng_key seed_everything rng rng_key repeats n_repeats num_repeats '
    'repetitions n_runs num_runs'
  ),
  'out': 'output output_path output_file outfile file_name filename',
  'workdir': (
    'output output_dir out out_dir log_dir logdir save_dir run_dir dir folder '
    'default_root_dir checkpoint_dir ckpt_dir project run_name name '
    'experiment results_dir exp_name experiment_name exp_dir results '
    'results_path'
  ),
  'resume': 'resume_from resume_from_checkpoint ckpt_path auto_resume continue',
  'from': (
    'pretrained from_pretrained init_from load load_from load_model '
    'load_weights finetune restore checkpoint ckpt weights checkpoint_path '
    'warm_start'
  ),
  'overwrite': 'force overwrite_output_dir clobber',
  'JAX_PLATFORMS': (
    'device accelerator gpu use_gpu cuda use_cuda no_cuda backend platform '
    'tpu cpu use_cpu'
  ),
  'config': 'hparams hparams_file config_file config_path cfg yaml',
  'import': 'plugin plugins extension extensions module modules user_dir',
  'workers': 'jobs n_jobs agents num_agents max_workers processes',
  'figure': 'plot plots graph chart kind',
  'samples': 'n num examples num_examples count',
  # What get_search states, and where a search is watched.
  'trials': 'n_trials max_trials num_trials n_iter count run_cap',
  'sampler': 'method algorithm search_alg search_algorithm',
  'objective': 'direction metric goal monitor',
  'halving': 'pruner asha hyperband early_terminate successive_halving',
  'mirror': 'storage dashboard',
  # Trackers.
  'csv': 'csv_logger csv_file',
  'wandb': 'weights_and_biases weightsandbiases wb',
  'tensorboard': 'tb tensorboardx summary_writer',
  # Lists.
  'tasks': 'dataset datasets data benchmarks',
  'variants': 'model models architectures lstms',
  'optimizers': 'optim optimisers',
  'trackers': 'loggers callbacks',
  'fields': 'options settings hyperparameters params parameters flags',
  'studies': 'grids experiments configs sweeps',
  # Commands.
  'train': 'fit run learn start main',
  'sweep': 'grid gridsearch grid_search agent',
  'search': 'tune tuner hpo hyperparameter_search optimize optimise optuna',
  'status': 'ps progress monitor watch runs',
  'list': 'ls',
  'compare': 'evaluate eval test report results validate',
  'analyse': 'analysis plot figures visualize inspect',
  'export': 'save convert onnx to_onnx predict',
  'show': 'draw sample preview data',
  'reproduce': 'replicate claims papers',
  # Models.
  'vanilla': (
    'lstm lstm_cell lstmcell vanilla_lstm basic_lstm basic_lstm_cell nn.LSTM '
    'standard_lstm bilstm blstm cudnn_lstm gers2000 lstm_block_cell '
    'optimized_lstm_cell long_short_term_memory plain_lstm'
  ),
  'peephole': (
    'peepholes peephole_lstm phlstm lstm_peephole lstm_with_peephole '
    'lstm_with_peepholes'
  ),
  'coupled': (
    'coupled_lstm coupled_gates coupled_input_forget '
    'coupled_input_forget_gate coupled_gate'
  ),
  'lstm_1997': 'lstm97 original_lstm first_lstm',
  'lstmp': 'projected projected_lstm lstm_projection proj_lstm',
  'np': 'no_peephole no_peepholes without_peepholes',
  'mgu': 'mgu_cell minimal_gated_unit',
  'depth_gated': 'dglstm depth_gated_lstm',
  'mult_lstm': 'multiplicative_lstm multiplicative',
  'slstm': 'xlstm scalar_lstm',
  'mlstm': 'matrix_lstm',
  'lru': 'linear_recurrent_unit',
  'rg_lru': 'rglru griffin hawk real_gated_lru',
  's6': 'mamba selective_ssm selective_state_space ssm',
  'delta_rule': (
    'deltanet gated_deltanet deltaproduct gdn gated_delta_rule delta_net '
    'gated_deltaproduct'
  ),
  'simple_rnn': (
    'rnn elman elman_rnn vanilla_rnn basic_rnn srn nn.RNN tanh_rnn rnn_tanh '
    'simple_cell rnn_cell'
  ),
  'cornn': 'coupled_oscillatory_rnn oscillatory_rnn oscillator',
  'lem': 'long_expressive_memory',
  'highway': 'rhn recurrent_highway recurrent_highway_network',
  'mut1': 'mut jozefowicz',
  'irnn': 'identity_rnn relu_rnn rnn_relu',
  'gru': 'gru_cell nn.GRU cudnn_gru gated_recurrent_unit',
  'clockwork': 'cwrnn clockwork_rnn cw_rnn',
  'echo_state': 'esn reservoir',
  'nig': 'no_input_gate',
  'nfg': 'no_forget_gate lstm_no_forget no_forget lstm_without_forget_gate',
  'nog': 'no_output_gate',
  # Tasks.
  'adding': 'add addition adding_problem add_task',
  'copy': 'copying copy_task copy_memory copying_memory memorize',
  'embedded_reber': 'reber reber_grammar',
  'parity': 'xor',
  'bucket_sort': 'sort sorting',
  'reverse_string': 'reverse reversal palindrome',
  'duplicate_string': 'duplicate repeat repetition repeat_copy',
  'stack_manipulation': 'stack pushdown',
  'associative_recall': 'mqar recall induction induction_heads',
  'periodic_function': 'sine sin wave',
  'sequential_digits': (
    'mnist smnist seq_mnist row_mnist sequential_mnist digits image '
    'sequential_image cifar10 fashion_mnist'
  ),
  'permuted_digits': 'pmnist psmnist permuted_mnist permuted_sequential_mnist',
  'characters': (
    'char chars char_lm char_rnn text text8 enwik8 shakespeare '
    'tiny_shakespeare language_model lm'
  ),
  'words': 'word_lm ptb penn penn_treebank wikitext wikitext2 wikitext103',
  'forecasting': 'forecast time_series timeseries series etth1 weather stocks',
  # Optimizers, schedules, numbers, weights.
  'adam': 'adamax nadam radam amsgrad',
  'sgd': 'momentum sgdm nesterov gd gradient_descent',
  'rmsprop': 'rms',
  'cosine': 'cosine_annealing CosineAnnealingLR cosine_decay warmup_cosine',
  'linear': 'LinearLR linear_decay polynomial PolynomialLR',
  'exponential': 'ExponentialLR exponential_decay',
  'constant': 'fixed none ConstantLR',
  'float32': 'fp32 single full float f32',
  'bfloat16': (
    'fp16 bf16 half float16 16 bf16_mixed mixed mixed_float16 mixed_bfloat16'
  ),
  'float64': 'fp64 double f64',
  # What is kept for the gradient.
  'sqrt': 'full everything checkpoint gradient_checkpointing',
  'uniform': (
    'xavier glorot glorot_uniform xavier_uniform kaiming he kaiming_uniform '
    'he_uniform lecun_uniform'
  ),
}


def _by_synonym() -> dict[str, list[str]]:
  """Return `SYNONYMS` turned round: synonym -> names."""
  names: dict[str, list[str]] = {}
  for name, synonyms in SYNONYMS.items():
    for synonym in synonyms.split():
      names.setdefault(plain(synonym), []).append(name)
  return names


_BY_SYNONYM = _by_synonym()
