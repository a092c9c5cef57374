// The page of one LSTM unit: switches, sliders, a sequence that runs through it.
// The numbers are of cell_equations.js; this file draws them.
{
  const {run, runSimple} = globalThis.cellEquations;
  const STEPS = 40;
  // Powers of ten that the last panel shows: below is as good as nothing.
  const DEEPEST = -12;
  const NS = 'http://www.w3.org/2000/svg';
  const MARKS = {'-1': 'ask', 0: '', 1: 'store'};
  const COLOURS = ['i', 'f', 'o', 'g', 'c', 'h', 'rnn'];

  // name -> label, and the name that must be on, or off, for it to be of use.
  const SWITCHES = {
    input_gate: ['input gate', toggles => !toggles.coupled],
    forget_gate: ['forget gate', toggles => !toggles.coupled],
    output_gate: ['output gate', () => true],
    peephole_i: ['peephole on i', toggles => toggles.input_gate],
    peephole_f: ['peephole on f',
      toggles => toggles.forget_gate && !toggles.coupled],
    peephole_o: ['peephole on o', toggles => toggles.output_gate],
    coupled: ['coupled: f = 1 − i',
      toggles => toggles.input_gate && toggles.forget_gate],
    input_activation: ['input activation', () => true],
    output_activation: ['output activation', () => true],
    gate_recurrence: ['gate recurrence', () => true],
  };
  const VANILLA = {input_gate: true, forget_gate: true, output_gate: true,
    peephole_i: false, peephole_f: false, peephole_o: false, coupled: false,
    input_activation: true, output_activation: true, gate_recurrence: false};
  const GROUPS = {
    i: 'input gate i', f: 'forget gate f', o: 'output gate o', g: 'candidate g',
    rnn: 'simple RNN beside it'};
  // weight -> label, largest.
  const WEIGHTS = {
    b: ['bias', 10], x: ['of the value', 10], m: ['of the mark', 20],
    r: ['of h', 5], p: ['peephole, of c', 50], own: ['of its last value', 10]};
  const READS = {i: 'bxmrp', f: 'bxmrp', o: 'bxmrp', g: 'bxmr', rnn: 'bxmr'};

  const zero = () => ({b: 0, x: 0, m: 0, r: 0, p: 0, own: 0});
  const weigh = given => Object.fromEntries(Object.keys(GROUPS).map(
    name => [name, {...zero(), ...given[name]}]));
  const keeper = {i: {b: -6, m: 12}, f: {b: 6}, o: {b: 3}, g: {x: 2},
    rnn: {x: 1, m: 1, r: 0.9}};
  const PRESETS = {
    'Keep one number': {
      weights: keeper, toggles: {}, marks: {4: 1},
      words: 'The input gate opens at the mark alone, the forget gate stays near '
        + '1: c holds what came in at step 4 to the end, whatever else comes. The '
        + 'derivative of the last c by that one is still near 1; in the simple RNN '
        + 'it is 2e−11. Lower the bias of f and see how long the number lasts.'},
    'Store, keep, release': {
      weights: {...keeper, f: {b: 6, m: 12}, o: {b: -6, m: -12}},
      toggles: {}, marks: {3: 1, 12: -1, 20: 1, 33: -1},
      words: 'At “store” the input gate opens. Nothing is seen outside, as the '
        + 'output gate is shut, until “ask”: then h shows the number once, and '
        + 'the forget gate throws it away to make room for the next.'},
    'No forget gate (1997)': {
      weights: {...keeper, i: {b: -1}}, toggles: {forget_gate: false},
      marks: {4: 1},
      words: 'The cell of 1997 adds up whatever its input gate lets in and '
        + 'cannot get rid of it. The way along c has the factor 1 at every step: '
        + 'this is the constant error carousel.'},
    'A forget gate of 0.73': {
      weights: {...keeper, f: {b: 1}}, toggles: {}, marks: {4: 1},
      words: 'A forget bias of 1 is the usual beginning: σ(1) = 0.73. After 20 '
        + 'steps 0.2 % of the number is left, and as little of the derivative. '
        + 'That is why long lags want larger biases (chrono initialisation).'},
    'Coupled gates': {
      weights: {...keeper, i: {b: -6, m: 12}}, toggles: {coupled: true},
      marks: {4: 1, 22: 1},
      words: 'With f = 1 − i the cell keeps just as much as it does not '
        + 'overwrite: the second mark replaces the first number. No weights of '
        + 'f are left to set.'},
    'Count to a spike': {
      weights: {i: {b: 10}, f: {b: 120, p: -16}, o: {b: -120, p: 16}, g: {b: 10},
        rnn: {x: 1, m: 1, r: 0.9}},
      toggles: {peephole_f: true, peephole_o: true}, marks: {},
      words: 'No input is read; c climbs by 1 a step. Through its peephole the '
        + 'output gate sees c come to 8 and opens: a spike in h. The forget gate '
        + 'sees it a step later and empties the cell. Without peepholes the '
        + 'gates could not know, as h is near 0 until then: turn one off.'},
    'A simple RNN that explodes': {
      weights: {...keeper, rnn: {r: 1.4}}, toggles: {}, marks: {4: 1},
      words: 'While the h of the simple RNN is 0, tanh has the slope 1, and the '
        + 'derivative grows by its weight of 1.4 a step, to 10⁵. Let it read the '
        + 'value, with a weight of 0.1: h is driven to where tanh is flat, and '
        + 'the derivative vanishes.'},
  };

  const make = (tag, attributes = {}, ...children) => {
    const svg = ['svg', 'g', 'rect', 'line', 'path', 'circle', 'text', 'title'];
    const element = svg.includes(tag)
      ? document.createElementNS(NS, tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes))
      element.setAttribute(name, value);
    element.append(...children);
    return element;
  };
  const short = x => {
    const size = Math.abs(x);
    const far = size && (size < 0.005 || size >= 1000);
    return (far ? x.toExponential(0) : x.toFixed(2)).replaceAll('-', '−');
  };

  // Equal numbers on every visit; `seed` is of the values alone.
  const drawValues = seed => {
    let state = seed;
    return Array.from({length: STEPS}, () => {
      state = (1103515245 * state + 12345) % 2 ** 31;
      return Math.round(200 * (state / 2 ** 31) - 100) / 100;
    });
  };

  const begin = name => {
    const {weights, toggles, marks} = PRESETS[name];
    const values = drawValues(7);
    return {name, weights: weigh(weights), toggles: {...VANILLA, ...toggles},
      shift: 0, at: 4,
      inputs: values.map((x, t) => ({x: name === 'Keep one number' && t === 4
        ? 0.8 : x, m: marks[t] || 0}))};
  };

  const compute = state => {
    const weights = {...state.weights};
    ['i', 'f', 'o'].forEach((gate, n) => {
      const gates = [0, 0, 0];
      gates[n] = state.weights[gate].own;
      weights[gate] = {...state.weights[gate], gates};
    });
    const toggles = {...state.toggles, coupling_shift: state.shift};
    return {cell: run(weights, toggles, state.inputs),
      simple: runSimple(state.weights.rnn, state.inputs)};
  };

  // The panels, one below the other: a heading, a height, what is drawn.
  const PANELS = [
    ['value x and marks', 62, (pane, state) => {
      pane.rule(0, 1);
      state.inputs.forEach(({x, m}, t) => {
        pane.bar(t, 0, x, 1, 'x');
        if (m) pane.mark(t, m);
      });
    }],
    ...['i', 'f', 'o'].map(gate => [
      `${GROUPS[gate]}, 0 to 1`, 14, (pane, state, {cell}) => {
        cell.forEach((one, t) => pane.shade(t, one[gate], gate));
      }]),
    ['what is put in, i g', 46, (pane, state, {cell}) => {
      const top = Math.max(1, ...cell.map(one => Math.abs(one.i * one.g)));
      pane.rule(0, top);
      cell.forEach((one, t) => pane.bar(t, 0, one.i * one.g, top, 'g'));
    }],
    ['cell state c, hidden state h', 76, (pane, state, {cell}) => {
      const top = Math.max(1, ...cell.map(one => Math.abs(one.c)));
      pane.rule(0, top);
      pane.scale(top, short(top));
      pane.curve(cell.map(one => one.c), top, 'c');
      pane.curve(cell.map(one => one.h), top, 'h');
    }],
    ['of that, what is left in the last c', 46, (pane, state, {cell}) => {
      const top = Math.max(1, ...cell.map(one => Math.abs(one.left)));
      pane.rule(0, top);
      cell.forEach((one, t) => pane.bar(t, 0, one.left, top, 'g'));
    }],
    ['derivative of the last state by this one', 96, (pane, state, made) => {
      const high = Math.max(1, ...[...made.cell, ...made.simple].map(
        one => Math.log10(Math.abs(one.total) || 1)));
      const place = x => {
        const power = Math.log10(Math.max(Math.abs(x), 10 ** DEEPEST));
        return 2 * (power - DEEPEST) / (high - DEEPEST) - 1;
      };
      for (const power of [0, -4, -8, -12]) {
        pane.rule(place(10 ** power), 1);
        pane.scale(place(10 ** power), power ? `1e−${-power}` : '1', 1);
      }
      pane.curve(made.cell.map(one => place(one.straight)), 1, 'f', '2 3');
      pane.curve(made.simple.map(one => place(one.total)), 1, 'rnn');
      pane.curve(made.cell.map(one => place(one.total)), 1, 'c');
    }],
  ];

  // What the panels draw with: steps across, from −top to top upwards.
  const makePane = (group, left, width, top, height) => {
    const x = t => left + (t + 0.5) * width / STEPS;
    const y = (value, largest) => top + height * (0.5 - value / largest / 2);
    const put = (tag, attributes) => group.append(make(tag, attributes));
    return {
      rule: (value, largest) => put('line', {class: 'rule', x1: left,
        x2: left + width, y1: y(value, largest), y2: y(value, largest)}),
      scale: (value, words, largest = value) => group.append(make('text',
        {class: 'scale', x: left - 4, y: y(value, largest) + 4}, words)),
      bar: (t, from, to, largest, name) => put('rect', {
        class: `fill-${name}`, x: x(t) - width / STEPS * 0.35,
        width: width / STEPS * 0.7, y: Math.min(y(from, largest), y(to, largest)),
        height: Math.abs(y(to, largest) - y(from, largest))}),
      shade: (t, value, name) => put('rect', {
        class: `fill-${name}`, x: x(t) - width / STEPS / 2, width: width / STEPS,
        y: top, height, 'fill-opacity': value}),
      mark: (t, m) => {
        const tip = m > 0 ? top + height - 8 : top + height;
        const base = m > 0 ? top + height : top + height - 8;
        put('path', {class: 'mark', d: `M${x(t)} ${tip}L${x(t) - 5} ${base}H${x(t) + 5}Z`});
      },
      curve: (values, largest, name, dashes = '') => put('path', {
        class: `line-${name}`, 'stroke-dasharray': dashes,
        d: values.map((value, t) =>
          `${t ? 'L' : 'M'}${x(t).toFixed(1)} ${y(value, largest).toFixed(1)}`).join('')}),
    };
  };

  const draw = (svg, state, made) => {
    const across = svg.parentElement.clientWidth;
    const left = 44;
    const width = across - left - 8;
    let top = 0;
    const groups = [];
    for (const [heading, height, paint] of PANELS) {
      const group = make('g', {});
      group.append(make('text', {class: 'heading', x: left, y: top + 13}, heading));
      top += 18;
      paint(makePane(group, left, width, top, height), state, made);
      groups.push(group);
      top += height + 6;
    }
    const at = left + (state.at + 0.5) * width / STEPS;
    const cursor = make('line', {class: 'cursor', x1: at, x2: at, y1: 18, y2: top});
    svg.setAttribute('viewBox', `0 0 ${across} ${top}`);
    svg.setAttribute('width', across);
    svg.setAttribute('height', top);
    svg.replaceChildren(cursor, ...groups);
  };

  // What the unit does at the step of the cursor, with its numbers.
  const tell = (state, {cell, simple}) => {
    const t = state.at;
    const now = cell[t];
    const {x, m} = state.inputs[t];
    const last = t ? cell[t - 1].c : 0;
    const shown = state.toggles.output_activation ? 'tanh(c)' : 'c';
    return [
      `step ${t}: x = ${short(x)}${m ? `, mark “${MARKS[m]}”` : ''}`,
      `i = ${short(now.i)}   f = ${short(now.f)}   o = ${short(now.o)}   g = ${short(now.g)}`,
      `c = f c + i g = ${short(now.f)} · ${short(last)} + ${short(now.i)} · ${short(now.g)} = ${short(now.c)}`,
      `h = o ${shown} = ${short(now.h)}`,
      `derivative of the last c by this c: ${short(now.total)}; along c alone, `
        + `f f ⋯ f: ${short(now.straight)}; of the simple RNN: ${short(simple[t].total)}`,
    ].join('\n');
  };

  const addSlider = (parent, label, [low, high, by], read, write, refresh) => {
    const print = Number.isInteger(by) ? String : short;
    const input = make('input', {type: 'range', min: low, max: high, step: by});
    const output = make('output');
    const row = make('label', {class: 'slider'}, make('span', {}, label), input, output);
    input.addEventListener('input', () => {
      write(Number(input.value));
      refresh();
    });
    parent.append(row);
    return () => {
      // What one begins with may be larger than what one would slide to.
      input.max = Math.max(high, read());
      input.min = Math.min(low, read());
      input.value = read();
      output.value = print(read());
    };
  };

  const addSwitches = (parent, state, refresh) => {
    const box = make('fieldset', {}, make('legend', {}, 'toggles'));
    const follow = Object.entries(SWITCHES).map(([name, [label, useful]]) => {
      const input = make('input', {type: 'checkbox'});
      box.append(make('label', {class: 'switch', title: name}, input, ` ${label}`));
      input.addEventListener('change', () => {
        state.toggles[name] = input.checked;
        refresh();
      });
      return () => {
        input.disabled = !useful(state.toggles);
        // What has nothing to feed is off, as lv.Toggles wants it.
        if (input.disabled && name.startsWith('peephole')) state.toggles[name] = false;
        input.checked = state.toggles[name];
      };
    });
    follow.push(addSlider(box, 'coupling shift', [-2, 4, 0.1], () => state.shift,
      value => { state.shift = value; }, refresh));
    parent.append(box);
    return follow;
  };

  const isOff = (state, group, weight) => {
    const {toggles} = state;
    const gate = {i: 'input_gate', f: 'forget_gate', o: 'output_gate'}[group];
    if (gate && !toggles[gate]) return true;
    if (group === 'f' && toggles.coupled) return true;
    if (weight === 'p') return !toggles[`peephole_${group}`];
    return weight === 'own' && !toggles.gate_recurrence;
  };

  const addWeights = (parent, state, refresh) => {
    const follow = [];
    for (const [group, legend] of Object.entries(GROUPS)) {
      const box = make('fieldset', {class: `group-${group}`}, make('legend', {}, legend));
      const gated = 'ifo'.includes(group);
      for (const weight of [...READS[group], ...(gated ? ['own'] : [])]) {
        const [label, largest] = WEIGHTS[weight];
        const top = group === 'rnn' ? 2 : largest;
        const show = addSlider(box, label, [-top, top, group === 'rnn' ? 0.02 : 0.1],
          () => state.weights[group][weight],
          value => { state.weights[group][weight] = value; }, refresh);
        const row = box.lastElementChild;
        follow.push(() => {
          show();
          row.hidden = isOff(state, group, weight);
        });
      }
      parent.append(box);
    }
    return follow;
  };

  const addSequence = (parent, state, refresh) => {
    const box = make('fieldset', {class: 'sequence'}, make('legend', {}, 'sequence'));
    const follow = [addSlider(box, 'step', [0, STEPS - 1, 1], () => state.at,
      value => { state.at = value; }, refresh)];
    follow.push(addSlider(box, 'its value', [-1, 1, 0.05],
      () => state.inputs[state.at].x,
      value => { state.inputs[state.at].x = value; }, refresh));
    const select = make('select');
    for (const m of [0, 1, -1])
      select.append(make('option', {value: m}, MARKS[m] || 'no mark'));
    select.addEventListener('change', () => {
      state.inputs[state.at].m = Number(select.value);
      refresh();
    });
    box.append(make('label', {class: 'slider'}, make('span', {}, 'its mark'), select));
    follow.push(() => { select.value = state.inputs[state.at].m; });
    const button = make('button', {type: 'button'}, 'Other values');
    let seed = 7;
    button.addEventListener('click', () => {
      seed += 1;
      drawValues(seed).forEach((x, t) => { state.inputs[t].x = x; });
      refresh();
    });
    box.append(button);
    parent.append(box);
    return follow;
  };

  const followPointer = (svg, state, refresh) => {
    const find = event => {
      const {left, width} = svg.getBoundingClientRect();
      const step = (event.clientX - left - 44) / (width - 52) * STEPS;
      return Math.min(STEPS - 1, Math.max(0, Math.floor(step)));
    };
    svg.addEventListener('pointermove', event => {
      state.at = find(event);
      refresh();
    });
    // A click marks a step: none, store, ask, none.
    svg.addEventListener('click', event => {
      const input = state.inputs[find(event)];
      input.m = input.m === 1 ? -1 : input.m + 1;
      refresh();
    });
  };

  const mount = root => {
    const state = begin(Object.keys(PRESETS)[0]);
    const svg = make('svg', {role: 'img',
      'aria-label': 'Inputs, gates, states and derivatives of the unit by step'});
    const words = make('p', {class: 'words'});
    const numbers = make('pre', {class: 'numbers'});
    const legend = make('p', {class: 'legend'},
      make('span', {class: 'key-c'}, 'c, by all ways'), ' ',
      make('span', {class: 'key-f'}, 'along c alone (dotted)'), ' ',
      make('span', {class: 'key-h'}, 'h'), ' ',
      make('span', {class: 'key-rnn'}, 'simple RNN'));
    const presets = make('p', {class: 'presets', role: 'group',
      'aria-label': 'settings to begin with'});
    const controls = make('div', {class: 'controls'});
    const follow = [];
    const refresh = () => {
      // Twice: a switch may turn off another.
      for (const one of [...follow, ...follow]) one();
      const made = compute(state);
      draw(svg, state, made);
      numbers.textContent = tell(state, made);
    };
    for (const name of Object.keys(PRESETS)) {
      const button = make('button', {type: 'button'}, name);
      button.addEventListener('click', () => {
        Object.assign(state, begin(name));
        refresh();
      });
      presets.append(button);
      follow.push(() => button.setAttribute('aria-pressed', state.name === name));
    }
    follow.push(() => { words.textContent = PRESETS[state.name].words; });
    follow.push(...addSequence(controls, state, refresh));
    follow.push(...addSwitches(controls, state, refresh));
    follow.push(...addWeights(controls, state, refresh));
    root.replaceChildren(presets, words, make('div', {class: 'drawing'}, svg),
      legend, numbers, controls);
    followPointer(svg, state, refresh);
    new ResizeObserver(refresh).observe(svg.parentElement);
    refresh();
  };

  const start = () => document.querySelectorAll('.lstm-cell').forEach(mount);
  if (document.readyState === 'loading') addEventListener('DOMContentLoaded', start);
  else start();
}
