"""Every claim: its study can be trained, and its questions find their runs.

And none is answered where nothing was tested: S4 of the review.
"""

from collections.abc import Mapping, Sequence
import functools
import math
from typing import Any

import pytest

from lstm_variants import claims
from lstm_variants.claims import claim
from lstm_variants.config import source
from lstm_variants.launch import local

SAYS_NOTHING = (claim.Verdict.NOT_TESTED, claim.Verdict.OUT_OF_BUDGET)


@functools.cache
def expanded(name: str) -> Sequence[Any]:
  file, argument = source.split_argument(claims.CLAIMS[name].config)
  module = source.load_module(file)
  given = [argument] if argument else []
  return local.expand(
    module.get_config(*given), lambda hyper: module.get_hyper(hyper, *given)
  )


def made_up(name: str, share: float = 1.0, **fields: Any) -> list[claim.Run]:
  """Return rows as of the claim's study, trained on a share of the paper's."""
  sequences = math.floor(share * claims.CLAIMS[name].training.sequences)
  rows: list[claim.Run] = []
  for number, run in enumerate(expanded(name)):
    metrics = run.settings.held_out_task.baselines
    noise = 1 + (number * 0.618 % 1) / 100
    row: dict[str, Any] = {
      'id': str(number),
      'task': run.settings.task_label,
      'model': run.config['model']['variant'],
      'params_in_use': 1,
      'config': run.config,
      'status': 'unsolved',
      'sequences_to_success': None,
      'sequences': sequences,
      'updates': sequences // run.settings.sequences_per_update,
      'final': {metric: noise * value for metric, value in metrics.items()},
    }
    rows.append({**row, **fields})
  return rows


def diverged(name: str) -> list[claim.Run]:
  final = dict.fromkeys(made_up(name)[0]['final'])
  return made_up(name, status='diverged', final=final)


@pytest.mark.parametrize('name', claims.CLAIMS)
def test_questions_find_runs_in_the_grid_and_metrics_in_the_task(name):
  each = claims.CLAIMS[name]
  assert each.name == name and each.questions and each.minutes > 0
  assert each.training.sequences > 0 and each.training.source
  rows = [
    {**run, 'status': 'solved', 'sequences_to_success': 1000 + number}
    for number, run in enumerate(made_up(name))
  ]
  verdict, findings = claim.judge(each, rows)
  assert isinstance(verdict, claim.Verdict)
  for finding in findings:
    assert 'no runs' not in finding.why, finding
    assert 'nan' not in finding.text and '—' not in finding.text, finding


@pytest.mark.parametrize('name', claims.CLAIMS)
def test_the_rule_that_a_claim_asks_for_judges_its_runs(name):
  rules = {str(run.settings.held_out_task.success) for run in expanded(name)}
  asked = claims.CLAIMS[name].rule
  assert not asked or rules == {asked}


def nothing(name: str) -> Mapping[str, Sequence[claim.Run]]:
  """Return runs that test nothing of a claim, each with what they lack."""
  whole = made_up(name)
  return {
    'no runs': [],
    'one run': whole[:1],
    'another study': [
      {**run, 'config': {'seed': 0}, 'task': 'x', 'model': 'x'} for run in whole
    ],
    'no training': made_up(name, 0),
    'a hundredth of it': made_up(name, 0.01),
    'a third of it': made_up(name, 0.33),
    'all diverged': diverged(name),
    'a hundredth, one run of an arm diverged': [
      *diverged(name)[:1],
      *made_up(name, 0.01)[1:],
    ],
    'a hundredth, half diverged': [
      pair[number % 2]
      for number, pair in enumerate(
        zip(diverged(name), made_up(name, 0.01), strict=True)
      )
    ],
    'a hundredth, no metrics': made_up(name, 0.01, final={}),
  }


@pytest.mark.parametrize('name', claims.CLAIMS)
def test_a_claim_that_was_not_tested_is_neither_reproduced_nor_not(name):
  for lack, runs in nothing(name).items():
    verdict, findings = claim.judge(claims.CLAIMS[name], runs)
    assert verdict in SAYS_NOTHING, (lack, findings)
    assert all(finding.why for finding in findings), (lack, findings)


def test_runs_without_its_metric_answer_no_question_about_it():
  """They did not diverge: nothing is known of them."""
  asked = 0
  for name, each in claims.CLAIMS.items():
    for final in ({}, {'loss': None, 'wrong': math.nan}):
      rows = made_up(name, final=final)
      _, findings = claim.judge(each, rows)
      about = [f for f in findings if 'no run has a finite' in f.why]
      asked += len(about)
      assert all(f.answer is claim.Answer.NOT_TESTED for f in about)
      assert not [f for f in findings if 'at the end' in f.ours], name
  assert asked


def test_the_rest_of_runs_half_of_which_diverged_stays_above_nothing():
  name = 'urnn16_copy'
  rows = [*diverged(name)[:2], *made_up(name)[2:]]
  verdict, findings = claim.judge(claims.CLAIMS[name], rows)
  assert verdict is claim.Verdict.NOT_TESTED, findings
  few = [*diverged(name)[:1], *made_up(name)[1:]]
  assert claim.judge(claims.CLAIMS[name], few)[0] is claim.Verdict.REPRODUCED


def test_the_verdict_of_another_rule_is_that_nothing_was_tested():
  for name, each in claims.CLAIMS.items():
    if not each.rule:
      continue
    rows = made_up(name, status='solved', sequences_to_success=1)
    rules = {row['task']: 'held-out wrong below 0.5' for row in rows}
    _, findings = claim.judge(each, rows, rules)
    solved = [f for f in findings if 'judged by another rule' in f.why]
    assert all(f.answer is claim.Answer.NOT_TESTED for f in solved)
    assert solved or 'solved' not in str(claim.judge(each, rows)), name
