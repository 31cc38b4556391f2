// The page: three panes, each a client of another node, and the cluster as the first of them sees it.

import { Cluster } from "/cluster.js";
import { Pane } from "/pane.js";
import { $, element, write } from "/view.js";

const NAMES = ["Nora", "Milo", "Pia"];
const panes = [];
const cluster = new Cluster(kill);

function add(name, home) {
  const pane = new Pane(name, cluster, told);
  const tab = element("button", { type: "button" }, name);
  tab.onclick = () => show(pane);
  pane.element.addEventListener("focusin", () => readAloud(pane));
  panes.push(pane);
  $("panes").append(pane.element);
  $("tabs").append(tab);
  pane.isAloud = panes.length === 1;
  pane.start(home);
}

/** Shows one pane at a time on a phone, elsewhere all of them. */
function show(pane) {
  readAloud(pane);
  for (const [index, each] of panes.entries()) {
    each.element.classList.toggle("shown", each === pane);
    $("tabs").children[index].setAttribute("aria-pressed", String(each === pane));
  }
}

/** Lets a screen reader announce only one pane: the one with the focus, or the last that had it. */
function readAloud(pane) {
  for (const each of panes) each.isAloud = each === pane;
}

/** Returns the pane whose node shows the cluster. */
function eyes() {
  return panes.find(({ isOpen }) => isOpen);
}

async function kill(name) {
  const open = panes.filter(({ isOpen }) => isOpen);
  const asker = open.find(({ node }) => node !== name) ?? open[0]; // the victim can't answer
  if (!asker) throw new Error("No server is there to ask.");
  await asker.kill(name);
}

function told(pane, vitals) {
  write($("tabs").children[panes.indexOf(pane)], `${pane.name}\n${pane.node}`);
  if (pane !== eyes()) return; // for a moment, two nodes may see different states
  cluster.learn(vitals);
  if (panes.length > 1) return;
  const others = NAMES.slice(1, vitals.nodes.length);
  let home = vitals.node;
  for (const name of others) {
    home = cluster.after(home);
    add(name, home);
  }
}

function tick() {
  const pane = eyes();
  if (!pane && panes.every(({ isOff }) => isOff)) cluster.leave();
  else if (!pane) cluster.lose();
  pane?.askForVitals().catch(() => {}); // the connection was lost: the next pane is asked
  for (const each of panes) each.comeHome();
}

setInterval(tick, 1000);
add(NAMES[0]);
show(panes[0]);
