// longgen prepare: from a corpus to a token dataset.
#include "longgen/data/prepare.h"

#include <algorithm>
#include <memory>

#include "longgen/api/load.h"
#include "longgen/base/check.h"
#include "longgen/base/json.h"
#include "longgen/base/log.h"
#include "longgen/base/units.h"
#include "longgen/chat/chat_request.h"
#include "longgen/cli/commands.h"
#include "longgen/cli/document_options.h"
#include "longgen/cli/document_token_options.h"
#include "longgen/cli/generation.h"
#include "longgen/cli/interrupt.h"
#include "longgen/cli/options.h"
#include "longgen/cli/output.h"
#include "longgen/data/conversation.h"
#include "longgen/data/text_encoder.h"
#include "longgen/tokenizer/special_tokens.h"

namespace longgen {
namespace {

struct PrepareCommand {
  std::vector<std::string> paths;  // the inputs, then the output
  std::string model, chat_template, template_args;
  DocumentTokenOptions document_tokens;
  PrepareOptions options;
  int64_t threads = 0;
  bool json = false, quiet = false;
};

ChatTemplate open_template(const PrepareCommand& command) {
  const fs::path given = command.chat_template;
  if (given.empty()) return ChatTemplate::load(command.model);
  if (fs::is_directory(given)) return ChatTemplate::load(given);
  return {read_file(given), given.string(), read_special_tokens(command.model)};
}

/// Makes the encoder take conversations. A corpus without any needs no template.
void add_conversations(const Tokenizer& tokenizer, const PrepareCommand& command,
                       TextEncoder& encoder) {
  try {
    auto conversations = std::make_shared<const ConversationEncoder>(
        tokenizer, open_template(command), chat_request(command.template_args, "--template-args"));
    encoder.encode_conversation = [conversations](std::string_view line) {
      return conversations->encode(line);
    };
  } catch (const Error& error) {
    if (!command.chat_template.empty() || !command.template_args.empty()) throw;
    encoder.no_conversations = std::string("messages need a chat template, and none was found: ") +
                               error.what() + " --chat-template FILE names another one.";
  }
}

OrderedJson to_json(const PrepareSummary& summary, const PrepareOptions& options,
                    const DocumentTokens& tokens) {
  const auto id_or_null = [](const std::optional<int32_t>& id) {
    return id ? OrderedJson(*id) : OrderedJson();
  };
  OrderedJson json;
  json["output"] = options.output.string();
  json["token_type"] = token_type_name(summary.token_type);
  json["begin_id"] = id_or_null(tokens.begin);
  json["end_id"] = id_or_null(tokens.end);
  json["train"]["documents"] = summary.train.num_documents;
  json["train"]["tokens"] = summary.train.num_tokens;
  json["held_out"]["documents"] = summary.held_out.num_documents;
  json["held_out"]["tokens"] = summary.held_out.num_tokens;
  json["sources"] = summary.num_sources;
  json["empty_documents"] = summary.num_empty_documents;
  json["bad_lines"] = summary.num_bad_lines;
  json["first_bad_lines"] = summary.first_bad_lines;
  json["answer_tokens"] = summary.num_answer_tokens;
  json["ignored_tokens"] = summary.num_ignored_tokens;
  json["input_bytes"] = summary.input_bytes;
  json["text_bytes"] = summary.text_bytes;
  json["seconds"] = summary.seconds;
  return json;
}

std::string token_text(const Tokenizer& tokenizer, const std::optional<int32_t>& id) {
  return id ? tokenizer.token(*id) + " (" + std::to_string(*id) + ")" : "none";
}

std::string to_text(const PrepareSummary& summary, const PrepareOptions& options,
                    const Tokenizer& tokenizer, const DocumentTokens& tokens) {
  const auto split = [](const SplitSummary& part) {
    return detail::concat(format_count(part.num_documents, "document"), ", ",
                          format_count(part.num_tokens, "token"), "\n");
  };
  const auto rate = static_cast<double>(summary.text_bytes) / std::max(summary.seconds, 1e-9);
  std::string text = detail::concat(
      options.output.string(), ": ", format_bytes(summary.text_bytes), " of text from ",
      format_count(summary.num_sources, "file"), " in ", format_duration(summary.seconds), ", ",
      format_bytes(static_cast<int64_t>(rate)), "/s\n", "  train         ", split(summary.train),
      "  held out      ", split(summary.held_out));
  text += detail::concat("  token size    ", token_type_name(summary.token_type), "\n",
                         "  begin token   ", token_text(tokenizer, tokens.begin), "\n",
                         "  end token     ", token_text(tokenizer, tokens.end), "\n",
                         "  left out      ",
                         format_count(summary.num_empty_documents, "empty document"), ", ",
                         format_count(summary.num_bad_lines, "bad line"), "\n");
  if (summary.num_answer_tokens + summary.num_ignored_tokens > 0) {
    text += detail::concat("  marked        ", format_count(summary.num_answer_tokens, "token"),
                           " of answers, ", format_count(summary.num_ignored_tokens, "token"),
                           " not learned\n");
  }
  return text;
}

void warn_of_bad_lines(const PrepareSummary& summary) {
  for (const std::string& line : summary.first_bad_lines) log_warning("left out: " + line);
  const auto shown = static_cast<int64_t>(summary.first_bad_lines.size());
  if (summary.num_bad_lines > shown) {
    log_warning("left out: " + format_count(summary.num_bad_lines - shown, "more bad line"));
  }
}

int prepare(PrepareCommand& command) {
  if (command.paths.size() < 2) {
    throw UsageError("expected at least one IN, and OUT, found only \"" + command.paths[0] + "\".");
  }
  PrepareOptions& options = command.options;
  options.inputs.assign(command.paths.begin(), command.paths.end() - 1);
  options.output = command.paths.back();
  options.num_threads = static_cast<int>(command.threads);
  options.show_progress = !command.quiet;
  options.stop = &interrupted();
  const Tokenizer tokenizer = open_tokenizer(command.model);
  const DocumentTokens tokens =
      choose_document_tokens(tokenizer, command.model, command.document_tokens);
  const std::string name = fs::weakly_canonical(command.model).filename().string();
  catch_interrupts();
  TextEncoder encoder = text_encoder(tokenizer, name, tokens.begin, tokens.end);
  add_conversations(tokenizer, command, encoder);
  const PrepareSummary summary = prepare_dataset(encoder, options);
  warn_of_bad_lines(summary);
  Output output;
  output.write(command.json ? dump_json(to_json(summary, options, tokens)) + "\n"
                            : to_text(summary, options, tokenizer, tokens));
  output.flush();
  return 0;
}

void add_document_options(CLI::App* app, PrepareCommand& command) {
  add_document_token_options(app, command.document_tokens);
  add_text_field_option(app, command.options.text_field);
  app->add_option("--chat-template", command.chat_template,
                  "chat template of conversations (field messages): a file, or another model's "
                  "directory (default: the model's own)")
      ->option_text("PATH");
  add_template_args_option(app, command.template_args);
  app->add_flag("--text-only", command.options.text_only,
                "of a JSON line the text alone counts: answers and messages mean nothing");
  add_skip_bad_flag(app, command.options.skip_bad);
}

}  // namespace

void add_prepare(CommandSet& commands) {
  auto command = std::make_shared<PrepareCommand>();
  CLI::App* const app = commands.add(CommandGroup::data, "prepare",
                                     "tokenize a corpus into a token dataset for training");
  app->add_option("IN", command->paths,
                  "files or folders (.txt, .jsonl, each also .gz or .zst), then the folder to "
                  "create")
      ->option_text("IN... OUT")
      ->required();
  app->add_option("--model", command->model, "model directory whose tokenizer to use")
      ->option_text("DIR")
      ->required();
  add_document_options(app, *command);
  PrepareOptions& options = command->options;
  app->add_option("--held-out", options.held_out_share,
                  "share of the documents to keep for evaluation (default 0.01)")
      ->option_text("SHARE")
      ->check(number_between(0, 1));
  add_seed_option(app, options.seed, "of the choice of held-out documents");
  add_count_option(app, "--shard-tokens", options.shard_tokens, 1,
                   "tokens in a shard file (default 256M)");
  add_threads_option(app, command->threads);
  app->add_flag("--force", options.replace, "replace OUT if it exists, once the new one is whole");
  add_json_flag(app, command->json);
  add_quiet_flag(app, command->quiet);
  commands.on_run(app, [command] { return prepare(*command); });
}

}  // namespace longgen
