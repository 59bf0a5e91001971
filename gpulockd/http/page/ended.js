// The locks that ended last, in words: what the bars say to whoever sees them.

import { element, mark, say } from "./rows.js";
import { duration, endInWords, kindOf, moment, titleOf } from "./words.js";

/** Makes rows `{root, show({bar, gpus})}`. */
export function endedRow() {
  const root = element("tr");
  const [when, gpu, task, user, waited, held, how] = ["", "GPU", "", "", "waited", "held", ""].map((name) => {
    const cell = root.appendChild(element("td"));
    if (name) cell.dataset.column = name;
    return cell;
  });
  task.className = "task";
  waited.className = held.className = "number";
  const swatch = how.appendChild(element("i", "swatch"));
  const words = how.appendChild(element("span"));

  function show({ bar, gpus }) {
    say(when, moment(bar.until));
    say(gpu, gpus.join(", "));
    say(task, bar.locks > 1 ? `${bar.locks} locks${bar.task ? `: ${bar.task}` : ""}` : titleOf(bar));
    say(user, bar.user);
    say(waited, bar.waited >= 1 ? duration(bar.waited) : "–");
    say(held, duration(bar.until - bar.since));
    mark(swatch, "kind", kindOf(bar.how));
    say(words, endInWords(bar));
  }

  return { root, show };
}
