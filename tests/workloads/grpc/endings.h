// Calls that do not end well, or only just. What the client makes of each is written: `ended NUMBER CODE`.
#pragma once

#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <future>
#include <string>
#include <thread>

namespace endings {

using std::chrono::milliseconds;

// In the order of their numbers, as gRPC's documents spell them.
inline const char* const kCodes[] = {
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"};

// A line at once, whatever other threads write.
inline void say(const std::string& line) {
  std::string text = line + "\n";
  if (write(1, text.data(), text.size()) < 0) std::abort();
}

// Set once, to how long the server that it ends may still answer.
inline std::promise<milliseconds>& over() {
  static std::promise<milliseconds> promise;
  return promise;
}

using Answers = grpc::ServerWriter<grpc::ByteBuffer>;

// Answers with what it was sent, unless that is nothing, and no more while the call lasts.
template <class Service>
grpc::Status wait(Service*, grpc::ServerContext* context, const grpc::ByteBuffer* request, Answers* answers) {
  if (request->Length() > 0) answers->Write(*request);
  while (!context->IsCancelled()) std::this_thread::sleep_for(milliseconds(2));
  return grpc::Status::CANCELLED;
}

template <class Service>
grpc::Status stop(Service* service, grpc::ServerContext* context, const grpc::ByteBuffer* request, Answers* answers) {
  std::thread([] {
    std::this_thread::sleep_for(milliseconds(100));
    over().set_value(milliseconds(0));
  }).detach();
  return wait(service, context, request, answers);
}

template <class Service>
grpc::Status drain(Service*, grpc::ServerContext*, const grpc::ByteBuffer* request, Answers* answers) {
  answers->Write(*request);
  over().set_value(milliseconds(5000));
  std::this_thread::sleep_for(milliseconds(300));
  answers->Write(*request);
  return grpc::Status::OK;
}

// What is done while a call lasts; each of it may be nothing.
struct During {
  milliseconds timeout{0};
  milliseconds cancelled_after{0};
  std::function<void(grpc::ClientContext*)> answered;
};

// `stream` makes the call; it lasts no longer than the context.
template <class Stream>
void call(grpc::ClientContext* context, const std::string& number, const During& during, const Stream& stream) {
  if (during.timeout.count()) context->set_deadline(std::chrono::system_clock::now() + during.timeout);
  std::thread timer;
  if (during.cancelled_after.count()) {
    timer = std::thread([=] {
      std::this_thread::sleep_for(during.cancelled_after);
      context->TryCancel();
    });
  }
  auto answers = stream();
  for (grpc::ByteBuffer answer; answers->Read(&answer);) {
    if (during.answered) during.answered(context);
  }
  say("ended " + number + " " + kCodes[answers->Finish().error_code()]);
  if (timer.joinable()) timer.join();
}

// `call` takes a method, a number, what to send and what is done meanwhile; `at_a_time` runs tasks.
template <class Call, class AtATime>
void all(const Call& call, const AtATime& at_a_time) {
  call("Status", "w0", "0", During{});
  auto text = [](int n) { return std::string(n % 2, 'x'); };
  std::thread deadlines(at_a_time, 10, 50, [&](int n) {
    call("Wait", "d" + std::to_string(n), text(n), During{milliseconds(20 + 10 * n), {}, {}});
  });
  std::thread cancels(at_a_time, 5, 20, [&](int n) {
    auto cancel = [](grpc::ClientContext* context) { context->TryCancel(); };
    call("Wait", "c" + std::to_string(n), "x", During{milliseconds(n % 2 * 10000), {}, cancel});
  });
  at_a_time(5, 30, [&](int n) {
    call("Wait", "n" + std::to_string(n), text(n), During{milliseconds(200), milliseconds(190 - n), {}});
  });
  deadlines.join();
  cancels.join();
}

// One call after the other, as often as whoever answers has a way to.
template <class Call>
void answers(const Call& call) {
  for (int n = 0; n < 16; n++) call("Status", "a" + std::to_string(n), "0", During{});
}

// One call, of a method that ends its server or waits for that.
template <class Call>
void open(const Call& call, const std::string& method) {
  call(method, "o0", "x", During{{}, {}, [](grpc::ClientContext*) { say("open"); }});
}

}  // namespace endings
