// longgen generate: continues a text.
#include "longgen/engine/generate.h"

#include <unistd.h>

#include <iostream>
#include <iterator>
#include <memory>
#include <optional>

#include "longgen/base/check.h"
#include "longgen/base/log.h"
#include "longgen/chat/chat_template.h"
#include "longgen/cli/commands.h"
#include "longgen/cli/generation.h"
#include "longgen/cli/interrupt.h"
#include "longgen/cli/prompt_text.h"

namespace longgen {
namespace {

struct GenerateCommand : GenerationCommand {
  std::string prompt, prompt_file, template_args;
  std::optional<std::string> system;
  bool has_prompt = false, chat = false, special = false, json = false;
};

std::string read_prompt(const GenerateCommand& command) {
  if (command.has_prompt) return command.prompt;
  if (!command.prompt_file.empty() && command.prompt_file != "-") {
    return prompt_text(read_file(command.prompt_file), command.prompt_file);
  }
  if (::isatty(STDIN_FILENO)) log_info("reading the prompt from stdin, up to Ctrl-D");
  return prompt_text({std::istreambuf_iterator<char>(std::cin), {}}, "stdin");
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
    const ChatTemplate format = ChatTemplate::load(command.model);
    ChatRequest request = chat_request(command.template_args);
    if (command.system) request.messages.push_back(chat_message("system", *command.system));
    request.messages.push_back(chat_message("user", prompt));
    ids = format.render(request).encode(model.tokenizer);
    stop_names = format.stop_tokens(model.tokenizer);
  } else {
    ids = model.tokenizer.encode(prompt,
                                 {.add_special_tokens = true, .parse_special = command.special});
  }
  LG_CHECK(!ids.empty(), "the prompt has no tokens.");

  const GenerateOptions options = generate_options(command, model.tokenizer, stop_names);
  const auto no_tokens = std::span<const int32_t>();
  TextStream stream(model.tokenizer, options.stop, command.chat ? no_tokens : std::span(ids));
  const ModelConfig& config = model.decoder.config();
  const auto prompt_tokens = static_cast<int64_t>(ids.size());
  const bool warned = warn_beyond_context(config, prompt_tokens);
  Session session(model.decoder, command.chunk);
  catch_interrupts();
  Output output;
  std::string text;
  const auto show = [&](const std::string& part) {
    if (command.json) {
      text += part;
      return;
    }
    output.write(part);
    output.flush();
  };
  const Generated generated = generate(session, ids, ids, stream, options,
                                       generate_callbacks(prompt_tokens, command.quiet, show));
  if (command.json) {
    OrderedJson json = {
        {"text", text}, {"ids", generated.ids}, {"dtype", command.model_options.compute_dtype()}};
    json.update(report_json(generated, session));
    output.write(dump_json(json));
  }
  output.write("\n");
  output.flush();
  if (!warned) warn_beyond_context(config, session.num_tokens());
  if (!command.json) log_info(report_text(generated, session));
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
      "--chat", command->chat, "the text is a message: put it into the model's chat template");
  app->add_option("--system", command->system, "system message for --chat")
      ->option_text("TEXT")
      ->needs(chat);
  add_template_args_option(app, command->template_args)->needs(chat);
  app->add_flag("--special", command->special,
                "recognise special tokens spelled out in the prompt; without this they are "
                "ordinary text")
      ->excludes(chat);
  add_generation_options(app, *command);
  app->add_flag("--json", command->json,
                "print text, ids and the report as one JSON object at the end");
  commands.on_run(app, [command] { return generate_command(*command); });
}

}  // namespace longgen
