// Elements for a message, a note and a question to a room.

import { element, enable, isEnabled, shown } from "/view.js";

/** Returns a message, for the user with that name on that node; `took` is its latency in milliseconds, if known. */
export function drawSaid({ from, node, to, name, text, at }, { me, here, took }) {
  const badge = { everyone: "everyone", room: `#${name}`, user: from === me ? `only ${name}` : "only you" }[to];
  const way = node === here ? node : `${node} → ${here}`;
  const item = element(
    "li",
    { class: from === me ? "said own" : "said", name: from },
    element(
      "p",
      { class: "who" },
      element("b", { dir: "auto" }, from === me ? "You" : from),
      element("span", { class: "badge", dir: "auto" }, badge),
      element("span", { class: "way" }, took === null ? way : `${way} in ${shown(took)} ms`),
      time(at),
    ),
    element("p", { class: "text", dir: "auto" }, text),
  );
  return item;
}

export function drawNote(text) {
  return element("li", { class: "note" }, text);
}

/** Returns a question of the server, with a button for each answer. */
export function drawPoll(poll, choose) {
  const options = poll.options.map((option) => {
    const button = element("button", { type: "button", dir: "auto" }, option);
    button.onclick = () => {
      if (!isEnabled(button)) return;
      choose(option);
      item.querySelector(".fine").textContent = `You said ${option}; the server waits for the others …`;
      close(item);
    };
    return element("li", {}, button);
  });
  const item = drawQuestion(poll, options, `The server waits ${Math.round(poll.seconds)} s for your answer`);
  setTimeout(() => close(item), poll.seconds * 1000);
  return item;
}

/** Returns the result of a question. */
export function drawVotes(poll) {
  const answers = Object.values(poll.votes).reduce((sum, votes) => sum + votes, 0);
  const options = poll.options.map((option) => {
    const bar = element("span", { class: "bar" });
    bar.style.setProperty("--share", `${(100 * poll.votes[option]) / Math.max(answers, 1)}%`);
    return element(
      "li",
      {},
      element("span", { dir: "auto" }, option),
      bar,
      element("b", {}, String(poll.votes[option])),
    );
  });
  return drawQuestion(poll, options, `${answers} answered${poll.silent ? `, ${poll.silent} did not` : ""}`);
}

function drawQuestion({ from, room, question, at }, options, state) {
  const badge = element("span", { class: "badge", dir: "auto" }, `#${room}`);
  return element(
    "li",
    { class: "said poll", name: from },
    element("p", { class: "who" }, element("b", { dir: "auto" }, from), badge, "asks the room", time(at)),
    element("p", { class: "text", dir: "auto" }, question),
    element("ul", {}, ...options),
    element("p", { class: "fine" }, state),
  );
}

function close(item) {
  for (const button of item.querySelectorAll("button")) enable(button, false);
}

function time(seconds) {
  const date = new Date(seconds * 1000);
  const text = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });
  return element("time", { datetime: date.toISOString() }, text);
}
