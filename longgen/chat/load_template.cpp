// ChatTemplate::load().
#include "longgen/base/check.h"
#include "longgen/chat/chat_template.h"
#include "longgen/tokenizer/special_tokens.h"

namespace longgen {
namespace {

constexpr int64_t kMaxConfigBytes = 64 << 20;  // lists of added tokens can be long
constexpr int64_t kMaxTemplateFileBytes = 4 << 20;

}  // namespace

void ChatTemplate::add_from_config(const fs::path& path) {
  const Json json = parse_json(read_file(path, kMaxConfigBytes), path.string());
  const JsonObject config(json, path.string());
  if (!config.has("chat_template")) return;
  const std::string where = config.where("chat_template");
  if (!config.raw("chat_template").is_array()) {
    return add("default", config.string("chat_template"), where);
  }
  for (const Json& item : config.raw("chat_template")) {
    const JsonObject named(item, config.source(), "chat_template");
    const std::string name = named.string("name");
    add(name, named.string("template"), where + " (" + name + ")");
  }
}

std::optional<ChatTemplate> ChatTemplate::find(const fs::path& model_directory) {
  ChatTemplate format{read_special_tokens(model_directory)};
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
  if (format.templates_.empty() && fs::exists(config_path)) format.add_from_config(config_path);
  if (format.templates_.empty()) return std::nullopt;
  return format;
}

ChatTemplate ChatTemplate::load(const fs::path& model_directory) {
  std::optional<ChatTemplate> format = find(model_directory);
  LG_CHECK(format.has_value(), model_directory.string(),
           ": has no chat template: neither chat_template.jinja nor chat_template in "
           "tokenizer_config.json. A base model continues text: leave --chat out, or use generate "
           "in place of chat.");
  return std::move(*format);
}

}  // namespace longgen
