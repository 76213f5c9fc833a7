// gRPC's own C++: `server PORT SERVICE`, or `client PORT SERVICE WHAT`, which begins at a line of input. WHAT is `load`,
// `scan`, `endings`, `answers` or a method of endings.h. See live/grpc.rs and its neighbours.
// It does what generated code does, with bytes for messages: the service has a name only when it runs.
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/client_unary_call.h>
#include <grpcpp/impl/rpc_method.h>
#include <grpcpp/support/method_handler.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <list>
#include <string>
#include <thread>
#include <vector>

#include "endings.h"

using grpc::ByteBuffer;
using grpc::ClientContext;
using grpc::ServerContext;
using grpc::Status;
using grpc::StatusCode;
using grpc::internal::RpcMethod;

ByteBuffer bytes(const std::string& text) {
  grpc::Slice slice(text);
  return ByteBuffer(&slice, 1);
}

std::string text(const ByteBuffer& message) {
  grpc::Slice slice;
  if (!message.DumpToSingleSlice(&slice).ok()) std::abort();
  return std::string(reinterpret_cast<const char*>(slice.begin()), slice.size());
}

class Service : public grpc::Service {
 public:
  explicit Service(const std::string& name) : name_(name) {
    add("Unary", RpcMethod::NORMAL_RPC, new Unary(&unary, this));
    add("Status", RpcMethod::NORMAL_RPC, new Unary(&status, this));
    add("Upload", RpcMethod::CLIENT_STREAMING, new Upload(&upload, this));
    add("Download", RpcMethod::SERVER_STREAMING, new Download(&download, this));
    add("Chat", RpcMethod::BIDI_STREAMING, new Chat(&chat, this));
    add("Slow", RpcMethod::SERVER_STREAMING, new Download(&slow, this));
    add("Wait", RpcMethod::SERVER_STREAMING, new Download(&endings::wait<Service>, this));
    add("Stop", RpcMethod::SERVER_STREAMING, new Download(&endings::stop<Service>, this));
    add("Drain", RpcMethod::SERVER_STREAMING, new Download(&endings::drain<Service>, this));
  }

 private:
  using Unary = grpc::internal::RpcMethodHandler<Service, ByteBuffer, ByteBuffer>;
  using Upload = grpc::internal::ClientStreamingHandler<Service, ByteBuffer, ByteBuffer>;
  using Download = grpc::internal::ServerStreamingHandler<Service, ByteBuffer, ByteBuffer>;
  using Chat = grpc::internal::BidiStreamingHandler<Service, ByteBuffer, ByteBuffer>;

  void add(const char* method, RpcMethod::RpcType kind, grpc::internal::MethodHandler* handler) {
    paths_.push_back("/" + name_ + "/" + method);
    AddMethod(new grpc::internal::RpcServiceMethod(paths_.back().c_str(), kind, handler));
  }

  static Status unary(Service*, ServerContext*, const ByteBuffer* request, ByteBuffer* answer) {
    *answer = *request;
    return Status::OK;
  }

  static Status status(Service*, ServerContext*, const ByteBuffer* request, ByteBuffer* answer) {
    *answer = *request;
    int code = std::stoi(text(*request));
    return code == 0 ? Status::OK : Status(static_cast<StatusCode>(code), "as asked");
  }

  static Status upload(Service*, ServerContext*, grpc::ServerReader<ByteBuffer>* requests, ByteBuffer* answer) {
    int count = 0;
    for (ByteBuffer request; requests->Read(&request);) count++;
    *answer = bytes(std::to_string(count));
    return Status::OK;
  }

  static Status download(Service*, ServerContext*, const ByteBuffer* request, grpc::ServerWriter<ByteBuffer>* answers) {
    for (int number = 0, count = std::stoi(text(*request)); number < count; number++) {
      answers->Write(bytes(std::to_string(number)));
    }
    return Status::OK;
  }

  static Status chat(Service*, ServerContext*, grpc::ServerReaderWriter<ByteBuffer, ByteBuffer>* stream) {
    for (ByteBuffer message; stream->Read(&message);) stream->Write(message);
    return Status::OK;
  }

  static Status slow(Service*, ServerContext*, const ByteBuffer*, grpc::ServerWriter<ByteBuffer>* answers) {
    answers->Write(bytes("first"));
    std::this_thread::sleep_for(std::chrono::seconds(2));
    answers->Write(bytes("last"));
    return Status::OK;
  }

  std::string name_;
  // Methods point to them.
  std::list<std::string> paths_;
};

void serve(const std::string& address, const std::string& name) {
  Service service(name);
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address, grpc::InsecureServerCredentials());
  builder.RegisterService(&service);
  auto server = builder.BuildAndStart();
  if (!server) std::abort();
  std::cout << "listening" << std::endl;
  auto grace = endings::over().get_future().get();
  server->Shutdown(std::chrono::system_clock::now() + grace);
  server->Wait();
}

void at_a_time(int tasks, int count, const std::function<void(int)>& call) {
  std::atomic<int> next{0};
  std::vector<std::thread> threads;
  for (int task = 0; task < tasks; task++) {
    threads.emplace_back([&] {
      for (int index; (index = next++) < count;) call(index);
    });
  }
  for (auto& thread : threads) thread.join();
}

void expect(bool right, const std::string& what) {
  if (right) return;
  std::cerr << what << std::endl;
  std::_Exit(1);
}

void expect(const Status& status, const std::string& what) {
  expect(status.ok(), what + ": " + std::to_string(status.error_code()) + " " + status.error_message());
}

class Client {
 public:
  Client(const std::string& address, const std::string& service)
      : channel_(grpc::CreateChannel(address, grpc::InsecureChannelCredentials())), service_(service) {}

  void load() {
    const char* few = std::getenv("CALLS");
    int calls = few ? std::stoi(few) : 1000;
    at_a_time(50, calls, [&](int n) {
      ByteBuffer answer;
      expect(unary("Unary", number("u", n), std::string(n, 'x'), &answer), "Unary");
      expect(answer.Length() == static_cast<size_t>(n), "Unary");
    });
    at_a_time(10, calls / 10, [&](int n) { upload(number("r", n)); });
    at_a_time(10, calls / 10, [&](int n) { expect(download("Download", number("d", n), "7") == 7, "Download"); });
    at_a_time(10, calls / 10, [&](int n) { chat(number("c", n)); });
    for (int code = 0; code < 17; code++) {
      ByteBuffer answer;
      auto status = unary("Status", number("s", code), std::to_string(code), &answer);
      expect(status.error_code() == code, std::to_string(status.error_code()) + " for " + std::to_string(code));
    }
    auto start = std::chrono::steady_clock::now();
    expect(download("Slow", number("l", 0), "") == 2, "Slow");
    auto lasted = std::chrono::steady_clock::now() - start;
    std::cout << "slow " << std::chrono::duration_cast<std::chrono::microseconds>(lasted).count() << std::endl;
  }

  void endings(const std::string& what) {
    auto call = [this](const std::string& name, const std::string& number, const std::string& request,
                       const endings::During& during) {
      Call call(*this, name, RpcMethod::SERVER_STREAMING, number);
      using Stream = grpc::internal::ClientReaderFactory<ByteBuffer>;
      endings::call(&call.context, number, during, [&] {
        return std::unique_ptr<grpc::ClientReader<ByteBuffer>>(
            Stream::Create(channel_.get(), call.method, &call.context, bytes(request)));
      });
    };
    if (what == "endings") {
      endings::all(call, at_a_time);
    } else if (what == "answers") {
      endings::answers(call);
    } else {
      endings::open(call, what);
    }
  }

  void scan() {
    at_a_time(10, 10000, [&](int n) {
      ByteBuffer answer;
      auto status = unary("Random" + std::to_string(n * 7919L % 1000003), "x", "", &answer);
      expect(status.error_code() == StatusCode::UNIMPLEMENTED, status.error_message());
    });
  }

 private:
  // What a call is made of; it outlives its stream.
  struct Call {
    Call(const Client& client, const std::string& name, RpcMethod::RpcType kind, const std::string& number)
        : path("/" + client.service_ + "/" + name), method(path.c_str(), kind, client.channel_) {
      context.AddMetadata("number", number);
    }

    std::string path;
    RpcMethod method;
    ClientContext context;
  };

  static std::string number(const char* kind, int index) { return kind + std::to_string(index); }

  Status unary(const std::string& name, const std::string& number, const std::string& request, ByteBuffer* answer) {
    Call call(*this, name, RpcMethod::NORMAL_RPC, number);
    return grpc::internal::BlockingUnaryCall(channel_.get(), call.method, &call.context, bytes(request), answer);
  }

  void upload(const std::string& number) {
    Call call(*this, "Upload", RpcMethod::CLIENT_STREAMING, number);
    using Stream = grpc::internal::ClientWriterFactory<ByteBuffer>;
    ByteBuffer answer;
    std::unique_ptr<grpc::ClientWriter<ByteBuffer>> stream(
        Stream::Create(channel_.get(), call.method, &call.context, &answer));
    for (int message = 0; message < 5; message++) expect(stream->Write(bytes("x")), "Upload");
    stream->WritesDone();
    expect(stream->Finish(), "Upload");
    expect(text(answer) == "5", text(answer));
  }

  int download(const std::string& name, const std::string& number, const std::string& request) {
    Call call(*this, name, RpcMethod::SERVER_STREAMING, number);
    using Stream = grpc::internal::ClientReaderFactory<ByteBuffer>;
    std::unique_ptr<grpc::ClientReader<ByteBuffer>> stream(
        Stream::Create(channel_.get(), call.method, &call.context, bytes(request)));
    int count = 0;
    for (ByteBuffer answer; stream->Read(&answer);) count++;
    expect(stream->Finish(), name);
    return count;
  }

  void chat(const std::string& number) {
    Call call(*this, "Chat", RpcMethod::BIDI_STREAMING, number);
    using Stream = grpc::internal::ClientReaderWriterFactory<ByteBuffer, ByteBuffer>;
    std::unique_ptr<grpc::ClientReaderWriter<ByteBuffer, ByteBuffer>> stream(
        Stream::Create(channel_.get(), call.method, &call.context));
    for (int message = 0; message < 4; message++) expect(stream->Write(bytes("x")), "Chat");
    stream->WritesDone();
    int count = 0;
    for (ByteBuffer answer; stream->Read(&answer);) count++;
    expect(stream->Finish(), "Chat");
    expect(count == 4, "Chat");
  }

  std::shared_ptr<grpc::Channel> channel_;
  std::string service_;
};

int main(int, char** arguments) {
  std::string role = arguments[1], address = std::string("127.0.0.1:") + arguments[2], service = arguments[3];
  if (role == "server") {
    serve(address, service);
    return 0;
  }
  std::cout << "ready" << std::endl;
  std::string line;
  std::getline(std::cin, line);
  {
    Client client(address, service);
    std::string what = arguments[4];
    if (what == "load") {
      client.load();
    } else if (what == "scan") {
      client.scan();
    } else {
      client.endings(what);
    }
  }
  std::cout << "done" << std::endl;
}
