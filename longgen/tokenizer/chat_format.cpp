#include "longgen/tokenizer/chat_format.h"

#include <algorithm>
#include <ctime>

#include "longgen/base/check.h"
#include "longgen/base/json.h"
#include "longgen/tokenizer/unicode.h"
#include "longgen/tokenizer/utf8.h"

namespace longgen {
namespace {

using Kind = TemplatePart::Kind;

constexpr const char* kSupported = "ChatML (SmolLM2, Qwen 2 and 2.5), Llama 2, Llama 3 and Mistral";

constexpr size_t kMaxTemplateBytes = 1 << 20;
constexpr std::string_view kChatMlSystem = "<|im_start|>system\n";
constexpr std::string_view kLlama3System = "<|start_header_id|>system<|end_header_id|>\n\n";

/// Python's str.strip(): Unicode white space and the four separators of ASCII.
std::string trim(std::string_view text) {
  const auto blank = [](uint32_t c) {
    return (c >= 0x1C && c <= 0x1F) || char_class(c) == CharClass::space;
  };
  size_t begin = 0, end = text.size();
  while (begin < end) {
    const Utf8Char c = decode_utf8(text, begin);
    if (!blank(c.code_point)) break;
    begin += c.length;
  }
  while (end > begin) {
    const size_t last = previous_utf8(text, end);
    if (!blank(decode_utf8(text, last).code_point)) break;
    end = last;
  }
  return std::string(text.substr(begin, end - begin));
}

/// A special token of tokenizer_config.json: its text, or an object that holds it.
std::string token_text(const JsonObject& config, const std::string& key) {
  if (!config.has(key)) return "";
  return config.raw(key).is_object() ? config.object(key).string("content") : config.string(key);
}

/// chat_template: a text, or a list of {"name", "template"} with a default one.
std::string template_text(const JsonObject& config) {
  if (!config.raw("chat_template").is_array()) return config.string("chat_template");
  for (const Json& item : config.raw("chat_template")) {
    const JsonObject named(item, config.source(), "chat_template");
    if (named.string("name") == "default") return named.string("template");
  }
  LG_FAIL(config.where("chat_template"),
          ": expected a template named default among its templates.");
}

}  // namespace

ChatFormat ChatFormat::from_template(const std::string& text, const std::string& source,
                                     const std::string& bos, const std::string& eos) {
  LG_CHECK(text.size() <= kMaxTemplateBytes, source, ": expected a chat template of at most ",
           kMaxTemplateBytes, " bytes, found ", text.size(), ".");
  const ChatTemplate parsed(text, source);
  // Reasoning blocks are cut out of earlier turns by rules that differ from model to model.
  const bool reasons = parsed.mentions("<think>") || parsed.mentions("reasoning_content");
  if (!reasons) {
    for (const auto read :
         {&ChatFormat::read_chatml, &ChatFormat::read_llama3, &ChatFormat::read_inst}) {
      ChatFormat format;
      format.source_ = source;
      format.bos_ = bos;
      format.eos_ = eos;
      if (!(format.*read)(parsed) || !format.covers(parsed)) continue;
      format.check_tokens();
      return format;
    }
  }
  LG_FAIL(source, ": the chat template is none that longgen knows: ", kSupported,
          reasons ? " (this one has reasoning blocks)." : ".");
}

/// BOS and EOS must be there where the template writes them. Generation ends at EOS in any case.
void ChatFormat::check_tokens() {
  LG_CHECK(!writes_bos() || !bos_.empty(), source_,
           ": the chat template writes bos_token, and tokenizer_config.json has none.");
  const bool needs_eos = assistant_.shape().find("{eos}") != std::string::npos;
  LG_CHECK(!needs_eos || !eos_.empty(), source_,
           ": the chat template writes eos_token, and tokenizer_config.json has none.");
  const bool known =
      std::find(stop_tokens_.begin(), stop_tokens_.end(), eos_) != stop_tokens_.end();
  if (!eos_.empty() && !known) stop_tokens_.push_back(eos_);
}

bool ChatFormat::writes_bos() const {
  return writes_bos_ || user_.shape().find("{bos}") != std::string::npos;
}

void ChatFormat::read_prompt(const ChatTemplate& parsed, const std::string& text) {
  prompt_ = text;
  if (parsed.find(text) == nullptr) return;
  prompts_ = parsed.mentions("add_generation_prompt") ? Prompt::on_request : Prompt::always;
}

bool ChatFormat::read_chatml(const ChatTemplate& parsed) {
  const TemplateRun* turn = parsed.find("<|im_start|>{role}\n{content}<|im_end|>\n");
  if (turn == nullptr) turn = parsed.find("<|im_start|>{role}\n{content|trim}<|im_end|>\n");
  if (turn == nullptr) return false;
  name_ = "ChatML";
  user_ = assistant_ = *turn;
  writes_bos_ = parsed.find("{bos}") != nullptr;
  read_prompt(parsed, "<|im_start|>assistant\n");
  stop_tokens_ = {"<|im_end|>"};
  return read_default_system(parsed);
}

/// The turn that stands in for a missing system message. False when the template has a system turn
/// of another kind.
bool ChatFormat::read_default_system(const ChatTemplate& parsed) {
  for (const TemplateRun& run : parsed.runs()) {
    const std::string shape = run.shape();
    const bool fixed = run.parts.size() == 1 && run.parts[0].kind == Kind::text;
    if (!run.variable.empty()) {
      if (fixed && run.variable.find("system") != std::string::npos) return false;
    } else if (fixed && shape.starts_with(kChatMlSystem) && shape.ends_with("<|im_end|>\n")) {
      if (!default_system_.empty() && default_system_ != shape) return false;
      default_system_ = shape;
    } else if (shape.starts_with("<|im_start|>system")) {
      // Qwen 2.5 starts another one where tools are given, which they never are here.
      const bool of_tools = shape == kChatMlSystem && parsed.mentions("tools");
      if (!of_tools && shape != "<|im_start|>system\n{system}<|im_end|>\n") return false;
    }
  }
  return true;
}

/// Whether what the template says of BOS and of the assistant's prompt has been found in it.
bool ChatFormat::covers(const ChatTemplate& parsed) const {
  return writes_bos() == parsed.mentions("bos_token") &&
         (prompts_ == Prompt::on_request) == parsed.mentions("add_generation_prompt");
}

bool ChatFormat::read_llama3(const ChatTemplate& parsed) {
  const TemplateRun* const turn =
      parsed.find("<|start_header_id|>{role}<|end_header_id|>\n\n{content|trim}<|eot_id|>");
  if (turn == nullptr) return false;
  name_ = "Llama 3";
  user_ = assistant_ = *turn;
  writes_bos_ = parsed.mentions("bos_token");
  read_prompt(parsed, "<|start_header_id|>assistant<|end_header_id|>\n\n");
  stop_tokens_ = {"<|eot_id|>"};
  for (const TemplateRun& run : parsed.runs()) {
    if (run.variable == "date_string" && run.parts[0].kind == Kind::text) date_ = run.shape();
    if (!run.variable.empty() || run.shape().find("{date}") == std::string::npos) continue;
    if (!read_date(run)) return false;
  }
  if (parsed.mentions("strftime_now")) date_.clear();
  return true;
}

/// The dates of Llama 3.1 stand at the start of the system turn; the run may hold more of that
/// turn.
bool ChatFormat::read_date(const TemplateRun& run) {
  const auto& parts = run.parts;
  const bool known = parts.size() >= 3 && parts[0].kind == Kind::text &&
                     parts[1].kind == Kind::date && parts[2].kind == Kind::text &&
                     parts[2].text.starts_with("\n\n");
  if (!known) return false;
  std::string before = parts[0].text;
  if (before.starts_with(kLlama3System)) before.erase(0, kLlama3System.size());
  dated_system_.parts = {{Kind::text, before, false}, parts[1], {Kind::text, "\n\n", false}};
  return true;
}

bool ChatFormat::read_inst(const ChatTemplate& parsed) {
  for (const TemplateRun& run : parsed.runs()) {
    const std::string shape = run.shape();
    if (shape.find("{?}") != std::string::npos) continue;
    const bool has_content = shape.find("{content") != std::string::npos;
    const bool has_system = shape.find("{system") != std::string::npos;
    const bool user =
        shape.find("[INST]") != std::string::npos && shape.find("[/INST]") != std::string::npos;
    if (has_content && has_system) system_ = run;
    if (has_content && !has_system && user) user_ = run;
    if (has_content && !user && shape.find("{eos}") != std::string::npos) assistant_ = run;
  }
  // Newer Mistral formats have more to them than turns.
  if (user_.empty() || assistant_.empty() || parsed.mentions("[SYSTEM_PROMPT]")) return false;
  const bool llama2 = parsed.mentions("<<SYS>>");
  if (llama2 && system_.shape() != "<<SYS>>\n{system}\n<</SYS>>\n\n{content}") return false;
  name_ = llama2 ? "Llama 2" : "Mistral";
  alternates_ = true;
  writes_bos_ = parsed.find("{bos}") != nullptr;
  system_last_ = !llama2 && !system_.empty();
  if (system_last_ &&
      (!parsed.mentions("loop.last") || !parsed.mentions("system_message is defined")))
    return false;
  return true;
}

void ChatFormat::check_roles(const std::vector<ChatMessage>& messages) const {
  LG_CHECK(!messages.empty(), "[chat] expected at least one message, found none.");
  const bool system_first = messages[0].role == "system";
  LG_CHECK(!alternates_ || !system_first || !system_.empty(), "[chat] the chat template of ",
           source_, " (", name_, ") has no place for a system message.");
  for (size_t i = 0; i < messages.size(); ++i) {
    const std::string& role = messages[i].role;
    LG_CHECK(role == "system" || role == "user" || role == "assistant",
             "[chat] expected the role system, user or assistant, found \"", role.substr(0, 60),
             "\" in message ", i, ".");
    if (!alternates_ || (i == 0 && system_first)) continue;
    const char* const wanted = (i - (system_first ? 1 : 0)) % 2 == 0 ? "user" : "assistant";
    LG_CHECK(role == wanted, "[chat] the chat template of ", source_, " (", name_,
             ") expects the role ", wanted, " in message ", i, ", found ", role, ".");
  }
}

std::string ChatFormat::today() const {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  return std::string(local.tm_mday < 10 ? "0" : "") + std::to_string(local.tm_mday) + " " +
         kMonths[local.tm_mon] + " " + std::to_string(local.tm_year + 1900);
}

std::string ChatFormat::fill(const TemplateRun& run, const ChatMessage& message,
                             const std::string& system) const {
  std::string out;
  for (const TemplatePart& part : run.parts) {
    std::string value;
    switch (part.kind) {
      case Kind::text:
        value = part.text;
        break;
      case Kind::role:
        value = message.role;
        break;
      case Kind::content:
        value = message.content;
        break;
      case Kind::system:
        value = system;
        break;
      case Kind::bos:
        value = bos_;
        break;
      case Kind::eos:
        value = eos_;
        break;
      case Kind::date:
        value = date_.empty() ? today() : date_;
        break;
      case Kind::unknown:
        LG_DCHECK(part.kind != Kind::unknown);
        break;
    }
    out += part.trimmed ? trim(value) : value;
  }
  return out;
}

std::string ChatFormat::render_turns(const std::vector<ChatMessage>& messages) const {
  const bool has_system = messages[0].role == "system";
  std::string out;
  if (!dated_system_.empty()) {
    const std::string system = has_system ? trim(messages[0].content) : "";
    const std::string before = fill(dated_system_, {}, "");
    out += std::string(kLlama3System) + before + system + "<|eot_id|>";
  } else if (!has_system) {
    out += default_system_;
  }
  for (size_t i = has_system && !dated_system_.empty() ? 1 : 0; i < messages.size(); ++i) {
    out += fill(messages[i].role == "assistant" ? assistant_ : user_, messages[i], "");
  }
  return out;
}

std::string ChatFormat::render_inst(const std::vector<ChatMessage>& messages) const {
  const bool has_system = messages[0].role == "system";
  const size_t first = has_system ? 1 : 0;
  std::string out;
  for (size_t i = first; i < messages.size(); ++i) {
    ChatMessage message = messages[i];
    const bool takes_system = has_system && message.role == "user" &&
                              (system_last_ ? i + 1 == messages.size() : i == first);
    if (takes_system && system_last_) {
      out += fill(system_, message, messages[0].content);
      continue;
    }
    if (takes_system) message.content = fill(system_, message, messages[0].content);
    out += fill(message.role == "user" ? user_ : assistant_, message, "");
  }
  return out;
}

std::string ChatFormat::render(const std::vector<ChatMessage>& messages,
                               bool add_generation_prompt) const {
  check_roles(messages);
  std::string out = writes_bos_ ? bos_ : "";
  out += alternates_ ? render_inst(messages) : render_turns(messages);
  if (prompts_ == Prompt::always || (prompts_ == Prompt::on_request && add_generation_prompt))
    out += prompt_;
  return out;
}

ChatFormat load_chat_format(const fs::path& model_directory) {
  const fs::path config_path = model_directory / "tokenizer_config.json";
  const Json json = parse_json(read_file(config_path), config_path.string());
  const JsonObject config(json, config_path.string());
  const std::string bos = token_text(config, "bos_token"), eos = token_text(config, "eos_token");
  const fs::path jinja = model_directory / "chat_template.jinja";
  if (fs::exists(jinja))
    return ChatFormat::from_template(read_file(jinja, 1 << 20), jinja.string(), bos, eos);
  LG_CHECK(config.has("chat_template"), config_path.string(),
           ": field chat_template: is missing, and so is ", jinja.filename().string(),
           ". longgen can chat in the formats ", kSupported, ".");
  return ChatFormat::from_template(template_text(config), config_path.string(), bos, eos);
}

}  // namespace longgen
