'use strict';
// websocket-cross-server-adapter, as its examples use it. Several servers share their Redis. Newer versions drop what is
// over a rate by default: not here, as in the other servers.

const { WebSocketCrossServerAdapter } = require('websocket-cross-server-adapter');
const { announce, name, redis } = require('./command_line.js');

const REPLY = { msg: 'I am a reply to your say event' };

const server = new WebSocketCrossServerAdapter({
  serverName: name,
  rateLimit: 0,
  wsOptions: { host: '127.0.0.1', port: 0 },
  redisConfig: redis.map((url) => ({ host: new URL(url).hostname, port: Number(new URL(url).port) })),
});

server.onWebSocketEvent('connection', (socket, request) => {
  const { params } = server.parseWsRequestParams(request);
  if (!params.id) return socket.close(4011, 'Auth failure');
  socket.playerId = String(params.id);
  return server.setUserSocket(socket.playerId, socket);
});
server.onWebSocketEvent('close', (socket) => {
  if (socket.playerId) server.removeUserSocket(socket.playerId);
});

server.onWebSocketEvent('publish', (socket, data) => server.broadcast('news', data));
server.onWebSocketEvent('publish_room', (socket, line) => {
  server.broadcastToRoom('chat', String(line.room_id), 'news', { text: line.text });
});
server.onWebSocketEvent('say', (socket, data, answer) => answer?.(REPLY));
server.onWebSocketEvent('join', (socket, data, answer) => {
  server.joinRoom('chat', String(data.room_id), socket.playerId);
  answer?.({ ok: true });
});
server.onWebSocketEvent('hello', (socket, data, answer) => answer?.({ ok: true }));
server.onWebSocketEvent('tell', (socket, line) => server.toSocketId(line.to, 'told', { text: line.text }));
server.onWebSocketEvent('ask', (socket, numbers, answer) => {
  const answered = (response) => answer?.(response.success ? response.data.payload : { error: response.error });
  server.emitCrossServer('sum', numbers, answered, { targetServer: ['B'] });
});
server.onCrossServerEvent('sum', ({ payload: numbers }, answer) => {
  answer?.(numbers.reduce((total, number) => total + number, 0));
});

// A ping is answered after the subscriptions that the constructor asked for: from then on every server is heard.
async function announceWhenConnected() {
  const clients = server.redisInstances.flatMap(({ publisher, subscriber }) => [publisher, subscriber]);
  await Promise.all(clients.map((client) => client.ping()));
  announce(server.getWss().address().port);
}

server.onWebSocketEvent('listening', announceWhenConnected);
