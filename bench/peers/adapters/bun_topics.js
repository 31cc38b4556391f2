// Bun: its server with native topics, which uWebSockets implements. Run it as `bun bun_topics.js`, with `--cert FILE --key
// FILE` for TLS, with `--compression` for permessage-deflate.
import { parseArgs } from 'node:util';

const { values: options } = parseArgs({
  options: {
    name: { type: 'string' },
    cert: { type: 'string' },
    key: { type: 'string' },
    compression: { type: 'boolean', default: false },
  },
});

const REPLY = { msg: 'I am a reply to your say event' };

const handlers = {
  publish(ws, payload) {
    server.publish('everyone', JSON.stringify({ event: 'news', payload }), options.compression);
  },
  publish_room(ws, { room_id, text }) {
    server.publish(`chat/${room_id}`, JSON.stringify({ event: 'news', payload: { text } }), options.compression);
  },
  say: () => REPLY,
  join(ws, payload) {
    ws.subscribe(`chat/${payload.room_id}`);
    return { ok: true };
  },
};

const server = Bun.serve({
  hostname: '127.0.0.1',
  port: 0,
  ...(options.cert && { tls: { cert: Bun.file(options.cert), key: Bun.file(options.key) } }),
  fetch(request, bun) {
    const user = new URL(request.url).searchParams.get('id');
    if (!user) return new Response('who are you?', { status: 401 });
    if (bun.upgrade(request, { data: { user } })) return undefined;
    return new Response('a WebSocket is wanted here', { status: 426 });
  },
  websocket: {
    perMessageDeflate: options.compression,
    open(ws) {
      ws.subscribe('everyone');
    },
    message(ws, text) {
      const { event, payload, callbackId } = JSON.parse(text);
      const answer = handlers[event]?.(ws, payload);
      if (callbackId !== undefined) ws.send(JSON.stringify({ payload: answer, callbackId }));
    },
  },
});

console.log(`PORT ${server.port}`);
process.on('SIGTERM', () => process.exit(0));
