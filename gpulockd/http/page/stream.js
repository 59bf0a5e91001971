// The connection to the daemon: boards as they come, and the truth about whether they still do.

const SILENCE = 15_000; // milliseconds: three boards that should have come
const AGAIN = 3_000; // milliseconds until another try where the browser makes none

/** Calls `onBoard` with each board, and `onLink` with "live" or "lost" when that changes. */
export function listen(address, onBoard, onLink) {
  let source;
  let watch;

  function expectMore() {
    clearTimeout(watch);
    watch = setTimeout(() => {
      onLink("lost");
      connect();
    }, SILENCE);
  }

  function connect() {
    source?.close();
    source = new EventSource(address);
    source.onmessage = (message) => {
      expectMore();
      onLink("live");
      onBoard(JSON.parse(message.data));
    };
    source.onerror = () => {
      onLink("lost");
      // A refusal ends an EventSource; after a mere loss the browser connects again by itself.
      if (source.readyState === EventSource.CLOSED) {
        clearTimeout(watch);
        watch = setTimeout(connect, AGAIN);
      }
    };
    expectMore();
  }

  connect();
}
