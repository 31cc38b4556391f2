import { ABNORMAL, BACKGROUND, CLIENT_CLOSED, type Close, NORMAL, type Policy } from "./close.js";
import { NotConnected, Refused } from "./errors.js";
import type { HookCaller } from "./hooks.js";
import { isHidden } from "./page.js";
import { Phase } from "./phases.js";
import type { Retries } from "./retries.js";
import type { Session, SessionEvents } from "./session.js";
import { after } from "./timers.js";

/** Seconds for one attempt: name resolution, TCP, TLS and the upgrade together. */
const CONNECT_TIMEOUT = 10;

/** What a reconnection calls of its client. */
export interface ReconnectionCallbacks {
  /** Make a session and let it connect; may throw. */
  _dial(owner: SessionEvents, url: string): Session;
  /** Attempts begin, or no more will be made. */
  _wanted(wanted: boolean): void;
  /** The client was let in, and queued messages can be sent. */
  _ready(): void;
}

/** The options that decide about connections. */
export interface ReconnectionOptions {
  /** Return the URL of the next attempt, or a promise of it; may throw. */
  readonly address: () => string | Promise<string>;
  readonly reconnectPolicy: Policy;
  /** Attempts in a row; null or undefined for no limit. */
  readonly retryLimit?: number | null | undefined;
  /** Seconds until a connection is stable. */
  readonly stableAfter: number;
  /** Messages that are queued until the server has let the client in; 0 or undefined for none. */
  readonly queueLimit?: number | undefined;
}

/** What tests add, to be told of each phase that is entered. The script leaves it out. */
interface Watched {
  _watch?(phase: Phase): void;
}

/**
 * The lasting connection of a client, over one session after the other: connects, and connects again after a loss, until
 * it is told to stop.
 */
export type Reconnection = ReturnType<typeof makeReconnection>;

export function makeReconnection(
  { _dial, _wanted, _ready }: ReconnectionCallbacks,
  { address, reconnectPolicy: policy, retryLimit, stableAfter, queueLimit }: ReconnectionOptions,
  retries: Retries,
  { _fire, _report }: HookCaller,
) {
  let phase = Phase.Idle;
  let current: Session | null; // also while its attempt is under way
  let lost = false; // once there was a connection, or `reconnect` was called: what is not open is lost
  let atOnce = false;
  let planned: unknown; // while waiting: handlers have heard of the next attempt, and it may begin
  let timer: ReturnType<typeof setTimeout> | undefined;
  const waiters: [resolve: () => void, reject: (error: NotConnected) => void][] = [];
  let last: Close | null = null; // how a connection or an attempt ended
  let closing: Promise<void> | undefined;
  // Number of beginnings and ends so far: a handler may end the attempts, and begin others.
  let run = 0;

  // Hooks that a handler brings about are called when all handlers of the first have been: so openings and ends alternate.
  const due: [hook: "onOpen" | "onClose", ...args: any[]][] = [];
  const tell = (...notice: (typeof due)[0]) => {
    if (due.push(notice) < 2) for (; due[0]; due.shift()) _fire(...(due[0] as ["onOpen"]));
  };
  const release = (error?: NotConnected) => waiters.splice(0).forEach((settle) => settle[error ? 1 : 0](error!));

  const enter = (next: Phase) => {
    FULL: if (next !== phase) (reconnection as Watched)._watch?.(next);
    phase = next;
    planned = 0;
  };

  /** Make no more attempts. Others may begin at once. */
  const end = (why: NotConnected) => {
    clearTimeout(timer);
    run++;
    current = null;
    enter(Phase.Idle);
    lost = false;
    _wanted(false);
    release(why);
  };

  /** A connection ended, or an attempt failed: go on, unless the policy or a handler ends it. */
  const over = (close: Close) => {
    const was = phase;
    const why = was === Phase.Open ? new Refused(close.code, close.reason) : new NotConnected(close);
    clearTimeout(timer);
    current = null;
    enter(Phase.Waiting);
    last = close;
    const began = ++run;
    let again;
    // Decided at once, so that handlers of onClose see `reconnecting`.
    try {
      again = atOnce || policy(close);
    } catch (error) {
      _report(error);
    }
    if (began === run && !again) end(why);
    if (was >= Phase.Open) tell("onClose", close);
    else if (!atOnce) _report(why); // else _retryNow cut it short
    if (began !== run) return;
    // Closed because it was in the background: it comes back when the page is shown, and _wake is called.
    if (close.code === BACKGROUND && !atOnce && isHidden()) planned = 1;
    else plan();
  };

  /** Wait for the next attempt, if there is one. */
  const plan = () => {
    const retry = retries._next(atOnce);
    if (!retry) {
      end(new NotConnected(last, `gave up after ${retryLimit} attempts`));
      _fire("onGiveUp", retryLimit!);
      return;
    }
    const began = run;
    _fire("onReconnect", retry.attempt, retry.delay);
    if (began !== run) return; // a handler has ended it
    planned = 1;
    if (atOnce) dial();
    else timer = after(retry.delay, dial);
  };

  const dial = () => {
    clearTimeout(timer);
    _wanted(true);
    atOnce = false;
    enter(Phase.Connecting);
    const began = ++run;
    const go = (url: string) => {
      if (began === run) current = _dial(owner, url);
    };
    const fail = (error: unknown) => {
      if (began === run) over({ code: ABNORMAL, reason: String(error) });
    };
    timer = after(CONNECT_TIMEOUT, () => (current ? current._abort : fail)(`no answer within ${CONNECT_TIMEOUT} s`));
    try {
      const url = address();
      if (typeof url === "string") go(url);
      else url.then(go).catch(fail);
    } catch (error) {
      fail(error);
    }
  };

  const owner: SessionEvents = {
    _opened() {
      clearTimeout(timer);
      enter(Phase.Open);
      lost = true;
      tell("onOpen");
    },

    _letIn() {
      enter(Phase.Ready);
      timer = after(stableAfter, retries._reset);
      release();
      _ready();
    },

    _stable: retries._reset,

    _closed(ended, close) {
      if (ended === current) over(close);
    },
  };

  const reconnection = {
    /**
     * Send a message, or return false if there is no connection that can; throws InvalidPayload. `early`: before the client
     * is let in too, where messages can wait for that.
     */
    _send: (message: unknown, early?: unknown, gently?: boolean) =>
      phase >= (early || !queueLimit ? Phase.Open : Phase.Ready) && current!._send(message, gently),

    /** The error to throw where there is no connection. */
    _missing: () => new NotConnected(last),

    /** Whether a connection was lost and the next one is still to come. */
    _reconnecting: () => lost && phase < Phase.Open,

    /** Wait until let in; start if nothing is under way. */
    _connect(): Promise<void> {
      const connected = new Promise<void>((...settle) => waiters.push(settle));
      connected.catch(() => {}); // onError, onClose and onGiveUp tell who does not wait for it
      if (phase === Phase.Ready) release();
      if (phase === Phase.Idle) {
        retries._reset();
        dial();
      }
      return connected;
    },

    /** Drop the connection or the attempt, and connect anew at once. */
    _retryNow(reset?: boolean): void {
      if (reset) retries._reset();
      atOnce = lost = true;
      if (current) current._abort("reconnecting", NORMAL);
      else if (planned) dial();
      else if (phase !== Phase.Waiting) {
        enter(Phase.Waiting);
        plan();
      } // else it is being planned, and will be due at once
    },

    /** Make the next attempt now: the page is shown, or the network is back. */
    _wake(): void {
      if (planned) dial();
    },

    /** Close the connection, or end the attempts; resolves when nothing is left. */
    async _stop(): Promise<void> {
      const was = current;
      const open = phase >= Phase.Open;
      const close = { code: CLIENT_CLOSED, reason: "closed by the client" };
      end(new NotConnected(close));
      if (open) {
        last = close;
        closing = was!._close(close);
        tell("onClose", close); // now: a new connection does not wait for the handshake
      } else if (was) was._abort(close.reason);
      return closing;
    },
  };
  return reconnection;
}
