// Helpers for elements of the page. Text is inserted as text nodes only, never as HTML.

export const $ = (id) => document.getElementById(id);

/** Returns an element with attributes and children; `name` gives it the colour of a user. */
export function element(tag, { name, ...attributes } = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (name) made.style.setProperty("--hue", hue(name));
  made.append(...children);
  return made;
}

/** Sets a text only if it differs: a screen reader announces changes. */
export function write(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** Enables or disables a button. The attribute `disabled` would take the focus from it. */
export const enable = (button, yes) => button.setAttribute("aria-disabled", String(!yes));

export const isEnabled = (button) => button.getAttribute("aria-disabled") !== "true";

/** Makes a list show these items, in order, with as few changes as possible, so that the focus stays. */
export function keyed(list, items, make, refresh) {
  const before = new Map([...list.children].map((child) => [child.dataset.key, child]));
  items.forEach((item, index) => {
    let child = before.get(item.key);
    before.delete(item.key);
    if (!child) {
      child = make(item);
      child.dataset.key = item.key;
    }
    refresh(child, item);
    if (list.children[index] !== child) list.insertBefore(child, list.children[index] ?? null);
  });
  for (const child of before.values()) child.remove();
}

/** Keeps the end of a list in view when it grows or its box changes, unless the user has scrolled away. */
export function follow(list) {
  const box = list.parentElement;
  let seen = { height: 0, room: 0 }; // the visible part, which may be less than the list by now
  let atEnd;
  const isEnd = ({ height, room }) => height - box.scrollTop - room < 60;
  const now = () => ({ height: box.scrollHeight, room: box.clientHeight });
  const stay = (yes) => {
    atEnd = yes;
    box.style.overflowAnchor = atEnd ? "none" : ""; // otherwise the visible items stay in view when the oldest is removed
  };
  stay(true);
  box.addEventListener("scroll", () => stay(isEnd(seen) || isEnd(now())));
  const resized = new ResizeObserver(() => {
    seen = now();
    if (atEnd) box.scrollTop = box.scrollHeight;
  });
  resized.observe(box); // also called when a hidden pane is shown
  resized.observe(list);
}

/** Inserts an item into a list that is ordered by `data-at`. */
export function insert(list, item, at, most) {
  item.dataset.at = at;
  let next = null;
  for (let each = list.lastElementChild; each && Number(each.dataset.at) > at; each = each.previousElementSibling) {
    next = each;
  }
  list.insertBefore(item, next);
  while (list.children.length > most) list.firstElementChild.remove();
}

/** Returns the points of a small curve through the values. */
export function sparkline(values, width, height) {
  const most = Math.max(...values, 1);
  const step = width / Math.max(values.length - 1, 1);
  const y = (value) => height - 2 - (value / most) * (height - 4);
  return values.map((value, index) => `${(index * step).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
}

/** Formats milliseconds with a sensible precision. */
export const shown = (milliseconds) => (milliseconds < 10 ? milliseconds.toFixed(1) : String(Math.round(milliseconds)));

/** Returns a random word. `crypto.randomUUID` would need https. */
export function randomWord() {
  return Array.from(crypto.getRandomValues(new Uint8Array(10)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const HUES = [10, 35, 95, 150, 175, 200, 225, 265, 300, 335];

function hue(name) {
  let hash = 2166136261; // FNV-1a, so that similar names get different colours
  for (const character of name) hash = Math.imul(hash ^ character.codePointAt(0), 16777619) >>> 0;
  return HUES[(hash >>> 8) % HUES.length];
}
