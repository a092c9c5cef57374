// A heading of a table becomes a button that sorts by its column. Cells carry
// what they are sorted by; what is missing (NaN) comes last, either way.
for (const table of document.querySelectorAll('table.sorted')) {
  const body = table.tBodies[0];
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement('button');
    button.append(head.firstChild);
    head.prepend(button);
    button.addEventListener('click', () => {
      const up = head.getAttribute('aria-sort') !== 'ascending';
      const key = row => row.cells[column].dataset.sort;
      const order = (a, b) => {
        const [x, y] = [key(a), key(b)], [u, v] = [Number(x), Number(y)];
        if (x === 'NaN' || y === 'NaN') return (x === 'NaN') - (y === 'NaN');
        const less = isNaN(u) || isNaN(v) ? x.localeCompare(y) : u - v || 0;
        return up ? less : -less;
      };
      for (const other of table.tHead.rows[0].cells)
        other.removeAttribute('aria-sort');
      head.setAttribute('aria-sort', up ? 'ascending' : 'descending');
      body.append(...[...body.rows].sort(order));
    });
  });
}
