// tests/unit/serve/fake_exchange.h: the way back to a client that keeps what it is given.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "longgen/base/json.h"
#include "longgen/serve/http/exchange.h"

namespace longgen {

class FakeExchange : public http::Exchange {
 public:
  void answer(int status, const std::string& content_type, std::string body,
              const http::Headers& headers = {}) override {
    status_ = status;
    type_ = content_type;
    body_ = std::move(body);
    headers_ = headers;
    ++num_answers_;
  }
  void begin_stream(const http::Headers&) override { streams_ = true; }
  void send(std::string text) override { sent_ += text; }
  void end_stream() override {
    streams_ = false;
    ++num_answers_;
  }
  void note(const std::string& name, int64_t value) override { notes_.emplace_back(name, value); }
  bool is_gone() const override { return is_gone_; }
  int64_t unwritten_bytes() const override { return 0; }
  void watch(Watcher watcher) override { watcher_ = std::move(watcher); }

  OrderedJson json() const { return OrderedJson::parse(body_); }
  /// The JSON of the events sent so far, without [DONE].
  std::vector<OrderedJson> events() const {
    std::vector<OrderedJson> events;
    for (size_t at = 0; at < sent_.size();) {
      const size_t end = sent_.find("\n\n", at);
      const std::string data = sent_.substr(at + 6, end - at - 6);
      if (data != "[DONE]") events.push_back(OrderedJson::parse(data));
      at = end + 2;
    }
    return events;
  }
  bool is_done() const { return num_answers_ == 1 && sent_.ends_with("data: [DONE]\n\n"); }

  int status_ = 0, num_answers_ = 0;
  std::string type_, body_, sent_;
  http::Headers headers_;
  std::vector<std::pair<std::string, int64_t>> notes_;
  bool streams_ = false, is_gone_ = false;
  Watcher watcher_;
};

}  // namespace longgen
