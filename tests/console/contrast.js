// Contrast of every visible text and every meaningful line or mark of the page, as WCAG 2.2 computes it.
() => {
  const parse = (text) => {
    const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number);
    return { r, g, b, a };
  };
  const over = (top, under) => ({
    r: top.r * top.a + under.r * (1 - top.a),
    g: top.g * top.a + under.g * (1 - top.a),
    b: top.b * top.a + under.b * (1 - top.a),
    a: 1,
  });
  const background = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) layers.push(parse(getComputedStyle(e).backgroundColor));
    return layers.reverse().reduce((under, top) => over(top, under), { r: 255, g: 255, b: 255, a: 1 });
  };
  const channel = (c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = (c) => 0.2126 * channel(c.r) + 0.7152 * channel(c.g) + 0.0722 * channel(c.b);
  const ratio = (a, b) => {
    const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p);
    return (x + 0.05) / (y + 0.05);
  };
  const seen = [];
  const check = (element, paint, least) => {
    const behind = background(element);
    const value = ratio(over(parse(paint), behind), behind);
    seen.push({ what: `${element.tagName} ${element.getAttribute("class") ?? ""} ${element.textContent.slice(0, 30)}`, value, least });
  };
  for (const element of document.querySelectorAll("body *")) {
    const box = element.getBoundingClientRect();
    if (box.width <= 1 || box.height <= 0 || getComputedStyle(element).visibility === "hidden") continue;
    const own = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    if (own) check(element, element.ownerSVGElement ? getComputedStyle(element).fill : getComputedStyle(element).color, 4.5);
  }
  for (const name of ["load", "forecast", "desired", "ready", "paid", "now"]) {
    for (const line of document.querySelectorAll(`path.${name}`)) check(line, getComputedStyle(line).stroke, 3);
  }
  for (const mark of document.querySelectorAll("[class^=mark-]")) check(mark, getComputedStyle(mark).fill, 3);
  return seen;
};
