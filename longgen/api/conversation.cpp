#include "longgen/api/chat_session.h"
#include "longgen/api/generation_run.h"
#include "longgen/api/translated.h"
#include "longgen/chat/chat_request.h"

namespace longgen {

struct Conversation::Impl {
  Model model;
  ChatSession chat;

  Impl(const Model& opened, const ConversationOptions& options)
      : model(opened),
        chat(model.impl().loaded, ChatTemplate::load(model.directory()),
             chat_request(options.template_variables, "template_variables"),
             options.prefill_chunk) {
    if (options.system) chat.set_system(options.system);
  }

  Generation ask(const std::string& message, const GenerationOptions& options) {
    GenerationRun run(model.impl(), options, chat.stop_tokens());
    const int64_t prompt_tokens = chat.ask(message);
    const Generated generated = chat.answer(run.engine_options(), run.callbacks(prompt_tokens));
    return run.result(generated, chat.session());
  }
};

Conversation::Conversation(const Model& model, const ConversationOptions& options)
    : impl_(translated([&] { return std::make_unique<Impl>(model, options); })) {}
Conversation::~Conversation() = default;
Conversation::Conversation(Conversation&&) noexcept = default;
Conversation& Conversation::operator=(Conversation&&) noexcept = default;

Generation Conversation::ask(const std::string& message, const GenerationOptions& options) {
  return translated([&] { return impl_->ask(message, options); });
}

void Conversation::set_system(const std::optional<std::string>& text) {
  impl_->chat.set_system(text);
}

void Conversation::reset() { impl_->chat.reset(); }

std::vector<Message> Conversation::messages() const {
  std::vector<Message> all;
  for (const OrderedJson& message : impl_->chat.messages()) {
    all.push_back({message.at("role"), message.at("content")});
  }
  return all;
}

int64_t Conversation::num_tokens() const { return impl_->chat.num_tokens(); }

}  // namespace longgen
