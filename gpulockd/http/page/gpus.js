// A row for each GPU: who has it, or what keeps it from being had, and what happened on it.

import { element, mark, say } from "./rows.js";
import { Lane } from "./timeline.js";
import { duration, endInWords, kindOf, memory, moment, titleOf } from "./words.js";

const RECALLS = { recalled: "asked to let go", terminating: "being ended", killing: "being killed" };

/** Makes a row: `show` what a board says of a GPU and its lock, add bars of the `past`, and `tick` so many seconds on. */
export function gpuRow(axis) {
  const root = element("li", "gpu-row");
  const who = root.appendChild(element("div", "who"));
  const index = who.appendChild(element("span", "index"));
  const what = who.appendChild(element("div", "what"));
  const task = what.appendChild(element("p", "task"));
  const detail = what.appendChild(element("p", "detail"));
  const trouble = what.appendChild(element("div"));
  const load = what.appendChild(element("p", "load"));
  const gauge = what.appendChild(element("div", "gauge"));
  const share = gauge.appendChild(element("i"));
  const time = who.appendChild(element("p", "time"));
  const age = time.appendChild(element("span"));
  const left = time.appendChild(element("small"));
  const lane = new Lane(axis);
  root.append(lane.root);
  let shown;
  let running = "";

  function show(item) {
    shown = item;
    const { gpu, lock } = item;
    mark(root, "state", gpu.state === "free" && gpu.blocked.length ? "shut" : gpu.state);
    root.id = `gpu-${gpu.index}`;
    say(index, String(gpu.index));
    index.title = gpu.uuid;
    say(task, headline(gpu, lock));
    say(detail, lock ? `${lock.user || "unknown"} · ${lock.id}${lock.gpus.length > 1 ? ` · ${lock.gpus.length} GPUs` : ""}` : modelOf(gpu));
    detail.title = lock ? `${lock.command} (pid ${lock.pid})` : gpu.uuid;
    const troubles = troublesOf(gpu, lock);
    trouble.replaceChildren(...troubles.map((each) => element("p", "trouble", each)));
    trouble.hidden = !troubles.length;
    showLoad(gpu);
    showNow();
    tick(0);
  }

  function showLoad(gpu) {
    const parts = [];
    if (gpu.utilization !== null) parts.push(`${Math.round(gpu.utilization * 100)} %`);
    if (gpu.memory_used !== null) parts.push(`${memory(gpu.memory_used)} of ${memory(gpu.memory_total)} GiB`);
    say(load, shown.lock && parts.length ? [...parts, modelOf(gpu)].join(" · ") : parts.join(" · "));
    load.hidden = !parts.length;
    gauge.hidden = gpu.utilization === null;
    share.style.setProperty("--share", gpu.utilization ?? 0);
  }

  function showNow() {
    const { gpu, lock, at } = shown;
    if (lock) {
      running = lock.id;
      const from = at - lock.held_for;
      const label = `${titleOf(lock)}${lock.user ? ` · ${lock.user}` : ""}`;
      lane.put(running, { kind: "held", from, to: null, waited: lock.waited, label, facts: () => holding(lock, from, axis.now) });
    } else if (gpu.quarantine) {
      running = `quarantine ${gpu.quarantine.lock}`;
      const from = at - gpu.quarantine.since;
      lane.put(running, { kind: "quarantine", from, to: null, label: `after ${gpu.quarantine.lock}`, facts: () => quarantined(gpu, from) });
    } else {
      running = "";
    }
  }

  function tick(passed) {
    const { gpu, lock } = shown;
    const since = lock ? lock.held_for : gpu.quarantine ? gpu.quarantine.since : null;
    say(age, since === null ? "" : duration(since + passed));
    say(left, lock ? ending(lock, passed) : gpu.quarantine ? "in quarantine" : "");
  }

  /** Bars that are new on this GPU, or longer. */
  function past(bars) {
    for (const bar of bars) {
      lane.put(bar.id, {
        kind: kindOf(bar.how),
        from: bar.since,
        to: bar.until,
        waited: bar.waited,
        label: bar.locks > 1 ? `${bar.locks} locks` : `${titleOf(bar)}${bar.user ? ` · ${bar.user}` : ""}`,
        facts: () => ended(bar),
      });
    }
  }

  /** Leaves out what ended before `oldest`, or is not among the `known` bars, or went on before and does no more. */
  function tidy(oldest, known) {
    lane.tidy(oldest, (key) => key === running || known.has(key));
  }

  return { root, lane, uuid: () => shown.gpu.uuid, show, tick, past, tidy };
}

/** Without what every name of a GPU begins with. */
function modelOf(gpu) {
  return gpu.name.replace(/^NVIDIA /, "");
}

function headline(gpu, lock) {
  if (lock) return titleOf(lock);
  if (gpu.quarantine) return "in quarantine";
  return gpu.blocked.length ? "out of service" : "free";
}

function ending(lock, passed) {
  if (lock.state !== "held") return RECALLS[lock.state] ?? lock.state;
  if (lock.progress !== null) return `${Math.round(lock.progress * 100)} % done`;
  return lock.time_left === null ? "no end" : `${duration(lock.time_left - passed)} left`;
}

function troublesOf(gpu, lock) {
  const troubles = [...gpu.blocked];
  if (gpu.quarantine) {
    const { lock: last, user, reason, culprits } = gpu.quarantine;
    troubles.push(`${last} of ${user || "unknown"} ended: ${reason}`);
    troubles.push(...culprits.map((each) => `still on it: ${processInWords(each)}`));
  }
  troubles.push(...gpu.strangers.map((each) => `has no lock on it: ${processInWords(each)}`));
  if (lock?.stalled) troubles.push("stalled: its task has fallen silent");
  if (lock?.why) troubles.push(`is being taken back: ${lock.why}`);
  if (lock && !lock.connected) troubles.push("its holder has not come back to this daemon yet");
  return troubles;
}

function processInWords(process) {
  const size = process.memory ? `, ${memory(process.memory)} GiB` : "";
  return `pid ${process.pid} (${process.user || "unknown"}${size}) ${process.command}`;
}

function holding(lock, from, now) {
  return [
    titleOf(lock),
    `${lock.id} of ${lock.user || "unknown"}, pid ${lock.pid}`,
    `held since ${moment(from)}, for ${duration(now - from)}`,
    waitedInWords(lock.waited),
    lock.note,
  ];
}

function ended(bar) {
  const span = `${moment(bar.since)} to ${moment(bar.until)}, ${duration(bar.until - bar.since)}`;
  if (bar.locks > 1) return [`${bar.locks} short locks`, [bar.user, bar.task].filter(Boolean).join(", "), span, endInWords(bar)];
  return [titleOf(bar), `${bar.lock} of ${bar.user || "unknown"}`, span, waitedInWords(bar.waited), endInWords(bar)];
}

function quarantined(gpu, from) {
  return ["in quarantine", `since ${moment(from)}`, ...troublesOf(gpu, null)];
}

function waitedInWords(seconds) {
  return seconds >= 1 ? `had waited for ${duration(seconds)}` : "";
}
