// The axis of time, and the bars on it. A bar is placed by CSS, from the seconds that it begins and ends at.

import { element, mark, say } from "./rows.js";
import { moment } from "./words.js";

const NEVER = 1e9; // for CSS, the end of what has not ended
const STEPS = [300, 600, 900, 1800, 3600];
const LEGIBLE = 56; // pixels that a bar needs for its label
const TICK = 84; // pixels between two ticks at least

/** The time that the board shows: `now`, and `span` seconds before it. */
export class Axis {
  #made = new Map();
  #origin;

  /** `ticks` and `grid` are filled with the moments that are marked: with their labels, and with lines. `onWidth` is
      called when there is more or less room than before. */
  constructor(board, ticks, grid, onWidth) {
    this.board = board;
    this.ticks = ticks;
    this.grid = grid;
    this.span = 3 * 3600;
    this.now = 0;
    this.width = ticks.clientWidth;
    new ResizeObserver(([entry]) => {
      this.width = entry.contentRect.width;
      this.move(this.now);
      onWidth();
    }).observe(ticks);
  }

  /** Seconds that CSS can count with: since 1970 there are too many for it. */
  since(wall) {
    this.#origin ??= Math.floor(wall);
    return wall - this.#origin;
  }

  move(now) {
    if (!now) return;
    this.now = now;
    this.board.style.setProperty("--now", this.since(now).toFixed(1));
    this.board.style.setProperty("--span", this.span);
    this.#showTicks();
  }

  /** Seconds between two movements that can be seen. */
  get patience() {
    return Math.max(1, this.span / Math.max(this.width, 300) / 2);
  }

  fits(from, to) {
    const shown = Math.min(to ?? this.now, this.now) - Math.max(from, this.now - this.span);
    return (shown / this.span) * this.width >= LEGIBLE;
  }

  #showTicks() {
    const room = Math.max(1, Math.floor(this.width / TICK));
    const step = STEPS.find((each) => this.span / each <= room) ?? 3600;
    const zone = new Date(this.now * 1000).getTimezoneOffset() * 60;
    const first = Math.ceil((this.now - this.span - zone) / step) * step + zone;
    const wanted = new Set();
    // The last one would have no room for its label.
    for (let at = first; at < this.now - (this.span * 40) / Math.max(this.width, 300); at += step) wanted.add(at);
    for (const [at, tick] of this.#made) {
      if (wanted.has(at)) continue;
      for (const each of tick) each.remove();
      this.#made.delete(at);
    }
    for (const at of wanted) {
      if (this.#made.has(at)) continue;
      const label = this.ticks.appendChild(element("span", "tick", moment(at)));
      const line = this.grid.appendChild(element("i", "line"));
      for (const each of [label, line]) each.style.setProperty("--from", this.since(at));
      this.#made.set(at, [label, line]);
    }
  }
}

/** What happened on one GPU, or to one request. */
export class Lane {
  #bars = new Map();

  constructor(axis) {
    this.axis = axis;
    this.root = element("div", "lane");
    this.root.setAttribute("aria-hidden", "true"); // the rows and the table below say the same in words
  }

  /** Shows a bar, or changes the one of the same key. `to` is null for what goes on; `facts` are for the hint. */
  put(key, { kind, from, to, waited = 0, label = "", facts }) {
    let bar = this.#bars.get(key);
    if (!bar) {
      const root = element("div", kind === "wait" ? "wait" : "bar");
      bar = { root, text: root.appendChild(element("span")), wait: null };
      this.#bars.set(key, bar);
      this.root.append(root);
    }
    Object.assign(bar, { from, to, waited });
    mark(bar.root, "kind", kind);
    this.#place(bar.root, from, to);
    say(bar.text, label);
    bar.root.facts = facts;
    if (waited >= 1 && !bar.wait) {
      bar.wait = element("div", "wait");
      this.root.prepend(bar.wait);
    }
    if (bar.wait) {
      this.#place(bar.wait, from - waited, from);
      bar.wait.facts = facts;
    }
    this.#label(bar);
  }

  /** Takes away a bar. */
  drop(key) {
    const bar = this.#bars.get(key);
    bar?.wait?.remove();
    bar?.root.remove();
    this.#bars.delete(key);
  }

  /** Takes away those among `key`s that `keep` says no to, and what lies before `oldest`. */
  tidy(oldest, keep) {
    for (const [key, bar] of this.#bars) {
      if ((bar.to ?? Infinity) < oldest || !keep(key)) this.drop(key);
    }
  }

  /** Shows labels where there is room for them now. */
  relabel() {
    for (const bar of this.#bars.values()) this.#label(bar);
  }

  #label(bar) {
    mark(bar.root, "label", this.axis.fits(bar.from, bar.to));
  }

  #place(target, from, to) {
    target.style.setProperty("--from", this.axis.since(from).toFixed(1));
    target.style.setProperty("--to", to === null ? NEVER : this.axis.since(to).toFixed(1));
  }
}
