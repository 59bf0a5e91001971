// What is known of the bar under the pointer, or under a finger.

import { element } from "./rows.js";

const AWAY = 14; // pixels from the pointer

/** `factsOf` a bar give `[title, ...lines]`. */
export function hintAt(board, hint) {
  function hide() {
    hint.hidden = true;
  }

  board.addEventListener("pointermove", (event) => {
    const facts = event.target.closest(".bar, .wait")?.facts;
    if (!facts) return hide();
    const [title, ...lines] = facts();
    hint.replaceChildren(element("strong", "", title), ...lines.filter(Boolean).map((line) => element("span", "", line)));
    hint.hidden = false;
    const { width, height } = hint.getBoundingClientRect();
    const x = Math.min(event.clientX + AWAY, innerWidth - width - 8);
    const y = event.clientY + AWAY + height > innerHeight ? event.clientY - AWAY - height : event.clientY + AWAY;
    hint.style.transform = `translate(${Math.max(8, x)}px, ${Math.max(8, y)}px)`;
  });
  board.addEventListener("pointerleave", hide);
  addEventListener("scroll", hide, { passive: true });
  addEventListener("keydown", (event) => event.key === "Escape" && hide());
}
