/** What there is of a page: a worker has no document, Node.js has neither; elsewhere they may have no events. */
const { document: page = {} as Partial<Document> } = globalThis as Partial<typeof globalThis>;

/** Whether nobody can see the page now. */
export function isHidden(): boolean | undefined {
  return page.hidden;
}

/**
 * Begin or end to watch for moments at which a connection may be had again. Doing either twice does it once.
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
