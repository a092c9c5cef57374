// On a narrow window the theme opens its contents by labels, which keys do not
// reach: they become buttons.
for (const label of document.querySelectorAll(
  'label.nav-overlay-icon, label.toc-overlay-icon')) {
  const box = document.getElementById(label.htmlFor);
  label.tabIndex = 0;
  label.setAttribute('role', 'button');
  label.setAttribute('aria-label', box.getAttribute('aria-label'));
  label.addEventListener('keydown', event => {
    if (event.key !== 'Enter' && event.key !== ' ') return;
    event.preventDefault();
    box.click();
  });
}
// What scrolls by itself is reached too.
for (const output of document.querySelectorAll('.cell_output .output'))
  if (output.scrollWidth > output.clientWidth) output.tabIndex = 0;
