// @grpc/grpc-js: `server PORT SERVICE`, or `client PORT SERVICE WHAT`, which begins at a line of input. WHAT is `load`,
// `scan`, `endings`, `answers` or a method of endings.js. See live/grpc.rs and its neighbours.
const grpc = require('@grpc/grpc-js');
const endings = require('./endings.js');
const [role, port, service, what] = process.argv.slice(2);
const same = (value) => value;
const calls = Number(process.env.CALLS || 1000);

const method = (name, requestStream, responseStream) => ({
  path: `/${service}/${name}`, requestStream, responseStream,
  requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same,
});
const definition = {
  Unary: method('Unary', false, false),
  Status: method('Status', false, false),
  Upload: method('Upload', true, false),
  Download: method('Download', false, true),
  Chat: method('Chat', true, true),
  Slow: method('Slow', false, true),
  Wait: method('Wait', false, true),
  Stop: method('Stop', false, true),
  Drain: method('Drain', false, true),
};

const handlers = {
  Unary: (call, done) => done(null, call.request),
  Status: (call, done) => {
    const code = Number(call.request);
    code ? done({ code, details: 'as asked' }) : done(null, call.request);
  },
  Upload: (call, done) => {
    let count = 0;
    call.on('data', () => count++);
    call.on('end', () => done(null, Buffer.from(String(count))));
  },
  Download: (call) => {
    for (let number = 0; number < Number(call.request); number++) call.write(Buffer.from(String(number)));
    call.end();
  },
  Chat: (call) => {
    call.on('data', (message) => call.write(message));
    call.on('end', () => call.end());
  },
  Slow: (call) => {
    call.write(Buffer.from('first'));
    setTimeout(() => {
      call.write(Buffer.from('last'));
      call.end();
    }, 2000);
  },
};

function serve() {
  const server = new grpc.Server();
  server.addService(definition, { ...handlers, ...endings.handlers(server) });
  server.bindAsync(`127.0.0.1:${port}`, grpc.ServerCredentials.createInsecure(), (error) => {
    if (error) throw error;
    console.log('listening');
  });
}

async function atATime(tasks, count, call) {
  let next = 0;
  const task = async () => { while (next < count) await call(next++); };
  await Promise.all(Array.from({ length: tasks }, task));
}

function number(kind, index) {
  const metadata = new grpc.Metadata();
  metadata.set('number', kind + index);
  return metadata;
}

// The messages of a streamed answer, once its status is OK.
function answers(call) {
  return new Promise((done, failed) => {
    let count = 0;
    call.on('data', () => count++);
    call.on('error', failed);
    call.on('status', () => done(count));
  });
}

function expect(right, what) {
  if (!right) throw new Error(what);
}

async function load(client) {
  const one = (start) => new Promise((done, failed) =>
    start((error, answer) => (error ? failed(error) : done(answer))));
  await atATime(50, calls, (n) => one((done) => client.Unary(Buffer.alloc(n), number('u', n), done)));
  await atATime(10, calls / 10, async (n) => {
    const answer = await one((done) => {
      const call = client.Upload(number('r', n), done);
      for (let message = 0; message < 5; message++) call.write(Buffer.from('x'));
      call.end();
    });
    expect(answer.toString() === '5', answer);
  });
  await atATime(10, calls / 10, async (n) =>
    expect(await answers(client.Download(Buffer.from('7'), number('d', n))) === 7, 'Download'));
  await atATime(10, calls / 10, async (n) => {
    const call = client.Chat(number('c', n));
    const count = answers(call);
    for (let message = 0; message < 4; message++) call.write(Buffer.from('x'));
    call.end();
    expect(await count === 4, 'Chat');
  });
  for (let code = 0; code < 17; code++) {
    const found = await one((done) => client.Status(Buffer.from(String(code)), number('s', code), done))
      .then(() => 0, (error) => error.code);
    expect(found === code, `${found} for ${code}`);
  }
  const start = process.hrtime.bigint();
  await answers(client.Slow(Buffer.alloc(0), number('l', 0)));
  console.log('slow', String((process.hrtime.bigint() - start) / 1000n));
}

const scan = (client) => atATime(10, 10000, (n) => new Promise((done, failed) => {
  const path = `/${service}/Random${n * 7919 % 1000003}`;
  client.makeUnaryRequest(path, same, same, Buffer.alloc(0), (error) =>
    (error && error.code === grpc.status.UNIMPLEMENTED ? done() : failed(error)));
}));

if (role === 'server') {
  serve();
} else {
  console.log('ready');
  process.stdin.once('data', async () => {
    const Client = grpc.makeGenericClientConstructor(definition, service);
    const client = new Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
    const caller = new endings.Caller(client, service, atATime);
    if (what in { load, scan }) await { load, scan }[what](client);
    else if (what === 'endings' || what === 'answers') await caller[what]();
    else await caller.open(what);
    client.close();
    console.log('done');
    process.stdin.destroy();
  });
}
