/**
 * The client protocol. An event is `{event, payload}`. A client's call adds `callbackId` and is answered
 * `{payload, callbackId}` or `{callbackId, error}`; a server's call adds `callId` and is answered `{callId, payload}`
 * or `{callId, error}`. The order of the keys is the original's. Events and calls of a client that traces end in
 * `traceparent`.
 */
import { InvalidPayload, UsageError } from "./errors.js";

/** Any message, as it arrives. */
export interface Message {
  event?: string | null;
  payload?: unknown;
  callbackId?: string | null;
  callId?: string | null;
  error?: { code: string; message?: string } | null;
  traceparent?: string;
  /** The position behind a message of a room that keeps history. */
  at?: unknown;
}

/** A message in the form it travels in: text, or bytes for a binary frame. */
export type Encoded = string | Uint8Array;

/** Encodes messages for frames, and decodes them. Both throw if that is not possible. */
export interface Codec {
  /** The WebSocket subprotocol of the codec; "" for JSON, which needs none. */
  readonly subprotocol: string;
  encode(message: unknown): Encoded;
  decode(raw: Encoded): unknown;
}

export const JSON_CODEC: Codec = {
  subprotocol: "",
  // Half of a surrogate pair is no text: JSON.stringify writes its escape, which no server takes. What is escaped itself stays.
  encode: (message) => JSON.stringify(message).replace(/(\\\\)|\\ud.../g, (_, escaped) => escaped || "\ufffd"),
  decode: (raw) => JSON.parse(typeof raw === "string" ? raw : new TextDecoder().decode(raw)),
};

/** Return the name of an event if it is valid. */
export function requireEvent(name: string): string {
  if (typeof name !== "string" || !/^[^$]/.test(name)) {
    throw new UsageError(`event: ${name} can't be used`);
  }
  return name;
}

/** A payload as JSON has it: there is no undefined. */
export function orNull(payload: unknown): unknown {
  return payload === undefined ? null : payload;
}

/** Encode a message; throws InvalidPayload if its data has no such form. */
export function encode(codec: Codec, message: unknown): Encoded {
  try {
    return codec.encode(message);
  } catch (error) {
    throw new InvalidPayload((error as Error).message);
  }
}
