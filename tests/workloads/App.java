import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.InetSocketAddress;
import java.net.URI;
import java.util.concurrent.Executors;

/** HTTP server with a thread per request: App PORT. The query is that of app.py: sleep=MS, call=HOST:PORT/path. */
class App {
    static void handle(HttpExchange exchange) throws IOException {
        exchange.getRequestBody().readAllBytes();
        String query = exchange.getRequestURI().getQuery();
        for (String pair : query == null ? new String[0] : query.split("&")) {
            String[] setting = pair.split("=", 2);
            if (setting[0].equals("call")) {
                var connection = (HttpURLConnection) URI.create("http://" + setting[1]).toURL().openConnection();
                try (InputStream body = connection.getInputStream()) {
                    body.readAllBytes();
                }
            } else if (setting[0].equals("sleep")) {
                try {
                    Thread.sleep(Long.parseLong(setting[1]));
                } catch (InterruptedException e) {
                    throw new IOException(e);
                }
            }
        }
        exchange.sendResponseHeaders(200, 3);
        exchange.getResponseBody().write("ok\n".getBytes());
        exchange.close();
    }

    public static void main(String[] arguments) throws IOException {
        var server = HttpServer.create(new InetSocketAddress(Integer.parseInt(arguments[0])), 1024);
        server.setExecutor(Executors.newCachedThreadPool());
        server.createContext("/", App::handle);
        server.start();
        System.out.println("listening");
    }
}
