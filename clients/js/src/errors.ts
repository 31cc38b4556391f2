/** Every error of the client, in one tree. `code` is for programs and stable; the text is for people and may change. */
import type { Close } from "./close.js";

/** Base of all errors of Crosswire. */
export class CrosswireError<Code extends string | number = string> extends Error {
  constructor(
    message: string,
    readonly code: Code,
  ) {
    super(message);
    this.name = code as string; // what a console shows; the name of the class is lost to minifiers
  }
}

/** Errors of one code. */
const coded = (code: string): new (message: string) => CrosswireError =>
  class extends CrosswireError {
    constructor(message: string) {
      super(message, code);
    }
  };

/** A call that can never work, such as one with an empty event name; thrown where it is made. */
export class UsageError extends coded("USAGE") {}

/** An option that can't be used; the text says what to change. */
export class ConfigError extends coded("CONFIG") {}

/** There is no open connection: it was never made, was lost, or is closing. */
export class NotConnected extends CrosswireError<string | number> {
  /** @param close the end of the last connection, or of the last attempt (1006); null before the first */
  constructor(
    readonly close: Close | null = null,
    message = "not connected",
  ) {
    super(close ? `${message} (${close.code} ${close.reason})` : message, "WS_NOT_OPEN");
  }
}

/** The server closed the connection instead of letting the client in, with a code that is final. */
export class Refused extends NotConnected {
  /** The close code, such as 4011. */
  declare readonly code: number;
  declare readonly reason: string;

  /** @param reason the server's reason */
  constructor(code: number, reason: string) {
    super({ code, reason });
    Object.assign(this, this.close);
  }
}

/** A call was sent and nobody answered within its timeout. It may still have been carried out. */
export class CallTimeout extends coded("CALLBACK_TIMEOUT") {}

/** A refusal: throw it in a handler and the caller's `call` throws the same. */
export class EventError extends CrosswireError {
  /**
   * @param code for programs, such as `"full"`
   * @param message text for people; it crosses the network, so it must contain no secrets
   */
  constructor(code: string, message = "") {
    super(message, code);
  }
}

/** Data that can't be sent: it has no form on the wire. */
export class InvalidPayload extends EventError {
  constructor(message: string) {
    super("INVALID_PAYLOAD", message);
  }
}
