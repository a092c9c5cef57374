"""Opens a page in a real browser without a screen; prints what it found.

    python tests/analysis/browser.py PAGE.html WIDTH PICTURE.png

The browser is Chromium, as QtWebEngine has it; `browser_test` says by variables
of the environment how it is to start. What is printed is JSON.
"""

import json
import os
import sys

from PyQt6 import QtCore, QtWebEngineCore, QtWebEngineWidgets, QtWidgets

HEIGHT = 900
# Milliseconds until it is given up.
PATIENCE = 60_000
# Sorts the first table by each of its columns, up and down.
SCRIPT = """
(() => {
  const table = document.querySelector('table.sorted');
  const names = () => [...table.tBodies[0].rows].map(r => r.cells[0].innerText);
  const sorted = [];
  for (const head of table.tHead.rows[0].cells) {
    const button = head.querySelector('button');
    button.click();
    const up = [head.getAttribute('aria-sort'), names()];
    button.click();
    sorted.push([up, [head.getAttribute('aria-sort'), names()]]);
  }
  const style = getComputedStyle(document.body);
  return JSON.stringify({
    title: document.title,
    width: document.documentElement.scrollWidth,
    window: window.innerWidth,
    height: document.documentElement.scrollHeight,
    paper: style.backgroundColor,
    ink: style.color,
    pictures: [...document.querySelectorAll('figure svg')].map(
      svg => [svg.clientWidth, svg.clientHeight]),
    sorted: sorted,
  });
})()
"""


class _Page(QtWebEngineCore.QWebEnginePage):
  """Keeps what the page complains about."""

  def __init__(self, profile, parent):
    super().__init__(profile, parent)
    self.complaints = []

  def javaScriptConsoleMessage(self, level, message, lineNumber, sourceID):
    del level, sourceID
    self.complaints.append(f'line {lineNumber}: {message}')


class _Requests(QtWebEngineCore.QWebEngineUrlRequestInterceptor):
  """Keeps what the page asks for."""

  def __init__(self):
    super().__init__()
    self.addresses = []

  def interceptRequest(self, info):
    self.addresses.append(info.requestUrl().toString())


def main() -> None:
  """Load the page, look at it, print."""
  address, width, picture = sys.argv[1:]
  application = QtWidgets.QApplication(sys.argv[:1])
  profile, requests = QtWebEngineCore.QWebEngineProfile(), _Requests()
  profile.setUrlRequestInterceptor(requests)
  view = QtWebEngineWidgets.QWebEngineView()
  page = _Page(profile, view)
  view.setPage(page)
  view.resize(int(width), HEIGHT)

  def finish(found):
    view.grab().save(picture)
    print(
      json.dumps(
        {
          **json.loads(found),
          'complaints': page.complaints,
          'addresses': requests.addresses,
        }
      )
    )
    application.quit()

  def look(loaded):
    assert loaded
    # Once it has been laid out.
    QtCore.QTimer.singleShot(300, lambda: page.runJavaScript(SCRIPT, finish))

  page.loadFinished.connect(look)
  page.load(QtCore.QUrl.fromLocalFile(os.path.abspath(address)))
  view.show()
  QtCore.QTimer.singleShot(PATIENCE, application.quit)
  application.exec()


if __name__ == '__main__':
  main()
