import type { Teller } from "./hooks.js";
import { after } from "./timers.js";

/** Finds out that the server is gone, and how long a message to it and back takes. At most one heartbeat is on its way. */
export type Heartbeat = ReturnType<typeof makeHeartbeat>;

export interface HeartbeatOptions {
  /** Seconds between two heartbeats, or null for none. */
  readonly pingInterval: number | null;
  /** Seconds of silence to wait for the echo. */
  readonly pongTimeout: number;
}

export function makeHeartbeat({ pingInterval, pongTimeout }: HeartbeatOptions, { _fire }: Teller) {
  let send: (() => unknown) | null; // null while no connection is open
  let giveUp: () => void;
  let moved: (seconds: number) => unknown;
  let sent = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const rest = () => {
    clearTimeout(timer);
    if (send && heartbeat._interval) timer = after(heartbeat._interval, beat);
  };
  const beat = () => {
    wait((sent = performance.now()));
    if (send!()) _fire("onPing");
  };
  const wait = (begun: number) => {
    clearTimeout(timer);
    timer = after(pongTimeout, () => {
      const now = performance.now();
      // A timer that comes late was held up by the page, or by a computer that slept: the echo may wait to be read.
      if (moved(pongTimeout) || now - begun > pongTimeout * 1500) return wait(now);
      heartbeat._stop();
      giveUp();
    });
  };

  const heartbeat = {
    /** Milliseconds of the last echo of the present connection, or null. */
    _latency: null as number | null,

    /** Seconds between two, or null for none. */
    _interval: pingInterval,

    /** A new interval counts from now. */
    _every(seconds: number | null): void {
      heartbeat._interval = seconds;
      if (!sent) rest();
    },

    /**
     * Begin on a new connection; `sender` returns whether it could, `giver` is called when no echo comes in time. `looker`
     * tells whether anything came or went since the heartbeat or the last look, some seconds ago: the echo may stand behind it.
     */
    _start(sender: () => unknown, giver: () => void, looker: (seconds: number) => unknown): void {
      send = sender;
      giveUp = giver;
      moved = looker;
      rest();
    },

    /** End: the connection is closing or gone. */
    _stop(): void {
      clearTimeout(timer);
      send = null;
      sent = 0;
      heartbeat._latency = null;
    },

    /** Ask now whether the server is there: the network may have changed. */
    _probe(): void {
      if (send && heartbeat._interval && !sent) beat();
    },

    /** Take an echo; one that nothing was sent for is ignored. */
    _echoed(): void {
      if (!sent) return;
      const latency = (heartbeat._latency = performance.now() - sent);
      sent = 0;
      rest();
      _fire("onPong", latency);
    },
  };
  return heartbeat;
}
