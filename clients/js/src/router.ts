import { callAll, type Told } from "./dispatch.js";
import { EventError } from "./errors.js";
import type { Teller } from "./hooks.js";
import { type AnyHandler, type Listeners, makeListeners } from "./listeners.js";
import { orNull, requireEvent } from "./messages.js";

/** Asynchronous handlers running at once: beyond, events are dropped and reported, and calls refused with `BUSY`. */
const MAX_RUNNING = 1000;

/** Where the answer to a server's call goes; throws InvalidPayload. */
export type Reply = (refusal: EventError | null, value?: unknown) => void;

/** Brings what the server says to the handlers of its events, and their outcome back where it asked for one. */
export type Router = ReturnType<typeof makeRouter>;

export function makeRouter({ _report }: Teller) {
  const events = new Map<string, Listeners>();
  let running = 0;

  const answer = (outcome: unknown, failed: boolean | undefined, reply: Reply) => {
    let error = outcome;
    if (!failed) {
      try {
        return reply(null, outcome);
      } catch (unsendable) {
        _report(unsendable); // the handler's mistake, not the caller's
        error = 0;
      }
    }
    reply(error instanceof EventError ? error : new EventError("HANDLER_ERROR", "the handler failed"));
  };

  const call = (handlers: AnyHandler[], data: unknown, reply?: Reply) => {
    // What answers: the first value that is not null or undefined, or the first failure.
    let outcome: unknown;
    let failed: boolean | undefined;
    const told: Told = (result, fails) => {
      if (!failed && orNull(outcome) === null) {
        outcome = result;
        failed = fails;
      }
      // A refusal is an answer: the caller gets it whole. Anything else stays here.
      if (fails && !(reply && result instanceof EventError)) _report(result);
    };
    const done = () => {
      running--;
      if (reply) answer(outcome, failed, reply);
    };
    running++;
    const rest = callAll(handlers, [data], told);
    if (rest) void rest.then(done);
    else done();
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

    /** Call an event's handlers, and answer with their outcome if the server asked. */
    _deliver(event: string, data: unknown, reply?: Reply): void {
      const listeners = events.get(event);
      if (!listeners) {
        if (reply) reply(new EventError("NO_HANDLER", `this client has no handler for '${event}'`));
      } else if (running < MAX_RUNNING) call(listeners._take(), data, reply);
      else (reply || _report)(new EventError("BUSY", "too many handlers run"));
    },
  };
}
