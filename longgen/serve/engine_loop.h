// serve/engine_loop.h: the thread that computes for all requests of a server.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "longgen/serve/engine_core.h"
#include "longgen/serve/mailbox.h"

namespace longgen {

/// Takes messages from any thread and answers by events. In every turn it takes all messages, plans
/// a step and does it; it sleeps where nothing can run, and never polls. What is cancelled has let
/// its pages go when the step under way has ended, which is given up where all of its requests are
/// cancelled.
///
/// Every submitted request ends with exactly one event of RequestEnded, RequestRejected or
/// RequestFailed, whatever happens: a step that throws ends all of them, and later ones at once.
class EngineLoop {
 public:
  /// Is given the events of a step, in order; by the loop's thread, which waits. Where it throws,
  /// the engine has failed.
  using OnEvents = std::function<void(std::vector<EngineEvent>)>;

  /// Starts the thread, which measures steps first. Throws Error as EngineCore does. The decoder
  /// must outlive it.
  EngineLoop(const Decoder& decoder, const ServingOptions& options, OnEvents on_events);
  /// Cancels what is left.
  ~EngineLoop();
  EngineLoop(const EngineLoop&) = delete;
  EngineLoop& operator=(const EngineLoop&) = delete;

  // All calls may come from any thread.

  void post(EngineMessage message);
  /// Could the request run if there was no other one? If not, it fails where it is submitted.
  bool can_ever_fit(const Request& request) const { return core_.can_ever_fit(request); }
  /// As it was after the last message or step; does not wait for one.
  EngineState state() const;
  /// The same of how long requests took.
  RequestMetrics metrics() const;
  /// Takes no more requests, which fail at once, and returns when all that are there have ended,
  /// or after so many seconds, when it has cancelled them. Returns at once where the engine failed.
  void drain(double seconds);

 private:
  struct Drain {
    double seconds;
  };
  struct Stop {};
  struct OfRequest {
    EngineMessage message;
    double posted;  // by the clock of the options
  };
  using Message = std::variant<OfRequest, Drain, Stop>;

  void run();
  void serve();
  void refuse_all();
  void collect_mail();
  void read_mail();
  void take(Message message);
  void take_of_request(OfRequest& of_request);
  bool goes_on();
  void publish();

  EngineCore core_;
  OnEvents on_events_;
  Mailbox<Message> mailbox_;
  // Of the loop's thread:
  std::deque<Message> pending_;  // taken from the mailbox in the middle of a step
  bool stops_ = false;
  std::optional<double> drain_end_;
  EnginePhase phase_ = EnginePhase::calibrating;
  std::string failure_;
  // Of all threads:
  mutable std::mutex state_mutex_;
  std::condition_variable state_changed_;
  EngineState state_;
  RequestMetrics metrics_;
  std::thread thread_;
};

}  // namespace longgen
