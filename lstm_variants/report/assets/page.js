// What the page does beside sorting, filters and curves: the contents show where
// one is, and paper has all that is folded but the longest tables.
{
  // More rows than fit a few sheets of paper stay folded.
  const PRINTED = 60;

  const followContents = () => {
    const links = new Map();
    for (const link of document.querySelectorAll('nav a'))
      links.set(link.hash.slice(1), link);
    const mark = entries => {
      for (const {target, isIntersecting} of entries) {
        if (!isIntersecting) continue;
        for (const link of links.values()) link.removeAttribute('aria-current');
        links.get(target.id).setAttribute('aria-current', 'location');
      }
    };
    const watcher = new IntersectionObserver(mark, {rootMargin: '0px 0px -80%'});
    for (const id of links.keys()) {
      const target = document.getElementById(id);
      if (target) watcher.observe(target);
    }
  };

  const unfoldForPaper = () => {
    let unfolded = [];
    addEventListener('beforeprint', () => {
      const folded = document.querySelectorAll('details:not([open])');
      unfolded = [...folded].filter(
        one => one.querySelectorAll('tr').length <= PRINTED);
      for (const one of unfolded) one.open = true;
    });
    addEventListener('afterprint', () => {
      for (const one of unfolded) one.open = false;
    });
  };

  followContents();
  unfoldForPaper();
  // On a phone the contents would fill the first screen.
  if (matchMedia('(max-width: 70rem)').matches)
    document.querySelector('nav details').open = false;
}
