#include "longgen/cli/conversation.h"

#include <algorithm>
#include <span>

namespace longgen {

Conversation::Conversation(const LoadedModel& model, ChatFormat format, int64_t chunk)
    : model_(model), format_(std::move(format)), session_(model.decoder, chunk) {}

std::vector<int32_t> Conversation::encode(const std::vector<ChatMessage>& messages) const {
  return model_.tokenizer.encode(format_.render(messages, /*add_generation_prompt=*/true),
                                 {.parse_special = true});
}

std::vector<ChatMessage> Conversation::messages() const {
  std::vector<ChatMessage> all = turns_;
  if (system_) all.insert(all.begin(), {"system", *system_});
  return all;
}

void Conversation::set_system(std::optional<std::string> text) {
  std::swap(system_, text);
  try {
    std::vector<ChatMessage> next = messages();
    next.push_back({"user", "?"});
    encode(next);
  } catch (...) {
    std::swap(system_, text);
    throw;
  }
}

int64_t Conversation::ask(const std::string& text) {
  turns_.push_back({"user", text});
  try {
    prompt_ = encode(messages());
  } catch (...) {
    turns_.pop_back();
    throw;
  }
  // A format may render an earlier turn in another way than the model wrote it, and /system changes
  // the start: then everything is read again.
  const bool goes_on =
      held_.size() < prompt_.size() && std::equal(held_.begin(), held_.end(), prompt_.begin());
  if (!goes_on) forget_cache();
  return static_cast<int64_t>(prompt_.size() - held_.size());
}

Generated Conversation::answer(const GenerateOptions& options, const GenerateCallbacks& callbacks) {
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
    turns_.pop_back();
    throw;
  }
  prompt_.insert(prompt_.end(), generated.ids.begin(), generated.ids.end());
  held_.assign(prompt_.begin(), prompt_.begin() + session_.num_tokens());
  if (generated.ids.empty()) {
    turns_.pop_back();
  } else {
    turns_.push_back({"assistant", reply});
  }
  return generated;
}

void Conversation::reset() {
  turns_.clear();
  prompt_.clear();
  forget_cache();
}

void Conversation::forget_cache() {
  session_.clear();
  held_.clear();
}

}  // namespace longgen
