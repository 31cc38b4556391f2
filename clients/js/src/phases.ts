/** The phases of a client. spec/phases.json describes them, and what leads from one to the next. */
export const enum Phase {
  Idle,
  Waiting,
  Connecting,
  Open,
  Ready,
}
