import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor.MethodType;
import io.grpc.Server;
import io.grpc.Status;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;

/** Calls that do not end well, or only just. What the client makes of each is written: `ended NUMBER CODE`. */
class Endings {
    static final ScheduledExecutorService LATER = Executors.newScheduledThreadPool(1, task -> {
        var thread = new Thread(task);
        thread.setDaemon(true);
        return thread;
    });

    /** Methods of a server that they end. */
    static class Methods {
        final CompletableFuture<Server> server = new CompletableFuture<>();

        /** Answers with what it was sent, unless that is nothing, and no more while the call lasts. */
        void sit(byte[] request, StreamObserver<byte[]> answers) {
            ((ServerCallStreamObserver<byte[]>) answers).setOnCancelHandler(() -> {});
            if (request.length > 0) {
                answers.onNext(request);
            }
        }

        void stop(byte[] request, StreamObserver<byte[]> answers) {
            sit(request, answers);
            LATER.schedule(() -> server.join().shutdownNow(), 100, TimeUnit.MILLISECONDS);
        }

        void drain(byte[] request, StreamObserver<byte[]> answers) {
            answers.onNext(request);
            server.join().shutdown();
            LATER.schedule(() -> {
                answers.onNext(request);
                answers.onCompleted();
            }, 300, TimeUnit.MILLISECONDS);
        }
    }

    interface Begun extends Consumer<ClientCall<byte[], byte[]>> {}

    static final Begun NOTHING = call -> {};

    /** The calls. */
    record Client(Peer.Client client) {
        void call(String method, String number, String text, UnaryOperator<CallOptions> options, Begun begun, Begun answered) {
            var ended = new CompletableFuture<Status.Code>();
            var type = client.peer().method(method, MethodType.SERVER_STREAMING);
            var call = client.numbered(number).newCall(type, options.apply(CallOptions.DEFAULT));
            call.start(new ClientCall.Listener<>() {
                @Override
                public void onMessage(byte[] answer) {
                    answered.accept(call);
                    call.request(1);
                }

                @Override
                public void onClose(Status status, Metadata trailers) {
                    ended.complete(status.getCode());
                }
            }, new Metadata());
            begun.accept(call);
            call.request(1);
            call.sendMessage(text.getBytes());
            call.halfClose();
            System.out.println("ended " + number + " " + ended.join());
        }

        static UnaryOperator<CallOptions> within(int milliseconds) {
            return options -> options.withDeadlineAfter(milliseconds, TimeUnit.MILLISECONDS);
        }

        static void cancel(ClientCall<?, ?> call) {
            call.cancel("as asked", null);
        }

        static String text(int n) {
            return "x".repeat(n % 2);
        }

        void all() throws Exception {
            // Cold code writes a request 100 ms after its time began to count, and more.
            Peer.Client.atATime(20, 500, n -> call("Status", "w" + n, "0", UnaryOperator.identity(), NOTHING, NOTHING));
            var pool = Executors.newFixedThreadPool(3);
            var deadlines = pool.submit(() -> {
                Peer.Client.atATime(10, 50, n -> call("Wait", "d" + n, text(n), within(20 + 10 * n), NOTHING, NOTHING));
                return null;
            });
            var cancels = pool.submit(() -> {
                Peer.Client.atATime(5, 20, n -> {
                    UnaryOperator<CallOptions> options = n % 2 == 1 ? within(10_000) : UnaryOperator.identity();
                    call("Wait", "c" + n, "x", options, NOTHING, Client::cancel);
                });
                return null;
            });
            Peer.Client.atATime(5, 30, n -> {
                Begun later = call -> LATER.schedule(() -> cancel(call), 190 - n, TimeUnit.MILLISECONDS);
                call("Wait", "n" + n, text(n), within(200), later, NOTHING);
            });
            deadlines.get();
            cancels.get();
            pool.shutdown();
        }

        /** One call after the other, as often as whoever answers has a way to. */
        void answers() {
            for (int n = 0; n < 16; n++) {
                call("Status", "a" + n, "0", UnaryOperator.identity(), NOTHING, NOTHING);
            }
        }

        /** One call, of a method that ends its server or waits for that. */
        void open(String method) {
            call(method, "o0", "x", UnaryOperator.identity(), NOTHING, call -> System.out.println("open"));
        }
    }
}
