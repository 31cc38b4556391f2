/** What there is of a page: a worker has no document, Node.js has neither. */
const { document: page, addEventListener: canListen } = globalThis as Partial<typeof globalThis>;

/** Whether nobody can see the page now. */
export function isHidden(): boolean {
  return !!page && page.visibilityState === "hidden";
}

/**
 * Begin or end to watch for moments at which a connection may be had again. Doing either twice does it once.
 *
 * @param online the network is back
 * @param turned the page was shown or hidden
 */
export function watchPage(begin: boolean, online: () => void, turned: () => void): void {
  const act = begin ? "addEventListener" : "removeEventListener";
  if (canListen) globalThis[act]("online", online);
  if (page) page[act]("visibilitychange", turned);
}
