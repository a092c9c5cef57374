// Follows a study in training: asks the server for the version of its files,
// and takes the page anew when there is a newer one, as one has set it.
{
  const EVERY = 3000; // milliseconds
  const FOLLOWS = 'This page follows the study.';

  const home = document.querySelector('.training');
  const said = home.querySelector('.follow');
  const text = element => element.textContent.trim();
  const all = (selector, within = document) =>
    [...within.querySelectorAll(selector)];

  // Where an element is: in a newer page there may be more before it, and what
  // it counts may be another number.
  const headings = element => all('h1, h2, h3').filter(one =>
    one.compareDocumentPosition(element) & Node.DOCUMENT_POSITION_FOLLOWING);
  const place = element => {
    const before = headings(element);
    const chapter = before.filter(one => one.tagName !== 'H3').slice(-1);
    return [...chapter, ...before.slice(-1)].map(text).join();
  };
  const collect = (elements, what) =>
    Object.fromEntries(elements.map(one => [place(one), what(one)]));

  // What one has chosen: what is unfolded, of tables the filters and the order,
  // of each curve the buttons.
  const chosen = () => ({
    scroll: scrollY,
    open: collect(all('details'), one => one.open),
    filters: collect(all('input'), field => field.value),
    orders: collect(all('th[aria-sort]'), head =>
      [head.cellIndex, head.getAttribute('aria-sort')]),
    curves: collect(all('.curves'), curves => ({
      pressed: all('.choice button[aria-pressed=true]', curves).map(text),
      hidden: all('.legend button[aria-pressed=false]', curves).map(text),
    })),
  });

  const choose = kept => {
    for (const one of all('details'))
      one.open = kept.open[place(one)] ?? one.open;
    for (const field of all('input')) {
      field.value = kept.filters[place(field)] ?? '';
      field.dispatchEvent(new Event('input'));
    }
    for (const table of all('table.sorted')) {
      const [column, order] = kept.orders[place(table)] ?? [];
      const head = table.tHead.rows[0].cells[column];
      while (head && head.getAttribute('aria-sort') !== order)
        head.querySelector('button').click();
    }
    for (const curves of all('.curves')) {
      const own = kept.curves[place(curves)];
      if (!own) continue;
      for (const button of all('.choice button[aria-pressed=false]', curves))
        if (own.pressed.includes(text(button))) button.click();
      for (const button of all('.legend button[aria-pressed=true]', curves))
        if (own.hidden.includes(text(button))) button.click();
    }
    scrollTo(0, kept.scroll);
  };

  const button = document.createElement('button');
  button.type = 'button';
  const say = sentence => {
    if (said.firstChild.textContent !== sentence)
      said.replaceChildren(sentence, ' ', button);
  };

  let timer = null;
  // Returns why there is no newer page to be shown; nothing: there is one.
  const whyNot = async () => {
    const version = await fetch('version');
    if (await version.text() === home.dataset.version) return FOLLOWS;
    const page = await fetch('/');
    return page.ok ? '' : page.text();
  };
  const look = async () => {
    const why = await whyNot().catch(
      () => 'The server does not answer: watch has ended.');
    if (timer === null) return;
    if (why) {
      say(why);
      return;
    }
    // Kept by the browser with the page, also where it lets no page store.
    history.replaceState(chosen(), '');
    location.reload();
  };
  const follow = on => {
    clearInterval(timer);
    timer = on ? setInterval(look, EVERY) : null;
    button.textContent = on ? 'Pause' : 'Follow';
    say(on ? FOLLOWS : 'This page stays as it is.');
  };

  button.addEventListener('click', () => follow(timer === null));
  follow(true);
  const kept = history.state;
  history.replaceState(null, '');
  if (kept) choose(kept);
}
