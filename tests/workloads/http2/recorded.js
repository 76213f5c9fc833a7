// Node's http2: `server PORT`, or `client PORT`, which begins at a line of input and asks the same as recorded.go.
const http2 = require('node:http2');
const [role, port] = process.argv.slice(2);

function serve() {
  const server = http2.createServer();
  server.on('stream', (stream, headers) => {
    const path = headers[':path'];
    let length = 0;
    stream.on('data', (piece) => { length += piece.length; });
    stream.on('end', () => {
      if (path === '/early') stream.additionalHeaders({ ':status': 103, link: '</style.css>; rel=preload' });
      if (path === '/trailers') {
        stream.respond({ ':status': 200, trailer: 'checksum' }, { waitForTrailers: true });
        stream.on('wantTrailers', () => stream.sendTrailers({ checksum: '1' }));
        stream.end('ok');
        return;
      }
      stream.respond({ ':status': path === '/missing' ? 404 : 200, 'content-type': 'text/plain' });
      stream.end(headers[':method'] === 'HEAD' ? undefined : `${length} bytes`);
    });
  });
  server.listen(port, '127.0.0.1', () => console.log('listening'));
}

const ask = (session, method, path, body) => new Promise((done, failed) => {
  const stream = session.request({ ':method': method, ':path': path }, { endStream: !body });
  let status;
  stream.on('response', (headers) => { status = headers[':status']; });
  stream.on('error', failed);
  stream.on('end', () => done(status));
  stream.resume();
  if (body) stream.end(body);
});

async function call() {
  const session = http2.connect(`http://127.0.0.1:${port}`);
  await ask(session, 'GET', '/first');
  await Promise.all([0, 1, 2, 3].map((n) => ask(session, 'GET', `/item/${n}?n=${n}`)));
  await ask(session, 'POST', '/upload', 'x'.repeat(3000));
  await ask(session, 'HEAD', '/head');
  await ask(session, 'GET', '/early');
  await ask(session, 'GET', '/trailers');
  const status = await ask(session, 'GET', '/missing');
  if (status !== 404) throw new Error(String(status));
  session.close();
}

if (role === 'server') {
  serve();
} else {
  console.log('ready');
  process.stdin.once('data', async () => {
    await call();
    console.log('done');
    process.stdin.destroy();
  });
}
