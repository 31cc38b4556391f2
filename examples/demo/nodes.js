// The servers that act as one: which there are, which we are on, and where to go when it is lost.

import { element } from "/view.js";

export class Nodes {
  #known = new Map(); // name -> {name, port, up}
  #redis = { all: 0, healthy: 0 };
  #port = location.port; // of the node that we are on, or try next
  here = ""; // its name, once it has told us

  /** A node has let us in, and tells who it knows. One that it does not know of may come back. */
  welcome({ node, nodes, redis }) {
    this.here = node;
    this.#redis = redis;
    for (const each of this.#known.values()) each.up = false;
    for (const each of nodes) this.up(each);
  }

  up({ name, port }) {
    this.#known.set(name, { name, port: String(port), up: true });
  }

  /** It is gone; tells whether it was one of ours. */
  down(name) {
    if (this.#known.has(name)) this.#known.get(name).up = false;
    return this.#known.has(name);
  }

  redis(health) {
    this.#redis = health;
  }

  /** The connection is lost: the next attempt goes to the next node. */
  lost() {
    const ports = [...this.#known.values()].map(({ port }) => port).sort();
    this.#port = ports[(ports.indexOf(this.#port) + 1) % ports.length] ?? this.#port;
  }

  /** Where to connect to. */
  url(query) {
    const url = new URL("/", location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.port = this.#port;
    url.search = new URLSearchParams(query);
    return url.href;
  }

  /** Show them in a list, with the number of people on each. */
  show(list, people) {
    const items = [...this.#known.values()].map(({ name, up }) => {
      const clients = people.filter(({ node }) => node === name).length;
      const item = element("li", { class: up ? "up" : "down" }, up ? `${name} · ${clients}` : `${name} is down`);
      if (name === this.here) item.setAttribute("aria-current", "true");
      return item;
    });
    const { all, healthy } = this.#redis;
    items.push(element("li", { class: healthy === all ? "up" : "down" }, `Redis ${healthy} of ${all}`));
    list.replaceChildren(...items);
  }
}
