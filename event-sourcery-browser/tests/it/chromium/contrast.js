const parts = (colour) => (colour.match(/[\d.]+/g) ?? []).map(Number);
const light = (colour) => {
  const [r, g, b] = parts(colour).slice(0, 3).map((part) => {
    part /= 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ground = (element) => {
  for (; element; element = element.parentElement) {
    const colour = getComputedStyle(element).backgroundColor;
    if ((parts(colour)[3] ?? 1) > 0) return colour;
  }
  return "rgb(255, 255, 255)";
};
const is_read = (element) =>
  element.checkVisibility() && !element.closest("svg") &&
  (["INPUT", "SELECT"].includes(element.tagName) || [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim()));
const poor = [];
let count = 0;
for (const element of document.body.querySelectorAll("*")) {
  if (!is_read(element)) continue;
  count += 1;
  const [one, other] = [light(getComputedStyle(element).color), light(ground(element))];
  const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
  if (!(contrast >= 4.5)) poor.push(`${element.tagName}.${element.className}: ${contrast}`);
}
return { count, poor, ground: light(ground(document.body)) };
