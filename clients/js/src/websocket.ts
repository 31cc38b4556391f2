/** What the client uses of a WebSocket: the browser's own, Node's, or that of the package `ws`. */
export interface WebSocketLike {
  binaryType: string;
  readonly protocol: string;
  readonly bufferedAmount: number;
  readonly readyState: number;
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  send(data: any): void;
  close(code?: number, reason?: string): void;
  /** Cut the connection off; only the package `ws` can. */
  terminate?(): void;
  /** Hear of the answer to the upgrade; only the package `ws` shows it. */
  on?(event: "upgrade", handler: (response: { headers: object }) => void): unknown;
  /** The connection under it; only the package `ws` shows it, and with it the bytes of a message that is still coming. */
  readonly _socket?: { readonly bytesRead: number } | null;
}

export type WebSocketClass = new (url: string, protocols?: string[]) => WebSocketLike;
