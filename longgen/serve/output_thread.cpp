#include "longgen/serve/output_thread.h"

#include <string>
#include <utility>

#include "longgen/base/log.h"

namespace longgen {
namespace {

// How exactly the time is kept after which a stream begins that waits in the queue.
constexpr double kLookForLateSeconds = 1;

}  // namespace

OutputThread::OutputThread(const ServedModel& model, AnswerDesk::Tell tell)
    : desk_(model, std::move(tell),
            [mailbox = mailbox_](AnswerId id) -> http::Exchange::Watcher {
              return {.on_gone = [mailbox, id] { mailbox->post(Gone{id}); },
                      .on_full = [mailbox, id] { mailbox->post(Full{id}); },
                      .on_drained = [mailbox, id] { mailbox->post(Drained{id}); }};
            }),
      thread_([this] { run(); }) {}

void OutputThread::quit() {
  if (!thread_.joinable()) return;
  mailbox_->post(Quit{});
  thread_.join();
}

void OutputThread::begin(AnswerPlan plan, std::shared_ptr<http::Exchange> exchange) {
  ++num_open_;  // from now on, so that nobody takes a message on its way for no work at all
  mailbox_->post(Begin{std::move(plan), std::move(exchange)});
}

void OutputThread::run() {
  while (!quits_) {
    const bool streams_wait = desk_.begin_late_streams(std::chrono::steady_clock::now());
    mailbox_->wait(streams_wait ? std::optional(kLookForLateSeconds) : std::nullopt);
    for (Message& message : mailbox_->take()) {
      const int64_t before = desk_.num_open();
      try {
        handle(message);
      } catch (const std::exception& error) {
        log_warning(std::string("[serve] an answer was lost: ") + error.what());
      }
      const int64_t announced = std::holds_alternative<Begin>(message) ? 1 : 0;
      num_open_ += desk_.num_open() - before - announced;
    }
  }
}

void OutputThread::handle(Message& message) {
  if (auto* begin = std::get_if<Begin>(&message)) {
    desk_.begin(std::move(begin->plan), std::move(begin->exchange));
  } else if (const auto* events = std::get_if<std::vector<EngineEvent>>(&message)) {
    for (const EngineEvent& event : *events) desk_.take(event);
  } else if (const auto* gone = std::get_if<Gone>(&message)) {
    desk_.gone(gone->answer);
  } else if (const auto* full = std::get_if<Full>(&message)) {
    desk_.full(full->answer);
  } else if (const auto* drained = std::get_if<Drained>(&message)) {
    desk_.drained(drained->answer);
  } else if (const auto* error = std::get_if<openai::ApiError>(&message)) {
    desk_.fail_all(*error);
  } else {
    quits_ = true;
  }
}

}  // namespace longgen
