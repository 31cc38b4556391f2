import { type Given, makeAddress } from "./address.js";
import { type Policy, reconnectsUnlessFinal } from "./close.js";
import { ConfigError } from "./errors.js";
import { type Codec, JSON_CODEC } from "./messages.js";
import type { QueuePolicy } from "./queue.js";
import type { Params } from "./url.js";
import type { WebSocketClass } from "./websocket.js";

/** The options of a client. Times are seconds. */
export interface Options {
  /**
   * Added to the query, such as `{ id: "13" }`; an array of values repeats its name. Or a function that returns them, or a
   * promise of them, called before each attempt: for a token that is fresh. If it fails, so did the attempt.
   */
  params?: Given<Params> | undefined;
  /** Offered to the server, the favourite first. That of MessagePack needs `codec`, which offers it by itself. */
  subprotocols?: readonly string[] | undefined;
  /** `msgpack` of `crosswire-client/msgpack`: messages travel as MessagePack if the server agrees. */
  codec?: Codec | undefined;
  /** Between two heartbeats, or null for none. Default 10. */
  pingInterval?: number | null | undefined;
  /**
   * To wait for a heartbeat's echo while nothing else comes or leaves; then the connection counts as lost. A browser shows
   * a message only when all of it is there: this must be longer than the largest one takes. Default 2.
   */
  pongTimeout?: number | undefined;
  /** The heartbeat's text; it must be the server's. Default "". */
  pingText?: string | undefined;
  /** That `call` waits for an answer, unless it is told otherwise. Default 5. */
  callTimeout?: number | undefined;
  /** After which `call` gives its pending notice. Default 0.1. */
  pendingAfter?: number | undefined;
  /** Attempts that come soon after a loss. Default 3. */
  fastRetries?: number | undefined;
  /** The longest delay before each of those, doubled for every attempt after them. Default 3. */
  fastInterval?: number | undefined;
  /** No delay is longer. Every delay is drawn evenly from 0 to its bound. Default 120. */
  maxInterval?: number | undefined;
  /** Attempts in a row, or null, the default, for no limit. A good connection starts the count anew: see `stableAfter`. */
  retryLimit?: number | null | undefined;
  /**
   * That a connection must last, from when the server let the client in, to be a good one, unless a message comes before.
   * Others count as attempts that failed. Default 5.
   */
  stableAfter?: number | undefined;
  /**
   * Tells from a `Close` whether to try again. The default does unless the code is 1008, 4001, 4010, 4011 or 4012. An
   * attempt that failed is put to it as 1006. What it throws counts as a no.
   */
  reconnectPolicy?: Policy | undefined;
  /**
   * Messages kept by `send` while there is no connection that takes them, until there is one; more than 16 MiB may need
   * several. Default 0: `send` throws NotConnected.
   */
  queueLimit?: number | undefined;
  /** What a full queue does: "refuse", the default, throws NotConnected; "drop-oldest" forgets the oldest message. */
  queuePolicy?: QueuePolicy | undefined;
  /**
   * Tell the server when nobody can see the page. It closes the connection with 4013 if that lasts longer than its
   * `Heartbeat.background`; the client comes back when the page is shown. Default true, in browsers.
   */
  backgroundNotice?: boolean | undefined;
  /** The WebSocket to use, such as that of the package `ws` where there is none. */
  WebSocket?: WebSocketClass | undefined;
}

/** Options that have been checked, with every default filled in, and the codec's subprotocol offered first. */
export type Settings = Readonly<Pick<Options, Unset>> &
  Filled<Omit<Options, Unset | "params">> & { readonly address: ReturnType<typeof makeAddress> };

type Filled<Some> = { readonly [Name in keyof Some]-?: Exclude<Some[Name], undefined> };

/** Without these there is no limit, no queue, and all is as usual: they need no default. */
type Unset = "retryLimit" | "queueLimit" | "queuePolicy" | "backgroundNotice";

const DEFAULTS = {
  codec: JSON_CODEC,
  pingInterval: 10,
  pongTimeout: 2,
  pingText: "",
  callTimeout: 5,
  pendingAfter: 0.1,
  fastRetries: 3,
  fastInterval: 3,
  maxInterval: 120,
  stableAfter: 5,
  reconnectPolicy: reconnectsUnlessFinal,
};

/** Check options: what can't work is refused when the client is made. */
export function checked(url: Given<string>, { params, ...options }: Options): Settings {
  const settings: Record<string, any> = {
    ...DEFAULTS,
    WebSocket: globalThis.WebSocket,
    address: makeAddress(url, params),
  };
  for (const name in options) {
    const value = options[name as keyof typeof options];
    if (value === undefined) continue; // an option given as undefined was not given
    if (typeof value === "number") requireNumber(name, value); // TypeScript looks after the other kinds
    settings[name] = value;
  }
  FULL: if (!settings.WebSocket) throw new ConfigError("no WebSocket");
  // Each once and well-formed (RFC 6455, section 4.1): a WebSocket refuses others at every attempt.
  let offered = ([] as string[]).concat(settings.codec.subprotocol, settings.subprotocols).filter((name) => name);
  FULL: offered = [...new Set(offered)];
  FULL: if (/[^!#-'*+.\w^`|~-]/.test(offered.join(""))) throw new ConfigError(`subprotocols: ${offered} can't be used`);
  settings.subprotocols = offered;
  return settings as Settings;
}

/** Return a number if it can be used: finite, not negative, more than 0 where 0 would be of no use, whole if it counts. */
export function requireNumber(name: string, value: number): number {
  const sensible = /imeout|pingI/.test(name) ? value > 0 : !(/imit|tries/.test(name) && value % 1);
  if (value >= 0 && value < Infinity && sensible) return value;
  throw new ConfigError(`${name}: ${value} can't be used`);
}
