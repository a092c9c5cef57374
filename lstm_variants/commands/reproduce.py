"""Test published claims: theirs, ours, and the verdict.

    lstm-variants reproduce --list
    lstm-variants reproduce --only=hs97_adding,tallec18_copy
    lstm-variants reproduce --budget=30

Trains the study of each claim into its directory under --workdir, cheap ones
first; one that is finished is read, one that was stopped is gone on with. What
does not fit the budget of minutes is not run. --budget=0 judges what is there
and trains nothing. Writes claims.csv and claims.md there, with all claims, and
the same table into --page, if one is given and --only chooses none.
"""

from collections.abc import Mapping
import functools
import math
import pathlib

from absl import flags

from lstm_variants import claims, console, errors
from lstm_variants import names as names_lib
from lstm_variants.claims import budget as budget_lib
from lstm_variants.claims import claim, page
from lstm_variants.commands import config_file
from lstm_variants.runs import files, lock
from lstm_variants.training import interrupt

_WORKDIR = flags.DEFINE_string(
  'workdir', 'runs/reproduce', 'Where the studies of the claims are.'
)
_LIST = flags.DEFINE_bool('list', False, 'List the claims and train nothing.')
_ONLY = flags.DEFINE_list('only', [], 'Names of claims; none: all.')
_BUDGET = flags.DEFINE_float(
  'budget', math.inf, 'Minutes to train at most; 0 reads what is there.'
)
_PAGE = flags.DEFINE_string(
  'page', '', 'A page that gets the table too, as docs/results.md does.'
)


class FailedError(errors.Error):
  """A study could not be trained; the message is one line.

  Attributes:
    exit_status: the study's own; of one that a signal killed, as shells count.
  """

  def __init__(self, message: str, status: int):
    super().__init__(message)
    self.exit_status = status if status >= 0 else 128 - status


class StoppedError(errors.Error):
  """A signal asked for the end."""

  def __init__(self, exit_status: int):
    super().__init__(
      'stopped; what was trained is saved, the same command goes on'
    )
    self.exit_status = exit_status


def main() -> None:
  """Test the claims that are wanted, then write the table of all."""
  wanted = _wanted()
  if _LIST.value:
    console.say(page.listed(wanted.values()))
    console.say(page.verdicts())
    first = next(iter(wanted))
    console.say_next(f'{console.command_line("reproduce")} --only={first}')
    return
  if not _BUDGET.value >= 0:
    raise config_file.UsageError(
      f'--budget={_BUDGET.value}: must be 0 or more minutes; nearest: '
      '--budget=30'
    )
  target = _page()
  workdir = pathlib.Path(_WORKDIR.value)
  with files.refusals(workdir):
    workdir.mkdir(parents=True, exist_ok=True)
  with lock.hold(workdir, console.warn), interrupt.deferred():
    outcomes = _test(wanted, workdir)
    every = [
      outcomes.get(name) or budget_lib.read(each, workdir / name)
      for name, each in claims.CLAIMS.items()
    ]
    check = functools.partial(lock.check, workdir)
    text = page.markdown(every)
    files.write(workdir / 'claims.csv', page.csv_text(every).encode(), check)
    files.write(workdir / 'claims.md', f'{text}\n'.encode(), check)
    if target and not _ONLY.value and not interrupt.requested():
      page.fill(target, text, check)
    console.note(page.summary(every))
    _end(outcomes)
    console.end(workdir / 'claims.csv', page.next_command(outcomes, workdir))


def _page() -> pathlib.Path | None:
  """Return the page that gets the table too, if one is to.

  Raises:
    PageError: it has no place for it.
  """
  if not _PAGE.value:
    return None
  page.check(pathlib.Path(_PAGE.value))
  return pathlib.Path(_PAGE.value)


def _test(
  wanted: Mapping[str, claim.Claim], workdir: pathlib.Path
) -> dict[str, budget_lib.Outcome]:
  """Test claims, cheap ones first, until a signal asks for the end.

  Raises:
    LostError: another process has the directory.
  """
  budget = budget_lib.Budget(_BUDGET.value)
  outcomes = {}
  for name in sorted(wanted, key=lambda name: wanted[name].minutes):
    if interrupt.requested():
      break
    lock.check(workdir)  # this process may have slept, and another trains here
    outcomes[name] = budget_lib.reproduce(
      wanted[name], workdir / name, budget, interrupt.requested
    )
    console.say(page.outcome_text(outcomes[name]))
  return outcomes


def _end(outcomes: Mapping[str, budget_lib.Outcome]) -> None:
  """End with the status of a signal, or of a study that failed.

  Raises:
    StoppedError: a signal asked for the end.
    FailedError: a study ended with an error.
  """
  try:
    interrupt.check(saved=True)
  except interrupt.Interrupted as error:
    raise StoppedError(error.exit_status) from error
  failed = {
    name: outcome.status
    for name, outcome in outcomes.items()
    if outcome.state is budget_lib.State.FAILED
  }
  if failed:
    raise FailedError(
      f'--only={",".join(failed)}: the studies end with errors, told above; '
      'the rest is written',
      next(iter(failed.values())),
    )


def _wanted() -> Mapping[str, claim.Claim]:
  """Return the claims that are asked for, in the order of the registry."""
  for name in _ONLY.value:
    if name not in claims.CLAIMS:
      raise config_file.UsageError(
        f'--only={name}: unknown claim'
        + names_lib.hint(name, claims.CLAIMS, '--only={}'.format)
        + '; --list shows all'
      )
  return {
    name: each
    for name, each in claims.CLAIMS.items()
    if not _ONLY.value or name in _ONLY.value
  }
