// serve/mailbox.h: messages from many threads to one.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace longgen {

/// It has no bound, because nobody who posts could wait or be refused: a message that ends a
/// request must arrive, and the thread of the sockets never waits. What bounds it is that every
/// connection has few requests at a time, and that its owner takes all messages in every step.
template <typename Message>
class Mailbox {
 public:
  /// From any thread.
  void post(Message message) {
    {
      const std::lock_guard lock(mutex_);
      messages_.push_back(std::move(message));
      is_empty_ = false;
    }
    has_come_.notify_one();
  }

  // From its owner's thread:

  /// Costs less than take(), and may be asked in the middle of work.
  bool is_empty() const { return is_empty_; }
  /// All messages, in order.
  std::vector<Message> take() {
    const std::lock_guard lock(mutex_);
    is_empty_ = true;
    return std::exchange(messages_, {});
  }
  /// Sleeps until there is a message, or for so many seconds.
  void wait(std::optional<double> seconds) {
    std::unique_lock lock(mutex_);
    const auto has_some = [this] { return !messages_.empty(); };
    if (seconds) {
      has_come_.wait_for(lock, std::chrono::duration<double>(*seconds), has_some);
    } else {
      has_come_.wait(lock, has_some);
    }
  }

 private:
  std::mutex mutex_;
  std::condition_variable has_come_;
  std::vector<Message> messages_;
  std::atomic<bool> is_empty_ = true;
};

}  // namespace longgen
