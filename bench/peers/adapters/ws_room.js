'use strict';
// ws on Node.js, with the loop over its clients that its documentation shows. bufferutil and utf-8-validate are
// installed beside it, as it recommends.

const { WebSocket, WebSocketServer } = require('ws');
const { announce, compression, createServer } = require('./command_line.js');

const REPLY = { msg: 'I am a reply to your say event' };
const rooms = new Map();

const handlers = {
  publish(socket, payload) {
    const text = JSON.stringify({ event: 'news', payload });
    for (const client of server.clients) if (client.readyState === WebSocket.OPEN) client.send(text);
  },
  publish_room(socket, { room_id, text }) {
    const message = JSON.stringify({ event: 'news', payload: { text } });
    for (const client of rooms.get(room_id) ?? []) if (client.readyState === WebSocket.OPEN) client.send(message);
  },
  say: () => REPLY,
  join(socket, payload) {
    if (!rooms.has(payload.room_id)) rooms.set(payload.room_id, new Set());
    rooms.get(payload.room_id).add(socket);
    socket.rooms.push(payload.room_id);
    return { ok: true };
  },
};

const listener = createServer();
const server = new WebSocketServer({ server: listener, perMessageDeflate: compression });

server.on('connection', (socket, request) => {
  socket.user = new URLSearchParams(request.url.slice(request.url.indexOf('?'))).get('id');
  socket.rooms = [];
  socket.on('error', console.error);
  socket.on('message', (text) => {
    const { event, payload, callbackId } = JSON.parse(text);
    const answer = handlers[event]?.(socket, payload);
    if (callbackId !== undefined) socket.send(JSON.stringify({ payload: answer, callbackId }));
  });
  socket.on('close', () => {
    for (const id of socket.rooms) rooms.get(id).delete(socket);
  });
});

listener.listen(0, '127.0.0.1', () => announce(listener.address().port));
