import static io.grpc.stub.ClientCalls.asyncBidiStreamingCall;
import static io.grpc.stub.ClientCalls.asyncClientStreamingCall;
import static io.grpc.stub.ClientCalls.blockingServerStreamingCall;
import static io.grpc.stub.ClientCalls.blockingUnaryCall;
import static io.grpc.stub.ServerCalls.asyncBidiStreamingCall;
import static io.grpc.stub.ServerCalls.asyncClientStreamingCall;
import static io.grpc.stub.ServerCalls.asyncServerStreamingCall;
import static io.grpc.stub.ServerCalls.asyncUnaryCall;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptors;
import io.grpc.InsecureChannelCredentials;
import io.grpc.InsecureServerCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.MethodType;
import io.grpc.Server;
import io.grpc.ServerServiceDefinition;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.MetadataUtils;
import io.grpc.stub.StreamObserver;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.InetSocketAddress;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.Consumer;
import java.util.stream.IntStream;

/**
 * grpc-java: `server PORT SERVICE`, or `client PORT SERVICE WHAT`, which begins at a line of input. WHAT is `load`, `scan`,
 * `endings`, `answers` or a method of Endings. See live/grpc.rs and its neighbours.
 */
class Peer {
    final String service;

    Peer(String service) {
        this.service = service;
    }

    public static void main(String[] arguments) throws Exception {
        var address = new InetSocketAddress("127.0.0.1", Integer.parseInt(arguments[1]));
        var peer = new Peer(arguments[2]);
        if (arguments[0].equals("server")) {
            peer.serve(address);
            return;
        }
        System.out.println("ready");
        System.in.read();
        ManagedChannel channel = NettyChannelBuilder.forAddress(address, InsecureChannelCredentials.create()).build();
        var client = new Client(peer, channel);
        var endings = new Endings.Client(client);
        switch (arguments[3]) {
            case "load" -> client.load();
            case "scan" -> client.scan();
            case "endings" -> endings.all();
            case "answers" -> endings.answers();
            default -> endings.open(arguments[3]);
        }
        channel.shutdownNow();
        System.out.println("done");
    }

    /** Messages are bytes: no code is generated. */
    enum Raw implements MethodDescriptor.Marshaller<byte[]> {
        BYTES;

        @Override
        public InputStream stream(byte[] message) {
            return new ByteArrayInputStream(message);
        }

        @Override
        public byte[] parse(InputStream stream) {
            try {
                return stream.readAllBytes();
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }

    MethodDescriptor<byte[], byte[]> method(String name, MethodType type) {
        return MethodDescriptor.newBuilder(Raw.BYTES, Raw.BYTES)
            .setFullMethodName(MethodDescriptor.generateFullMethodName(service, name))
            .setType(type)
            .build();
    }

    void serve(InetSocketAddress address) throws Exception {
        var endings = new Endings.Methods();
        var methods = ServerServiceDefinition.builder(service)
            .addMethod(method("Unary", MethodType.UNARY), asyncUnaryCall(Peer::unary))
            .addMethod(method("Status", MethodType.UNARY), asyncUnaryCall(Peer::status))
            .addMethod(method("Upload", MethodType.CLIENT_STREAMING), asyncClientStreamingCall(Peer::upload))
            .addMethod(method("Download", MethodType.SERVER_STREAMING), asyncServerStreamingCall(Peer::download))
            .addMethod(method("Chat", MethodType.BIDI_STREAMING), asyncBidiStreamingCall(Peer::chat))
            .addMethod(method("Slow", MethodType.SERVER_STREAMING), asyncServerStreamingCall(Peer::slow))
            .addMethod(method("Wait", MethodType.SERVER_STREAMING), asyncServerStreamingCall(endings::sit))
            .addMethod(method("Stop", MethodType.SERVER_STREAMING), asyncServerStreamingCall(endings::stop))
            .addMethod(method("Drain", MethodType.SERVER_STREAMING), asyncServerStreamingCall(endings::drain))
            .build();
        var builder = NettyServerBuilder.forAddress(address, InsecureServerCredentials.create());
        Server server = builder.addService(methods).build().start();
        endings.server.complete(server);
        System.out.println("listening");
        server.awaitTermination();
    }

    static void unary(byte[] request, StreamObserver<byte[]> answer) {
        answer.onNext(request);
        answer.onCompleted();
    }

    static void status(byte[] request, StreamObserver<byte[]> answer) {
        int code = Integer.parseInt(new String(request));
        if (code == 0) {
            unary(request, answer);
        } else {
            answer.onError(Status.fromCodeValue(code).withDescription("as asked").asRuntimeException());
        }
    }

    static StreamObserver<byte[]> upload(StreamObserver<byte[]> answer) {
        return new Count(count -> unary(Integer.toString(count).getBytes(), answer));
    }

    static void download(byte[] request, StreamObserver<byte[]> answers) {
        int count = Integer.parseInt(new String(request));
        for (int number = 0; number < count; number++) {
            answers.onNext(Integer.toString(number).getBytes());
        }
        answers.onCompleted();
    }

    static StreamObserver<byte[]> chat(StreamObserver<byte[]> answers) {
        return new Count(count -> answers.onCompleted()) {
            @Override
            public void onNext(byte[] message) {
                answers.onNext(message);
            }
        };
    }

    static void slow(byte[] request, StreamObserver<byte[]> answers) {
        answers.onNext("first".getBytes());
        try {
            Thread.sleep(2000);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
        answers.onNext("last".getBytes());
        answers.onCompleted();
    }

    /** Tells at the end of a stream how many messages it had. */
    static class Count implements StreamObserver<byte[]> {
        private final CompletableFuture<Integer> whole = new CompletableFuture<>();
        private int count;

        Count() {}

        Count(Consumer<Integer> then) {
            whole.thenAccept(then);
        }

        @Override
        public void onNext(byte[] message) {
            count++;
        }

        @Override
        public void onError(Throwable error) {
            whole.completeExceptionally(error);
        }

        @Override
        public void onCompleted() {
            whole.complete(count);
        }

        int get() throws InterruptedException, ExecutionException {
            return whole.get();
        }
    }

    /** The calls. */
    record Client(Peer peer, Channel channel) {
        interface Task {
            void run(int index) throws Exception;
        }

        static void atATime(int tasks, int count, Task task) throws Exception {
            var pool = Executors.newFixedThreadPool(tasks);
            var all = IntStream.range(0, count).mapToObj(index -> pool.submit(() -> {
                task.run(index);
                return null;
            })).toList();
            try {
                for (Future<?> each : all) {
                    each.get();
                }
            } finally {
                pool.shutdownNow();
            }
        }

        static void expect(boolean right, Object what) {
            if (!right) {
                throw new IllegalStateException(String.valueOf(what));
            }
        }

        Channel numbered(String number) {
            var metadata = new Metadata();
            metadata.put(Metadata.Key.of("number", Metadata.ASCII_STRING_MARSHALLER), number);
            return ClientInterceptors.intercept(channel, MetadataUtils.newAttachHeadersInterceptor(metadata));
        }

        byte[] unary(String name, String number, byte[] request) {
            var method = peer.method(name, MethodType.UNARY);
            return blockingUnaryCall(numbered(number), method, CallOptions.DEFAULT, request);
        }

        Status.Code code(String name, String number, byte[] request) {
            try {
                unary(name, number, request);
                return Status.Code.OK;
            } catch (StatusRuntimeException e) {
                return e.getStatus().getCode();
            }
        }

        ClientCall<byte[], byte[]> call(String name, MethodType type, String number) {
            return numbered(number).newCall(peer.method(name, type), CallOptions.DEFAULT);
        }

        static void send(StreamObserver<byte[]> messages, int count) {
            for (int message = 0; message < count; message++) {
                messages.onNext("x".getBytes());
            }
            messages.onCompleted();
        }

        int download(String name, String number, String request) {
            var method = peer.method(name, MethodType.SERVER_STREAMING);
            var answers =
                blockingServerStreamingCall(numbered(number), method, CallOptions.DEFAULT, request.getBytes());
            int count = 0;
            for (; answers.hasNext(); answers.next()) {
                count++;
            }
            return count;
        }

        void load() throws Exception {
            int calls = Integer.parseInt(System.getenv().getOrDefault("CALLS", "1000"));
            atATime(50, calls, n -> expect(unary("Unary", "u" + n, new byte[n]).length == n, "Unary"));
            atATime(10, calls / 10, n -> {
                var answers = new Count();
                send(asyncClientStreamingCall(call("Upload", MethodType.CLIENT_STREAMING, "r" + n), answers), 5);
                expect(answers.get() == 1, "Upload");
            });
            atATime(10, calls / 10, n -> expect(download("Download", "d" + n, "7") == 7, "Download"));
            atATime(10, calls / 10, n -> {
                var answers = new Count();
                send(asyncBidiStreamingCall(call("Chat", MethodType.BIDI_STREAMING, "c" + n), answers), 4);
                expect(answers.get() == 4, "Chat");
            });
            for (int number = 0; number < 17; number++) {
                var code = code("Status", "s" + number, Integer.toString(number).getBytes());
                expect(code.value() == number, code);
            }
            long start = System.nanoTime();
            expect(download("Slow", "l0", "") == 2, "Slow");
            System.out.println("slow " + (System.nanoTime() - start) / 1000);
        }

        void scan() throws Exception {
            atATime(10, 10000, n -> {
                var code = code("Random" + n * 7919L % 1000003, "x", new byte[0]);
                expect(code == Status.Code.UNIMPLEMENTED, code);
            });
        }
    }
}
