// The page: it keeps what the server told it, and shows it. Whatever somebody wrote only ever becomes text, never HTML.

import { Connection } from "/connection.js";
import { Nodes } from "/nodes.js";
import { drawPoll } from "/polls.js";
import { $, append, clear, element, keyed, log, sparkline, time, write } from "/view.js";

const KEPT = 200; // entries of a conversation

let connection = null;
let connected = false;
let me = "";
let current = "#lobby";
let countdown = 0;
let early = null; // events that came before the welcome; they are newer than what it says
const nodes = new Nodes();
const people = new Map(); // name -> {name, bot, node}
const rooms = new Map(); // name -> set of members
const mine = new Set(); // rooms to be in, now and after a reconnection
const places = new Map(); // "everyone", "#room" or "@user" -> {key, to, name, entries, unread}
const latencies = [];

function place(key) {
  if (!places.has(key)) {
    const to = { "#": "room", "@": "user" }[key[0]] ?? "everyone";
    places.set(key, { key, to, name: to === "everyone" ? null : key.slice(1), entries: [], unread: 0 });
  }
  return places.get(key);
}

// Coming in and going

function enter(name) {
  me = name;
  const key = sessionStorage.getItem("key") ?? randomKey(); // proves, after a loss, that the name is ours
  sessionStorage.setItem("key", key);
  const address = () => nodes.url({ name, key });
  mine.add("lobby");
  connection = new Connection(address, { opened, closed, waiting, event, asked, latency, wire });
  status("wait", "Connecting …");
}

function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function opened() {
  connected = true;
  early = [];
  clearInterval(countdown);
  status("on", "Connected");
}

async function welcome(picture) {
  const { you, node, people: all, rooms: list, recent } = picture;
  me = you;
  nodes.welcome(picture);
  activity(`You are on ${node}`);
  localStorage.setItem("name", me);
  $("my-name").textContent = me;
  people.clear();
  rooms.clear();
  for (const person of all) people.set(person.name, person);
  for (const [room, members] of Object.entries(list)) rooms.set(room, new Set(members));
  for (const said of recent) add("everyone", { kind: "said", ...said }, { quiet: true });
  const news = early;
  early = null;
  for (const [name, data] of news) event(name, data);
  inside(true);
  await Promise.all([...mine].map(join));
  show(current);
}

function closed({ code, reason, again }) {
  latencies.length = 0;
  $("milliseconds").textContent = "–";
  $("spark").setAttribute("points", "");
  const what = connected ? `Connection to ${nodes.here} closed` : "Could not connect";
  activity(`${what}: ${code} ${reason}`.trim());
  connected = false;
  nodes.lost();
  for (const { entries } of places.values()) {
    for (const entry of entries) if (entry.kind === "poll") entry.over = true;
  }
  show(current);
  if (again) return;
  connection = null;
  inside(false);
  status("off", "Not connected");
  $("enter-alert").textContent = { 4001: "", 4012: "You opened the chat in another window." }[code] ?? reason;
  $("name").focus();
}

function waiting(delay, attempt) {
  const until = Date.now() + delay;
  const tick = () => {
    const seconds = Math.ceil((until - Date.now()) / 1000);
    status("wait", "Connection lost", seconds > 0 ? `, attempt ${attempt} in ${seconds} s` : ", connecting …");
  };
  clearInterval(countdown);
  countdown = setInterval(tick, 500);
  tick();
  render();
}

function status(state, text, more = "") {
  $("status").dataset.state = state;
  write($("state"), text);
  write($("countdown"), more);
}

function inside(yes) {
  $("enter").hidden = yes;
  for (const id of ["chat", "me", "latency", "nodes"]) $(id).hidden = !yes;
  if (!yes) clearInterval(countdown);
}

// What the server tells

const handlers = {
  welcome,
  arrived(person) {
    const { name, node } = person;
    const moved = people.has(name);
    if (moved) for (const members of rooms.values()) members.delete(name); // it joins them again
    people.set(name, person);
    activity(`${name} ${moved ? "moved to" : "arrived on"} ${node}`);
  },
  went({ name, node }) {
    if (people.get(name)?.node === node) gone(name); // else it has come to another node meanwhile
  },
  nodeUp(node) {
    nodes.up(node);
    activity(`${node.name} is up`);
  },
  nodeDown({ name }) {
    if (!nodes.down(name)) return;
    activity(`${name} is down`);
    for (const person of [...people.values()]) if (person.node === name) gone(person.name);
  },
  redis(health) {
    nodes.redis(health);
    activity(`Redis: ${health.healthy} of ${health.all}`);
  },
  joined({ room, name }) {
    const members = rooms.get(room) ?? new Set();
    rooms.set(room, members.add(name));
    if (name !== me) note(room, `${name} joined`);
    activity(`${name} joined #${room}`);
  },
  left({ room, name }) {
    rooms.get(room)?.delete(name);
    if (name !== me) note(room, `${name} left`);
    forgetEmptyRooms();
    activity(`${name} left #${room}`);
  },
  said(said) {
    const other = said.from === me ? said.name : said.from;
    add({ everyone: "everyone", room: `#${said.name}`, user: `@${other}` }[said.to], { kind: "said", ...said });
  },
  news({ text, at }) {
    add("everyone", { kind: "note", text, at }, { quiet: true });
    activity(text);
  },
  polled(result) {
    const key = `#${result.room}`;
    const same = (each) => each.kind === "poll" && each.question === result.question && !each.votes;
    const poll = place(key).entries.findLast(same);
    if (poll) Object.assign(poll, result, { over: true });
    else add(key, { kind: "poll", over: true, ...result });
    if (poll && key === current) show(key);
    activity(`#${result.room} was asked: ${result.question}`);
  },
};

function event(name, data) {
  if (early && name !== "welcome") {
    early.push([name, data]);
    return;
  }
  handlers[name]?.(data);
  render();
}

function gone(name) {
  people.delete(name);
  for (const [room, members] of rooms) if (members.delete(name)) note(room, `${name} is gone`);
  forgetEmptyRooms();
  activity(`${name} is gone`);
}

/** The server asks us something: the promise is kept when somebody presses a button. Without, it is "no answer". */
function asked(name, poll) {
  if (name !== "poll") throw new Error("this page only knows polls");
  return new Promise((resolve) => {
    const entry = { kind: "poll", ...poll, choice: null, over: false };
    entry.choose = (option) => {
      entry.choice = option;
      resolve(option);
      show(current);
    };
    add(`#${poll.room}`, entry);
    render();
    setTimeout(() => {
      entry.over = true;
      if (current === `#${poll.room}`) show(current);
    }, poll.seconds * 1000);
  });
}

function forgetEmptyRooms() {
  for (const [room, members] of rooms) {
    if (!members.size && !["lobby", "music", "games"].includes(room) && !mine.has(room)) rooms.delete(room);
  }
}

// What the user does

async function join(room) {
  try {
    const { members, recent } = await connection.call("join", { room });
    mine.add(room);
    rooms.set(room, new Set(members));
    for (const said of recent) add(`#${room}`, { kind: "said", ...said }, { quiet: true });
    render();
  } catch (error) {
    complain(error);
  }
}

async function toggleMembership() {
  const { name } = place(current);
  if (mine.has(name)) {
    mine.delete(name);
    await connection?.call("leave", { room: name }).catch(complain);
  } else {
    await join(name);
  }
  show(current);
}

async function say(text) {
  const { to, name } = place(current);
  await connection.call("say", name === null ? { to, text } : { to, name, text });
}

function complain(error) {
  $("alert").textContent = error ? error.message : "";
}

// Showing it

/** Add to a conversation; what is known already, from before a reconnection, is not added again. */
function add(key, entry, { quiet = false } = {}) {
  const { entries, to, name } = place(key);
  const known = (each) => each.kind === "said" && each.id === entry.id && each.at === entry.at;
  if (entry.kind === "said" && entries.some(known)) return;
  entry.at ??= Date.now() / 1000;
  entries.push(entry);
  if (entries.length > KEPT) entries.shift();
  if (key === current) append($("messages"), draw(entry), KEPT);
  else if (!quiet && (to !== "room" || mine.has(name))) place(key).unread += 1;
}

/** A line among a room's messages, for those who are in it. */
function note(room, text) {
  if (mine.has(room)) add(`#${room}`, { kind: "note", text }, { quiet: true });
}

function draw(entry) {
  if (entry.kind === "note") return element("li", { class: "note" }, entry.text);
  if (entry.kind === "poll") return drawPoll(entry, badge(entry.from));
  const own = entry.from === me;
  const who = element("b", {}, own ? "You" : entry.from);
  return element(
    "li",
    { class: own ? "said own" : "said", name: entry.from },
    element("p", { class: "who" }, who, badge(entry.from), time(entry.at)),
    element("p", { class: "text" }, entry.text),
  );
}

function badge(name) {
  return people.get(name)?.bot ? element("span", { class: "badge", title: "A scripted client" }, "bot") : "";
}

/** Open a conversation. */
function show(key) {
  current = key;
  place(key).unread = 0;
  clear($("messages"));
  for (const entry of place(key).entries) append($("messages"), draw(entry), KEPT);
  $("messages").scrollTop = $("messages").scrollHeight;
  complain(null);
  render();
}

function open(key) {
  show(key);
  document.querySelector(".places [aria-current]").scrollIntoView({ block: "nearest", inline: "center" });
  if (matchMedia("(min-width: 48rem)").matches) $("text").focus(); // on a phone it would bring up the keyboard
}

function render() {
  nodes.show($("nodes"), [...people.values()]);
  renderPlaces();
  renderTalk();
}

function renderPlaces() {
  const item = (key, label, note, extra) => {
    return { key, label, note, unread: place(key).unread, current: key === current, ...extra };
  };
  const others = [...people.values()].filter(({ name }) => name !== me).sort((a, b) => a.name.localeCompare(b.name));
  const talkedTo = [...places.values()].filter(({ to, entries }) => to === "user" && entries.length);
  const gone = talkedTo.filter(({ name }) => !people.has(name));
  keyed($("everyone"), [item("everyone", "Everyone", String(people.size))], open);
  const room = ([name, members]) => item(`#${name}`, `# ${name}`, String(members.size), { dim: !mine.has(name) });
  keyed($("rooms"), [...rooms].map(room), open);
  const here = others.map(({ name, bot }) => item(`@${name}`, name, bot ? "bot" : "", { name }));
  const away = gone.map(({ key, name }) => item(key, name, "gone", { name, dim: true }));
  keyed($("people"), [...here, ...away], open);
}

function renderTalk() {
  const { to, name } = place(current);
  const member = to !== "room" || mine.has(name);
  $("title").textContent = { everyone: "Everyone", room: `# ${name}`, user: name }[to];
  $("subtitle").textContent = {
    everyone: "Reaches every client, on every node.",
    room: member ? "Reaches those who joined the room." : "What is said in a room reaches those who joined it.",
    user: "Reaches this one person, and nobody else.",
  }[to];
  $("membership").hidden = to !== "room";
  $("membership").textContent = member ? "Leave room" : "Join room";
  $("membership").classList.toggle("primary", !member);
  $("members").hidden = to !== "room";
  const members = to === "room" ? [...(rooms.get(name) ?? [])].sort() : [];
  keyed($("members"), members.map((each) => ({ key: each, label: each === me ? "you" : each, name: each })));
  const disabled = !member || $("status").dataset.state !== "on";
  $("text").disabled = $("send").disabled = disabled;
  const whom = { everyone: "everyone", room: `#${name}`, user: name }[to];
  $("text").placeholder = member ? `Write to ${whom} …` : "Join the room to write in it";
}

function activity(text) {
  log($("activity"), element("li", {}, time(Date.now() / 1000), " ", text), 40);
}

function wire(direction, text) {
  const hidden = element("span", { class: "sr" }, direction === "in" ? "received" : "sent");
  const shown = element("span", {}, text || "heartbeat");
  log($("wire"), element("li", { class: text ? direction : `${direction} beat` }, hidden, shown), 30);
}

function latency(milliseconds) {
  latencies.push(milliseconds);
  if (latencies.length > 40) latencies.shift();
  $("milliseconds").textContent = milliseconds < 10 ? milliseconds.toFixed(1) : Math.round(milliseconds);
  $("spark").setAttribute("points", sparkline(latencies, 80, 20));
}

// The controls

$("enter-form").onsubmit = (submitted) => {
  submitted.preventDefault();
  $("enter-alert").textContent = "";
  if (connection === null && $("name").value.trim()) enter($("name").value.trim());
};
$("go").onclick = () => connection?.close();
$("membership").onclick = toggleMembership;
$("new-room").onsubmit = async (submitted) => {
  submitted.preventDefault();
  const room = $("room-name").value.trim();
  $("room-name").value = "";
  await join(room);
  if (mine.has(room)) show(`#${room}`);
};
$("say").onsubmit = async (submitted) => {
  submitted.preventDefault();
  const text = $("text").value.trim();
  if (!text || connection === null) return;
  complain(null);
  $("text").value = "";
  try {
    await say(text);
  } catch (error) {
    complain(error);
    $("text").value ||= text; // not lost: it can be sent again
  }
};

const given = new URLSearchParams(location.search).get("name"); // /?name=Nora comes in at once
$("name").value = given ?? localStorage.getItem("name") ?? `Guest ${Math.floor(100 + Math.random() * 900)}`;
$("name").select();
if (given) enter(given);
