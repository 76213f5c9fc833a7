// node:http2 without TLS: `server PORT`, or `client TOKEN SERVER=PORT...`, which begins at a line of input. See live/http2_peers.rs.
const http2 = require('node:http2');
const { once, EventEmitter } = require('node:events');
const { NGHTTP2_NO_ERROR, NGHTTP2_CANCEL, NGHTTP2_ENHANCE_YOUR_CALM } = http2.constants;
const [role, ...rest] = process.argv.slice(2);

function expect(right, what) {
  if (!right) throw new Error(what);
}

async function content(stream) {
  const pieces = [];
  for await (const piece of stream) pieces.push(piece);
  return Buffer.concat(pieces);
}

const left = new EventEmitter();
let kept;

const handlers = {
  async post(stream, answer) { answer(String((await content(stream)).length)); },
  download(stream, answer) { answer('x'.repeat(300_000)); },
  async trailers(stream) {
    let sum;
    stream.on('trailers', (fields) => { sum = fields.sum; });
    await content(stream);
    expect(sum === '1', sum);
    stream.respond({ ':status': 200 }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ sum: '2' }));
    stream.end('ok\n');
  },
  head(stream) { stream.respond({ ':status': 200, 'content-length': 3 }, { endStream: true }); },
  status(stream, answer, code) {
    stream.respond({ ':status': Number(code) });
    stream.end('ok\n');
  },
  hints(stream, answer) {
    stream.additionalHeaders({ ':status': 103, link: '</style>; rel=preload' });
    answer('ok\n');
  },
  cancel(stream) {
    stream.respond({ ':status': 200 });
    stream.write('x');
  },
  hang() {},
  reset(stream) { stream.close(NGHTTP2_ENHANCE_YOUR_CALM); },
  early(stream, answer) {
    stream.on('finish', () => stream.close(NGHTTP2_NO_ERROR));
    answer('ok\n');
  },
  hold(stream, answer, _, token) {
    stream.respond({ ':status': 200 });
    stream.write('o');
    left.once(token, () => stream.end('k\n'));
  },
  leave(stream, answer, _, token) {
    stream.session.close();
    answer('ok\n');
    left.emit(token);
  },
  tunnel(stream) {
    stream.respond({ ':status': 200 });
    stream.pipe(stream);
  },
  kept(stream) {
    stream.respond({ ':status': 200 });
    stream.write('o');
    kept = stream;
  },
  refused(stream) {
    stream.session.goaway(NGHTTP2_NO_ERROR, kept.id);
    kept.end('k\n');
  },
};
handlers.upload = handlers.post;

function serve(port) {
  left.setMaxListeners(0);
  const server = http2.createServer({ settings: { enableConnectProtocol: true } });
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    const [, token, , what, detail] = headers[':path'].split('/');
    const answer = (text) => {
      stream.respond({ ':status': 200 });
      stream.end(text);
    };
    (handlers[what] || (() => answer('ok\n')))(stream, answer, detail, token);
  });
  server.listen(port, '127.0.0.1', () => console.log('listening'));
}

async function atATime(tasks, count, call) {
  let next = 0;
  const task = async () => { while (next < count) await call(next++); };
  await Promise.all(Array.from({ length: tasks }, task));
}

class Client {
  constructor(port, token, server) {
    this.prefix = `/${token}/${server}/`;
    this.connect = () => {
      this.session?.destroy();
      this.session = http2.connect(`http://127.0.0.1:${port}`);
      this.session.on('error', () => {});
    };
    this.connect();
  }

  send(method, path, fields = {}, options = undefined) {
    return this.session.request({ ':method': method, ':path': this.prefix + path, ...fields }, options);
  }

  // The status and the content of an answer.
  async call(method, path, body) {
    const stream = this.send(method, path);
    stream.end(body);
    const [head] = await once(stream, 'response');
    return [head[':status'], await content(stream)];
  }

  async get(path) {
    const [status, text] = await this.call('GET', path);
    expect(status === 200 && text.equals(Buffer.from('ok\n')), `${path}: ${status} ${text}`);
  }

  async run(server) {
    await atATime(20, 200, (n) => this.get(`get/${n}`));
    await atATime(5, 20, async (n) =>
      expect((await this.call('POST', `post/${n}`, Buffer.alloc(10_000)))[1].equals(Buffer.from('10000')), 'post'));
    expect((await this.call('POST', 'upload', Buffer.alloc(300_000)))[1].equals(Buffer.from('300000')), 'upload');
    expect((await this.call('GET', 'download'))[1].length === 300_000, 'download');
    await this.trailers();
    expect((await this.call('HEAD', 'head'))[0] === 200, 'head');
    for (const status of [404, 503]) expect((await this.call('GET', `status/${status}`))[0] === status, status);
    if (server !== 'hyper') await this.hints();
    await this.cancel();
    const reset = this.send('GET', 'reset');
    await content(reset).then(() => expect(false, 'reset'), () => {});
    expect((await this.call('POST', 'early', Buffer.alloc(1_000_000)))[0] === 200, 'early');
    await this.leave();
    if (server !== 'go') await this.tunnel();
    if (server === 'node') await this.refused();
    await new Promise((done) => this.session.close(done));
  }

  async trailers() {
    const stream = this.send('POST', 'trailers', { trailer: 'sum' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ sum: '1' }));
    let sum;
    stream.on('trailers', (fields) => { sum = fields.sum; });
    stream.end('x');
    await content(stream);
    expect(sum === '2', sum);
  }

  async hints() {
    const stream = this.send('GET', 'hints');
    const [interim] = await once(stream, 'headers');
    expect(interim[':status'] === 103, 'hints');
    await content(stream);
  }

  async cancel() {
    const stream = this.send('GET', 'cancel');
    await once(stream, 'response');
    stream.close(NGHTTP2_CANCEL);
    await once(stream, 'close');
    const hanging = this.send('GET', 'hang');
    // What is answered was sent behind it.
    await this.get('behind');
    hanging.close(NGHTTP2_CANCEL);
    await once(hanging, 'close');
  }

  async leave() {
    const held = await Promise.all(Array.from({ length: 5 }, async (_, n) => {
      const stream = this.send('GET', `hold/${n}`);
      await once(stream, 'response');
      return stream;
    }));
    const away = once(this.session, 'goaway');
    await this.get('leave');
    await away;
    for (const stream of held) await content(stream);
    this.connect();
    await atATime(5, 5, (n) => this.get(`after/${n}`));
  }

  async tunnel() {
    const stream = this.send('CONNECT', 'tunnel', { ':protocol': 'websocket' });
    stream.write('through');
    expect((await once(stream, 'data'))[0].equals(Buffer.from('through')), 'tunnel');
    stream.end();
    await once(stream, 'close');
  }

  async refused() {
    const kept = this.send('GET', 'kept');
    await once(kept, 'response');
    const refused = this.send('GET', 'refused');
    await content(refused).then(() => expect(false, 'refused'), () => {});
    expect((await content(kept)).equals(Buffer.from('ok\n')), 'kept');
    this.connect();
  }
}

if (role === 'server') {
  serve(Number(rest[0]));
} else {
  console.log('ready');
  process.stdin.once('data', async () => {
    const [token, ...servers] = rest;
    for (const argument of servers) {
      const [server, port] = argument.split('=');
      await new Client(port, token, server).run(server);
    }
    console.log('done');
    process.exit();
  });
}
