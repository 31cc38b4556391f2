import { type Codec, encode, type Message } from "./messages.js";

/** What happens to a message that finds the queue full: it is refused with NotConnected, or the oldest one goes. */
export type QueuePolicy = "refuse" | "drop-oldest";

export interface QueueOptions {
  /** Messages; 0 or undefined for no queue. */
  readonly queueLimit?: number | undefined;
  readonly queuePolicy?: QueuePolicy | undefined;
  /** Finds out at once whether a message can be sent. */
  readonly codec: Codec;
}

/** Messages sent while no server has let the client in. They leave, in their order, when one has. */
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
     * Hand over what waits until `send` returns false. By `call`, which reports what can't be sent: it does not stop the rest,
     * nor count as what came to be first meanwhile.
     */
    _flush(send: (message: Message) => unknown, call: (act: () => void) => void): void {
      for (let sent: unknown = 1; sent && waiting[0];) {
        const [first] = waiting;
        call(() => (sent = send(first)));
        if (sent && first === waiting[0]) waiting.shift();
      }
    },

    /** Forget what waits. */
    _clear: () => waiting.splice(0),
  };
}
