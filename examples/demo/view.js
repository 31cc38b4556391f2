// Small helpers to put things on the page. Text goes in as text nodes: there is no way to make HTML of it here.

export const $ = (id) => document.getElementById(id);

/** An element with attributes and children; `name` colours it after somebody's name. */
export function element(tag, { name, ...attributes }, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (name) {
    made.style.setProperty("--hue", hue(name));
    made.dataset.initial = [...name][0].toUpperCase();
  }
  made.append(...children);
  return made;
}

export function time(seconds) {
  const date = new Date(seconds * 1000);
  const shown = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  return element("time", { datetime: date.toISOString() }, shown);
}

export const clear = (list) => list.replaceChildren();

/** Add at the end, and stay there if the reader was there. */
export function append(list, item, most) {
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 60;
  list.append(item);
  while (list.children.length > most) list.firstChild.remove();
  if (atEnd) list.scrollTop = list.scrollHeight;
}

/** Add at the beginning. */
export function log(list, item, most) {
  list.prepend(item);
  while (list.children.length > most) list.lastChild.remove();
}

/** Make a list show these items, changing as little as possible, so that the focus stays where it is. */
export function keyed(list, items, open) {
  const before = new Map([...list.children].map((child) => [child.dataset.key, child]));
  items.forEach((item, index) => {
    let child = before.get(item.key);
    before.delete(item.key);
    if (!child) {
      child = open ? entry(item, open) : element("li", { name: item.name }, item.label);
      child.dataset.key = item.key;
    }
    if (open) refresh(child, item);
    if (list.children[index] !== child) list.insertBefore(child, list.children[index] ?? null);
  });
  for (const child of before.values()) child.remove();
}

function entry(item, open) {
  const button = element("button", { type: "button", name: item.name });
  button.append(...["label", "count", "unread"].map((part) => element("span", { class: part })));
  button.onclick = () => open(item.key);
  return element("li", {}, button);
}

function refresh(child, { label, note, unread, current, dim }) {
  const button = child.firstChild;
  const [name, count, news] = button.children;
  write(name, label);
  write(count, note);
  write(news, unread ? String(unread) : "");
  button.classList.toggle("dim", Boolean(dim));
  if (current) button.setAttribute("aria-current", "true");
  else button.removeAttribute("aria-current");
  if (unread) button.setAttribute("aria-label", `${label}, ${unread} unread`);
  else button.removeAttribute("aria-label");
}

/** Change a text only if it changes: a screen reader tells of changes. */
export function write(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** The points of a little curve through the values. */
export function sparkline(values, width, height) {
  const most = Math.max(...values, 1);
  const step = width / Math.max(values.length - 1, 1);
  const y = (value) => height - 2 - (value / most) * (height - 4);
  return values.map((value, index) => `${(index * step).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
}

const HUES = [10, 35, 95, 150, 175, 200, 225, 265, 300, 335];

function hue(name) {
  let hash = 2166136261; // FNV-1a, so that similar names get different colours
  for (const character of name) hash = Math.imul(hash ^ character.codePointAt(0), 16777619) >>> 0;
  return HUES[(hash >>> 8) % HUES.length];
}
