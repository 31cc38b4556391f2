// The input line, with the receiver of the message and the users that it reaches.

import { element, enable, isEnabled, write } from "/view.js";

export class Composer {
  #form;
  #to;
  #text;
  #button;
  #reach;
  #known = "";

  /**
   * @param pane the element that contains it
   * @param say sends {to, name, text}; returns a promise, which is rejected if that fails
   * @param turned called when another receiver was chosen
   */
  constructor(pane, say, turned) {
    this.#form = pane.querySelector(".say");
    [this.#to, this.#text, this.#button] = this.#form.querySelectorAll("select, input, button");
    this.#reach = pane.querySelector(".reach");
    this.#to.onchange = turned;
    this.#form.onsubmit = (submitted) => {
      submitted.preventDefault();
      this.#send(say);
    };
  }

  /** The receiver of the next message: {to, name}. */
  get receiver() {
    const key = this.#to.value;
    if (key.startsWith("#")) return { to: "room", name: key.slice(1) };
    return key.startsWith("@") ? { to: "user", name: key.slice(1) } : { to: "everyone", name: null };
  }

  choose(key) {
    if ([...this.#to.options].some(({ value }) => value === key)) this.#to.value = key;
  }

  /** Offers receivers. The chosen one stays, even if it is gone: a private message must not go to everyone. */
  offer(rooms, people) {
    const { to, name } = this.receiver;
    const offered = {
      room: to === "room" ? [...new Set([...rooms, name])] : rooms,
      user: to === "user" ? [...new Set([...people, name])] : people,
    };
    const known = JSON.stringify(offered);
    if (known === this.#known) return;
    this.#known = known;
    const chosen = this.#to.value;
    this.#to.replaceChildren(
      element("option", { value: "everyone" }, "Everyone"),
      group("Rooms", "#", offered.room),
      group("Only", "@", offered.user),
    );
    this.choose(chosen);
  }

  /** Shows the users that the message reaches: [[node, names]]. */
  show(reach, me) {
    const terms = reach.flatMap(([node, names]) => [
      element("dt", {}, node),
      element("dd", {}, ...listed(names.map((name) => (name === me ? "you" : name)))),
    ]);
    const text = terms.map(({ textContent }) => textContent).join();
    if (this.#reach.dataset.text === text) return;
    this.#reach.dataset.text = text;
    this.#reach.replaceChildren(...(terms.length ? terms : [element("dt", {}, "Nobody is there")]));
  }

  enable(yes) {
    write(this.#button, yes ? "Send" : "Offline");
    enable(this.#button, yes);
  }

  async #send(say) {
    const text = this.#text.value.trim();
    if (!text || !isEnabled(this.#button)) return;
    this.#text.value = "";
    try {
      await say({ ...this.receiver, text });
    } catch {
      this.#text.value ||= text; // not lost: it can be sent again
    }
  }
}

/** Returns names with commas between them; one that is written from right to left does not move the others. */
function listed(names) {
  return names.flatMap((name, index) => [index ? ", " : "", element("bdi", {}, name)]);
}

function group(label, sign, names) {
  const options = names.map((name) => element("option", { value: sign + name }, sign === "#" ? `#${name}` : name));
  return element("optgroup", { label }, ...options);
}
