import { ConfigError } from "./errors.js";

export type ParamValue = string | number | boolean;

/** Query parameters; an array gives the same name several times. */
export type Params = Readonly<Record<string, ParamValue | readonly ParamValue[]>>;

/** Add query parameters to a `ws://` or `wss://` URL; a query that it already has stays as it is. */
export function joinParams(url: string, params?: Params): string {
  // Taken apart by hand: the URL of React Native has neither all the parts nor a way to set them.
  const [, origin, path, query] = /^(wss?:\/\/[^/?\s#]+)\/?([^?\s#]*)\??([^\s#]*?)&?$/i.exec(url) || [];
  let valid = origin;
  // The script build leaves the host and the port to the WebSocket.
  FULL: try {
    new URL(url);
  } catch {
    valid = "";
  }
  if (!valid) throw new ConfigError(`url: ${`${url}`.split("?")[0]} can't be used`); // the query may have a token
  const added = new URLSearchParams();
  for (const name in params) {
    for (const value of ([] as unknown[]).concat(params[name])) {
      if (value === undefined || value === null) throw new ConfigError(`params: ${value} can't be used`);
      added.append(name, value as string);
    }
  }
  return `${added}` ? `${origin}/${path}?${query}${query && "&"}${added}` : url;
}
