// Follows a study in training: asks the server for the version of its files,
// and takes the page anew when there is a newer one, as one has set it.
{
  const EVERY = 3000; // milliseconds
  const KEPT = 'lstm-variants page';

  const home = document.querySelector('.training');
  const said = home.querySelector('.follow');
  const text = element => element.textContent.trim();
  const all = (selector, within = document) =>
    [...within.querySelectorAll(selector)];

  // What one has chosen: of each curve the buttons, of tables the filters, and
  // what is unfolded.
  const chosen = () => ({
    scroll: scrollY,
    open: all('details[open] > summary').map(text),
    filters: all('input').map(field => field.value),
    curves: Object.fromEntries(all('.curves').map(curves => [
      curves.dataset.part, {
        pressed: all('.choice button[aria-pressed=true]', curves).map(text),
        hidden: all('.legend button[aria-pressed=false]', curves).map(text),
      }])),
  });

  const choose = kept => {
    for (const summary of all('summary'))
      summary.parentElement.open = kept.open.includes(text(summary));
    all('input').forEach((field, place) => {
      if (!kept.filters[place]) return;
      field.value = kept.filters[place];
      field.dispatchEvent(new Event('input'));
    });
    for (const curves of all('.curves')) {
      const own = kept.curves[curves.dataset.part];
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
  const say = words => said.replaceChildren(words, ' ', button);

  let timer = null;
  const look = async () => {
    let version;
    try {
      const answer = await fetch('version');
      version = answer.ok ? await answer.text() : null;
    } catch {
      say('The server does not answer: watch has ended.');
      return;
    }
    if (version === null || version === home.dataset.version) return;
    sessionStorage.setItem(KEPT, JSON.stringify(chosen()));
    location.reload();
  };
  const follow = on => {
    clearInterval(timer);
    timer = on ? setInterval(look, EVERY) : null;
    button.textContent = on ? 'Pause' : 'Follow';
    say(on ? 'This page follows the study.' : 'This page stays as it is.');
  };

  button.addEventListener('click', () => follow(timer === null));
  follow(true);
  const kept = sessionStorage.getItem(KEPT);
  sessionStorage.removeItem(KEPT);
  if (kept) choose(JSON.parse(kept));
}
