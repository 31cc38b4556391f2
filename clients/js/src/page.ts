/** The document. Workers and Node.js have none; on other platforms it may have no events. */
const { document: page = {} as Partial<Document> } = globalThis as Partial<typeof globalThis>;

/** Whether the page is hidden. */
export function isHidden(): boolean | undefined {
  return page.hidden;
}

/**
 * Begin or end to listen for events after which an attempt to connect may succeed. A repeated call changes nothing.
 *
 * @param online the network is back
 * @param turned the page was shown, or hidden, as it is before it goes
 */
export function watchPage(begin: boolean, online: () => void, turned: () => void): void {
  const act = begin ? "addEventListener" : "removeEventListener";
  FULL: if (!globalThis[act]) return;
  globalThis[act]("online", online);
  if (page[act]) page[act]("visibilitychange", turned);
}
