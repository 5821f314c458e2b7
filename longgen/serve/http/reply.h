// serve/http/reply.h: what a handler has said and its connection not yet written.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "longgen/serve/http/access_log.h"
#include "longgen/serve/http/exchange.h"
#include "longgen/serve/http/response_head.h"
#include "longgen/serve/openai/api_error.h"

namespace longgen::http {

/// The exchange that a handler gets, and its other side, which the connection's thread has. No
/// watcher is called while its mutex is held.
class Reply final : public Exchange {
 public:
  struct Marks {
    int64_t high, low;
  };

  /// `wake` is called on the thread of whoever says something, once until the next look().
  Reply(Marks marks, std::function<void()> wake);

  void answer(int status, const std::string& content_type, std::string body,
              const Headers& headers) override;
  void begin_stream(const Headers& headers) override;
  void send(std::string text) override;
  void end_stream() override;
  void note(const std::string& name, int64_t value) override;
  bool is_gone() const override;
  int64_t unwritten_bytes() const override;
  void watch(Watcher watcher) override;

  /// Answers with the error where nothing was said yet; breaks a stream off.
  void fail(const openai::ApiError& error);

  // For the connection, on its thread:

  struct Words {
    std::optional<ResponseHead> head = {};
    std::string bytes = {};
    bool is_last = false;    ///< nothing follows
    bool is_broken = false;  ///< the stream breaks off here
  };
  /// Tells who watches of marks that were passed; from here on `wake` is called again.
  void look();
  /// Takes what was said since the last call.
  Words take();
  /// Says that the socket has taken bytes of the stream, and looks.
  void wrote(int64_t num_bytes);
  /// Says that the answer is written, and returns the notes.
  Notes close();
  /// Says that the client has gone, and returns the notes.
  Notes lose();

 private:
  enum class Phase { silent, streaming, ended };

  void say(Words words);
  /// Adds the words and lets go of mutex_ before it wakes the connection.
  void say(Words words, std::unique_lock<std::mutex> lock);

  const Marks marks_;
  const std::function<void()> wake_;
  mutable std::mutex mutex_;
  Phase phase_ = Phase::silent;
  bool is_gone_ = false, is_woken_ = false, is_full_ = false;
  int64_t unwritten_ = 0;
  Words words_;
  Notes notes_;
  Watcher watcher_;
};

}  // namespace longgen::http
