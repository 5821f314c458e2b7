#include "longgen/api/chat_session.h"

#include <algorithm>
#include <span>

namespace longgen {

ChatSession::ChatSession(const LoadedModel& model, ChatTemplate chat_template, ChatRequest request,
                         int64_t chunk)
    : model_(model),
      template_(std::move(chat_template)),
      request_(std::move(request)),
      stop_tokens_(template_.stop_tokens(model.tokenizer)),
      session_(model.decoder, chunk) {}

std::vector<int32_t> ChatSession::encode(OrderedJson messages) const {
  ChatRequest request = request_;
  request.messages = std::move(messages);
  return template_.render(request).encode(model_.tokenizer);
}

OrderedJson ChatSession::messages() const {
  OrderedJson all = OrderedJson::array();
  if (system_) all.push_back(chat_message("system", *system_));
  all.insert(all.end(), turns_.begin(), turns_.end());
  return all;
}

void ChatSession::set_system(std::optional<std::string> text) {
  std::swap(system_, text);
  try {
    OrderedJson next = messages();
    next.push_back(chat_message("user", "?"));
    encode(std::move(next));
  } catch (...) {
    std::swap(system_, text);
    throw;
  }
}

int64_t ChatSession::ask(const std::string& text) {
  turns_.push_back(chat_message("user", text));
  try {
    prompt_ = encode(messages());
  } catch (...) {
    turns_.erase(turns_.size() - 1);
    throw;
  }
  // A template may render an earlier turn in another way than the model wrote it, and /system
  // changes the start: then everything is read again.
  const bool goes_on =
      held_.size() < prompt_.size() && std::equal(held_.begin(), held_.end(), prompt_.begin());
  if (!goes_on) forget_cache();
  return static_cast<int64_t>(prompt_.size() - held_.size());
}

Generated ChatSession::answer(const GenerateOptions& options, const GenerateCallbacks& callbacks) {
  std::string reply;
  GenerateCallbacks tee = callbacks;
  tee.text = [&](const std::string& part) {
    reply += part;
    callbacks.text(part);
  };
  Generated generated;
  try {
    TextStream stream(model_.tokenizer, options.stop);
    generated =
        generate(session_, std::span(prompt_).subspan(held_.size()), prompt_, stream, options, tee);
  } catch (...) {
    forget_cache();
    turns_.erase(turns_.size() - 1);
    throw;
  }
  prompt_.insert(prompt_.end(), generated.ids.begin(), generated.ids.end());
  held_.assign(prompt_.begin(), prompt_.begin() + session_.num_tokens());
  if (generated.ids.empty()) {
    turns_.erase(turns_.size() - 1);
  } else {
    turns_.push_back(chat_message("assistant", reply));
  }
  return generated;
}

void ChatSession::reset() {
  turns_.clear();
  prompt_.clear();
  forget_cache();
}

void ChatSession::forget_cache() {
  session_.clear();
  held_.clear();
}

}  // namespace longgen
