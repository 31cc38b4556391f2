import { callAll, type OnResult } from "./dispatch.js";
import { EventError } from "./errors.js";
import type { HookCaller } from "./hooks.js";
import { type Listeners, makeListeners } from "./listeners.js";
import { requireEvent } from "./messages.js";
import type { Rooms } from "./rooms.js";

/**
 * Maximum number of asynchronous handlers running at once; over it, events are dropped and reported, and calls refused with
 * `BUSY`, unless all handlers of the event were always synchronous.
 */
const MAX_RUNNING = 1000;

/** Sends the answer to a server's call; throws InvalidPayload. */
export type Reply = (refusal: EventError | false | undefined, value?: unknown) => void;

/** Calls the handlers of the server's events, and answers the server's calls with their outcome. */
export type Router = ReturnType<typeof makeRouter>;

/** Maximum number of names of events without a handler that are logged, each once. */
const MAX_UNHANDLED = 100;

export function makeRouter({ _report }: HookCaller, { _move }: Rooms) {
  let unhandled: Set<string> | undefined; // made when it is needed: the script build logs none
  const events = new Map<string, Listeners>();
  const running = new Set<unknown>();
  const failure = new EventError("HANDLER_ERROR", "the handler failed");

  const answer = (outcome: unknown, failed: boolean | undefined, reply: Reply) => {
    try {
      reply(failed && (outcome instanceof EventError ? outcome : failure), outcome);
    } catch (unsendable) {
      _report(unsendable); // the caller does not get the error: it is a mistake of the handler
      reply(failure);
    }
  };

  const call = (listeners: Listeners, data: unknown, reply?: Reply) => {
    // The answer: the first value that is not null or undefined, or the first failure.
    let outcome: unknown;
    let failed: boolean | undefined;
    const settle: OnResult = (result, fails) => {
      const counts = !failed && outcome == null;
      if (counts) {
        outcome = result;
        failed = fails;
      }
      // A refusal that is the answer is sent to the caller. Any other failure is reported.
      if (fails && !(reply && counts && result instanceof EventError)) _report(result);
    };
    const done = () => {
      running.delete(rest);
      if (reply) answer(outcome, failed, reply);
    };
    const rest = callAll(listeners._take(), [data], settle);
    if (!rest) return done();
    listeners._isAsync = true;
    running.add(rest);
    void rest.then(done);
  };

  return {
    /** The listeners of an event; without a check of an `own` one, of the protocol. */
    _of(event: string, own?: unknown): Listeners {
      // Removed with the last handler: an application may use new names all the time.
      const forget = () => events.get(event) === listeners && events.delete(event);
      const listeners: Listeners = events.get(own ? event : requireEvent(event)) || makeListeners(forget);
      events.set(event, listeners);
      return listeners;
    },

    /** Events and calls whose handlers run; cleared when their number no longer counts. */
    _running: running,

    /**
     * Call an event's handlers, and answer with their outcome if the server asked. Those of a message with the position of one
     * that the client has had are not called.
     */
    _deliver(event: string, data: unknown, at: unknown, reply?: Reply): void {
      if (at && !_move(at)) return;
      const listeners = events.get(event);
      if (!listeners) {
        const text = `no handler for '${event}'`;
        if (reply) reply(new EventError("NO_HANDLER", text));
        else
          FULL: {
            unhandled = unhandled || new Set();
            if (unhandled.size < MAX_UNHANDLED && unhandled.size < unhandled.add(event).size) console.warn(text);
          }
      } else if (running.size < MAX_RUNNING || !listeners._isAsync) call(listeners, data, reply);
      else (reply || _report)(new EventError("BUSY", "busy"));
    },
  };
}
