// Joins the parts: boards come in by the stream, and the time goes on between them.

import { endedRow } from "./ended.js";
import { gpuRow } from "./gpus.js";
import { hintAt } from "./hint.js";
import { showLink, showMasthead, tickMasthead } from "./masthead.js";
import { queueRow } from "./queue.js";
import { Rows, say } from "./rows.js";
import { listen } from "./stream.js";
import { Axis } from "./timeline.js";

const LONGEST_SPAN = 6 * 3600;
const MANY = 16; // GPUs, from which on rows are low
const FEW = 20; // requests that are shown at first
const LAST = 12; // locks in the table of those that ended
const MOST = 4000; // bars that are kept

const at = (id) => document.getElementById(id);
const axis = new Axis(at("board"), at("ticks"), at("grid"), relabel);
const gpus = new Rows(at("gpus"), (item) => item.gpu.uuid, () => gpuRow(axis));
const queue = new Rows(at("queue"), (item) => item.request.id, () => queueRow(axis));
const ended = new Rows(at("ended"), (item) => item.bar.id, () => endedRow());

let board = null;
let received = 0; // when, on the clock of this browser: its wall clock need not be the daemon's
let version = "";
let allShown = false;
let bars = new Map();
let lost = false;

function now() {
  return board.at + (performance.now() - received) / 1000;
}

function show(next) {
  if (version && next.version !== version) location.reload(); // the daemon has another page by now
  version = next.version;
  const news = next.ended;
  if (next.whole) bars = new Map();
  for (const bar of news) bars.set(bar.id, bar);
  for (const id of [...bars.keys()].slice(0, Math.max(0, bars.size - MOST))) bars.delete(id);
  board = next;
  received = performance.now();
  axis.move(board.at);
  at("board").dataset.many = board.gpus.length > MANY;
  showMasthead(board);
  showGpus(next.whole ? [...bars.values()] : news);
  showQueue();
  showEnded();
  tick();
}

function showGpus(news) {
  const locks = new Map(board.locks.map((lock) => [lock.id, lock]));
  gpus.show(board.gpus.map((gpu) => ({ gpu, lock: locks.get(gpu.lock), at: board.at })));
  const oldest = board.at - LONGEST_SPAN;
  for (const row of gpus) {
    row.past(news.filter((bar) => bar.until > oldest && bar.gpus.includes(row.uuid())));
    row.tidy(oldest, bars);
  }
}

function showQueue() {
  const shown = allShown ? board.queue : board.queue.slice(0, FEW);
  queue.show(shown.map((request) => ({ request, at: board.at })));
  say(at("queue-count"), board.waiting ? String(board.waiting) : "");
  at("queue-nothing").hidden = board.waiting > 0;
  const more = at("queue-more");
  more.hidden = board.queue.length <= FEW;
  more.setAttribute("aria-expanded", String(allShown));
  say(more, allShown ? `Show the first ${FEW}` : `Show all ${board.queue.length}`);
}

function showEnded() {
  const names = new Map(board.gpus.map((gpu) => [gpu.uuid, gpu.index]));
  const latest = [...bars.values()].sort((a, b) => b.until - a.until).slice(0, LAST);
  ended.show(latest.map((bar) => ({ bar, gpus: bar.gpus.map((uuid) => names.get(uuid) ?? "?") })));
  at("ended-nothing").hidden = latest.length > 0;
  at("ended").parentElement.hidden = !latest.length;
}

/** Ages grow while nothing happens; while the connection is lost nobody knows whether they do. */
function tick() {
  if (!board || lost) return;
  if (now() - axis.now >= axis.patience) axis.move(now());
  for (const row of [...gpus, ...queue]) row.tick(now() - board.at);
  tickMasthead(board, now() - board.at);
}

function relabel() {
  for (const row of gpus) row.lane.relabel();
}

at("spans").addEventListener("change", (event) => {
  axis.span = Number(event.target.value) * 3600;
  if (board) axis.move(now());
  relabel();
});
at("queue-more").addEventListener("click", () => {
  allShown = !allShown;
  showQueue();
});
hintAt(at("board"), at("hint"));
setInterval(tick, 1000);
listen("api/v1/board", show, (link) => {
  lost = link === "lost";
  showLink(link, board && board.at);
});
