// Returns the texts of a page whose contrast with what is behind them is below
// 4.5, and how many texts it looked at (WCAG 2.2, 1.4.3).
(() => {
  const LEAST = 4.5;
  const parse = color => {
    const [r, g, b, a = 1] = color.match(/[\d.]+/g).map(Number);
    return {rgb: [r, g, b], a};
  };
  const light = rgb => {
    const [r, g, b] = rgb.map(value => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = element => {
    for (let one = element; one; one = one.parentElement) {
      const {rgb, a} = parse(getComputedStyle(one).backgroundColor);
      if (a === 1) return rgb;
    }
    return [255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const faint = [];
  let texts = 0;
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim()) continue;
    if (!element.getClientRects().length || element.tagName === 'SCRIPT') continue;
    texts += 1;
    const ink = light(parse(getComputedStyle(element).color).rgb);
    const paper = light(behind(element));
    const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    if (ratio < LEAST)
      faint.push([walker.currentNode.data.slice(0, 40), ratio.toFixed(2)]);
  }
  return {texts, faint};
})()
