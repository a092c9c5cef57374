"""A real browser for tests of pages: one Chromium, asked through two pipes.

    with browser.open_browser(profile) as chromium:
      chromium.show(path, width=390)
      chromium.run('document.title')

It speaks the protocol of Chromium's developer tools over file descriptors 3 and
4, so that no port is open and no driver is needed.
"""

import base64
from collections.abc import Iterator
import contextlib
import json
import os
import pathlib
import select
import shutil
import subprocess
import time
from typing import Any

PROGRAM = shutil.which('chromium') or shutil.which('google-chrome')
WHY = 'there is no Chromium'
_FLAGS = (
  *('--headless', '--no-sandbox', '--disable-gpu', '--disable-quic'),
  *('--no-first-run', '--disable-background-networking', '--disable-sync'),
  *('--disable-component-update', '--hide-scrollbars'),
  '--remote-debugging-pipe',
)
# Seconds until a silent browser is given up.
_PATIENCE = 60.0


class Browser:
  """A tab of a browser.

  Attributes:
    events: what it told beside answers, in its order: what it loads and logs.
  """

  def __init__(self, reading: int, writing: int):
    self._reading, self._writing = reading, writing
    self._rest = b''
    self._number = 0
    self._session: str | None = None
    self.events: list[dict[str, Any]] = []

  def attach(self) -> None:
    """Open a tab, and listen to all that it does."""
    target = self.ask('Target.createTarget', url='about:blank')
    attached = self.ask(
      'Target.attachToTarget', targetId=target['targetId'], flatten=True
    )
    self._session = attached['sessionId']
    for domain in ('Page', 'Runtime', 'Network', 'Log'):
      self.ask(f'{domain}.enable')

  def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
    """Return the answer to a command of the protocol."""
    self._number += 1
    message = {'id': self._number, 'method': method, 'params': parameters}
    if self._session:
      message['sessionId'] = self._session
    os.write(self._writing, json.dumps(message).encode() + b'\0')
    while True:
      answer = self._next()
      if answer.get('id') == self._number:
        assert 'error' not in answer, (method, answer)
        return answer['result']
      self.events.append(answer)

  def wait(self, event: str) -> None:
    """Wait for the next event of a name."""
    while True:
      message = self._next()
      self.events.append(message)
      if message.get('method') == event:
        return

  def _next(self) -> dict[str, Any]:
    end = time.monotonic() + _PATIENCE
    while b'\0' not in self._rest:
      rest = end - time.monotonic()
      ready, _, _ = select.select([self._reading], [], [], max(rest, 0))
      assert ready, 'the browser is silent'
      content = os.read(self._reading, 2**20)
      assert content, 'the browser has ended'
      self._rest += content
    message, _, self._rest = self._rest.partition(b'\0')
    return json.loads(message)

  def show(
    self,
    page: pathlib.Path | str,
    width: int = 1300,
    height: int = 900,
    *,
    scheme: str = 'light',
    media: str = 'screen',
    scripts: bool = True,
    settled: bool = True,
  ) -> None:
    """Load a page.

    Args:
      page: its file, with a fragment where one is wanted; or its address.
      width: of the window, in pixels of a style sheet.
      height: of the window.
      scheme: 'light' or 'dark', as the reader prefers it.
      media: 'screen' or 'print'.
      scripts: whether the page runs its own.
      settled: whether to wait for what these put off.
    """
    self.ask(
      'Emulation.setDeviceMetricsOverride',
      **{'width': width, 'height': height, 'deviceScaleFactor': 1},
      mobile=False,
    )
    self.ask(
      'Emulation.setEmulatedMedia',
      media=media,
      features=[{'name': 'prefers-color-scheme', 'value': scheme}],
    )
    path, _, fragment = str(page).partition('#')
    url = path if '://' in path else pathlib.Path(path).as_uri()
    url += f'#{fragment}' if fragment else ''
    self.ask('Emulation.setScriptExecutionDisabled', value=not scripts)
    # Else another fragment of the same page would load nothing.
    for address in ('about:blank', url):
      self.events.clear()
      self.ask('Page.navigate', url=address)
      self.wait('Page.loadEventFired')
    if scripts and settled:
      self.settle()

  def settle(self) -> None:
    """Wait until what a script put off has been done and drawn."""
    self.run(
      'new Promise(done => requestAnimationFrame(() => '
      'requestAnimationFrame(() => setTimeout(done, 30))))'
    )

  def run(self, expression: str) -> Any:
    """Return the value of an expression in the page, promises fulfilled."""
    answer = self.ask(
      'Runtime.evaluate',
      expression=expression,
      awaitPromise=True,
      returnByValue=True,
    )
    assert 'exceptionDetails' not in answer, answer
    return answer['result'].get('value')

  def click(self, selector: str, *, leaves: bool = False) -> None:
    """Click where an element is, as a hand would: what covers it gets it.

    Args:
      selector: of the element.
      leaves: whether another page is loaded by it.
    """
    x, y = self.run(
      f'(e => {{ e.scrollIntoView({{block: "center"}}); '
      'const r = e.getBoundingClientRect(); '
      'return [r.x + r.width / 2, r.y + r.height / 2]; })'
      f'(document.querySelector({json.dumps(selector)}))'
    )
    for kind in ('mousePressed', 'mouseReleased'):
      self.ask(
        'Input.dispatchMouseEvent',
        type=kind,
        x=x,
        y=y,
        button='left',
        clickCount=1,
      )
    if leaves:
      self.wait('Page.loadEventFired')
    self.settle()

  def press(self, key: str, code: int = 0) -> None:
    """Press a key, as 'Tab' or 'ArrowRight'."""
    for kind in ('rawKeyDown', 'keyUp'):
      self.ask(
        'Input.dispatchKeyEvent',
        type=kind,
        key=key,
        code=key,
        windowsVirtualKeyCode=code,
      )

  def picture(self, path: pathlib.Path, whole: bool = True) -> None:
    """Write what is seen, or the whole page, as PNG."""
    answer = self.ask(
      'Page.captureScreenshot', format='png', captureBeyondViewport=whole
    )
    path.write_bytes(base64.b64decode(answer['data']))

  def paper(self, path: pathlib.Path) -> None:
    """Write the page as PDF, as it is printed."""
    answer = self.ask('Page.printToPDF', printBackground=False)
    path.write_bytes(base64.b64decode(answer['data']))

  def errors(self) -> list[Any]:
    """Return what the page logged or threw since it was loaded."""
    kinds = ('Runtime.exceptionThrown', 'Log.entryAdded')
    return [
      event['params']
      for event in self.events
      if event.get('method') in (*kinds, 'Runtime.consoleAPICalled')
    ]

  def requests(self) -> list[str]:
    """Return the addresses that the page asked for since it was loaded."""
    return [
      event['params']['request']['url']
      for event in self.events
      if event.get('method') == 'Network.requestWillBeSent'
    ]


@contextlib.contextmanager
def open_browser(profile: pathlib.Path) -> Iterator[Browser]:
  """Start a browser with one tab, and end it.

  Args:
    profile: a directory of its own.
  """
  theirs_in, ours_out = os.pipe()
  ours_in, theirs_out = os.pipe()
  # A shell puts the pipes where the browser looks for them.
  command = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
  process = subprocess.Popen(
    ['bash', '-c', command, 'bash', str(PROGRAM), *_FLAGS]
    + [f'--user-data-dir={profile}'],
    pass_fds=(theirs_in, theirs_out),
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
  )
  os.close(theirs_in)
  os.close(theirs_out)
  try:
    tab = Browser(ours_in, ours_out)
    tab.attach()
    yield tab
    tab._session = None
    tab.ask('Browser.close')
  finally:
    os.close(ours_out)
    os.close(ours_in)
    try:
      process.wait(20)
    except subprocess.TimeoutExpired:
      process.kill()
      process.wait()
