// ChatTemplate::load().
#include "longgen/base/check.h"
#include "longgen/chat/chat_template.h"

namespace longgen {
namespace {

constexpr int64_t kMaxConfigBytes = 64 << 20;  // lists of added tokens can be long
constexpr int64_t kMaxTemplateFileBytes = 4 << 20;

/// The special tokens that transformers gives to templates.
constexpr const char* kTokenNames[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                       "pad_token", "cls_token", "mask_token"};

/// Each token is its text or an object that holds it.
void add_tokens(const JsonObject& config, ChatTemplate::SpecialTokens& tokens) {
  for (const char* name : kTokenNames) {
    if (!config.has(name)) continue;
    tokens[name] =
        config.raw(name).is_object() ? config.object(name).string("content") : config.string(name);
  }
}

/// Reads a JSON file of a model directory if it is there.
template <typename Use>
void with_config(const fs::path& path, Use&& use) {
  if (!fs::exists(path)) return;
  const Json json = parse_json(read_file(path, kMaxConfigBytes), path.string());
  use(JsonObject(json, path.string()));
}

}  // namespace

ChatTemplate ChatTemplate::load(const fs::path& model_directory) {
  ChatTemplate format{SpecialTokens{}};
  const fs::path config_path = model_directory / "tokenizer_config.json";
  const fs::path file = model_directory / "chat_template.jinja";
  const fs::path more = model_directory / "additional_chat_templates";
  const auto read = [](const fs::path& path) { return read_file(path, kMaxTemplateFileBytes); };
  format.source_ = fs::exists(file) ? file.string() : config_path.string();
  if (fs::exists(file)) format.add("default", read(file), file.string());
  if (fs::is_directory(more)) {
    for (const fs::path& path : list_files(more)) {
      if (path.extension() != ".jinja") continue;
      format.add(path.stem().string(), read(path), path.string());
    }
  }
  const bool has_files = !format.templates_.empty();
  // The older file holds what the newer one leaves out, and goes first without a list of tokens.
  bool lists_tokens = false;
  with_config(config_path, [&](const JsonObject& config) {
    lists_tokens = config.has("added_tokens_decoder");
    add_tokens(config, format.tokens_);
    if (has_files || !config.has("chat_template")) return;
    const std::string where = config.where("chat_template");
    if (!config.raw("chat_template").is_array()) {
      return format.add("default", config.string("chat_template"), where);
    }
    for (const Json& item : config.raw("chat_template")) {
      const JsonObject named(item, config.source(), "chat_template");
      const std::string name = named.string("name");
      format.add(name, named.string("template"), where + " (" + name + ")");
    }
  });
  if (!lists_tokens) {
    with_config(model_directory / "special_tokens_map.json",
                [&](const JsonObject& map) { add_tokens(map, format.tokens_); });
  }
  LG_CHECK(!format.templates_.empty(), model_directory.string(),
           ": has no chat template: neither chat_template.jinja nor chat_template in "
           "tokenizer_config.json. A base model continues text: use generate without --chat.");
  return format;
}

}  // namespace longgen
