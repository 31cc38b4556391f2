// The servers and the Redis of the cluster: their health, and the server to connect to.

import { $, element, enable, isEnabled, keyed, shown, write } from "/view.js";

const COMPLAINT = 10_000; // milliseconds that an error is shown

export class Cluster {
  #nodes = new Map(); // name -> its last state, and `up`
  #redis = [];
  #seenFrom = "";
  #isLeft = false; // all our clients have left, so nothing is known
  #alert = 0; // the timer that hides the error
  #kill;

  /** @param kill asks a server to kill the node or the Redis with a name; returns a promise */
  constructor(kill) {
    this.#kill = kill;
  }

  /** Shows the state of the cluster, as one of its nodes sees it. */
  learn({ node, nodes, redis }) {
    this.#seenFrom = node;
    this.#isLeft = false;
    const alive = new Set(nodes.map(({ name }) => name));
    const gone = [...this.#nodes.values()].filter(({ name, up }) => up && !alive.has(name));
    for (const each of gone) {
      each.up = false;
      this.#tell(`${each.name} is down`);
    }
    for (const each of nodes) {
      const before = this.#nodes.get(each.name);
      this.#nodes.set(each.name, { ...each, up: true });
      if (before && !before.up) this.#tell(`${each.name} is back`);
    }
    for (const [index, each] of redis.entries()) {
      const before = this.#redis[index];
      if (before && before.healthy !== each.healthy) this.#tell(`${each.name} is ${each.healthy ? "back" : "out"}`);
    }
    this.#redis = redis;
    this.#show();
  }

  /** Shows that the state is unknown, because the user has left. */
  leave() {
    this.#isLeft = true;
    this.#show();
  }

  /** Shows that the state is unknown, because no node answers. */
  lose() {
    for (const each of this.#nodes.values()) each.up = false;
    for (const each of this.#redis) each.healthy = false;
    this.#show();
  }

  get names() {
    return [...this.#nodes.keys()].sort();
  }

  isUp(name) {
    return this.#nodes.get(name)?.up ?? false;
  }

  /** Returns the node to try after a node: nodes that are up come first. */
  after(name) {
    const names = this.names;
    const at = names.indexOf(name) + 1;
    const others = [...names.slice(at), ...names.slice(0, at)].filter((each) => each !== name);
    return others.find((each) => this.isUp(each)) ?? others[0] ?? name;
  }

  /** Returns the URL of a node; as long as none is known, the one of this page. */
  url(name) {
    const url = new URL("/", location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.port = this.#nodes.get(name)?.port ?? location.port;
    return url.href;
  }

  #tell(text) {
    write($("news"), text);
  }

  #show() {
    const cards = [...this.names.map((name) => nodeCard(this.#nodes.get(name))), ...this.#redis.map(redisCard)];
    const known = this.#isLeft ? cards.map((card) => ({ ...card, state: "unknown", health: "unknown" })) : cards;
    keyed($("cluster"), known, (card) => this.#make(card), refresh);
    $("invitation").hidden = !cards.some(({ killable }) => killable);
    $("cluster").setAttribute("aria-description", `As ${this.#seenFrom} sees it`);
  }

  #complain(text) {
    write($("cluster-alert"), text);
    clearTimeout(this.#alert);
    this.#alert = setTimeout(() => write($("cluster-alert"), ""), COMPLAINT);
  }

  #make({ key, kind }) {
    const button = element("button", { type: "button", "aria-label": `Kill ${key}` }, "Kill");
    button.onclick = () => {
      if (!isEnabled(button)) return;
      this.#complain("");
      this.#kill(key).catch((error) => this.#complain(error.message));
    };
    const name = element("p", {}, element("b", {}, key), " ", element("span", { class: "health" }));
    return element("li", { class: kind }, name, button, element("p", { class: "detail" }));
  }
}

function nodeCard({ name, up, port, pid, clients, seconds, killable }) {
  const detail = `:${port} · ${clients} ${clients === 1 ? "client" : "clients"} · ${duration(seconds)}`;
  return {
    key: name,
    kind: "node",
    state: up ? "good" : "bad",
    health: up ? "up" : "down",
    detail: up ? detail : `:${port}`,
    title: `pid ${pid}`,
    killable,
  };
}

function redisCard({ name, url, healthy, latency, killable }) {
  const place = url.replace(/^\w+:\/\/(127\.0\.0\.1)?/, "");
  return {
    key: name,
    kind: "redis",
    state: healthy ? "good" : "bad",
    health: healthy ? "healthy" : "out",
    detail: healthy && latency !== null ? `${place} · ${shown(latency)} ms` : place,
    title: url,
    killable,
  };
}

function refresh(card, { state, health, detail, title, killable }) {
  card.dataset.state = state;
  write(card.querySelector(".health"), health);
  const details = card.querySelector(".detail");
  write(details, detail);
  details.title = title;
  const button = card.querySelector("button");
  button.hidden = !killable;
  enable(button, state === "good");
}

function duration(seconds) {
  if (seconds < 60) return `${seconds} s`;
  return seconds < 3600 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`;
}
