import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.util.concurrent.Executors;

/** Service B, Java, a pool of threads: B PORT PORT_OF_C PORT_OF_D */
class B {
    static byte[] call(String port, String path) throws IOException {
        try (var body = URI.create("http://127.0.0.1:" + port + path).toURL().openStream()) {
            return body.readAllBytes();
        }
    }

    public static void main(String[] ports) throws IOException {
        var server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(ports[0])), 0);
        server.setExecutor(Executors.newFixedThreadPool(4));
        server.createContext("/", (HttpExchange exchange) -> {
            byte[] items = call(ports[1], "/items"), users = call(ports[2], "/users");
            exchange.sendResponseHeaders(200, items.length + users.length);
            exchange.getResponseBody().write(items);
            exchange.getResponseBody().write(users);
            exchange.close();
        });
        server.start();
        System.out.println("listening");
    }
}
