import { ABNORMAL, BACKGROUND, CLIENT_CLOSED, type Close, NORMAL, type Policy } from "./close.js";
import { NotConnected } from "./errors.js";
import type { Teller } from "./hooks.js";
import { isHidden } from "./page.js";
import type { Retries } from "./retries.js";
import type { Session, SessionOwner } from "./session.js";
import { after } from "./timers.js";

/** Seconds for one attempt: name resolution, TCP, TLS and the upgrade together. */
const CONNECT_TIMEOUT = 10;

/**
 * Idle: nothing is wanted; Dialling: an attempt is under way; Open: connected; Deciding: handlers are being told what
 * comes next; Pausing: waiting for the time of the next attempt, or for the page to be shown.
 */
const enum Phase {
  Idle,
  Dialling,
  Open,
  Deciding,
  Pausing,
}

/** What a connection is made with. */
export interface Surroundings {
  /** Makes a session and lets it connect; may throw. */
  _dial(owner: SessionOwner): Session;
  /** Attempts begin, or no more are made. */
  _wanted(wanted: boolean): void;
  /** A session can send; called before `onOpen`. */
  _ready(): void;
}

/**
 * Keeps a client connected: connects, and connects again after a loss, until it is told to stop. The connection that
 * should be, as opposed to the sessions that come and go.
 */
export type Reconnection = ReturnType<typeof makeReconnection>;

export function makeReconnection(
  { _dial, _wanted, _ready }: Surroundings,
  policy: Policy,
  retries: Retries,
  { _fire, _hooks, _report }: Teller,
) {
  let phase = Phase.Idle;
  let current: Session | undefined; // an attempt until it opens
  let lost = false; // or asked for anew: once it was open, what is not open is to be had again
  let atOnce = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const waiters: ((error?: NotConnected) => void)[] = [];
  let failure: string;
  let closing: Promise<void> | undefined;
  // Counts what was ended: a handler may end the attempts, and begin others.
  let run = 0;

  const release = (error?: NotConnected) => waiters.splice(0).forEach((settle) => settle(error));

  /** Decide that there will be no more attempts. Others may begin at once. */
  const end = (why: string) => {
    clearTimeout(timer);
    run++;
    current = undefined;
    phase = Phase.Idle;
    lost = false;
    _wanted(false);
    release(new NotConnected(why));
  };

  /** Whether to go on; if not, this ends it. */
  const decide = (close: Close, why: string) => {
    const began = run;
    let again;
    failure = why;
    try {
      again = atOnce || policy(close);
    } catch (error) {
      _report(error);
    }
    if (began !== run) return false; // ended by the policy itself, or by a handler of onError
    if (!again) end(why);
    return again;
  };

  /** Wait for the next attempt, if there is one. */
  const plan = () => {
    const retry = retries._next(atOnce);
    if (!retry) {
      end(`gave up after ${retries._limit} attempts: ${failure}`);
      _fire(_hooks.onGiveUp, retries._limit!);
      return;
    }
    const began = run;
    phase = Phase.Deciding;
    _fire(_hooks.onReconnect, retry.attempt, retry.delay);
    if (began !== run) return; // ended by a handler
    phase = Phase.Pausing;
    if (atOnce) dial();
    else timer = after(retry.delay, dial);
  };

  const dial = () => {
    clearTimeout(timer);
    atOnce = false;
    phase = Phase.Dialling;
    try {
      current = _dial(owner);
      timer = after(CONNECT_TIMEOUT, () => current!._abort(`no answer within ${CONNECT_TIMEOUT} s`));
    } catch (error) {
      failed((error as Error).message);
    }
  };

  const failed = (why: string) => {
    clearTimeout(timer);
    current = undefined;
    phase = Phase.Deciding;
    const began = run;
    const reason = `can't connect: ${why}`;
    if (!atOnce) _report(new NotConnected(reason)); // else it was broken off by _retryNow
    if (began === run && decide({ code: ABNORMAL, reason }, reason)) plan();
  };

  const owner: SessionOwner = {
    _opened() {
      clearTimeout(timer);
      phase = Phase.Open;
      lost = true;
      retries._reset();
      release();
      _ready();
      if (phase === Phase.Open) _fire(_hooks.onOpen); // else it was lost again by what _ready sent
    },

    _ended(ended, close, why) {
      if (ended !== current) return;
      if (phase === Phase.Dialling) return failed(close.reason);
      // Decided at once, so that handlers of onClose see what comes next.
      current = undefined;
      phase = Phase.Deciding;
      const began = run;
      const again = decide(close, why);
      _fire(_hooks.onClose, close);
      if (!again || began !== run) return;
      // Who is in the background comes back when the page is shown, and _wake is called.
      if (close.code === BACKGROUND && !atOnce && isHidden()) phase = Phase.Pausing;
      else plan();
    },
  };

  const reconnection = {
    /** Send a message, or return false if there is no connection that can; throws InvalidPayload. */
    _send: (message: unknown) => phase === Phase.Open && current!._send(message),

    /** Whether a connection was lost and the next one is still to come. */
    _reconnecting: () => lost && phase !== Phase.Open,

    /** Wait until connected; start if nothing is under way. */
    _connect(): Promise<void> {
      const connected = new Promise<void>((resolve, reject) =>
        waiters.push((error) => (error ? reject(error) : resolve())),
      );
      connected.catch(() => {}); // who does not wait for it is told by onError, onClose and onGiveUp
      if (phase === Phase.Open) release();
      if (phase === Phase.Idle) {
        retries._reset();
        _wanted(true);
        dial();
      }
      return connected;
    },

    /** Drop what there is and connect anew, at once. */
    _retryNow(reset?: boolean): void {
      if (reset) retries._reset();
      atOnce = lost = true;
      if (phase === Phase.Idle) _wanted(true);
      if (current) current._abort("reconnecting", NORMAL);
      else if (phase === Phase.Pausing) dial();
      else if (phase !== Phase.Deciding) plan(); // else it is about to be planned, and will be at once
    },

    /** The time is good: do not wait for the next attempt any longer. */
    _wake(): void {
      if (phase === Phase.Pausing) dial();
    },

    /** Close the connection, or give up getting one; resolves when nothing of it is left. */
    async _stop(): Promise<void> {
      const was = current;
      const open = phase === Phase.Open;
      const code = CLIENT_CLOSED;
      const reason = "closed by the client";
      end(reason);
      if (open) closing = was!._close(code, reason).then(() => _fire(_hooks.onClose, { code, reason }));
      else if (was) was._abort(reason, code);
      return closing;
    },
  };
  return reconnection;
}
