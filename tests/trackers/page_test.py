"""The commands of docs/watching.md run as they stand there, only shorter."""

import pathlib
import re
import shlex

from lstm_variants.runs import results

ROOT = pathlib.Path(__file__).parents[2]
SHORT = (
  '--config.training.updates=2',
  '--config.training.evaluation_interval=1',
  '--config.training.evaluation_batches=1',
  '--config.training.batch_size=2',
  '--config.task.length=6',
)


def test_the_commands_of_the_page_run(fork, tmp_path):
  page = (ROOT / 'docs' / 'watching.md').read_text()
  lines = ''.join(re.findall(r'```bash\n(.*?)```', page, re.DOTALL))
  lines = lines.replace('runs/', f'{tmp_path}/').splitlines()
  assert len(lines) == 4
  for line in lines:
    program, *flags = shlex.split(line)[1:]
    if program == 'watch':  # that ends by Ctrl-C: `report/live_test`
      continue
    short = () if program == 'status' else SHORT
    done = fork(program, *flags, *short)
    assert (done['status'], done['stderr']) == (0, ''), done
    assert 'next: python -m experiments.compare ' in done['stdout']
  kinds = {path.parent.name for path in tmp_path.rglob('*.csv')}
  assert kinds == {'csv'} and list(tmp_path.rglob('events.out.tfevents.*'))

  (run,) = results.read_runs(f'{tmp_path}/logged')
  curve = tmp_path / 'logged' / 'curves' / f'{run["id"]}.txt'
  first, *rows, last = curve.read_text().splitlines()
  assert first == f'# {run["population"]}, learning rate 0.01'
  assert last == f'# {run["status"]}'
  assert [line.split()[0] for line in rows] == ['0', '2', '4']
