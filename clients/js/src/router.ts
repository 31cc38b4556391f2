import { callAll, type Told } from "./dispatch.js";
import { EventError } from "./errors.js";
import type { Teller } from "./hooks.js";
import { type Listeners, makeListeners } from "./listeners.js";
import { requireEvent } from "./messages.js";

/**
 * Asynchronous handlers running at once: beyond, events are dropped and reported, and calls refused with `BUSY`. Not those
 * of events whose handlers were never seen to be asynchronous.
 */
const MAX_RUNNING = 1000;

/** Where the answer to a server's call goes; throws InvalidPayload. */
export type Reply = (refusal: EventError | false | undefined, value?: unknown) => void;

/** Brings what the server says to the handlers of its events, and their outcome back where it asked for one. */
export type Router = ReturnType<typeof makeRouter>;

/** So many names of events without a handler are told of, each once. */
const MAX_UNHEARD = 100;

export function makeRouter({ _report }: Teller) {
  let unheard: Set<string> | undefined; // made where it is needed: the script build tells of none
  const events = new Map<string, Listeners>();
  const running = new Set<unknown>();
  const failure = new EventError("HANDLER_ERROR", "the handler failed");

  const answer = (outcome: unknown, failed: boolean | undefined, reply: Reply) => {
    try {
      reply(failed && (outcome instanceof EventError ? outcome : failure), outcome);
    } catch (unsendable) {
      _report(unsendable); // the handler's mistake, not the caller's
      reply(failure);
    }
  };

  const call = (listeners: Listeners, data: unknown, reply?: Reply) => {
    // What answers: the first value that is not null or undefined, or the first failure.
    let outcome: unknown;
    let failed: boolean | undefined;
    const told: Told = (result, fails) => {
      const counts = !failed && outcome == null;
      if (counts) {
        outcome = result;
        failed = fails;
      }
      // A refusal that is the answer: the caller gets it whole. Anything else stays here.
      if (fails && !(reply && counts && result instanceof EventError)) _report(result);
    };
    const done = () => {
      running.delete(rest);
      if (reply) answer(outcome, failed, reply);
    };
    const rest = callAll(listeners._take(), [data], told);
    if (!rest) return done();
    listeners._slow = true;
    running.add(rest);
    void rest.then(done);
  };

  return {
    /** The listeners of an event. */
    _of(event: string): Listeners {
      // Forgotten when the last handler is: names may be made up anew each time. What removed it may be called again.
      const forget = () => events.get(event) === listeners && events.delete(event);
      const listeners: Listeners = events.get(requireEvent(event)) || makeListeners(forget);
      events.set(event, listeners);
      return listeners;
    },

    /** What runs; cleared when nobody waits for it any longer. */
    _running: running,

    /** Call an event's handlers, and answer with their outcome if the server asked. */
    _deliver(event: string, data: unknown, reply?: Reply): void {
      const listeners = events.get(event);
      if (!listeners) {
        const text = `no handler for '${event}'`;
        if (reply) reply(new EventError("NO_HANDLER", text));
        else
          FULL: {
            unheard = unheard || new Set();
            if (unheard.size < MAX_UNHEARD && unheard.size < unheard.add(event).size) console.warn(text);
          }
      } else if (running.size < MAX_RUNNING || !listeners._slow) call(listeners, data, reply);
      else (reply || _report)(new EventError("BUSY", "busy"));
    },
  };
}
