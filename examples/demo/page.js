// The page: it keeps what the server told it, and shows it. Whatever somebody wrote only ever becomes text, never HTML.

import { Connection } from "/connection.js";
import { $, append, clear, element, keyed, log, sparkline, time, write } from "/view.js";

const KEPT = 200; // entries of a conversation

let connection = null;
let me = "";
let current = "#lobby";
let countdown = 0;
const people = new Map(); // name -> {name, bot}
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
  let key = sessionStorage.getItem("key"); // proves, after a loss, that the name is ours
  if (!key) sessionStorage.setItem("key", (key = Array.from(crypto.getRandomValues(new Uint8Array(16)), (n) => n.toString(16)).join("")));
  const url = new URL("/", location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.search = new URLSearchParams({ name, key });
  mine.add("lobby");
  connection = new Connection(url.href, { opened, closed, waiting, event, asked, latency, wire });
  status("wait", "Connecting …");
}

function leave() {
  connection.close();
}

function opened() {
  clearInterval(countdown);
  status("on", "Connected");
}

async function welcome({ you, people: all, rooms: list, recent }) {
  me = you;
  localStorage.setItem("name", me);
  $("my-name").textContent = me;
  people.clear();
  rooms.clear();
  for (const person of all) people.set(person.name, person);
  for (const [room, members] of Object.entries(list)) rooms.set(room, new Set(members));
  for (const said of recent) add("everyone", { kind: "said", ...said }, { quiet: true });
  inside(true);
  await Promise.all([...mine].map(join));
  show(current);
}

function closed({ code, reason, again }) {
  latencies.length = 0;
  $("milliseconds").textContent = "–";
  activity(`Connection closed: ${code} ${reason}`.trim());
  for (const { entries } of places.values()) {
    for (const entry of entries) if (entry.kind === "poll") entry.over = true;
  }
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
  for (const id of ["chat", "me", "latency"]) $(id).hidden = !yes;
  if (!yes) clearInterval(countdown);
}

// What the server tells

const handlers = {
  welcome,
  arrived(person) {
    people.set(person.name, person);
    activity(`${person.name} arrived`);
  },
  went({ name }) {
    people.delete(name);
    for (const [room, members] of rooms) if (members.delete(name)) add(`#${room}`, { kind: "note", text: `${name} is gone` });
    forgetEmptyRooms();
    activity(`${name} is gone`);
  },
  joined({ room, name }) {
    const members = rooms.get(room) ?? new Set();
    rooms.set(room, members.add(name));
    if (name !== me) add(`#${room}`, { kind: "note", text: `${name} joined` }, { quiet: true });
    activity(`${name} joined #${room}`);
  },
  left({ room, name }) {
    rooms.get(room)?.delete(name);
    add(`#${room}`, { kind: "note", text: `${name} left` }, { quiet: true });
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
    const poll = place(key).entries.findLast((each) => each.kind === "poll" && each.question === result.question && !each.votes);
    if (poll) Object.assign(poll, result, { over: true });
    else add(key, { kind: "poll", over: true, ...result });
    if (poll && key === current) show(key);
    activity(`#${result.room} was asked: ${result.question}`);
  },
};

function event(name, data) {
  handlers[name]?.(data);
  render();
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
  const { entries, ...rest } = place(key);
  if (entry.kind === "said" && entries.some((each) => each.kind === "said" && each.id === entry.id && each.at === entry.at)) return;
  entry.at ??= Date.now() / 1000;
  entries.push(entry);
  if (entries.length > KEPT) entries.shift();
  if (key === current) append($("messages"), draw(entry), KEPT);
  else if (!quiet && (rest.to !== "room" || mine.has(rest.name))) place(key).unread += 1;
}

function draw(entry) {
  if (entry.kind === "note") return element("li", { class: "note" }, entry.text);
  if (entry.kind === "poll") return drawPoll(entry);
  const own = entry.from === me;
  const head = element("p", { class: "who" }, element("b", {}, own ? "You" : entry.from), badge(entry.from), time(entry.at));
  return element("li", { class: own ? "said own" : "said", name: entry.from }, head, element("p", { class: "text" }, entry.text));
}

function drawPoll(poll) {
  const total = Object.values(poll.votes ?? {}).reduce((sum, votes) => sum + votes, 0);
  const option = (text) => {
    const button = element("button", { type: "button", "aria-pressed": String(poll.choice === text) }, text);
    button.disabled = poll.over || poll.choice !== null;
    button.onclick = () => poll.choose(text);
    if (!poll.votes) return element("li", {}, button);
    const bar = element("span", { class: "bar" });
    bar.style.setProperty("--share", `${(100 * poll.votes[text]) / Math.max(total, 1)}%`);
    return element("li", {}, element("span", {}, `${text}${poll.choice === text ? " (you)" : ""}`), bar, element("b", {}, String(poll.votes[text])));
  };
  const note = poll.votes
    ? `${total} answered${poll.silent ? `, ${poll.silent} did not` : ""}`
    : poll.over ? "Time is up" : poll.choice !== null ? "Your answer is on its way, the others are thinking …" : `The server waits ${Math.round(poll.seconds)} s for your answer`;
  const head = element("p", { class: "who" }, element("b", {}, poll.from), badge(poll.from), element("span", {}, "asks the room"), time(poll.at));
  return element("li", { class: "poll", name: poll.from }, head, element("p", { class: "text" }, poll.question), element("ul", {}, ...poll.options.map(option)), element("p", { class: "fine" }, note));
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

function render() {
  const item = (key, label, note, extra = {}) => ({ key, label, note, unread: place(key).unread, current: key === current, ...extra });
  const open = (key) => {
    show(key);
    if (matchMedia("(min-width: 48rem)").matches) $("text").focus();
  };
  const others = [...people.values()].filter(({ name }) => name !== me).sort((a, b) => a.name.localeCompare(b.name));
  const gone = [...places.values()].filter(({ to, name, entries }) => to === "user" && entries.length && !people.has(name));
  keyed($("everyone"), [item("everyone", "Everyone", String(people.size))], open);
  keyed($("rooms"), [...rooms].map(([room, members]) => item(`#${room}`, `# ${room}`, String(members.size), { dim: !mine.has(room) })), open);
  keyed($("people"), [
    ...others.map(({ name, bot }) => item(`@${name}`, name, bot ? "bot" : "", { name })),
    ...gone.map(({ key, name }) => item(key, name, "gone", { name, dim: true })),
  ], open);

  const { to, name } = place(current);
  const member = to !== "room" || mine.has(name);
  $("title").textContent = { everyone: "Everyone", room: `# ${name}`, user: name }[to];
  $("subtitle").textContent = {
    everyone: "Reaches every client of the server.",
    room: member ? "Reaches those who joined the room." : "You are not in this room: what is said in it does not reach you.",
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
  $("text").placeholder = !member ? "Join the room to write in it" : `Write to ${{ everyone: "everyone", room: `#${name}`, user: name }[to]} …`;
}

function activity(text) {
  log($("activity"), element("li", {}, time(Date.now() / 1000), " ", text), 40);
}

function wire(direction, text) {
  const shown = text === "" ? "heartbeat" : text;
  log($("wire"), element("li", { class: `${direction}${text === "" ? " beat" : ""}` }, element("span", { class: "sr" }, direction === "in" ? "received" : "sent"), element("span", {}, shown)), 30);
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
$("go").onclick = leave;
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
