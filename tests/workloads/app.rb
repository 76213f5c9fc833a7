# HTTP server with a thread per connection: app.rb PORT-OR-UNIX-PATH. The query is that of app.py: sleep=MS, call=HOST:PORT/path.
require 'net/http'
require 'socket'
require 'uri'

def answer(target)
  URI.decode_www_form(URI(target).query.to_s).each do |key, value|
    sleep(value.to_f / 1000) if key == 'sleep'
    Net::HTTP.get_response(URI("http://#{value}")).body if key == 'call'
  end
end

def serve(socket)
  while (line = socket.gets)
    length = 0
    while (header = socket.gets) && header != "\r\n"
      length = header[/\d+/].to_i if header =~ /\Acontent-length:/i
    end
    socket.read(length)
    answer(line.split[1])
    socket.write("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n")
  end
ensure
  socket.close
end

address = ARGV.fetch(0)
server = address.start_with?('/') ? UNIXServer.new(address) : TCPServer.new('0.0.0.0', address.to_i)
server.listen(1024)
$stdout.puts 'listening'
$stdout.flush
loop { Thread.start(server.accept) { |socket| serve(socket) } }
