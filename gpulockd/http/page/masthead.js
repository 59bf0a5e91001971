// The head of the page: which host, how it is, and its locks in four figures.

import { element, mark, say } from "./rows.js";
import { duration, moment } from "./words.js";

const CONDITIONS = { healthy: "healthy", warning: "needs a look", critical: "grants nothing" };
const at = (id) => document.getElementById(id);

export function showMasthead(board) {
  say(at("host"), board.host);
  const condition = at("condition");
  condition.hidden = false;
  mark(condition, "condition", board.condition);
  say(condition, CONDITIONS[board.condition]);
  showIssues(board);

  const held = board.gpus.filter((gpu) => gpu.state === "held").length;
  const out = board.gpus.filter((gpu) => gpu.blocked.length || gpu.quarantine).length;
  share(at("held"), held, board.gpus.length);
  say(at("waiting"), String(board.waiting));
  say(at("out"), String(out));
  mark(at("out"), "alarm", out > 0);
  document.title = `${board.host}: ${held} of ${board.gpus.length} held, ${board.waiting} waiting`;
}

/** What changes with the time alone; `passed` is seconds since the board was made. */
export function tickMasthead(board, passed) {
  const longest = Math.max(0, ...board.queue.map((request) => request.waited + passed));
  say(at("longest"), board.queue.length ? duration(longest) : "–");
  const kind = board.simulated ? "simulated GPUs" : board.driver;
  say(at("daemon"), `gpulockd ${board.version}, ${kind}, up for ${duration(board.uptime + passed)}`);
}

/** `since`: when the last board was made; null: there was none. */
export function showLink(link, since) {
  document.body.dataset.link = link;
  mark(at("link"), "link", link);
  const lost = since === null ? "no connection to the daemon" : `connection lost since ${moment(since, true)}`;
  say(at("link"), link === "live" ? "live" : lost);
}

function showIssues(board) {
  const issues = at("issues");
  issues.hidden = !board.issues.length;
  mark(issues, "condition", board.condition);
  if ([...issues.children].map((each) => each.textContent).join("\n") === board.issues.join("\n")) return;
  issues.replaceChildren(...board.issues.map((issue) => element("li", "", issue)));
}

function share(target, part, whole) {
  const text = `${part} of ${whole}`;
  if (target.textContent === text) return;
  target.replaceChildren(String(part), element("small", "", ` of ${whole}`));
}
