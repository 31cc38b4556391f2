// A pane: the messages and the knowledge of a client, and its controls.

import { Composer } from "/composer.js";
import { drawNote, drawPoll, drawSaid, drawVotes } from "/messages.js";
import { Picture } from "/picture.js";
import { Seat } from "/seat.js";
import { $, element, follow, insert, keyed, randomWord, shown, sparkline, write } from "/view.js";

const MESSAGES = 150; // messages that are kept
const IDS = 500; // ids of messages that are kept, to recognise duplicates
const FRAMES = 60;
const REMEMBERED = 10_000; // milliseconds that a message may take to reach every pane
const ENDS = { 4001: "You have left.", 4012: "This name came in from another window." };

const sent = new Map(); // mark of a message -> when a pane of this page sent it

export class Pane {
  #seat;
  #told;
  #part;
  #composer;
  #picture = new Picture();
  #mine = new Set(["lobby"]); // rooms to be in, now and after a reconnection
  #nodes = new Set(); // living nodes
  #here = ""; // the node that has welcomed us
  #early = null; // events to handle after the welcome, which is older
  #seen = new Set(); // ids of messages
  #polls = new Map(); // room -> the element of its open question
  #back = null; // what this connection has recovered: { rooms, at, messages, note }
  #latencies = [];
  #tries = 1;
  #base; // beginning of the names to try
  #chosen = false; // whether the user has chosen another name
  #ahead = 0; // seconds that the server's clock is ahead of ours
  #unshown; // id of the call that this page repeats by itself

  /**
   * @param name first name of the user; a reload of the page keeps the current one
   * @param cluster the servers
   * @param told called with the pane, and with the state of the cluster as its node sees it
   */
  constructor(name, cluster, told) {
    this.#base = name;
    this.#told = told;
    const before = JSON.parse(sessionStorage.getItem(name)) ?? { name, key: randomWord() };
    this.element = $("pane").content.firstElementChild.cloneNode(true);
    this.#part = (selector) => this.element.querySelector(selector);
    this.#composer = new Composer(
      this.element,
      (message) => this.#say(message),
      () => this.#render(),
    );
    this.#seat = new Seat(before.name, before.key, cluster, {
      connecting: () => this.#status("wait", "connecting …"),
      opened: () => ([this.#early, this.#back] = [[], null]),
      closed: (close) => this.#closed(close),
      latency: (milliseconds) => this.#latency(milliseconds),
      room: this.#afterWelcome((room) => this.#roomChanged(room)),
      wire: (direction, raw) => this.#wire(direction, raw),
      events: this.#events(),
    });
    follow(this.#part(".log ol"));
    this.#listen();
    this.#render();
    this.#composer.choose("#lobby");
  }

  get name() {
    return this.#seat.name;
  }

  get isOpen() {
    return this.#seat.isOpen;
  }

  get node() {
    return this.#seat.node;
  }

  /** Whether the user has left, or was refused for good. */
  get isOff() {
    return this.element.dataset.state === "off";
  }

  /** Lets a screen reader announce new messages, or not: most of them are the same in every pane. */
  set isAloud(yes) {
    this.#part(".log").setAttribute("aria-live", yes ? "polite" : "off");
  }

  /** Connects, and stays connected: to the node with that name, or the one that this page is from. */
  start(home = "") {
    this.#seat.home = home;
    this.#seat.connect();
  }

  comeHome() {
    this.#seat.comeHome();
  }

  async kill(name) {
    await this.#seat.call("kill", { name });
  }

  async askForVitals() {
    this.#vitals(await this.#seat.call("vitals"));
  }

  // Events of the server

  #events() {
    const picture = (event) => (data) => this.#picture[event](data);
    const late = {
      arrived: picture("arrived"),
      went: picture("went"),
      joined: picture("joined"),
      left: picture("left"),
      said: (said) => this.#said(said, performance.now()),
      polled: (poll) => this.#polled(poll),
      news: ({ text, at }) => this.#note(text, at),
      vitals: (vitals) => this.#vitals(vitals),
      picture: picture("take"),
    };
    const handlers = Object.entries(late).map(([event, handler]) => [event, this.#afterWelcome(handler)]);
    // A call of the server: the promise is fulfilled when the user presses a button; else there is no answer.
    const poll = (data) => new Promise((answer) => this.#poll(data, answer));
    return { ...Object.fromEntries(handlers), poll, welcome: (data) => this.#welcome(data) };
  }

  #poll(poll, answer) {
    const item = drawPoll(poll, answer);
    this.#polls.set(poll.room, item); // the server allows one at a time
    this.#log(item, poll.at);
  }

  #polled(poll) {
    this.#polls.get(poll.room)?.remove();
    this.#polls.delete(poll.room);
    this.#log(drawVotes(poll), poll.at);
  }

  #afterWelcome(handler) {
    return (data) => {
      if (this.#early) {
        this.#early.push(() => handler(data));
        return;
      }
      handler(data);
      this.#render();
    };
  }

  async #welcome({ at, recent, vitals, people, rooms }) {
    this.#ahead = at - Date.now() / 1000;
    this.#seat.home ||= vitals.node;
    this.#seat.node = this.#here = vitals.node;
    this.#note(`On ${this.#here}.`);
    this.#remember();
    this.#picture.take({ people, rooms });
    this.#nodes = new Set();
    this.#vitals(vitals);
    for (const said of recent) this.#said(said);
    const early = this.#early;
    this.#early = null;
    for (const handle of early) handle();
    this.#render();
    await Promise.all([...this.#mine].map((room) => this.#enter(room)));
    if (this.isOpen) this.#status("on", ""); // before this, the rooms were not joined
  }

  /** Tells what is known of a room that the client is back in, or in which something was lost. */
  #roomChanged({ id, recovered, reason }) {
    if (recovered === false) this.#note(`#${id}: some messages may be missing (${reason}).`);
    if (!recovered) return; // null: it is here for the first time
    this.#back ??= { rooms: new Set(), at: this.#now(), messages: 0, note: this.#note("") };
    this.#back.rooms.add(id);
    this.#showRecovered();
  }

  /** Counts a message that was said before the client was back, and reaches it now. */
  #countRecovered({ to, name, at }) {
    if (to !== "room" || !this.#back?.rooms.has(name) || at > this.#back.at) return;
    this.#back.messages += 1;
    this.#showRecovered();
  }

  #showRecovered() {
    const { rooms, messages, note } = this.#back;
    const where = [...rooms].map((room) => `#${room}`).join(", ");
    const found = messages === 0 ? "nothing was missed" : `${messages} message${messages === 1 ? "" : "s"} recovered`;
    write(note, `Back in ${where}: ${found}.`);
  }

  #vitals(vitals) {
    const alive = new Set(vitals.nodes.map(({ name }) => name));
    for (const node of this.#nodes) if (!alive.has(node)) this.#picture.lost(node);
    this.#nodes = alive;
    this.#told(this, vitals);
    this.#render();
  }

  #said(said, now = null) {
    if (this.#seen.has(said.id)) return;
    this.#seen.add(said.id);
    if (this.#seen.size > IDS) this.#seen.delete(this.#seen.values().next().value);
    const took = now !== null && sent.has(said.mark) ? now - sent.get(said.mark) : null;
    this.#log(drawSaid(said, { me: this.name, here: this.#here, took }), said.at);
    if (now !== null) this.#countRecovered(said);
  }

  #closed({ code, reason, again }) {
    this.#latencies = [];
    this.#latency();
    if (again) {
      if (this.#here) this.#note(`${this.#here} is lost.`);
      this.#here = "";
      this.#status("wait", "connecting …");
    } else if (code === 4011 && !this.#chosen) {
      this.#tries += 1;
      this.#rename(`${this.#base} ${this.#tries}`);
    } else {
      this.#here = "";
      this.#picture.take({ people: [], rooms: {} });
      this.#status("off", "");
      this.#part(".alert").classList.toggle("goodbye", code === 4001);
      write(this.#part(".alert"), ENDS[code] ?? reason);
      this.#render();
    }
  }

  // Actions of the user

  #listen() {
    this.#part(".name").onchange = ({ target }) => {
      this.#chosen = true;
      this.#rename(target.value.trim());
    };
    this.#part(".leave").onclick = () => {
      this.#complain(null);
      if (this.isOff) this.#seat.connect();
      else this.#seat.leave();
    };
    this.#part(".rooms form").onsubmit = (submitted) => {
      submitted.preventDefault();
      const input = this.#part(".rooms input");
      this.#join(input.value.trim());
      input.value = "";
    };
  }

  #rename(name) {
    this.#complain(null);
    this.#seat.name = name;
    this.#part(".name").value = name;
    this.#seat.connect();
  }

  async #join(room) {
    await this.#enter(room);
    this.#composer.choose(`#${room}`);
    this.#render();
  }

  async #enter(room) {
    const answer = await this.#call("join", { room });
    if (!answer) return;
    this.#mine.add(room);
    for (const said of answer.recent) this.#said(said);
    this.#render();
  }

  async #leave(room) {
    this.#mine.delete(room);
    await this.#call("leave", { room });
    this.#render();
  }

  async #say(message) {
    const mark = randomWord();
    sent.set(mark, performance.now());
    setTimeout(() => sent.delete(mark), REMEMBERED);
    if (!(await this.#call("say", { ...message, mark }))) throw new Error("it was not sent");
  }

  /** Calls the server; a refusal is shown, and the result is null. */
  async #call(event, data) {
    try {
      this.#complain(null);
      return await this.#seat.call(event, data);
    } catch (error) {
      this.#complain(error);
      return null;
    }
  }

  #remember() {
    const { name, key } = this.#seat;
    sessionStorage.setItem(this.#base, JSON.stringify({ name, key }));
  }

  #complain(error) {
    write(this.#part(".alert"), error ? error.message : "");
  }

  // Rendering

  #render() {
    const rooms = this.#picture.roomNames(this.#mine);
    const chips = rooms.map((room) => ({
      key: room,
      mine: this.#mine.has(room),
      count: this.#picture.rooms.get(room)?.size ?? 0,
    }));
    keyed(this.#part(".rooms ul"), chips, (chip) => this.#makeChip(chip), refreshChip);
    const people = [...this.#picture.people.keys()].filter((name) => name !== this.name).sort();
    this.#composer.offer(
      rooms.filter((room) => this.#mine.has(room)),
      people,
    );
    this.#composer.show(this.#picture.reach(this.#composer.receiver), this.name);
    this.#showPlace();
  }

  #showPlace() {
    write(this.#part(".where"), this.#seat.node);
    this.element.setAttribute("aria-label", `${this.name} on ${this.#seat.node}`);
  }

  #makeChip({ key: room }) {
    const button = element("button", { type: "button" }, `#${room} `, element("span", { class: "count" }));
    button.onclick = () => (this.#mine.has(room) ? this.#leave(room) : this.#join(room));
    return element("li", {}, button);
  }

  #status(state, text) {
    this.element.dataset.state = state;
    write(this.#part(".state"), text);
    this.#showPlace();
    write(this.#part(".leave"), state === "off" ? "Connect" : "Leave");
    this.#part(".name").value = this.name;
    this.#composer.enable(state === "on");
  }

  #latency(milliseconds) {
    if (milliseconds !== undefined) this.#latencies = [...this.#latencies.slice(-29), milliseconds];
    write(this.#part("output"), milliseconds === undefined ? "–" : shown(milliseconds));
    this.#part("polyline").setAttribute("points", sparkline(this.#latencies, 60, 18));
  }

  #note(text, at = this.#now()) {
    const note = drawNote(text);
    this.#log(note, at);
    return note;
  }

  /** Returns the time of the server's clock, in seconds. */
  #now() {
    return Date.now() / 1000 + this.#ahead;
  }

  #log(item, at) {
    insert(this.#part(".log ol"), item, at, MESSAGES);
  }

  #wire(direction, raw) {
    if (raw && this.#isOwnQuestion(direction, JSON.parse(raw))) return;
    const who = element("span", { class: "sr" }, direction === "in" ? "received " : "sent ");
    const item = element("li", { class: raw ? direction : `${direction} beat` }, who, raw || "heartbeat");
    const list = this.#part(".wire ol");
    list.prepend(item);
    if (list.children.length > FRAMES) list.lastElementChild.remove();
  }

  /** Returns whether a frame is about the state of the cluster; these would soon push out all others. */
  #isOwnQuestion(direction, { event, callbackId }) {
    if (direction === "out" && event === "vitals") this.#unshown = callbackId;
    return callbackId !== undefined && callbackId === this.#unshown;
  }
}

function refreshChip(chip, { mine, count }) {
  const button = chip.firstElementChild;
  button.setAttribute("aria-pressed", String(mine));
  write(button.lastElementChild, String(count));
}
