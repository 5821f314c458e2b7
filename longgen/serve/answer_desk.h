// serve/answer_desk.h: all answers in the making, and what the engine is told for them.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "longgen/serve/answer.h"

namespace longgen {

using AnswerId = int64_t;

/// So many requests of one answer may wait in the engine's queue; the others of a large batch wait
/// at the desk, so that it neither fills the queue nor is refused for its own size.
inline constexpr int64_t kMaxWaitingOfAnswer = 8;

/// A stream that waits in the queue begins after so long, or a proxy takes it for dead; until then
/// it may still become a 429.
inline constexpr std::chrono::seconds kSilenceOfStreams{10};

/// Submits the requests of each answer, gives it their events, and closes it when all have ended,
/// when the client has gone, or when something fails. Not thread-safe: OutputThread is its thread.
class AnswerDesk {
 public:
  using Tell = std::function<void(EngineMessage)>;
  /// Tells who reads what becomes of an exchange; it calls gone(), full() and drained() on the
  /// thread of the desk.
  using Watch = std::function<http::Exchange::Watcher(AnswerId)>;

  /// The model must outlive it.
  AnswerDesk(const ServedModel& model, Tell tell, Watch watch);

  void begin(AnswerPlan plan, std::shared_ptr<http::Exchange> exchange);
  /// Events of requests that are closed already mean nothing.
  void take(const EngineEvent& event);
  /// The client has gone: its requests end.
  void gone(AnswerId answer);
  /// The client reads too slowly: its requests pause.
  void full(AnswerId answer);
  /// It has read most of what it was sent: they go on.
  void drained(AnswerId answer);
  /// Begins streams that have waited for long. Returns whether others wait.
  bool begin_late_streams(std::chrono::steady_clock::time_point now);
  /// Ends all answers with an error.
  void fail_all(const openai::ApiError& error);

  int64_t num_open() const { return std::ssize(open_); }

 private:
  struct Open {
    std::unique_ptr<Answer> answer;
    std::deque<int64_t> unsent;                 // choices
    std::map<RequestId, int64_t> choices = {};  // that the engine has
    int64_t num_waiting = 0;                    // of them, not begun
    bool is_paused = false;
  };
  using Place = std::map<AnswerId, Open>::iterator;

  template <typename Action>
  void guard(Place place, const Action& action);
  void submit_more(Open& open, AnswerId id);
  void take(Place place, int64_t choice, const EngineEvent& event);
  void reject(Place place, RequestId request, int64_t choice, const RequestRejected& rejected);
  void end_choice(Place place, RequestId request, int64_t choice, RequestEnd end);
  void forget(Open& open, RequestId request);
  void cancel_requests(Open& open);
  void fail(Place place, const openai::ApiError& error, const http::Headers& headers = {});

  const ServedModel& model_;
  Tell tell_;
  Watch watch_;
  std::map<AnswerId, Open> open_;
  std::unordered_map<RequestId, AnswerId> answer_of_;
  AnswerId next_answer_ = 1;
  RequestId next_request_ = 1;
};

}  // namespace longgen
