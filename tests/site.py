"""Hold the built site to what it promises: `python -m tests.site build/site`.

Part of `make docs`, as it takes longer than a test may. Every link within the
site leads to a page and an anchor that are there, and no page needs another
host. In a real browser, where there is one, at the widths of a phone, a laptop
and a large screen, light and dark: no message in the console, no request beyond
the site, no scroll sideways, text that can be read, navigation by keys alone.
"""

from collections.abc import Iterator
import html.parser
import json
import pathlib
import sys
import tempfile
import time
import urllib.parse

from tests import browser as browser_lib

CONTRAST = pathlib.Path(__file__).parent / 'report' / 'contrast.js'
WIDTHS = (1300, 390, 2500)
SCHEMES = ('light', 'dark')
# What is loaded with a page; what is only linked may be anywhere.
_LOADED = ('script', 'img', 'iframe', 'source', 'video', 'audio', 'object')
# Tabs through a page until the last element must have been reached.
_MOST_TABS = 400


class Page(html.parser.HTMLParser):
  """The anchors of a page, what it links to, and what it loads."""

  def __init__(self, path: pathlib.Path):
    super().__init__()
    self.anchors: set[str] = set()
    self.links: list[str] = []
    self.loaded: list[str] = []
    self.feed(path.read_text(encoding='utf-8'))

  def handle_starttag(self, tag, attrs):
    """Note what an element is, or leads to."""
    given = dict(attrs)
    self.anchors |= {given[key] for key in ('id', 'name') if given.get(key)}
    if tag == 'a' and given.get('href'):
      self.links.append(given['href'])
    if tag in _LOADED and (given.get('src') or given.get('data')):
      self.loaded.append(given.get('src') or given['data'])
    if tag == 'link' and given.get('rel') != 'canonical':
      self.loaded.append(given.get('href') or '')


def read(site: pathlib.Path) -> dict[pathlib.Path, Page]:
  """Return every page of the site."""
  # What Sphinx writes of itself has no text of ours.
  return {path: Page(path) for path in sorted(site.rglob('*.html'))}


def broken(site: pathlib.Path) -> Iterator[str]:
  """Yield what links lead nowhere, and what comes from another host."""
  pages = read(site)
  for path, page in pages.items():
    place = path.relative_to(site)
    for target in [*page.links, *page.loaded]:
      url = urllib.parse.urlsplit(target)
      if url.scheme or url.netloc:
        if target in page.loaded and url.scheme != 'data':
          yield f'{place}: loads {target}'
        continue
      file = (path.parent / urllib.parse.unquote(url.path)).resolve()
      file = file if url.path else path
      if file.is_dir() or not file.is_file():
        yield f'{place}: {target} is not there'
      elif url.fragment and file in pages:
        if urllib.parse.unquote(url.fragment) not in pages[file].anchors:
          yield f'{place}: {target} has no such anchor'


# Texts that end beyond the window, within nothing that scrolls: the theme cuts
# off what is too wide, so that the page itself does not get wider.
_CUT_OFF = """
[...document.querySelectorAll('article *')].filter(one => {
  const texts = [...one.childNodes].filter(
    node => node.nodeType === Node.TEXT_NODE && node.data.trim());
  if (!texts.length || one.closest('script, style, noscript')) return false;
  if (one.getBoundingClientRect().right <= innerWidth + 1) return false;
  for (let box = one; box.tagName !== 'ARTICLE'; box = box.parentElement)
    if (['auto', 'scroll'].includes(getComputedStyle(box).overflowX))
      return false;
  return true;
}).map(one => one.textContent.slice(0, 40))
"""


def faults(
  chromium: browser_lib.Browser, site: pathlib.Path, page: pathlib.Path
) -> Iterator[str]:
  """Yield what is wrong with a page as it is seen."""
  contrast = CONTRAST.read_text()
  for scheme in SCHEMES:
    chromium.show(page, WIDTHS[0], scheme=scheme)
    for width in WIDTHS:
      chromium.ask(
        'Emulation.setDeviceMetricsOverride',
        **{'width': width, 'height': 900, 'deviceScaleFactor': 1},
        mobile=False,
      )
      chromium.settle()
      here = f'{width} pixels, {scheme}'
      wide = chromium.run('document.documentElement.scrollWidth')
      if wide > width:
        yield f'{here}: is {wide} pixels wide'
      for text in chromium.run(_CUT_OFF)[:5]:
        yield f'{here}: is cut off: {text!r}'
      for text, ratio in chromium.run(contrast)['faint'][:5]:
        yield f'{here}: a contrast of {ratio} in {text!r}'
    for error in chromium.errors():
      yield f'{scheme}: {json.dumps(error)[:200]}'
    for url in chromium.requests():
      if not url.startswith((site.as_uri(), 'data:')):
        yield f'{scheme}: asks for {url}'


_REACHABLE = """
[...document.querySelectorAll(
  'a[href], button, input, summary, [tabindex="0"]')]
  .filter(one => one.checkVisibility({visibilityProperty: true})
    && one.getClientRects().length)
  .map((one, place) => { one.dataset.place = place; return one.outerHTML
    .slice(0, 80); })
"""


def unreached(
  chromium: browser_lib.Browser, page: pathlib.Path, width: int
) -> Iterator[str]:
  """Yield what can be clicked, and is reached by no key."""
  chromium.show(page, width)
  wanted = chromium.run(_REACHABLE)
  reached = set()
  for _ in range(_MOST_TABS):
    chromium.press('Tab', 9)
    place = chromium.run('document.activeElement.dataset.place')
    if place in reached or len(reached) == len(wanted):
      break
    if place is not None:
      reached.add(place)
  for place, element in enumerate(wanted):
    if str(place) not in reached:
      yield f'{width} pixels: no key leads to {element}'


def opens_by_keys(
  chromium: browser_lib.Browser, page: pathlib.Path
) -> Iterator[str]:
  """Yield a fault if a phone's navigation cannot be opened by keys."""
  chromium.show(page, 390)
  shown = (
    'document.querySelector(".sidebar-drawer a.reference")'
    '.getBoundingClientRect().x >= 0'
  )
  if chromium.run(shown):
    yield 'the navigation of a phone is open from the beginning'
  for _ in range(_MOST_TABS):
    chromium.press('Tab', 9)
    if chromium.run('document.activeElement.htmlFor') == '__navigation':
      break
  chromium.press('Enter', 13)
  chromium.run('new Promise(done => setTimeout(done, 500))')
  if not chromium.run(shown):
    yield '390 pixels: Enter does not open the navigation'


def filters(chromium: browser_lib.Browser, page: pathlib.Path) -> Iterator[str]:
  """Yield a fault if the tables of cells and tasks do not filter and sort."""
  chromium.show(page)
  count = (
    '[...document.querySelectorAll("table.filtered")].map(table => '
    '[...table.tBodies[0].rows].filter(row => !row.hidden).length)'
  )
  before = chromium.run(count)
  chromium.run(
    '(field => { field.value = "peephole"; '
    'field.dispatchEvent(new Event("input")); })'
    '(document.querySelector(".filter input"))'
  )
  after = chromium.run(count)
  if not 0 < after[0] < before[0] or after[1:] != before[1:]:
    yield f'filtering leaves {after} of {before} rows'
  first = (
    'document.querySelector("table.filtered tbody tr:not([hidden]) th")'
    '.innerText'
  )
  seen = {chromium.run(first)}
  for _ in range(2):
    chromium.click('table.filtered thead th button')
    seen.add(chromium.run(first))
  if len(seen) < 2:
    yield 'a heading does not sort'


def look(site: pathlib.Path) -> Iterator[str]:
  """Yield what is wrong in a browser."""
  # Of the pages of code, all alike, one.
  pages = [path for path in site.rglob('*.html') if 'source' not in path.parts]
  pages += sorted(site.glob('source/lstm_variants/cells/*.html'))[:1]
  with (
    tempfile.TemporaryDirectory() as profile,
    browser_lib.open_browser(pathlib.Path(profile)) as chromium,
  ):
    for page in sorted(pages):
      for fault in faults(chromium, site, page):
        yield f'{page.relative_to(site)}: {fault}'
    for width in (1300, 390):
      for fault in unreached(chromium, site / 'index.html', width):
        yield f'index.html: {fault}'
    for fault in opens_by_keys(chromium, site / 'index.html'):
      yield f'index.html: {fault}'
    for fault in filters(chromium, site / 'catalogue.html'):
      yield f'catalogue.html: {fault}'
    print(f'looked at {len(pages)} pages in a browser')


def main() -> None:
  """Print every fault, and end with 1 if there is one."""
  site = pathlib.Path(sys.argv[1]).resolve()
  begin = time.monotonic()
  found = list(broken(site))
  print(f'followed the links of {len(read(site))} pages')
  if browser_lib.PROGRAM is None:
    print(f'{browser_lib.WHY}: the pages were not looked at')
  else:
    found += look(site)
  print(*found, sep='\n')
  print(f'{len(found)} faults, {time.monotonic() - begin:.0f} s')
  sys.exit(bool(found))


if __name__ == '__main__':
  main()
