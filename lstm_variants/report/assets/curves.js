// The curves of a task, drawn by uPlot from the data beside their figure: what
// one points at is named, what one drags over is enlarged, rows can be hidden.
{
  const SEQUENCES = 'sequences', SECONDS = 'seconds';
  const MEDIANS = 'medians', RANGE = 'range', SEEDS = 'each run';
  const FAINT = 0.15;
  // Ranges of more rows cover each other.
  const MANY = 5;

  const make = (name, properties, ...children) => {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...children);
    return element;
  };

  const css = name =>
    getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const withAlpha = (color, alpha) =>
    color + Math.round(255 * alpha).toString(16).padStart(2, '0');

  const asNumber = value => value === null || value === undefined ? '—'
    : Math.abs(value) >= 1000 ? Math.round(value).toLocaleString('en')
    : String(Number(value.toPrecision(3)));

  // Of a logarithmic axis over several powers of ten: these alone.
  const sparse = (plot, ticks) => {
    const decades = Math.log10(plot.scales.y.max / plot.scales.y.min);
    const first = tick => Number(tick.toExponential(0).split('e')[0]);
    const kept = decades > 2 ? [1] : decades > 1 ? [1, 2, 5] : null;
    return ticks.map(tick => !kept || kept.includes(first(tick)) ? tick : null);
  };

  // Lines of one mode: each with its row, its points and how it looks.
  const medianLine = (row, place) =>
    ({row: place, y: row.median, x: row.x, label: row.label, width: 2});

  const rangeLines = (row, place) => [
    medianLine(row, place),
    {row: place, y: row.high, x: row.x, edge: true},
    {row: place, y: row.low, x: row.x, edge: true},
  ];

  const seedLines = (row, place) => {
    let x = [];
    return row.runs.map(run => {
      x = run.x ?? x;
      return {
        row: place, x, y: run.y, width: 1.2,
        label: `${row.label}, seed ${run.seed} (${run.id})`,
      };
    });
  };

  // One axis for all lines: what a line does not have there is undefined.
  const align = lines => {
    const all = [...new Set(lines.flatMap(line => line.at))].sort((a, b) => a - b);
    const places = new Map(all.map((x, place) => [x, place]));
    const columns = lines.map(line => {
      const column = new Array(all.length);
      line.at.forEach((x, k) => { column[places.get(x)] = line.y[k]; });
      return column;
    });
    return [all, ...columns];
  };

  class Curves {
    constructor(home) {
      this.home = home;
      this.data = JSON.parse(home.querySelector('script').textContent);
      this.dashes = JSON.parse(home.dataset.dashes);
      this.hidden = new Set();
      const many = this.data.rows.length > MANY;
      this.state = {x: SEQUENCES, y: 'log', show: many ? MEDIANS : RANGE};
      this.place = make('div', {className: 'plot', tabIndex: 0});
      this.place.setAttribute('role', 'img');
      this.place.setAttribute('aria-label',
        `Held-out loss, ${this.data.title}. Arrow keys read values, Escape shows all.`);
      this.said = make('output', {className: 'said'});
      this.legend = make('div', {className: 'legend'});
      this.addControls();
      this.addLegend();
      home.append(this.controls, this.place, this.said, this.legend);
      this.place.addEventListener('keydown', event => this.onKey(event));
    }

    addControls() {
      const timed = this.data.rows.every(row => row.rate !== null);
      this.controls = make('div', {className: 'controls'});
      this.addChoice('x', 'Along', timed ? [SEQUENCES, SECONDS] : [SEQUENCES]);
      this.addChoice('y', 'Loss', ['log', 'linear']);
      this.addChoice('show', 'Show', [MEDIANS, RANGE, SEEDS]);
      const whole = make('button', {type: 'button', textContent: 'Show all'});
      whole.addEventListener('click', () => this.reset());
      this.controls.append(whole);
    }

    addChoice(name, heading, values) {
      const group = make('span', {className: 'choice'}, `${heading} `);
      group.setAttribute('role', 'group');
      group.setAttribute('aria-label', heading);
      for (const value of values) {
        const button = make('button', {type: 'button', textContent: value});
        button.setAttribute('aria-pressed', this.state[name] === value);
        button.addEventListener('click', () => {
          this.state[name] = value;
          for (const other of group.querySelectorAll('button'))
            other.setAttribute('aria-pressed', other === button);
          this.draw();
        });
        group.append(button);
      }
      this.controls.append(group);
    }

    addLegend() {
      this.buttons = this.data.rows.map((row, place) => {
        const look = make('i', {className: `look c${row.color} d${row.dash}`});
        const button = make('button', {type: 'button'}, look, row.label);
        button.title = 'Hide or show; twice: this one alone';
        button.addEventListener('click', () => this.toggle(place));
        button.addEventListener('dblclick', () => this.isolate(place));
        button.addEventListener('mouseenter', () => this.point(place));
        button.addEventListener('mouseleave', () => this.point(null));
        return button;
      });
      const all = make('button', {type: 'button', textContent: 'All'});
      const none = make('button', {type: 'button', textContent: 'None'});
      all.addEventListener('click', () => this.hide([]));
      none.addEventListener('click', () => this.hide(this.data.rows.keys()));
      this.legend.append(...this.buttons);
      if (this.buttons.length > 3) this.legend.append(all, none);
      this.mark();
    }

    toggle(place) {
      const hidden = new Set(this.hidden);
      if (!hidden.delete(place)) hidden.add(place);
      this.hide(hidden);
    }

    isolate(place) {
      this.hide([...this.data.rows.keys()].filter(other => other !== place));
    }

    hide(places) {
      this.hidden = new Set(places);
      this.mark();
      if (!this.plot) return;
      this.plot.batch(() => this.lines.forEach((line, k) =>
        this.plot.setSeries(k + 1, {show: !this.hidden.has(line.row)})));
    }

    mark() {
      this.buttons.forEach((button, place) =>
        button.setAttribute('aria-pressed', !this.hidden.has(place)));
    }

    // Draws the lines of a row over the others, which become faint.
    point(place) {
      this.pointed = place;
      this.plot?.redraw(false);
    }

    // Also gives back the whole range.
    draw() {
      const lines = {[MEDIANS]: medianLine, [RANGE]: rangeLines, [SEEDS]: seedLines};
      this.lines = this.data.rows.flatMap(lines[this.state.show]);
      for (const line of this.lines) {
        const {rate} = this.data.rows[line.row];
        line.at = this.state.x === SECONDS ? line.x.map(x => x * rate) : line.x;
      }
      this.plot?.destroy();
      this.plot = new uPlot(this.options(), align(this.lines), this.place);
      this.said.value = '';
    }

    // All rows, alike, over the whole range.
    reset() {
      this.pointed = null;
      this.hide([]);
      this.draw();
    }

    size() {
      const width = this.home.clientWidth;
      return {width, height: Math.max(260, Math.min(520, width * 0.5))};
    }

    isLog() {
      const positive = this.lines.some(
        line => line.y.some(y => y !== null && y > 0));
      return this.state.y === 'log' && positive;
    }

    options() {
      const filter = this.isLog() ? sparse : (_, ticks) => ticks;
      const ink = css('--soft'), grid = css('--line');
      const axis = {stroke: ink, grid: {stroke: grid, width: 1},
        ticks: {stroke: grid}, font: '12px system-ui, sans-serif'};
      const along = this.state.x === SECONDS
        ? 'seconds of training, the share of a run' : 'training sequences';
      return {
        ...this.size(),
        padding: [12, 28, 0, 0],
        legend: {show: false},
        cursor: {focus: {prox: 24}, drag: {x: true, y: true, uni: 20},
          points: {size: 7}},
        focus: {alpha: FAINT},
        scales: {x: {time: false}, y: this.isLog() ? {distr: 3} : {}},
        axes: [{...axis, label: along, labelSize: 22, size: 40,
          values: (_, ticks) => ticks.map(asNumber)},
          {...axis, label: 'held-out loss', labelSize: 22, size: 62,
            filter, grid: {...axis.grid, filter}, ticks: {...axis.ticks, filter},
            values: (_, ticks) => ticks.map(
              tick => tick === null ? '' : asNumber(tick))}],
        series: [{}, ...this.lines.map(line => this.series(line))],
        bands: this.bands(),
        hooks: {setSeries: [(_, k) => this.say(k)],
          setLegend: [() => this.say(this.near)],
          draw: [plot => this.drawMemoryless(plot)]},
      };
    }

    series(line) {
      const row = this.data.rows[line.row];
      const color = css(`--c${row.color}`);
      const dim = () => this.pointed != null && this.pointed !== line.row;
      return {
        label: line.label ?? '',
        show: !this.hidden.has(line.row),
        stroke: () => line.edge ? withAlpha(color, dim() ? 0 : 0.25)
          : withAlpha(color, dim() ? FAINT : 1),
        width: line.edge ? 1 : line.width,
        dash: line.edge ? [] : this.dashes[row.dash].map(length => length * 2),
        points: {show: line.y.length < 2},
        spanGaps: false,
      };
    }

    bands() {
      if (this.state.show !== RANGE) return [];
      return this.data.rows.map((row, place) => ({
        series: [3 * place + 2, 3 * place + 3],
        fill: withAlpha(css(`--c${row.color}`),
          Math.max(0.04, Math.min(0.14, 0.5 / this.data.rows.length))),
      }));
    }

    // Names the line that is near the cursor, and its value there.
    say(near) {
      this.near = near;
      const line = this.lines[near - 1];
      const at = this.plot?.cursor.idxs?.[near];
      if (!line || at == null) {
        this.said.value = '';
        return;
      }
      const unit = this.state.x === SECONDS ? 's' : 'sequences';
      const x = asNumber(this.plot.data[0][at]);
      const row = this.data.rows[line.row];
      const edge = line.edge ? (line.y === row.low ? ', lowest run' : ', highest run') : '';
      this.said.value = `${line.label ?? row.label}${edge}: `
        + `${asNumber(this.plot.data[near][at])} at ${x} ${unit}`;
    }

    // The best predictor without memory.
    drawMemoryless(plot) {
      const level = this.data.memoryless;
      if (level == null) return;
      const y = plot.valToPos(level, 'y', true), {left, top, width, height} = plot.bbox;
      if (!(y > top && y < top + height)) return;
      const {ctx} = plot, ratio = devicePixelRatio;
      ctx.save();
      ctx.strokeStyle = ctx.fillStyle = css('--soft');
      ctx.setLineDash([4 * ratio, 4 * ratio]);
      ctx.beginPath();
      ctx.moveTo(left, y);
      ctx.lineTo(left + width, y);
      ctx.stroke();
      ctx.font = `${12 * ratio}px system-ui, sans-serif`;
      ctx.textAlign = 'right';
      ctx.fillText('without memory', left + width - 4 * ratio, y - 5 * ratio);
      ctx.restore();
    }

    onKey(event) {
      const steps = {ArrowLeft: -1, ArrowRight: 1};
      if (event.key === 'Escape') this.reset();
      if (!(event.key in steps)) return;
      event.preventDefault();
      const [x, ...columns] = this.plot.data;
      const line = columns.findIndex(
        (_, k) => !this.lines[k].edge && !this.hidden.has(this.lines[k].row));
      if (line < 0) return;
      let at = (this.at ?? -1) + steps[event.key];
      while (x[at] !== undefined && columns[line][at] == null) at += steps[event.key];
      if (x[at] === undefined) return;
      this.at = at;
      this.plot.setCursor({
        left: this.plot.valToPos(x[at], 'x'),
        top: this.plot.valToPos(columns[line][at], 'y'),
      });
    }
  }

  const all = new Map();
  for (const home of document.querySelectorAll('.curves')) {
    const curves = new Curves(home);
    all.set(home.dataset.part, curves);
    home.classList.add('live');
    // A page of many tasks is there before its curves are.
    const watcher = new IntersectionObserver(entries => {
      if (!entries.some(entry => entry.isIntersecting)) return;
      watcher.disconnect();
      curves.draw();
      new ResizeObserver(() => curves.plot.setSize(curves.size())).observe(home);
    }, {rootMargin: '200px'});
    watcher.observe(home);
  }
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    for (const curves of all.values()) if (curves.plot) curves.draw();
  });
  for (const link of document.querySelectorAll('a[data-row]')) {
    const curves = all.get(link.hash.replace(/^#|-curves$/g, ''));
    link.addEventListener('click', () => {
      curves.point(Number(link.dataset.row));
      curves.hide(new Set([...curves.hidden].filter(
        place => place !== Number(link.dataset.row))));
    });
  }
}
