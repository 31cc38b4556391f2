'use strict';
// What every adapter on Node.js is told: `--name A [--redis URL]... [--cert FILE --key FILE] [--compression]`; and how it
// tells its port and ends.

const { readFileSync } = require('node:fs');
const http = require('node:http');
const https = require('node:https');
const { parseArgs } = require('node:util');

const { values } = parseArgs({
  options: {
    name: { type: 'string' },
    redis: { type: 'string', multiple: true, default: [] },
    cert: { type: 'string' },
    key: { type: 'string' },
    compression: { type: 'boolean', default: false },
  },
});

function createServer() {
  if (!values.cert) return http.createServer();
  return https.createServer({ cert: readFileSync(values.cert), key: readFileSync(values.key) });
}

function announce(port) {
  console.log(`PORT ${port}`);
}

process.on('SIGTERM', () => process.exit(0));

const { name, redis, compression } = values;
module.exports = { name, redis, compression, createServer, announce };
