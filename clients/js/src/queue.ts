import { type Codec, encode, type Message } from "./messages.js";

/** The policy of a full queue: refuse a message with NotConnected, or drop the oldest message. */
export type QueuePolicy = "refuse" | "drop-oldest";

export interface QueueOptions {
  /** Messages; 0 or undefined for no queue. */
  readonly queueLimit?: number | undefined;
  readonly queuePolicy?: QueuePolicy | undefined;
  /** Checks at once whether a message can be encoded. */
  readonly codec: Codec;
}

/** Keeps messages that are sent while the client is not let in, and sends them in order when it is let in. */
export function makeQueue({ queueLimit: limit, queuePolicy, codec }: QueueOptions) {
  let waiting: Message[] = [];
  return {
    /** Whether a message waits. */
    _waits: () => waiting[0],

    /** Keep a message, or return nothing if there is no room; throws InvalidPayload. */
    _add(message: Message): unknown {
      if (!limit || (waiting[limit - 1] && queuePolicy !== "drop-oldest")) return;
      // A copy: the application may change its data afterwards.
      return (waiting = [...waiting, codec.decode(encode(codec, message)) as Message].slice(-limit));
    },

    /**
     * Send the messages until `send` returns false. `call` reports a message that can't be encoded, which is dropped and does
     * not stop the others.
     */
    _flush(send: (message: Message) => unknown, call: (act: () => void) => void): void {
      for (let sent: unknown = 1; sent && waiting[0];) {
        const [first] = waiting;
        call(() => (sent = send(first)));
        if (sent && first === waiting[0]) waiting.shift(); // if not, it was dropped meanwhile
      }
    },

    /** Drop all messages. */
    _clear: () => waiting.splice(0),
  };
}
