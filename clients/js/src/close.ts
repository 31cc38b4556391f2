/** The end of a connection: a WebSocket close code, and the reason given with it. */
export interface Close {
  /** RFC 6455, section 7.4. 1005: the server gave no code; 1006: the connection was lost without one. */
  readonly code: number;
  readonly reason: string;
}

export const NORMAL = 1000;
export const ABNORMAL = 1006;
export const POLICY = 1008;
export const CLIENT_CLOSED = 4001;
export const FORCED_LOGOUT = 4010;
export const AUTH_FAILED = 4011;
export const REPLACED = 4012;
export const BACKGROUND = 4013;

/** Decides from the close of a connection, or of an attempt, whether to try again. */
export type Policy = (close: Close) => boolean;

/** The default policy: try again unless the code says not to. */
export function reconnectsUnlessFinal({ code }: Close): boolean {
  return ![POLICY, CLIENT_CLOSED, FORCED_LOGOUT, AUTH_FAILED, REPLACED].includes(code);
}
