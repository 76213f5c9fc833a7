// Service D, Node.js: d.js PORT
const server = require('http').createServer((request, response) => response.end('users\n'));
server.listen(Number(process.argv[2]), '127.0.0.1', () => console.log('listening'));
