/** Every error of the client, in one tree. `code` is for programs and stable; the text is for people and may change. */

/** Base of all errors of Crosswire. */
export class CrosswireError extends Error {
  constructor(
    message: string,
    readonly code: string,
  ) {
    super(message);
    this.name = code; // what a console shows; the name of the class is lost to minifiers
  }
}

/** A call that can never work, such as one with an empty event name; thrown where it is made. */
export class UsageError extends CrosswireError {
  constructor(message: string) {
    super(message, "USAGE");
  }
}

/** An option that can't be used; the text says what to change. */
export class ConfigError extends CrosswireError {
  constructor(message: string) {
    super(message, "CONFIG");
  }
}

/** There is no open connection: it was never made, was lost, or is closing. */
export class NotConnected extends CrosswireError {
  constructor(message = "not connected") {
    super(message, "WS_NOT_OPEN");
  }
}

/** A call was sent and nobody answered within its timeout. It may still have been carried out. */
export class CallTimeout extends CrosswireError {
  constructor(message: string) {
    super(message, "CALLBACK_TIMEOUT");
  }
}

/** A refusal: throw it in a handler and the caller's `call` throws the same. */
export class EventError extends CrosswireError {
  /**
   * @param code what a program compares, such as `"full"`
   * @param message what a person reads; it crosses the network, so no secrets in it
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
