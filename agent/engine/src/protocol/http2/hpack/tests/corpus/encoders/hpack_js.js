// Knows text only, and no change of the table's size that is smaller than the agreed one.
const hpack = require('hpack.js');
const lines = require('fs').readFileSync(process.argv[2], 'utf8').split('\n').filter((line) => line);
let compressor, fields = [], known;
for (const line of lines) {
  const [kind, name, value] = line.split(' ');
  if (kind === 'S') {
    known = !['turnover', 'bytes', 'random'].includes(name);
    compressor = hpack.compressor.create({ table: { maxSize: 4096 } });
    if (known) console.log(line);
  } else if (kind === 'F') {
    const text = (hex) => Buffer.from(hex || '', 'hex').toString('latin1');
    fields.push({ name: text(name), value: text(value), huffman: fields.length % 3 !== 0 });
  } else if (kind === 'B' && known) {
    compressor.write(fields);
    console.log(compressor.read().toString('hex'));
    fields = [];
  }
}
