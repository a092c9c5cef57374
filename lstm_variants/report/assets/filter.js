// Above a table of many rows stands a field: rows stay that have its words.
{
  // Tables of fewer rows are seen at a glance.
  const FEW = 8;

  const addFilter = table => {
    const rows = [...table.tBodies[0].rows];
    if (rows.length < FEW) return;
    const texts = rows.map(row => row.textContent.toLowerCase());
    const label = document.createElement('label');
    const field = document.createElement('input');
    const count = document.createElement('output');
    field.type = 'search';
    field.placeholder = 'words that a row has';
    label.className = 'filter';
    label.append('Filter ', field, ' ', count);
    table.parentElement.before(label);
    field.addEventListener('input', () => {
      const wanted = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      let matching = 0;
      rows.forEach((row, place) => {
        row.hidden = !wanted.every(word => texts[place].includes(word));
        matching += !row.hidden;
      });
      count.value = wanted.length ? `${matching} of ${rows.length} rows` : '';
    });
  };

  document.querySelectorAll('table.filtered').forEach(addFilter);
}
