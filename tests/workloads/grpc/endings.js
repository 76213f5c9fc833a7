// Calls that do not end well, or only just. What the client makes of each is written: `ended NUMBER CODE`.
const grpc = require('@grpc/grpc-js');

// Answers with what it was sent, unless that is nothing, and no more while the call lasts.
function wait(call) {
  if (call.request.length) call.write(call.request);
}

// Methods of a server that they end.
exports.handlers = (server) => ({
  Wait: wait,
  Stop: (call) => {
    wait(call);
    setTimeout(() => server.forceShutdown(), 100);
  },
  Drain: (call) => {
    call.write(Buffer.from('first'));
    server.tryShutdown(() => {});
    setTimeout(() => {
      call.write(Buffer.from('last'));
      call.end();
    }, 300);
  },
});

exports.Caller = class {
  constructor(client, service, atATime) {
    Object.assign(this, { client, service, atATime });
  }

  call(method, number, text, { timeout, begun, answered } = {}) {
    const same = (value) => value;
    const metadata = new grpc.Metadata();
    metadata.set('number', number);
    const options = timeout ? { deadline: Date.now() + timeout } : {};
    const path = `/${this.service}/${method}`;
    return new Promise((done) => {
      const call = this.client.makeServerStreamRequest(path, same, same, Buffer.from(text), metadata, options);
      if (begun) begun(call);
      call.on('data', () => answered && answered(call));
      call.on('error', () => {});
      call.on('status', ({ code }) => {
        console.log('ended', number, grpc.status[code]);
        done();
      });
    });
  }

  async endings() {
    await this.call('Status', 'w0', '0');
    const text = (n) => 'x'.repeat(n % 2);
    await Promise.all([
      this.atATime(10, 50, (n) => this.call('Wait', `d${n}`, text(n), { timeout: 20 + 10 * n })),
      this.atATime(5, 20, (n) => this.call('Wait', `c${n}`, 'x', {
        timeout: n % 2 && 10000, answered: (call) => call.cancel(),
      })),
      this.atATime(5, 30, (n) => this.call('Wait', `n${n}`, text(n), {
        timeout: 200, begun: (call) => setTimeout(() => call.cancel(), 190 - n),
      })),
    ]);
  }

  // One call after the other, as often as whoever answers has a way to.
  answers() {
    return this.atATime(1, 16, (n) => this.call('Status', `a${n}`, '0'));
  }

  // One call, of a method that ends its server or waits for that.
  open(method) {
    return this.call(method, 'o0', 'x', { answered: () => console.log('open') });
  }
};
