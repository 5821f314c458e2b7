// bench/load/request_runner.h: requests on their way, and what came of them.
#pragma once

#include <deque>
#include <functional>
#include <memory>

#include "longgen/bench/client/http_client.h"
#include "longgen/bench/load/prompt_maker.h"
#include "longgen/bench/load/request_form.h"
#include "longgen/bench/load/request_record.h"

namespace longgen {

/// Sends requests and notes when their tokens come. Its clock begins when it is made. The client,
/// the form and the maker must outlive it; the client is run by whoever uses it.
class RequestRunner {
 public:
  RequestRunner(HttpClient& client, const RequestForm& form, const PromptMaker& prompts);
  /// Drops what is not over.
  ~RequestRunner();
  RequestRunner(const RequestRunner&) = delete;
  RequestRunner& operator=(const RequestRunner&) = delete;

  /// Sends a request now, and returns its number. `on_end` is called when it is over.
  size_t start(const PlannedRequest& request, std::function<void()> on_end = {});
  /// Ends it; what came until then stays in the record.
  void stop(size_t number);
  void stop_all();

  double now() const;
  TimePoint time_of(double seconds) const;
  size_t num_started() const { return streams_.size(); }
  int64_t num_open() const { return num_open_; }
  /// Events with text of all requests together.
  int64_t num_events() const { return num_events_; }
  const RequestRecord& record(size_t number) const;
  std::vector<RequestRecord> records() const;

 private:
  class Stream;
  HttpClient& client_;
  const RequestForm& form_;
  const PromptMaker& prompts_;
  TimePoint start_;
  std::deque<std::shared_ptr<Stream>> streams_;
  int64_t num_open_ = 0, num_events_ = 0;
};

/// The kinds of errors that are no status of HTTP.
inline constexpr const char* kStopped = "stopped";

}  // namespace longgen
