// How a question to a room looks: with buttons while it is open, with bars when its result is known.

import { element, time } from "/view.js";

export function drawPoll(poll, badge) {
  const asks = element("span", {}, "asks the room");
  const options = poll.options.map((option) => (poll.votes ? drawVotes(poll, option) : drawChoice(poll, option)));
  return element(
    "li",
    { class: "poll", name: poll.from },
    element("p", { class: "who" }, element("b", {}, poll.from), badge, asks, time(poll.at)),
    element("p", { class: "text" }, poll.question),
    element("ul", {}, ...options),
    element("p", { class: "fine" }, stateOf(poll)),
  );
}

function drawChoice(poll, option) {
  const button = element("button", { type: "button", "aria-pressed": String(poll.choice === option) }, option);
  button.disabled = poll.over || poll.choice !== null;
  button.onclick = () => poll.choose(option);
  return element("li", {}, button);
}

function drawVotes(poll, option) {
  const bar = element("span", { class: "bar" });
  bar.style.setProperty("--share", `${(100 * poll.votes[option]) / Math.max(answers(poll), 1)}%`);
  const label = element("span", {}, poll.choice === option ? `${option} (you)` : option);
  return element("li", {}, label, bar, element("b", {}, String(poll.votes[option])));
}

function answers(poll) {
  return Object.values(poll.votes).reduce((sum, votes) => sum + votes, 0);
}

function stateOf(poll) {
  if (poll.votes) return `${answers(poll)} answered${poll.silent ? `, ${poll.silent} did not` : ""}`;
  if (poll.over) return "Time is up";
  if (poll.choice !== null) return "Your answer is on its way, the others are thinking …";
  return `The server waits ${Math.round(poll.seconds)} s for your answer`;
}
