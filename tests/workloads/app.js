// HTTP server: app.js PORT-OR-UNIX-PATH. The query is that of app.py: sleep=MS, call=HOST:PORT/path, call=unix:SOCKET:/path.
const http = require('http');
const { setTimeout: sleep } = require('timers/promises');

const call = (target) => new Promise((resolve, reject) => {
  const unix = target.match(/^unix:([^:]*):(.*)$/);
  const options = unix ? [{ socketPath: unix[1], path: unix[2], agent: false }] : ['http://' + target, { agent: false }];
  http.get(...options, (response) => response.resume().on('end', resolve)).on('error', reject);
});

const server = http.createServer(async (request, response) => {
  const query = new URL(request.url, 'http://localhost').searchParams;
  await sleep(Number(query.get('sleep') ?? 0));
  for (const target of query.getAll('call')) await call(target);
  response.end('ok\n');
});
const address = process.argv[2];
server.listen(address.startsWith('/') ? address : Number(address), () => console.log('listening'));
