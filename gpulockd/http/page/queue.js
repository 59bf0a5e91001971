// A row for each request that waits, in the order in which they are served.

import { element, say } from "./rows.js";
import { Lane } from "./timeline.js";
import { duration, moment } from "./words.js";

/** Makes a row: `show` what a board says of a request, and `tick` so many seconds on. */
export function queueRow(axis) {
  const root = element("li", "queue-row");
  const who = root.appendChild(element("div", "who"));
  const place = who.appendChild(element("span", "index"));
  const what = who.appendChild(element("div", "what"));
  const task = what.appendChild(element("p", "task"));
  const detail = what.appendChild(element("p", "detail"));
  const time = who.appendChild(element("p", "time"));
  const waited = time.appendChild(element("span"));
  const left = time.appendChild(element("small"));
  const lane = new Lane(axis);
  root.append(lane.root);
  let shown;

  function show(item) {
    shown = item;
    const { request, at } = item;
    say(place, String(request.position));
    say(task, request.task || request.id);
    say(detail, `${request.user || "unknown"} · wants ${wish(request)}`);
    const from = at - request.waited;
    lane.put("wait", {
      kind: "wait",
      from,
      to: null,
      facts: () => [request.task || request.id, `${request.id} of ${request.user || "unknown"}, pid ${request.pid}`, `waits since ${moment(from)} for ${wish(request)}`],
    });
    tick(0);
  }

  function tick(passed) {
    const { request } = shown;
    say(waited, duration(request.waited + passed));
    say(left, request.time_left === null ? "" : `gives up in ${duration(request.time_left - passed)}`);
  }

  return { root, lane, show, tick };
}

function wish(request) {
  if (request.wants) return `${request.count === 1 ? "GPU" : `${request.count} GPUs:`} ${request.wants}`;
  return request.count === 1 ? "1 GPU" : `${request.count} GPUs`;
}
