#include "longgen/serve/http/reply.h"

#include <utility>

#include "longgen/base/check.h"

namespace longgen::http {

Reply::Reply(Marks marks, std::function<void()> wake) : marks_(marks), wake_(std::move(wake)) {}

void Reply::answer(int status, const std::string& content_type, std::string body,
                   const Headers& headers) {
  ResponseHead head{status, content_type, headers, static_cast<int64_t>(body.size())};
  say({.head = std::move(head), .bytes = std::move(body), .is_last = true});
}

void Reply::begin_stream(const Headers& headers) {
  say({.head = ResponseHead{200, "text/event-stream", headers, std::nullopt}});
}

void Reply::send(std::string text) { say({.bytes = std::move(text)}); }

void Reply::end_stream() { say({.is_last = true}); }

void Reply::fail(const openai::ApiError& error) {
  std::unique_lock lock(mutex_);
  if (phase_ == Phase::ended) return;
  if (phase_ == Phase::streaming) {
    return say({.is_last = true, .is_broken = true}, std::move(lock));
  }
  Headers headers;
  if (error.status() == 401) headers.emplace_back("WWW-Authenticate", "Bearer");
  if (error.status() == 503) headers.emplace_back("Retry-After", "1");
  std::string body = error.json();
  ResponseHead head{error.status(), "application/json", headers, static_cast<int64_t>(body.size())};
  say({.head = std::move(head), .bytes = std::move(body), .is_last = true}, std::move(lock));
}

void Reply::say(Words words) { say(std::move(words), std::unique_lock(mutex_)); }

void Reply::say(Words words, std::unique_lock<std::mutex> lock) {
  Watcher let_go;  // without the mutex: what it holds may be the exchange itself
  if (is_gone_) return;
  LG_DCHECK(phase_ == (words.head ? Phase::silent : Phase::streaming));
  phase_ = words.is_last ? Phase::ended : Phase::streaming;
  const bool is_stream = !words.head || !words.head->length;
  if (is_stream) unwritten_ += static_cast<int64_t>(words.bytes.size());
  if (words.head) words_.head = std::move(words.head);
  // What is given whole is not copied: it may be megabytes.
  if (words_.bytes.empty()) {
    words_.bytes = std::move(words.bytes);
  } else {
    words_.bytes += words.bytes;
  }
  words_.is_last = words.is_last;
  words_.is_broken = words.is_broken;
  if (words.is_last) std::swap(let_go, watcher_);
  const bool must_wake = !std::exchange(is_woken_, true);
  lock.unlock();
  if (must_wake) wake_();
}

void Reply::note(const std::string& name, int64_t value) {
  const std::lock_guard lock(mutex_);
  notes_.emplace_back(name, value);
}

bool Reply::is_gone() const {
  const std::lock_guard lock(mutex_);
  return is_gone_;
}

int64_t Reply::unwritten_bytes() const {
  const std::lock_guard lock(mutex_);
  return unwritten_;
}

void Reply::watch(Watcher watcher) {
  {
    const std::lock_guard lock(mutex_);
    if (phase_ == Phase::ended) return;
    if (!is_gone_) {
      std::swap(watcher_, watcher);
      return;
    }
  }
  if (watcher.on_gone) watcher.on_gone();
}

void Reply::look() {
  std::function<void()> told;
  {
    const std::lock_guard lock(mutex_);
    is_woken_ = false;
    if (!is_full_ && unwritten_ > marks_.high) {
      is_full_ = true;
      told = watcher_.on_full;
    } else if (is_full_ && unwritten_ < marks_.low) {
      is_full_ = false;
      told = watcher_.on_drained;
    }
  }
  if (told) told();
}

Reply::Words Reply::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(words_, {});
}

void Reply::wrote(int64_t num_bytes) {
  {
    const std::lock_guard lock(mutex_);
    unwritten_ -= num_bytes;
  }
  look();
}

Notes Reply::close() {
  const std::lock_guard lock(mutex_);
  return std::exchange(notes_, {});
}

Notes Reply::lose() {
  Watcher watcher;
  Notes notes;
  bool was_running = false;
  {
    const std::lock_guard lock(mutex_);
    was_running = phase_ != Phase::ended;
    is_gone_ = true;
    unwritten_ = 0;
    words_ = {};
    std::swap(watcher, watcher_);
    notes = std::exchange(notes_, {});
  }
  if (was_running && watcher.on_gone) watcher.on_gone();
  return notes;
}

}  // namespace longgen::http
