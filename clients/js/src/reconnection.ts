import { ABNORMAL, BACKGROUND, CLIENT_CLOSED, type Close, NORMAL, type Policy } from "./close.js";
import { NotConnected, Refused } from "./errors.js";
import type { Teller } from "./hooks.js";
import { isHidden } from "./page.js";
import { Phase } from "./phases.js";
import type { Retries } from "./retries.js";
import type { Session, SessionEvents } from "./session.js";
import { after } from "./timers.js";

/** Seconds for one attempt: name resolution, TCP, TLS and the upgrade together. */
const CONNECT_TIMEOUT = 10;

/** What a connection is made with. */
export interface Surroundings {
  /** Makes a session and lets it connect; may throw. */
  _dial(owner: SessionEvents, url: string): Session;
  /** Attempts begin, or no more are made. */
  _wanted(wanted: boolean): void;
  /** A session has room for what waits. */
  _ready(): void;
}

/** The options that decide about connections. */
export interface ReconnectionOptions {
  /** Where to connect, or a promise of it; may throw. */
  readonly address: () => string | Promise<string>;
  readonly reconnectPolicy: Policy;
  /** Attempts in a row; null or undefined for no limit. */
  readonly retryLimit?: number | null | undefined;
  /** Seconds until a connection is a good one. */
  readonly stableAfter: number;
  /** Messages that are kept until the server has let the client in; 0 or undefined for none. */
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
  { _dial, _wanted, _ready }: Surroundings,
  { address, reconnectPolicy: policy, retryLimit, stableAfter, queueLimit }: ReconnectionOptions,
  retries: Retries,
  { _fire, _report }: Teller,
) {
  let phase = Phase.Idle;
  let current: Session | null; // an attempt until it opens
  let lost = false; // or asked for anew: once it was open, what is not open is to be had again
  let atOnce = false;
  let planned: unknown; // while waiting: handlers have heard of the next attempt, and it may begin
  let timer: ReturnType<typeof setTimeout> | undefined;
  const waiters: [resolve: () => void, reject: (error: NotConnected) => void][] = [];
  let last: Close | null = null; // how a connection or an attempt ended
  let closing: Promise<void> | undefined;
  // Counts what was begun and ended: a handler may end the attempts, and begin others.
  let run = 0;

  // What a handler brings about is told when all have heard of its cause: so each hears of openings and ends in turn.
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
    // Decided at once, so that handlers of onClose see what comes next.
    try {
      again = atOnce || policy(close);
    } catch (error) {
      _report(error);
    }
    if (began === run && !again) end(why);
    if (was >= Phase.Open) tell("onClose", close);
    else if (!atOnce) _report(why); // else it was broken off by _retryNow
    if (began !== run) return;
    // Who is in the background comes back when the page is shown, and _wake is called.
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
    if (began !== run) return; // ended by a handler
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

    _entered() {
      enter(Phase.Ready);
      timer = after(stableAfter, retries._reset);
      release();
      _ready();
    },

    _heard: retries._reset,

    _ended(ended, close) {
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

    /** What to throw where there is no connection. */
    _missing: () => new NotConnected(last),

    /** Whether a connection was lost and the next one is still to come. */
    _reconnecting: () => lost && phase < Phase.Open,

    /** Wait until let in; start if nothing is under way. */
    _connect(): Promise<void> {
      const connected = new Promise<void>((...settle) => waiters.push(settle));
      connected.catch(() => {}); // who does not wait for it is told by onError, onClose and onGiveUp
      if (phase === Phase.Ready) release();
      if (phase === Phase.Idle) {
        retries._reset();
        dial();
      }
      return connected;
    },

    /** Drop what there is and connect anew, at once. */
    _retryNow(reset?: boolean): void {
      if (reset) retries._reset();
      atOnce = lost = true;
      if (current) current._abort("reconnecting", NORMAL);
      else if (planned) dial();
      else if (phase !== Phase.Waiting) {
        enter(Phase.Waiting);
        plan();
      } // else it is about to be planned, and will be at once
    },

    /** The time is good: do not wait for the next attempt any longer. */
    _wake(): void {
      if (planned) dial();
    },

    /** Close the connection, or give up getting one; resolves when nothing of it is left. */
    async _stop(): Promise<void> {
      const was = current;
      const open = phase >= Phase.Open;
      const close = { code: CLIENT_CLOSED, reason: "closed by the client" };
      end(new NotConnected(close));
      if (open) {
        last = close;
        closing = was!._close(close);
        tell("onClose", close); // now: who connects anew does not wait for the handshake
      } else if (was) was._abort(close.reason);
      return closing;
    },
  };
  return reconnection;
}
