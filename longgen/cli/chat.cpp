// longgen chat: a conversation, a message at a time.
#include <unistd.h>

#include <memory>
#include <optional>

#include "longgen/api/chat_session.h"
#include "longgen/base/check.h"
#include "longgen/base/json.h"
#include "longgen/base/log.h"
#include "longgen/base/units.h"
#include "longgen/chat/chat_template.h"
#include "longgen/cli/commands.h"
#include "longgen/cli/generation.h"
#include "longgen/cli/interrupt.h"
#include "longgen/cli/line_reader.h"
#include "longgen/model/model_path.h"

namespace longgen {
namespace {

struct ChatCommand : GenerationCommand {
  std::optional<std::string> system;
  std::string template_args;
};

constexpr const char* kHelp =
    "/system TEXT  set the system message; without TEXT, show it\n"
    "/reset        forget the conversation, but not the system message\n"
    "/save FILE    write the conversation to a new file, as JSON\n"
    "/exit         leave, as Ctrl-D does\n"
    "/help         show this\n"
    "A message that begins with a slash: write two. Ctrl-C stops a reply, or clears the line.";

std::string trimmed(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t") + 1 - begin);
}

class Chat {
 public:
  Chat(const ChatCommand& command, const LoadedModel& model, ChatTemplate format)
      : command_(command),
        model_(model),
        conversation_(model, std::move(format), chat_request(command.template_args), command.chunk),
        // Editing writes to the terminal, and stdout belongs to the replies.
        interactive_(::isatty(STDIN_FILENO) == 1 && ::isatty(STDERR_FILENO) == 1) {
    if (command.system) conversation_.set_system(command.system);
  }

  /// Talks until the input ends. Returns the exit code.
  int run() {
    interactive_ ? catch_interrupts_of_replies() : catch_interrupts();
    const auto reader =
        interactive_ ? make_line_editor("> ", state_file("chat_history")) : make_plain_reader();
    if (interactive_) log_info("Ctrl-D leaves, /help shows the commands");
    std::string line;
    while (!left_) {
      const ReadEvent event = reader->read(line);
      if (event == ReadEvent::end || interrupt_signal() != 0) break;
      if (event == ReadEvent::interrupted) {
        cleared();
        continue;
      }
      num_cleared_ = 0;
      take(line);
      if (interrupt_signal() != 0) break;
      clear_interrupt();
    }
    return interrupt_signal() == 0 ? 0 : 128 + interrupt_signal();
  }

 private:
  /// Forgets a Ctrl-C at the prompt, and says from the second one on what leaves the program.
  void cleared() {
    clear_interrupt();
    if (++num_cleared_ > 1) log_info("Ctrl-D or /exit leaves");
  }

  /// Takes a message or a command. At a terminal errors do not end the conversation.
  void take(const std::string& line) {
    if (trimmed(line).empty()) return;
    try {
      if (line.starts_with("//")) return say(line.substr(1));
      if (line.starts_with("/")) return obey(line);
      say(line);
    } catch (const Error& error) {
      if (!interactive_) throw;
      print_error(error.what());
    }
  }

  void obey(const std::string& line) {
    const size_t end = line.find_first_of(" \t\n");
    const std::string name = line.substr(0, end);
    const std::string argument = end == std::string::npos ? "" : trimmed(line.substr(end));
    if (name == "/help") return log_info(kHelp);
    if (name == "/exit" || name == "/quit") {
      left_ = true;
    } else if (name == "/reset") {
      conversation_.reset();
      warned_ = false;
      log_info("forgotten");
    } else if (name == "/system") {
      set_system(argument);
    } else if (name == "/save") {
      save(argument);
    } else {
      LG_FAIL("there is no command ", name,
              ". /help shows the commands; to send this as a message, ",
              "begin it with two slashes.");
    }
  }

  void set_system(const std::string& text) {
    if (!text.empty()) return conversation_.set_system(text);
    const auto& system = conversation_.system();
    log_info(system ? "system message: " + *system : "no system message is set");
  }

  void save(const std::string& name) {
    LG_CHECK(!name.empty(), "/save: expected the name of a file, as in /save talk.json.");
    const fs::path file = name;
    LG_CHECK(file == saved_ || !fs::exists(file), name,
             ": exists already. Give the name of a new file.");
    const OrderedJson messages = conversation_.messages();
    write_file(file, dump_json(OrderedJson{{"messages", messages}}, 2) + "\n");
    saved_ = file;
    log_info(
        detail::concat(name, ": ", format_count(static_cast<int64_t>(messages.size()), "message")));
  }

  void say(const std::string& message) {
    const int64_t prompt_tokens = conversation_.ask(message);
    warn_of_length();
    const auto show = [this](const std::string& part) {
      output_.write(part);
      output_.flush();
    };
    const Generated generated = conversation_.answer(
        generate_options(command_, model_.tokenizer, conversation_.stop_tokens()),
        generate_callbacks(prompt_tokens, command_.quiet, show));
    output_.write("\n");
    output_.flush();
    warn_of_length();
    if (!command_.quiet) log_info(status_text(generated, conversation_.session()));
  }

  /// Warns once a conversation when it is longer than the model's context.
  void warn_of_length() {
    warned_ = warned_ || warn_beyond_context(model_.decoder.config(), conversation_.num_tokens());
  }

  const ChatCommand& command_;
  const LoadedModel& model_;
  ChatSession conversation_;
  Output output_;
  const bool interactive_;
  fs::path saved_;  // by this conversation: may be written again
  int num_cleared_ = 0;
  bool left_ = false, warned_ = false;
};

int chat(const ChatCommand& command) {
  expect_model_directory(command.model);
  ChatTemplate format = ChatTemplate::load(command.model);
  const LoadedModel model = load_with_tokenizer(command.model, command.model_options);
  return Chat(command, model, std::move(format)).run();
}

}  // namespace

void add_chat(CommandSet& commands) {
  auto command = std::make_shared<ChatCommand>();
  CLI::App* const app = commands.add(CommandGroup::inference, "chat", "talk to a model");
  app->add_option("MODEL", command->model, "model directory with a chat template")->required();
  app->add_option("--system", command->system, "system message")->option_text("TEXT");
  add_template_args_option(app, command->template_args);
  add_generation_options(app, *command);
  commands.on_run(app, [command] { return chat(*command); });
}

}  // namespace longgen
