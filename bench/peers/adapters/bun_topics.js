// Bun: its server with native topics, which uWebSockets implements. Run it as `bun bun_topics.js`.

const REPLY = { msg: 'I am a reply to your say event' };

const handlers = {
  publish(ws, payload) {
    server.publish('everyone', JSON.stringify({ event: 'news', payload }));
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
  fetch(request, bun) {
    const user = new URL(request.url).searchParams.get('id');
    if (!user) return new Response('who are you?', { status: 401 });
    if (bun.upgrade(request, { data: { user } })) return undefined;
    return new Response('a WebSocket is wanted here', { status: 426 });
  },
  websocket: {
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
