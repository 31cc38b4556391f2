'use strict';
// websocket-cross-server-adapter, as its examples use it. Several servers share their Redis. Newer versions drop what is
// over a rate by default: not here, as in the other servers.

const { WebSocketCrossServerAdapter } = require('websocket-cross-server-adapter');
const { announce, name, redis } = require('./command_line.js');

const POLL_MS = 20;
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
  server.emitCrossServer('sum', { numbers }, (response) => answer?.(response.success ? response.data : { error: response.error }), {
    targetServer: ['B'],
  });
});
server.onCrossServerEvent('sum', ({ numbers }, answer) => {
  answer?.({ total: numbers.reduce((total, number) => total + number, 0) });
});

function announceWhenConnected() {
  const connected = ['publisher', 'subscriber'].every((type) => server.getHealthyRedisInstancesCount(type) >= redis.length);
  if (connected) announce(server.getWss().address().port);
  else setTimeout(announceWhenConnected, POLL_MS);
}

server.onWebSocketEvent('listening', announceWhenConnected);
