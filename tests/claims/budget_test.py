"""Studies of claims: trained, gone on with, refused, out of budget."""

import contextlib
import itertools
import json
import os
import pathlib

import pytest

from lstm_variants.claims import budget, claim, questions
from lstm_variants.runs import files, lock, provenance, results
from tests import conftest

ROOT = pathlib.Path(__file__).parents[2]
CONFIG = """
from configs import base


def get_config():
  config = base.get_config()
  config.task.length = 8
  config.model.hidden_features = 4
  config.model.recurrent_init = 'uniform'
  config.training.batch_size = 4
  config.training.updates = {updates}
  config.training.evaluation_interval = 2
  config.training.evaluation_batches = 1
  return config


def get_hyper(hyper):
  return hyper.sweep('config.seed', range(3))
"""
ARM = questions.model('vanilla')


THEIRS = claim.Training(16, 'made up')
RULE = 'held-out loss below 0.001'


def asked(
  config: pathlib.Path,
  minutes: float = 0.1,
  training: claim.Training = THEIRS,
  rule: str = RULE,
) -> claim.Claim:
  return claim.Claim(
    *('tiny', 'an LSTM fails in four updates', 'none', 'nobody'),
    *(str(config), minutes, training, rule, [questions.fails(ARM)], 'nothing'),
  )


def never() -> bool:
  return False


@pytest.fixture
def config(tmp_path, monkeypatch):
  monkeypatch.chdir(ROOT)
  for name, value in conftest.QUICK.items():  # of the programs that train
    monkeypatch.setenv(name, value)
  path = tmp_path / 'tiny.py'
  path.write_text(CONFIG.format(updates=4))
  return path


def test_a_claim_is_trained_judged_and_read_again(config, tmp_path):
  workdir = tmp_path / 'runs' / 'tiny'
  outcome = budget.reproduce(asked(config), workdir, budget.Budget(10), never)
  assert outcome.verdict is claim.Verdict.REPRODUCED, outcome.why
  assert outcome.runs == 3 and outcome.minutes > 0
  assert outcome.sequences == 16
  assert outcome.code == provenance.code(provenance.describe())
  assert outcome.findings[0].ours.startswith('vanilla: 0/3 solved')
  assert len(results.read_runs(str(workdir))) == 3
  # Finished: neither minutes nor a process are needed.
  before = (workdir / 'study.json').stat().st_mtime_ns
  again = budget.reproduce(
    asked(config, minutes=99), workdir, budget.Budget(0), never
  )
  assert again == outcome._replace(of=again.of)
  assert (workdir / 'study.json').stat().st_mtime_ns == before
  check_that_less_than_the_papers_is_no_failure(config, workdir)
  check_that_runs_of_another_rule_are_not_taken(config, workdir)
  check_that_runs_of_other_code_are_taken_and_told(config, workdir)
  check_that_results_of_another_config_are_not_taken(config, workdir)


def check_that_less_than_the_papers_is_no_failure(config, workdir):
  longer = asked(config, training=claim.Training(33, 'made up'))
  outcome = budget.read(longer, workdir)
  assert outcome.verdict is claim.Verdict.OUT_OF_BUDGET
  assert outcome.findings[0].why == '16 sequences of the 33 of the paper'


def check_that_runs_of_another_rule_are_not_taken(config, workdir):
  outcome = budget.read(asked(config, rule='held-out loss below 1'), workdir)
  assert outcome.verdict is claim.Verdict.NOT_TESTED
  assert f'judged by another rule: {RULE}' in outcome.findings[0].why


def check_that_runs_of_other_code_are_taken_and_told(config, workdir):
  (path,) = workdir.glob('populations/*/provenance.json')
  made = json.loads(path.read_text())
  path.write_text(json.dumps({**made, 'source': 'other'}))
  outcome = budget.read(asked(config), workdir)
  assert outcome.verdict is claim.Verdict.REPRODUCED
  assert outcome.code.endswith('source other')
  # As of a version that did not record it.
  made.update(source=None, commit='0123456789', uncommitted_changes=True)
  path.write_text(json.dumps(made))
  code = budget.read(asked(config), workdir).code
  assert code.endswith('commit 0123456 with changes')


def check_that_results_of_another_config_are_not_taken(config, workdir):
  assert budget.is_finished(asked(config), workdir)
  config.write_text(config.read_text().replace('length = 8', 'length = 9'))
  assert not budget.is_finished(asked(config), workdir)
  assert budget.read(asked(config), workdir).state is budget.State.NOT_RUN
  outcome = budget.reproduce(asked(config), workdir, budget.Budget(10), never)
  assert outcome.state is budget.State.FAILED
  assert outcome.why.endswith(f'or remove {workdir} to train anew')
  # A change elsewhere in the file leaves the runs as they are.
  config.write_text(CONFIG.format(updates=4) + '\n')
  assert not budget.is_finished(asked(config), workdir)
  outcome = budget.reproduce(asked(config), workdir, budget.Budget(10), never)
  assert outcome.runs == 3 and budget.is_finished(asked(config), workdir)


def test_what_does_not_fit_is_not_begun(config, tmp_path):
  workdir = tmp_path / 'tiny'
  outcome = budget.reproduce(
    asked(config, minutes=3), workdir, budget.Budget(2), never
  )
  assert (outcome.state, outcome.verdict) == (budget.State.NOT_RUN, None)
  assert 'about 3 minutes' in outcome.why and '2.0 are left' in outcome.why
  assert not workdir.exists()


def test_what_is_stopped_is_gone_on_with(config, tmp_path):
  config.write_text(CONFIG.format(updates=200_000))
  workdir = tmp_path / 'tiny'

  def stopped() -> bool:
    metrics = workdir.rglob('metrics.jsonl')
    return any(path.read_text().count('\n') > 8 for path in metrics)

  outcome = budget.reproduce(asked(config), workdir, budget.Budget(10), stopped)
  assert (outcome.state, outcome.verdict) == (budget.State.STOPPED, None)
  assert 'the next time goes on' in outcome.why
  assert not budget.is_finished(asked(config), workdir)
  saved = max(int(path.stem) for path in workdir.rglob('*.safetensors'))
  unfinished = budget.read(asked(config), workdir)
  assert unfinished.state is budget.State.NOT_RUN
  assert unfinished.why == 'begun, not run to its end'
  # A little more of the same study: from where it was, in any time left.
  config.write_text(CONFIG.format(updates=saved + 2))
  long = asked(config, minutes=99)
  outcome = budget.reproduce(long, workdir, budget.Budget(5), never)
  assert outcome.runs == 3, outcome
  log = workdir.with_suffix('.log').read_text()
  assert f'going on after update {saved}' in log and 'update 0/' not in log


def test_a_study_that_another_process_trains_is_waited_for(config, tmp_path):
  workdir = tmp_path / 'tiny'
  workdir.mkdir()
  looks = iter(range(9))
  with contextlib.ExitStack() as other:
    other.enter_context(lock.hold(workdir, print))
    # A signal asks for the end meanwhile: it is not called failed.
    outcome = budget.reproduce(
      asked(config), workdir, budget.Budget(10), lambda: next(looks) == 3
    )
    assert (outcome.state, outcome.verdict) == (budget.State.STOPPED, None)
    assert f'is trained by process {os.getpid()} on' in outcome.why

    def never_but_released() -> bool:
      if next(looks) == 6:
        other.close()
      return False

    looks = itertools.count()
    outcome = budget.reproduce(
      asked(config), workdir, budget.Budget(10), never_but_released
    )
  assert outcome.verdict is claim.Verdict.REPRODUCED, outcome.why


def test_a_study_whose_lock_was_met_too_late_is_begun_again(
  config, tmp_path, monkeypatch
):
  ends = iter([(5, 'error: busy'), (0, 'results: there')])
  monkeypatch.setattr(budget, '_run', lambda *unused: next(ends))
  monkeypatch.setattr(budget, '_PAUSE', 0)
  monkeypatch.setattr(budget, '_RETRY', 0)
  assert budget._train(
    asked(config), tmp_path / 'tiny', budget.Budget(10), never
  ) == (0, 'results: there')


def test_a_damaged_study_is_told_and_the_rest_goes_on(config, tmp_path):
  workdir = tmp_path / 'tiny'
  workdir.mkdir()
  files.write_json(workdir / budget.STAMP, budget._stamp(asked(config)))
  outcome = budget.reproduce(asked(config), workdir, budget.Budget(0), never)
  assert outcome.state is budget.State.FAILED
  assert 'holds no study' in outcome.why


def test_a_study_that_somebody_trains_further_is_not_judged(config, tmp_path):
  workdir = tmp_path / 'tiny'
  (workdir / f'populations/p{results.PARTIAL}').mkdir(parents=True)
  files.write_json(workdir / budget.STAMP, budget._stamp(asked(config)))
  outcome = budget.reproduce(asked(config), workdir, budget.Budget(0), never)
  assert outcome.state is budget.State.NOT_RUN


def test_where_nothing_can_be_written_a_line_says_so(config, tmp_path):
  (tmp_path / 'tiny.log').mkdir()
  with pytest.raises(files.StorageError, match='tiny.log'):
    budget.reproduce(asked(config), tmp_path / 'tiny', budget.Budget(9), never)


def test_a_study_that_fails_says_why(config, tmp_path):
  config.write_text(CONFIG.format(updates=-1))
  os.mkfifo(tmp_path / 'tiny.log')  # nothing waits for who reads it
  outcome = budget.reproduce(
    asked(config), tmp_path / 'tiny', budget.Budget(10), never
  )
  assert outcome.state is budget.State.FAILED
  assert outcome.why.startswith('error: ') and 'training.updates' in outcome.why


def test_a_budget_runs_out():
  now = [100.0]
  whole = budget.Budget(0.5, lambda: now[0])
  assert whole.remaining() == 30
  now[0] += 31
  assert whole.remaining() == 0


def test_the_flags_are_what_a_user_would_type():
  flags = asked(pathlib.Path('x.py')).flags('runs/x')
  assert flags == ['--config=x.py', '--workdir=runs/x']
