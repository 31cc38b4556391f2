'use strict';
// What every adapter on Node.js is told: `--name A [--redis URL]...`; and how it tells its port and ends.

const { parseArgs } = require('node:util');

const { values } = parseArgs({
  options: { name: { type: 'string' }, redis: { type: 'string', multiple: true, default: [] } },
});

function announce(port) {
  console.log(`PORT ${port}`);
}

process.on('SIGTERM', () => process.exit(0));

module.exports = { name: values.name, redis: values.redis, announce };
