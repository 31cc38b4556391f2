'use strict';
// Socket.IO 4: WebSockets only, ws with its native add-ons, and no reference to the first request kept, as its page
// on performance says. Several servers share one Redis through its Redis adapter.

const { createAdapter } = require('@socket.io/redis-adapter');
const { createClient } = require('redis');
const { Server } = require('socket.io');
const { announce, compression, createServer, redis } = require('./command_line.js');

const REPLY = { msg: 'I am a reply to your say event' };
const listener = createServer();
const io = new Server(listener, { transports: ['websocket'], serveClient: false, perMessageDeflate: compression });

io.on('connection', (socket) => {
  socket.join(`user/${socket.handshake.query.id}`);
  socket.conn.request = null;
  socket.on('publish', (data) => io.emit('news', data));
  socket.on('publish_room', (line) => io.to(`chat/${line.room_id}`).emit('news', { text: line.text }));
  socket.on('say', (data, answer) => answer(REPLY));
  socket.on('join', (data, answer) => {
    socket.join(`chat/${data.room_id}`);
    answer({ ok: true });
  });
  socket.on('hello', (data, answer) => answer({ ok: true }));
  socket.on('tell', (line) => io.to(`user/${line.to}`).emit('told', { text: line.text }));
  socket.on('ask', (numbers, answer) => {
    io.serverSideEmit('sum', numbers, (error, totals) => answer(error ? { error: String(error) } : totals[0]));
  });
});

io.on('sum', (numbers, answer) => answer(numbers.reduce((total, number) => total + number, 0)));

async function start() {
  if (redis.length) {
    const publisher = createClient({ url: redis[0] });
    const subscriber = publisher.duplicate();
    await Promise.all([publisher.connect(), subscriber.connect()]);
    io.adapter(createAdapter(publisher, subscriber));
  }
  listener.listen(0, '127.0.0.1', () => announce(listener.address().port));
}

start();
