"""The table of claims: on the screen, as CSV, and within a page of the docs."""

from collections.abc import Callable, Iterable, Sequence
import pathlib
import shlex
import textwrap

from lstm_variants import console, errors, opening
from lstm_variants.claims import budget, claim, questions
from lstm_variants.runs import files, provenance

BEGIN = '<!-- experiments.reproduce writes from here -->'
END = '<!-- to here -->'
_COLUMNS = (
  'name',
  'claim',
  'published',
  'source',
  'ours',
  'verdict',
  'runs',
  'sequences',
  'published sequences',
  'minutes',
  'code',
  'command',
)


class PageError(errors.Error, ValueError):
  """A page has no place for the table; the message is one line."""


def listed(claims: Iterable[claim.Claim]) -> str:
  """Return the claims: name, what is said, by whom, the command."""
  return '\n'.join(
    f'{each.name}  ({each.minutes:g} min)\n'
    f'{console.entry("", f"{each.says}: {each.published}", 3)}\n'
    f'{console.entry("", each.source, 3)}\n'
    f'{console.entry("", _failure(each), 3)}\n'
    f'{console.continued(_command(each), "    ")}'
    for each in claims
  )


def next_command(outcomes: Iterable[str], workdir: pathlib.Path) -> str:
  """Return the command that shows the first study, or that trains it.

  Args:
    outcomes: names of the claims that were tested, cheap ones first.
    workdir: of their studies.
  """
  names = list(outcomes)
  for name in names:
    if (workdir / name).is_dir():
      place = shlex.quote(str(workdir / name))
      return f'{console.command_line("compare")} --workdir={place}'
  place = shlex.quote(str(workdir))
  return (
    f'{console.command_line("reproduce")} --only={names[0]} --workdir={place}'
  )


def verdicts() -> str:
  """Return what the verdicts are and how they follow, folded."""
  names = ', '.join(verdict.value for verdict in claim.Verdict)
  rule = claim.RULE.replace('*', '')
  return textwrap.fill(f'Verdicts: {names}. {rule}', 80)


def outcome_text(outcome: budget.Outcome) -> str:
  """Return the result of testing a claim, as lines for the terminal."""
  parts = [f'published: {outcome.of.published}', *_ours(outcome)]
  if _note(outcome):
    parts.append(_note(outcome))
  head = f'{outcome.of.name}: {outcome.word}'
  return '\n'.join((head, *(console.entry('', part, 3) for part in parts)))


def csv_text(outcomes: Sequence[budget.Outcome]) -> str:
  """Return a line for each claim."""
  lines = []
  for outcome in outcomes:
    said = outcome.of
    lines.append(
      (
        said.name,
        said.says,
        said.published,
        said.source,
        '; '.join(_ours(outcome)),
        outcome.word,
        outcome.runs,
        outcome.sequences,
        said.training.sequences,
        f'{outcome.minutes:.2f}',
        outcome.code,
        _command(said),
      )
    )
  return files.csv_text(_COLUMNS, lines)


def summary(outcomes: Sequence[budget.Outcome]) -> str:
  """Return how many claims got which verdict, and what it took."""
  words = [(each.verdict or each.state).value for each in outcomes]
  counts = {
    each.value: words.count(each.value)
    for each in (*claim.Verdict, *budget.State)
  }
  parts = ', '.join(f'{n} {word}' for word, n in counts.items() if n)
  minutes = sum(outcome.minutes for outcome in outcomes)
  runs = sum(outcome.runs for outcome in outcomes)
  return (
    f'{len(outcomes)} claims: {parts}. {runs:,} runs, {minutes:.0f} minutes of '
    'training.'
  )


def versions(outcomes: Sequence[budget.Outcome]) -> str:
  """Return which code trained which claims, as a sentence; '' if none did."""
  claims: dict[str, list[str]] = {}
  for outcome in outcomes:
    if outcome.code:
      claims.setdefault(outcome.code, []).append(outcome.of.name)
  if not claims:
    return ''
  if len(claims) == 1:
    return f'All were trained by {next(iter(claims))}.'
  parts = (f'{code} ({", ".join(names)})' for code, names in claims.items())
  return f'Trained by different code: {"; ".join(parts)}.'


def markdown(outcomes: Sequence[budget.Outcome]) -> str:
  """Return the table, and how each claim was tested."""
  head = (summary(outcomes), versions(outcomes))
  lines = [
    ' '.join(part for part in head if part),
    '',
    claim.RULE,
    '',
    questions.MARGINS,
    '',
    '| claim | published | ours | verdict | minutes |',
    '| --- | --- | --- | --- | --- |',
  ]
  for outcome in outcomes:
    said = outcome.of
    verdict = outcome.word
    cells = (
      f'`{said.name}`: {said.says}',
      f'{said.published} ({said.source})',
      '<br>'.join(_ours(outcome)),
      verdict if outcome.verdict else f'({verdict})',
      f'{outcome.minutes:.1f}' if outcome.runs else '',
    )
    lines.append(f'| {" | ".join(map(_cell, cells))} |')
  lines += [
    '',
    'What trains each, how long, and where it is not as in the paper:',
    '',
  ]
  for outcome in outcomes:
    said = outcome.of
    parts = [
      f'{outcome.sequences:,} sequences' if outcome.sequences else '',
      f'solved is: {said.rule}' if said.rule else '',
      _failure(said),
      said.otherwise,
    ]
    how = '; '.join(part for part in parts if part)
    lines.append(f'- `{_command(said)}`: {how}')
  return '\n'.join(lines)


def fill(
  page: pathlib.Path, text: str, may_write: Callable[[], None] = lambda: None
) -> None:
  """Put a text between the two marks of a page.

  Args:
    page: of the docs.
    text: of all claims.
    may_write: called just before; raises an error where another process has
      what the text is about.

  Raises:
    PageError: the page is not there, or lacks a mark.
    StorageError: it cannot be written.
  """
  before, after = _around(page)
  whole = f'{before}{BEGIN}\n\n{text}\n\n{END}{after}'
  files.write(page, whole.encode(), may_write)


def check(page: pathlib.Path) -> None:
  """Refuse a page that has no place for the table.

  Raises:
    PageError: as of `fill`.
  """
  _around(page)


def _around(page: pathlib.Path) -> tuple[str, str]:
  try:
    text = opening.read(page, files.LARGEST_LINE).decode()
  except (OSError, UnicodeDecodeError) as error:
    raise PageError(
      f'--page={page}: cannot be read: {error}; nearest: '
      '--page=docs/results.md, or none'
    ) from error
  before, begin, rest = text.partition(BEGIN)
  _, end, after = rest.partition(END)
  if not begin or not end:
    raise PageError(
      f'--page={page}: must hold the lines {BEGIN} and {END}; nearest: '
      '--page=docs/results.md, or none'
    )
  return before, after


def _ours(outcome: budget.Outcome) -> list[str]:
  if not outcome.findings:
    return [outcome.why]
  return [finding.text for finding in outcome.findings]


def _note(outcome: budget.Outcome) -> str:
  """Return that other code trained the runs of a claim; '' if it is ours."""
  now = provenance.code(provenance.describe())
  return f'trained by {outcome.code}' if outcome.code not in ('', now) else ''


def _failure(said: claim.Claim) -> str:
  """Return after how much training a run of ours has failed."""
  return (
    f'a failure is one after {100 * claim.SHARE:.0f} % of '
    f'{said.training.sequences:,} sequences ({said.training.source})'
  )


def _cell(text: str) -> str:
  return text.replace('|', '\\|').replace('\n', ' ')


def _command(said: claim.Claim) -> str:
  """Return what trains a claim's study, as a user would type it."""
  return ' '.join(
    (console.command_line('sweep'), *said.flags(f'runs/{said.name}'))
  )
