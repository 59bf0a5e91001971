// Elements that are kept as long as what they show is there, in its order: nothing on the page is made anew.

/** An element with classes and text. What clients named themselves gets into the page as text and nowhere else. */
export function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

/** Writes a text where it differs: an element that is written to is laid out again. */
export function say(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

export function mark(target, name, value) {
  const text = String(value);
  if (target.dataset[name] !== text) target.dataset[name] = text;
}

/** The children of a list, one for each item, by its key. */
export class Rows {
  #shown = new Map();

  /** `make` gives a row `{root, show(item)}` for an item that was not there yet. */
  constructor(list, keyOf, make) {
    this.list = list;
    this.keyOf = keyOf;
    this.make = make;
  }

  show(items) {
    const wanted = new Map(items.map((item) => [this.keyOf(item), item]));
    for (const [key, row] of this.#shown) {
      if (wanted.has(key)) continue;
      row.root.remove();
      this.#shown.delete(key);
    }
    let place = this.list.firstElementChild;
    for (const [key, item] of wanted) {
      let row = this.#shown.get(key);
      if (!row) {
        row = this.make(item);
        this.#shown.set(key, row);
      }
      row.show(item);
      if (row.root === place) place = place.nextElementSibling;
      else this.list.insertBefore(row.root, place);
    }
  }

  *[Symbol.iterator]() {
    yield* this.#shown.values();
  }
}
