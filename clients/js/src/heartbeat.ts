import type { HookCaller } from "./hooks.js";
import { after } from "./timers.js";

/** Detects that the server is gone, and measures the round trip. At most one heartbeat is on its way. */
export type Heartbeat = ReturnType<typeof makeHeartbeat>;

export interface HeartbeatOptions {
  /** Seconds between two heartbeats, or null for none. */
  readonly pingInterval: number | null;
  /** Seconds of silence to wait for the echo. */
  readonly pongTimeout: number;
}

export function makeHeartbeat({ pingInterval, pongTimeout }: HeartbeatOptions, { _fire }: HookCaller) {
  let send: (() => unknown) | null; // null while no connection is open
  let giveUp: () => void;
  let moved: (seconds: number) => unknown;
  let sent = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const schedule = () => {
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
      // If the timer is late, the page was busy or the computer slept: the echo may still wait to be read.
      if (moved(pongTimeout) || now - begun > pongTimeout * 1500) return wait(now);
      heartbeat._stop();
      giveUp();
    });
  };

  const heartbeat = {
    /** Milliseconds of the last echo of the present connection, or null. */
    _latency: null as number | null,

    /** Seconds between two heartbeats, or null for none. */
    _interval: pingInterval,

    /** Set a new interval, which counts from now. */
    _every(seconds: number | null): void {
      heartbeat._interval = seconds;
      if (!sent) schedule();
    },

    /**
     * Begin on a new connection. `sendBeat` sends a heartbeat and returns whether it could; `onNoEcho` is called when no echo
     * comes in time. `hasMoved` returns whether bytes came or went in the last seconds: the echo may be queued behind them.
     */
    _start(sendBeat: () => unknown, onNoEcho: () => void, hasMoved: (seconds: number) => unknown): void {
      send = sendBeat;
      giveUp = onNoEcho;
      moved = hasMoved;
      schedule();
    },

    /** Stop when the connection is closing or gone. */
    _stop(): void {
      clearTimeout(timer);
      send = null;
      sent = 0;
      heartbeat._latency = null;
    },

    /** Send a heartbeat now: the network may have changed. */
    _probe(): void {
      if (send && heartbeat._interval && !sent) beat();
    },

    /** Note an echo; one without a heartbeat is ignored. */
    _echoed(): void {
      if (!sent) return;
      const latency = (heartbeat._latency = performance.now() - sent);
      sent = 0;
      schedule();
      _fire("onPong", latency);
    },
  };
  return heartbeat;
}
