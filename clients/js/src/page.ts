/** The document, where there is one: a worker has none, nor has Node.js; elsewhere it may have no events. */
const { document: page = {} as Partial<Document> } = globalThis as Partial<typeof globalThis>;

/** Whether nobody can see the page now. */
export function isHidden(): boolean | undefined {
  return page.hidden;
}

/**
 * Begin or end to listen for moments at which an attempt to connect may succeed. Doing either twice does it once.
 *
 * @param online the network is back
 * @param turned the page was shown or hidden
 */
export function watchPage(begin: boolean, online: () => void, turned: () => void): void {
  const act = begin ? "addEventListener" : "removeEventListener";
  FULL: if (!globalThis[act]) return;
  globalThis[act]("online", online);
  if (page[act]) page[act]("visibilitychange", turned);
}
