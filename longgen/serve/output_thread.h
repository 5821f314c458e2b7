// serve/output_thread.h: the thread on which answers are written.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <variant>
#include <vector>

#include "longgen/serve/answer_desk.h"
#include "longgen/serve/mailbox.h"

namespace longgen {

/// An AnswerDesk with a thread of its own, which gets everything by message. It never waits for a
/// reader: what it writes is posted to the connection.
class OutputThread {
 public:
  /// The model must outlive it; `tell` is called on its thread and must not wait.
  OutputThread(const ServedModel& model, AnswerDesk::Tell tell);
  ~OutputThread() { quit(); }
  OutputThread(const OutputThread&) = delete;
  OutputThread& operator=(const OutputThread&) = delete;

  /// Ends the thread; answers that are not complete stay so, and what is posted later is lost.
  void quit();

  // From any thread, without waiting:

  void begin(AnswerPlan plan, std::shared_ptr<http::Exchange> exchange);
  /// What happened in a step.
  void take(std::vector<EngineEvent> events) { mailbox_->post(std::move(events)); }
  /// Ends all answers with an error.
  void fail_all(openai::ApiError error) { mailbox_->post(std::move(error)); }
  /// Answers that were begun and have not ended.
  int64_t num_open() const { return num_open_; }

 private:
  struct Begin {
    AnswerPlan plan;
    std::shared_ptr<http::Exchange> exchange;
  };
  struct Gone {
    AnswerId answer;
  };
  struct Full {
    AnswerId answer;
  };
  struct Drained {
    AnswerId answer;
  };
  struct Quit {};
  using Message =
      std::variant<Begin, std::vector<EngineEvent>, Gone, Full, Drained, openai::ApiError, Quit>;

  void run();
  void handle(Message& message);

  // Watchers of connections hold it, too: they may outlive this.
  std::shared_ptr<Mailbox<Message>> mailbox_ = std::make_shared<Mailbox<Message>>();
  AnswerDesk desk_;
  std::atomic<int64_t> num_open_ = 0;
  bool quits_ = false;
  std::thread thread_;
};

}  // namespace longgen
