// longgen chat: a conversation, a line at a time.
#include <unistd.h>

#include <iostream>
#include <memory>

#include "longgen/base/log.h"
#include "longgen/chat/chat_template.h"
#include "longgen/cli/chat_request.h"
#include "longgen/cli/commands.h"
#include "longgen/cli/generation.h"
#include "longgen/cli/interrupt.h"

namespace longgen {
namespace {

struct ChatCommand : GenerationCommand {
  std::string system, template_args;
};

/// The conversation as tokens, and how much of it the session holds.
class Conversation {
 public:
  Conversation(const LoadedModel& model, const ChatTemplate& format, const ChatCommand& command)
      : model_(model),
        format_(format),
        command_(command),
        request_(chat_request(command.template_args)),
        stop_tokens_(format.stop_tokens(model.tokenizer)),
        session_(model.decoder, command.chunk) {
    if (!command.system.empty()) say_as("system", command.system);
  }

  void say(const std::string& line, Output& output) {
    say_as("user", line);
    const std::vector<int32_t> ids = format_.render(request_).encode(model_.tokenizer);
    const std::vector<int32_t> fresh(ids.begin() + keep_common(ids), ids.end());

    const GenerateOptions options = generate_options(command_, model_.tokenizer, stop_tokens_);
    TextStream stream(model_.tokenizer, options.stop);
    std::string reply;
    StringOutput tee{output, reply};
    const Generated generated = generate(session_, fresh, ids, stream, options, tee.callbacks());
    output.write("\n");
    output.flush();
    if (!command_.quiet) log_info(report_text(generated, session_));
    held_ = ids;
    held_.insert(held_.end(), generated.ids.begin(), generated.ids.end());
    held_.resize(session_.num_tokens());
    say_as("assistant", reply);
  }

 private:
  struct StringOutput {
    Output& output;
    std::string& text;

    GenerateCallbacks callbacks() {
      GenerateCallbacks callbacks;
      callbacks.text = [this](const std::string& part) {
        text += part;
        output.write(part);
        output.flush();
      };
      return callbacks;
    }
  };

  void say_as(const std::string& role, const std::string& content) {
    request_.messages.push_back(chat_message(role, content));
  }

  /// How many of `ids` the session holds already. Where the format renders an earlier turn in
  /// another way than it was generated, the conversation is read again from the start.
  int64_t keep_common(const std::vector<int32_t>& ids) {
    const bool goes_on =
        held_.size() < ids.size() && std::equal(held_.begin(), held_.end(), ids.begin());
    if (goes_on) return static_cast<int64_t>(held_.size());
    session_.clear();
    return 0;
  }

  const LoadedModel& model_;
  const ChatTemplate& format_;
  const ChatCommand& command_;
  ChatRequest request_;  // with the messages so far
  std::vector<std::string> stop_tokens_;
  Session session_;
  std::vector<int32_t> held_;  // tokens in the session's cache
};

int chat(const ChatCommand& command) {
  const ChatTemplate format = ChatTemplate::load(command.model);
  const LoadedModel model = load_with_tokenizer(command.model, command.model_options);
  Conversation conversation(model, format, command);
  const bool terminal = ::isatty(STDIN_FILENO);
  if (!command.quiet) {
    log_info("a message a line, an empty line or Ctrl-D ends");
  }
  catch_interrupts();
  Output output;
  std::string line;
  while (interrupt_signal() == 0) {
    if (terminal) std::cerr << "> " << std::flush;
    if (!std::getline(std::cin, line) || line.empty()) break;
    conversation.say(line, output);
  }
  return interrupt_signal() == 0 ? 0 : 128 + interrupt_signal();
}

}  // namespace

void add_chat(CommandSet& commands) {
  auto command = std::make_shared<ChatCommand>();
  CLI::App* const app =
      commands.add(CommandGroup::inference, "chat", "talk to a model, a line at a time");
  app->add_option("MODEL", command->model, "model directory with a chat template")->required();
  app->add_option("--system", command->system, "system message")->option_text("TEXT");
  add_template_args_option(app, command->template_args);
  add_generation_options(app, *command);
  commands.on_run(app, [command] { return chat(*command); });
}

}  // namespace longgen
