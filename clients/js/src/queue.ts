import { NotConnected } from "./errors.js";
import { type Codec, encode } from "./messages.js";

/** What happens to a message that finds the queue full: it is refused with NotConnected, or the oldest one goes. */
export type QueuePolicy = "refuse" | "drop-oldest";

export interface QueueOptions {
  /** Messages; 0 or undefined for no queue. */
  readonly queueLimit?: number | undefined;
  readonly queuePolicy: QueuePolicy;
  /** Finds out at once whether a message can be sent. */
  readonly codec: Codec;
}

/** Messages sent while there is no connection. They leave, in their order, when there is one. */
export function makeQueue({ queueLimit: limit, queuePolicy, codec }: QueueOptions) {
  let waiting: unknown[] = [];
  return {
    /** Keep a message; throws NotConnected if there is no room. */
    _add(message: unknown): void {
      if (!limit || (waiting[limit - 1] && queuePolicy === "refuse")) throw new NotConnected();
      // A copy: the application may change its data afterwards.
      waiting = [...waiting, codec.decode(encode(codec, message))].slice(-limit);
    },

    /** Return and forget what waits. */
    _take: () => waiting.splice(0),
  };
}
