'use strict';
// ws on Node.js, with the loop over its clients that its documentation shows. bufferutil and utf-8-validate are
// installed beside it, as it recommends.

const { WebSocket, WebSocketServer } = require('ws');
const { announce } = require('./command_line.js');

const REPLY = { msg: 'I am a reply to your say event' };
const rooms = new Map();

const handlers = {
  publish(socket, payload) {
    const text = JSON.stringify({ event: 'news', payload });
    for (const client of server.clients) if (client.readyState === WebSocket.OPEN) client.send(text);
  },
  say: () => REPLY,
  join(socket, payload) {
    if (!rooms.has(payload.room_id)) rooms.set(payload.room_id, new Set());
    rooms.get(payload.room_id).add(socket);
    return { ok: true };
  },
};

const server = new WebSocketServer({ host: '127.0.0.1', port: 0 }, () => announce(server.address().port));

server.on('connection', (socket, request) => {
  socket.user = new URLSearchParams(request.url.slice(request.url.indexOf('?'))).get('id');
  socket.on('error', console.error);
  socket.on('message', (text) => {
    const { event, payload, callbackId } = JSON.parse(text);
    const answer = handlers[event]?.(socket, payload);
    if (callbackId !== undefined) socket.send(JSON.stringify({ payload: answer, callbackId }));
  });
  socket.on('close', () => {
    for (const members of rooms.values()) members.delete(socket);
  });
});
