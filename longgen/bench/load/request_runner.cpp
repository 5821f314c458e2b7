#include "longgen/bench/load/request_runner.h"

#include <utility>

#include "longgen/base/check.h"
#include "longgen/bench/client/event_reader.h"

namespace longgen {
namespace {

// More of an error answer says nothing.
constexpr size_t kMaxErrorBytes = 64 << 10;

constexpr const char* kStreamType = "text/event-stream";

const char* name_of(CallFault fault) {
  switch (fault) {
    case CallFault::connect:
      return "no connection";
    case CallFault::timeout:
      return "timeout";
    case CallFault::torn:
      return "torn answer";
    case CallFault::malformed:
      return "malformed answer";
    case CallFault::cancelled:
      return kStopped;
    case CallFault::none:
      break;
  }
  return "";
}

}  // namespace

class RequestRunner::Stream : public CallHandler {
 public:
  Stream(RequestRunner& runner, const PlannedRequest& request, std::function<void()> on_end)
      : runner_(&runner), on_end_(std::move(on_end)) {
    record.due = request.due_seconds;
    record.prompt_tokens = request.prompt_tokens();
    record.reply_tokens = request.reply_tokens;
  }

  void on_head(const ResponseHead& head) override {
    record.status = head.status;
    if (head.status != 200 || head.content_type.starts_with(kStreamType)) return;
    fail("no stream", "the answer is of type \"" + visible(head.content_type) + "\".");
  }
  void on_body(std::string_view bytes, TimePoint now) override;
  void on_end(CallFault fault, const std::string& message, TimePoint now) override;
  /// The runner is about to go.
  void forget_runner() { runner_ = nullptr; }

  RequestRecord record;
  HttpClient::CallId call = 0;

 private:
  void read(const StreamPart& part, Arrival& arrival);
  void fail(const std::string& kind, const std::string& message) {
    if (!record.error.empty()) return;
    record.error = kind;
    record.message = message;
  }
  double seconds(TimePoint time) const {
    return std::chrono::duration<double>(time - runner_->start_).count();
  }

  RequestRunner* runner_;
  std::function<void()> on_end_;
  EventReader events_;
  std::string error_body_;
  bool is_finished_ = false;
};

void RequestRunner::Stream::on_body(std::string_view bytes, TimePoint now) {
  if (runner_ == nullptr) return;
  if (record.status != 200) {
    error_body_ += bytes.substr(0, kMaxErrorBytes - std::min(error_body_.size(), kMaxErrorBytes));
    return;
  }
  events_.feed(bytes);
  Arrival arrival{.seconds = seconds(now), .num_events = 0, .num_tokens = 0};
  while (const auto data = events_.next()) read(read_stream_part(*data), arrival);
  if (arrival.num_events == 0) return;
  runner_->num_events_ += arrival.num_events;
  record.arrivals.push_back(arrival);
}

/// Tokens whose text is held back, as half a character is, count where they are told.
void RequestRunner::Stream::read(const StreamPart& part, Arrival& arrival) {
  if (!part.error.empty()) fail("error in the stream", visible(part.error));
  is_finished_ = is_finished_ || part.is_done || part.is_finish;
  const int64_t before = record.usage.completion.value_or(0);
  if (part.usage.prompt) record.usage.prompt = part.usage.prompt;
  if (part.usage.cached) record.usage.cached = part.usage.cached;
  if (part.usage.completion) record.usage.completion = part.usage.completion;
  if (!part.has_text) return;
  ++arrival.num_events;
  arrival.num_tokens += part.usage.completion ? *part.usage.completion - before : 1;
}

void RequestRunner::Stream::on_end(CallFault fault, const std::string& message, TimePoint now) {
  if (runner_ == nullptr) return;
  record.ended = seconds(now);
  record.is_over = true;
  if (record.status != 0 && record.status != 200) {
    fail("status " + std::to_string(record.status), error_message(error_body_));
  }
  if (fault != CallFault::none) fail(name_of(fault), visible(message));
  if (!is_finished_) fail("stream without an end", "the answer ended before the reply did.");
  --runner_->num_open_;
  if (on_end_) on_end_();
}

RequestRunner::RequestRunner(HttpClient& client, const RequestForm& form,
                             const PromptMaker& prompts)
    : client_(client), form_(form), prompts_(prompts), start_(std::chrono::steady_clock::now()) {}

RequestRunner::~RequestRunner() {
  for (const auto& stream : streams_) {
    stream->forget_runner();
    client_.cancel(stream->call);
  }
}

size_t RequestRunner::start(const PlannedRequest& request, std::function<void()> on_end) {
  const auto stream = std::make_shared<Stream>(*this, request, std::move(on_end));
  HttpCall call{"POST", form_.path(), form_.body(prompts_.json(request), request.reply_tokens)};
  ++num_open_;
  streams_.push_back(stream);
  stream->record.begun = now();
  stream->call = client_.call(std::move(call), stream);
  return streams_.size() - 1;
}

void RequestRunner::stop(size_t number) { client_.cancel(streams_[number]->call); }

void RequestRunner::stop_all() {
  for (size_t i = 0; i < streams_.size(); ++i) stop(i);
}

double RequestRunner::now() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

TimePoint RequestRunner::time_of(double seconds) const {
  return start_ +
         std::chrono::duration_cast<TimePoint::duration>(std::chrono::duration<double>(seconds));
}

const RequestRecord& RequestRunner::record(size_t number) const { return streams_[number]->record; }

std::vector<RequestRecord> RequestRunner::records() const {
  std::vector<RequestRecord> records;
  for (const auto& stream : streams_) records.push_back(stream->record);
  return records;
}

}  // namespace longgen
