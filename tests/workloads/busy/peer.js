// HTTP/2 without TLS by Node: `server PORT`, or `client PORT [REQUESTS]`, one connection that is never idle. As peer.go.
const http2 = require('http2');
const readline = require('readline');

const [role, port, requests] = process.argv.slice(2);
const statuses = [200, 201, 202, 404, 200, 418, 503, 200];
const methods = ['GET', 'GET', 'POST', 'PUT', 'DELETE', 'GET', 'PATCH'];

// Every request is written to the log before it is answered.
const serve = () => {
  const server = http2.createServer((request, response) => {
    request.resume().on('end', () => {
      const number = Number(request.headers.from);
      const status = statuses[number % statuses.length];
      process.stdout.write(`${number} ${request.method} ${request.url} ${status}\n`);
      response.writeHead(status, { 'x-answer': number });
      response.end('o'.repeat(number % 100));
    });
  });
  server.listen(Number(port), '127.0.0.1', () => console.log('listening'));
};

// Half of the paths come again and again, and half of them once.
const path = (number) => (number % 2 ? `/once/${number}` : `/again/${(number * 7919) % 61}`);

const call = (session, number) => new Promise((resolve, reject) => {
  const method = methods[number % methods.length];
  const fields = { ':method': method, ':path': path(number), from: number, 'x-tag': number % 9 };
  const stream = session.request(fields, { endStream: false });
  let status;
  stream.on('response', (head) => { status = head[':status']; });
  stream.on('error', reject).resume().on('end', () => {
    if (status === statuses[number % statuses.length]) resolve();
    else reject(new Error(`status ${status}`));
  });
  stream.end('GET DELETE'.includes(method) ? undefined : 'i'.repeat(1 + number % 300));
});

const client = async () => {
  const session = http2.connect(`http://127.0.0.1:${port}`);
  let next = 0;
  let last = Number(requests ?? Infinity);
  readline.createInterface({ input: process.stdin }).once('line', (line) => { last = next + Number(line); });
  const work = async () => {
    while (next < last) {
      const number = ++next;
      await call(session, number);
      if (number === 1000 && !requests) console.log('busy');
    }
  };
  await Promise.all(Array.from({ length: 16 }, work));
  if (!requests) console.log('done', last);
  process.exit();
};

if (role === 'server') serve();
else client();
