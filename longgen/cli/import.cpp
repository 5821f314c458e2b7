// longgen import: a model directory from a GGUF file or a Hugging Face directory.
#include "longgen/import/import.h"

#include <memory>

#include "longgen/base/check.h"
#include "longgen/base/units.h"
#include "longgen/cli/commands.h"
#include "longgen/cli/options.h"
#include "longgen/cli/output.h"
#include "longgen/plan/describe.h"

namespace longgen {
namespace {

struct ImportCommand {
  std::string source, output, dtype;
  ImportOptions options;
  bool json = false, quiet = false;
};

std::optional<DType> stored_dtype(const std::string& name) {
  if (name == "float32") return DType::f32;
  if (name == "float16") return DType::f16;
  if (name == "bfloat16") return DType::bf16;
  return std::nullopt;
}

int import_command(ImportCommand& command) {
  command.options.show_progress = !command.quiet;
  command.options.dtype = stored_dtype(command.dtype);
  const ImportSummary summary = import_model(command.source, command.output, command.options);
  const ModelDescription description = describe_model(command.output, summary.config);
  Output output;
  if (command.json) {
    OrderedJson json = to_json(description);
    json["source"] = summary.source_kind;
    json["stored"] = summary.stored;
    json["stored_bytes"] = summary.stored_bytes;
    output.write(dump_json(json) + "\n");
  } else {
    output.write(detail::concat(command.source, ": ", summary.source_kind,
                                "\nwritten: ", format_count(summary.num_tensors, "tensor"), " as ",
                                summary.stored, ", ", format_bytes(summary.stored_bytes), "\n",
                                to_text(description)));
  }
  output.flush();
  return 0;
}

}  // namespace

void add_import(CommandSet& commands) {
  auto command = std::make_shared<ImportCommand>();
  CLI::App* const app =
      commands.add(CommandGroup::models, "import",
                   "make a model directory from a GGUF file or a Hugging Face directory");
  app->add_option("SRC", command->source, "a .gguf file, or a directory with config.json")
      ->required();
  app->add_option("OUT", command->output, "the model directory to create")->required();
  add_choice_option(app, "--dtype", command->dtype, {"float32", "float16", "bfloat16"},
                    "precision to store (default: a directory's own; of a GGUF file float32, which "
                    "holds its values exactly)");
  app->add_option("--pre-tokenizer", command->options.pre_tokenizer,
                  "how the tokenizer of a GGUF file splits words, where the file does not say: "
                  "llama-bpe, qwen2, smollm, gpt-2, or another name that llama.cpp has")
      ->option_text("NAME");
  app->add_flag("--force", command->options.replace, "replace OUT if it exists");
  add_json_flag(app, command->json);
  add_quiet_flag(app, command->quiet);
  commands.on_run(app, [command] { return import_command(*command); });
}

}  // namespace longgen
