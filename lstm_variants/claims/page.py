"""The table of claims: on the screen, as CSV, and within a page of the docs."""

from collections.abc import Iterable, Mapping, Sequence
import pathlib

from lstm_variants import console, errors
from lstm_variants.claims import budget, claim
from lstm_variants.runs import files

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
  'minutes',
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
    f'    {_command(each)}'
    for each in claims
  )


def outcome_text(outcome: budget.Outcome) -> str:
  """Return the result of testing a claim, as lines for the terminal."""
  said = [f'    {line}' for line in _ours(outcome)]
  head = f'{outcome.of.name}: {outcome.verdict.value}'
  return '\n'.join((head, f'    published: {outcome.of.published}', *said))


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
        outcome.verdict.value,
        outcome.runs,
        f'{outcome.minutes:.2f}',
        _command(said),
      )
    )
  return files.csv_text(_COLUMNS, lines)


def summary(outcomes: Sequence[budget.Outcome]) -> str:
  """Return how many claims got which verdict, and what it took."""
  counts: Mapping[str, int] = {
    verdict.value: sum(each.verdict is verdict for each in outcomes)
    for verdict in claim.Verdict
  }
  parts = ', '.join(f'{n} {verdict}' for verdict, n in counts.items() if n)
  minutes = sum(outcome.minutes for outcome in outcomes)
  runs = sum(outcome.runs for outcome in outcomes)
  return (
    f'{len(outcomes)} claims: {parts}. {runs:,} runs, {minutes:.0f} minutes of '
    'training.'
  )


def markdown(outcomes: Sequence[budget.Outcome]) -> str:
  """Return the table, and how each claim was tested."""
  lines = [
    summary(outcomes),
    '',
    '| claim | published | ours | verdict | minutes |',
    '| --- | --- | --- | --- | --- |',
  ]
  for outcome in outcomes:
    said = outcome.of
    cells = (
      f'`{said.name}`: {said.says}',
      f'{said.published} ({said.source})',
      '<br>'.join(_ours(outcome)),
      outcome.verdict.value,
      f'{outcome.minutes:.1f}' if outcome.runs else '',
    )
    lines.append(f'| {" | ".join(map(_cell, cells))} |')
  lines += [
    '',
    'What trains each, and where it is not as in the paper:',
    '',
  ]
  for outcome in outcomes:
    said = outcome.of
    lines.append(f'- `{_command(said)}`: {said.otherwise}')
  return '\n'.join(lines)


def fill(page: pathlib.Path, text: str) -> None:
  """Put a text between the two marks of a page.

  Raises:
    PageError: the page is not there, or lacks a mark.
    StorageError: it cannot be written.
  """
  before, after = _around(page)
  files.write(page, f'{before}{BEGIN}\n\n{text}\n\n{END}{after}'.encode())


def check(page: pathlib.Path) -> None:
  """Refuse a page that has no place for the table.

  Raises:
    PageError: as of `fill`.
  """
  _around(page)


def _around(page: pathlib.Path) -> tuple[str, str]:
  try:
    text = page.read_text(encoding='utf-8')
  except (OSError, UnicodeDecodeError) as error:
    raise PageError(
      f'--page={page}: cannot be read: {error}; nearest: '
      '--page=docs/results.md, or --page= for none'
    ) from error
  before, begin, rest = text.partition(BEGIN)
  _, end, after = rest.partition(END)
  if not begin or not end:
    raise PageError(
      f'--page={page}: must hold the lines {BEGIN} and {END}; nearest: '
      '--page=docs/results.md, or --page= for none'
    )
  return before, after


def _ours(outcome: budget.Outcome) -> list[str]:
  if not outcome.findings:
    return [outcome.why]
  return [
    f'{"yes" if finding.holds else "no"}: {finding.ours}'
    for finding in outcome.findings
  ]


def _cell(text: str) -> str:
  return text.replace('|', '\\|').replace('\n', ' ')


def _command(said: claim.Claim) -> str:
  """Return what trains a claim's study, as a user would type it."""
  return ' '.join(
    (console.command_line('sweep'), *said.flags(f'runs/{said.name}'))
  )
