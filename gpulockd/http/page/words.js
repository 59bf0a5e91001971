// How numbers and moments are written.

/** Seconds, for people: two units at most. */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 10) return `${minutes} min ${whole % 60} s`;
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** A moment of the daemon's wall clock, in the reader's time zone. */
export function moment(seconds, withSeconds = false) {
  const options = { hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...(withSeconds && { second: "2-digit" }) };
  return new Date(seconds * 1000).toLocaleTimeString("en-GB", options);
}

export function memory(bytes) {
  const gib = bytes / 2 ** 30;
  return gib >= 10 ? gib.toFixed(0) : gib.toFixed(1);
}

/** What a lock is for, if its holder said so. */
export function titleOf(lock) {
  return lock.task || lock.command || lock.lock || lock.id;
}

const ENDS = {
  released: "given back",
  died: "its process died",
  disconnected: "its connection ended",
  "cut-off": "its connection was cut off",
  abandoned: "its holder did not come back",
  revoked: "revoked",
  "max-hold": "held for too long",
  stalled: "stalled",
  "lease-lost": "the lease was lost",
};
const WITH_ITS_HOLDER = new Set(["died", "disconnected", "cut-off", "abandoned"]);

export function endInWords(bar) {
  const words = ENDS[bar.how] ?? bar.how;
  return bar.by && bar.how === "revoked" ? `${words} by ${bar.by}` : words;
}

/** Its colour. */
export function kindOf(how) {
  if (how === "released") return "released";
  return WITH_ITS_HOLDER.has(how) ? "died" : "taken";
}
