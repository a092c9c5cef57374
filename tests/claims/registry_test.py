"""Every claim: its study can be trained, and its questions find their runs."""

import pytest

from lstm_variants import claims
from lstm_variants.claims import claim
from lstm_variants.config import source
from lstm_variants.launch import local


def expanded(each: claim.Claim):
  file, argument = source.split_argument(each.config)
  module = source.load_module(file)
  given = [argument] if argument else []
  return local.expand(
    module.get_config(*given), lambda hyper: module.get_hyper(hyper, *given)
  )


@pytest.mark.parametrize('name', claims.CLAIMS)
def test_questions_find_runs_in_the_grid_and_metrics_in_the_task(name):
  each = claims.CLAIMS[name]
  assert each.name == name and each.questions and each.minutes > 0
  rows = []
  for number, run in enumerate(expanded(each)):
    metrics = run.settings.held_out_task.baselines
    rows.append(
      {
        'task': run.settings.task_label,
        'model': run.config['model']['variant'],
        'params_in_use': 1,
        'config': run.config,
        'status': 'finished',
        'sequences_to_success': 1000 + number,
        'sequences': 1000 + number,
        'final': {name: 0.5 + number / 1000 for name in metrics},
      }
    )
  verdict, findings = claim.judge(each, rows)
  assert isinstance(verdict, claim.Verdict)
  for finding in findings:
    assert 'nan' not in finding.ours and '—' not in finding.ours, finding
