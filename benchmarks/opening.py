"""How large the report of a large study is, and how soon it can be used.

    python -m benchmarks.opening --report_runs=1000 --repeats=5

The run directories are those of `benchmarks.sizes`. The report is opened in
Chromium, without a cache, from the disk: `painted` is its first contentful
paint, `usable` when its scripts have run and the browser has nothing to do,
both since it was asked for. `each run` is what it takes to draw a curve of
every run in place of the medians, from the click to the frame that shows them.
"""

from collections.abc import Iterator
import pathlib
import statistics
import tempfile

from absl import flags

from benchmarks import pages, sizes
from lstm_variants.report import write as report
from tests import browser as browser_lib

_RUNS = flags.DEFINE_integer('report_runs', 1000, 'Runs of a study.')
_EVALUATIONS = 50
_PAINTED = 'performance.getEntriesByName("first-contentful-paint")[0].startTime'
_USABLE = (
  'new Promise(done => requestIdleCallback(() => done(performance.now())))'
)
# Of the first task: its curves are drawn where they are seen.
_EACH_RUN = """
new Promise(done => {
  const home = document.querySelector('.curves');
  home.scrollIntoView();
  setTimeout(() => {
    const buttons = home.querySelectorAll('[aria-label=Show] button');
    const start = performance.now();
    buttons[buttons.length - 1].click();
    requestAnimationFrame(() => requestAnimationFrame(
      () => done(performance.now() - start)));
  }, 500);
})
"""


def _open(
  chromium: browser_lib.Browser, path: pathlib.Path
) -> tuple[float, float, float]:
  """Return the milliseconds of the three figures of a page."""
  chromium.show(path, settled=False)
  usable = chromium.run(_USABLE)
  return chromium.run(_PAINTED), usable, chromium.run(_EACH_RUN)


def _rows(chromium: browser_lib.Browser) -> Iterator[list[str]]:
  runs = 60 if pages.QUICK.value else _RUNS.value
  with tempfile.TemporaryDirectory() as folder:
    for kind, make in sizes.STUDIES.items():
      workdir = str(pathlib.Path(folder) / kind)
      number, _ = sizes.write(workdir, make(runs), _EVALUATIONS)
      path = pathlib.Path(report.write(workdir).html)
      pages.progress(f'{kind}: {number:,} runs')
      opened = [_open(chromium, path) for _ in range(pages.repeats())]
      yield [
        kind,
        f'{number:,}',
        f'{path.stat().st_size / 1e6:.2f}',
        *(
          f'{statistics.median(times):,.0f}'
          for times in zip(*opened, strict=True)
        ),
      ]


def page() -> list[str]:
  """Return the lines of the page, from the heading on."""
  if browser_lib.PROGRAM is None:
    skipped = pages.skipped_lines({'all of it': browser_lib.WHY})
    return ['## Opening a report', '', *skipped]
  with tempfile.TemporaryDirectory() as profile:
    with browser_lib.open_browser(pathlib.Path(profile)) as chromium:
      rows = list(_rows(chromium))
  header = (
    *('study', 'runs', 'report.html, MB'),
    *('painted, ms', 'usable, ms', 'each run, ms'),
  )
  return [
    '## Opening a report',
    '',
    f'Studies with {_EVALUATIONS} evaluations of each run, opened '
    f'{pages.repeats()} times in a window of 1,300 pixels; medians. `usable`: '
    'all scripts have run and the browser is idle; `each run`: from the click '
    'that asks for a curve of every run to the frame that shows them.',
    *pages.table(header, rows),
  ]


if __name__ == '__main__':
  pages.run('opening', page)
