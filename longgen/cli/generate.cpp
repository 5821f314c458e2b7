// longgen generate: continues a text.
#include "longgen/generate/generate.h"

#include <unistd.h>

#include <iostream>
#include <iterator>
#include <memory>

#include "longgen/base/check.h"
#include "longgen/base/log.h"
#include "longgen/cli/commands.h"
#include "longgen/cli/generation.h"
#include "longgen/cli/interrupt.h"
#include "longgen/tokenizer/chat_format.h"

namespace longgen {
namespace {

struct GenerateCommand : GenerationCommand {
  std::string prompt, prompt_file, system;
  bool has_prompt = false, chat = false, json = false;
};

std::string read_prompt(const GenerateCommand& command) {
  if (command.has_prompt) return command.prompt;
  if (!command.prompt_file.empty() && command.prompt_file != "-") {
    return read_file(command.prompt_file);
  }
  if (::isatty(STDIN_FILENO)) log_info("reading the prompt from stdin, up to Ctrl-D");
  return {std::istreambuf_iterator<char>(std::cin), {}};
}

int generate_command(const GenerateCommand& command) {
  const std::string prompt = read_prompt(command);
  LG_CHECK(!prompt.empty(),
           "the prompt is empty. Give --prompt TEXT, --prompt-file FILE, or a text "
           "on stdin.");
  const LoadedModel model = load_with_tokenizer(command.model, command.model_options);
  std::vector<std::string> stop_names;
  std::vector<int32_t> ids;
  if (command.chat) {
    const ChatFormat format = load_chat_format(command.model);
    std::vector<ChatMessage> messages = {{"user", prompt}};
    if (!command.system.empty()) messages.insert(messages.begin(), {"system", command.system});
    ids = model.tokenizer.encode(format.render(messages, true), {.parse_special = true});
    stop_names = format.stop_tokens();
  } else {
    ids = model.tokenizer.encode(prompt, {.add_special_tokens = true, .parse_special = false});
  }
  LG_CHECK(!ids.empty(), "the prompt has no tokens.");

  const GenerateOptions options = generate_options(command, model.tokenizer, stop_names);
  const auto no_tokens = std::span<const int32_t>();
  TextStream stream(model.tokenizer, options.stop, command.chat ? no_tokens : std::span(ids));
  Session session(model.decoder, command.chunk);
  catch_interrupts();
  Output output;
  std::string text;
  if (command.json) {
    GenerateCallbacks callbacks;
    callbacks.text = [&](const std::string& part) { text += part; };
    const Generated generated = generate(session, ids, ids, stream, options, callbacks);
    OrderedJson json = {
        {"text", text}, {"ids", generated.ids}, {"dtype", command.model_options.compute_dtype()}};
    json.update(report_json(generated, session));
    output.write(dump_json(json) + "\n");
    output.flush();
    return 0;
  }
  const Generated generated =
      generate_to_output(session, ids, ids, stream, options, command.quiet, output);
  output.write("\n");
  output.flush();
  log_info(report_text(generated, session));
  return interrupt_signal() == 0 ? 0 : 128 + interrupt_signal();
}

}  // namespace

void add_generate(CommandSet& commands) {
  auto command = std::make_shared<GenerateCommand>();
  CLI::App* const app = commands.add(CommandGroup::inference, "generate", "continue a text");
  app->add_option("MODEL", command->model, "model directory")->required();
  CLI::Option* const prompt = app->add_option_function<std::string>(
                                     "--prompt",
                                     [raw = command.get()](const std::string& text) {
                                       raw->prompt = text;
                                       raw->has_prompt = true;
                                     },
                                     "the text (default: stdin)")
                                  ->option_text("TEXT");
  app->add_option("--prompt-file", command->prompt_file, "read it from a file; - is stdin")
      ->option_text("FILE")
      ->excludes(prompt);
  CLI::Option* const chat = app->add_flag(
      "--chat", command->chat, "the text is a message: put it into the model's chat format");
  app->add_option("--system", command->system, "system message for --chat")
      ->option_text("TEXT")
      ->needs(chat);
  add_generation_options(app, *command);
  app->add_flag("--json", command->json,
                "print text, ids and the report as one JSON object at the end");
  commands.on_run(app, [command] { return generate_command(*command); });
}

}  // namespace longgen
